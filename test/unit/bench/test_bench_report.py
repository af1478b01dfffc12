"""The page of measurements: medians, ratios of pairs, targets, and contenders that failed."""

from collections.abc import Callable

import pytest
from bench import report
from bench.pushes import Run
from bench.report import Target
from bench.runs import Runs, in_turn

DOCKER = "`docker push`"
Measure = Callable[[Runs, str, str], float | None]


def runs(**contenders: list[Run]) -> Runs:
    """Return the runs of a row; `docker` stands for `DOCKER`."""
    found = Runs("row")
    found.update({DOCKER if name == "docker" else name: values for name, values in contenders.items()})
    return found


PAIRS = runs(
    pipe=[Run(1, 0.5, 80_000_000, 110, 2), Run(6, 5, 90_000_000, 100, 4), Run(2, 1, 70_000_000, 90, 3)],
    docker=[Run(2, 2, 0, 100, 5), Run(3, 3, 0, 100, 5), Run(1, 1, 0, 100, 5)],
)


def test_ratios_and_differences_are_those_of_pairs() -> None:
    assert report.ratio(PAIRS, "pipe", DOCKER) == 2  # of 0.5, 2, 2; that of the medians would be 1
    assert report.difference(PAIRS, "pipe", DOCKER) == 1
    assert report.process_ratio(PAIRS, "pipe", DOCKER) == 1
    assert report.process_difference(PAIRS, "pipe", DOCKER) == 0
    assert report.stored_ratio(PAIRS, "pipe", DOCKER) == 1
    assert report.peak(PAIRS, "pipe") == 90


@pytest.mark.parametrize("measured", [report.ratio, report.difference, report.stored_ratio])
@pytest.mark.parametrize("missing", [pytest.param("pipe", id="contender"), pytest.param(DOCKER, id="baseline")])
def test_a_contender_without_runs_has_no_number(measured: Measure, missing: str) -> None:
    rest = runs(**{name: values for name, values in PAIRS.items() if name != missing})
    assert measured(rest, "pipe", DOCKER) is None


def test_a_table_has_the_columns_that_were_measured() -> None:
    assert report.runs_table(PAIRS, DOCKER).splitlines() == [
        "|  | median | from, to | difference | ratio | processor time | stored | stored, ratio | peak memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| pipe | 2.00 s | 1.00 to 6.00 s | +1.00 s | 2.00 | 3.00 s | 0.0 MB | 1.000 | 90.0 MB |",
        "| `docker push` | 2.00 s | 1.00 to 3.00 s |  |  | 5.00 s | 0.0 MB |  |  |",
    ]
    seconds = runs(pipe=[Run(1, 1)], docker=[Run(2, 2)])
    assert report.runs_table(seconds, DOCKER).splitlines()[0] == "|  | median | from, to | difference | ratio |"


def test_bytes_received_have_no_ratio() -> None:
    head = report.runs_table(PAIRS, DOCKER, "received").splitlines()[0]
    assert head == "|  | median | from, to | difference | ratio | processor time | received | peak memory |"


@pytest.mark.parametrize(
    ("target", "cells"),
    [
        pytest.param(Target("x", 2, 2, " s"), ("x", "≤ 2 s", "2.00 s", "✔"), id="kept"),
        pytest.param(Target("x", 2, 2.01, ""), ("x", "≤ 2", "2.01", "✖"), id="missed"),
        pytest.param(Target("x", 1.8, 1.9, "", least=True), ("x", "≥ 1.8", "1.90", "✔"), id="least-kept"),
        pytest.param(Target("x", 1.8, 1.7, "", least=True), ("x", "≥ 1.8", "1.70", "✖"), id="least-missed"),
        pytest.param(Target("x", 2, None, " s"), ("x", "≤ 2 s", "not measured", ""), id="not-measured"),
    ],
)
def test_targets(target: Target, cells: tuple[str, str, str, str]) -> None:
    assert target.cells == cells


def test_a_contender_that_fails_has_no_runs_and_does_not_run_again() -> None:
    found = Runs("row", iter(range(99)).__next__)
    calls: list[str] = []

    def fail() -> Run:
        calls.append("pipe")
        raise RuntimeError("python -m pipe ended with 2:\n\x1b[31m✖ REUSE_FROM is wrong.\x1b[0m\n")

    found.add("pipe", lambda: Run(1, 1))
    for _ in range(2):
        found.add("pipe", fail)
        found.add(DOCKER, lambda: Run(2, 2))
    assert calls == ["pipe"]
    assert found == {DOCKER: [Run(2, 2, processor_seconds=1)] * 2}
    assert report.runs_table(found, DOCKER).splitlines()[-1] == "Failed: pipe: `✖ REUSE_FROM is wrong.`"


def test_of_two_contenders_each_runs_first_equally_often() -> None:
    assert list(in_turn("ab", 4)) == [["a", "b"], ["b", "a"]] * 2
