"""Links that cannot be shaped: the page says so, and nothing is measured."""

import pytest
from bench import link_rows, links
from bench.contenders import Pipe
from bench.links import LINKS, SHAPE, UNSHAPE
from bench.measure import Bench

SLOW = LINKS[-1]


def bench(*, alone: bool) -> Bench:
    return Bench("unix:///nowhere", "image", (Pipe("the pipe", "image"),), alone=alone)


def test_loopback_of_the_machine_itself_is_never_shaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "run", lambda *command: pytest.fail(f"ran {command}"))
    section = link_rows.over(bench(alone=False), SLOW)
    assert section.text == "Not measured here: a network namespace for the bench needs root and `dockerd`."
    assert section.targets == ()


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    section = link_rows.over(bench(alone=True), SLOW)
    assert section.text == "Not measured here: `tc` (Debian's package iproute2) is missing."


def test_a_kernel_that_cannot_shape_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*command: str) -> None:
        raise RuntimeError(f"{' '.join(command)} ended with 2:\nError: Specified qdisc kind is unknown.\n")

    monkeypatch.setattr("shutil.which", lambda _: "/usr/sbin/tc")
    monkeypatch.setattr(links, "run", fail)
    section = link_rows.over(bench(alone=True), SLOW)
    assert section.text == "Not measured here: `tc` failed: Error: Specified qdisc kind is unknown."


def test_the_shape_is_removed_when_a_push_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []
    monkeypatch.setattr(links, "run", lambda *command: commands.append(" ".join(command)))
    with pytest.raises(RuntimeError), links.shaped(50):
        raise RuntimeError("the push failed")
    assert commands == [f"{SHAPE} 50mbit", UNSHAPE]


def test_loopback_as_it_is_needs_no_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "run", lambda *command: pytest.fail(f"ran {command}"))
    with links.shaped(None):
        pass
