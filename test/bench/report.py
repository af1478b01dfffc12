"""What was measured, as Markdown; every number and every ✔ is computed."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.pushes import Run
from bench.runs import Runs

MEGABYTE = 1_000_000
STORED = "stored"
KEPT = {True: "✔", False: "✖"}


@dataclass(frozen=True, slots=True)
class Target:
    """A bound, and what was measured.

    Attributes:
        what: What is bounded.
        limit: The bound, in `unit`.
        measured: The number, in `unit`; None if there is none.
        unit: Such as " MB".
        least: Whether the bound is the smallest good value, not the largest.
    """

    what: str
    limit: float
    measured: float | None
    unit: str
    least: bool = False

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Return the row of a table."""
        limit = f"{'≥' if self.least else '≤'} {self.limit:g}{self.unit}"
        if self.measured is None:
            return self.what, limit, "not measured", ""
        kept = self.measured >= self.limit if self.least else self.measured <= self.limit
        return self.what, limit, f"{self.measured:.2f}{self.unit}", KEPT[kept]


@dataclass(frozen=True, slots=True)
class Section:
    """One measurement, written down."""

    title: str
    text: str
    targets: tuple[Target, ...] = ()


def targets_table(targets: Sequence[Target]) -> str:
    """Return a table of bounds, what was measured, and whether they are kept."""
    return table(("", "target", "measured", "kept"), [target.cells for target in targets])


def runs_table(runs: Runs, beside: str, stored: str = STORED) -> str:
    """Return a table of medians, and the contenders that failed.

    Args:
        runs: What was measured.
        beside: The contender that the others are compared with.
        stored: What `Run.stored` counts, as a column is called; only of bytes stored the ratio means something.
    """
    columns: dict[str, list[str]] = {
        "": list(runs),
        "median": [f"{statistics.median(seconds(values)):.2f} s" for values in runs.values()],
        "from, to": [f"{min(seconds(values)):.2f} to {max(seconds(values)):.2f} s" for values in runs.values()],
        "difference": [_beside(difference(runs, name, beside), "+.2f", " s", name, beside) for name in runs],
        "ratio": [_beside(ratio(runs, name, beside), ".2f", "", name, beside) for name in runs],
    }
    if any(run.processor_seconds for values in runs.values() for run in values):
        columns["processor time"] = [f"{_processor_time(values):.2f} s" for values in runs.values()]
    if any(run.stored for values in runs.values() for run in values):
        columns[stored] = [f"{_median_megabytes(run.stored for run in values):.1f} MB" for values in runs.values()]
        if stored == STORED:
            ratios = [_beside(stored_ratio(runs, name, beside), ".3f", "", name, beside) for name in runs]
            columns["stored, ratio"] = ratios
    if any(run.memory for values in runs.values() for run in values):
        most = [max(run.memory for run in values) / MEGABYTE for values in runs.values()]
        columns["peak memory"] = [f"{memory:.1f} MB" if memory else "" for memory in most]
    failures = "".join(f"\n\nFailed: {name}: `{why}`" for name, why in runs.failures.items())
    return table(tuple(columns), list(zip(*columns.values(), strict=True))) + failures


def median(runs: Runs, name: str) -> float | None:
    """Return how many seconds a contender took; None if it did not run."""
    return statistics.median(seconds(runs[name])) if name in runs else None


def difference(runs: Runs, name: str, beside: str) -> float | None:
    """Return by how many seconds a contender took longer: the median of the rounds' own differences."""
    return _median(one.seconds - other.seconds for one, other in _pairs(runs, name, beside))


def process_difference(runs: Runs, name: str, beside: str) -> float | None:
    """Return the same of the processes, without the making of containers."""
    return _median(one.process_seconds - other.process_seconds for one, other in _pairs(runs, name, beside))


def process_median(runs: Runs, name: str) -> float | None:
    """Return how many seconds a contender's process took; None if it did not run."""
    return _median(run.process_seconds for run in runs.get(name, ()))


def ratio(runs: Runs, name: str, beside: str) -> float | None:
    """Return how many times as long a contender took: the median of the rounds' own ratios."""
    return _median(one.seconds / other.seconds for one, other in _pairs(runs, name, beside))


def process_ratio(runs: Runs, name: str, beside: str) -> float | None:
    """Return the same of the processes, without the making of containers."""
    return _median(one.process_seconds / other.process_seconds for one, other in _pairs(runs, name, beside))


def stored_ratio(runs: Runs, name: str, beside: str) -> float | None:
    """Return how many times the bytes of another contender the registry stores."""
    return _median(one.stored / other.stored for one, other in _pairs(runs, name, beside) if other.stored)


def peak(runs: Runs, name: str) -> float | None:
    """Return the MB of memory that a contender's process held at most; None if it did not run."""
    return max((run.memory for run in runs.get(name, ())), default=0) / MEGABYTE or None


def seconds(runs: Sequence[Run]) -> list[float]:
    """Return how long each run took."""
    return [run.seconds for run in runs]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = (heads, ["---"] * len(heads), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def facts_table(facts: Mapping[str, str]) -> str:
    """Return a table of names and values without a head."""
    return table(("", ""), [*facts.items()])


def megabytes(image: tuple[int, int]) -> str:
    """Return an image's bytes and layers in words."""
    size, layers = image
    return f"{size / MEGABYTE:g} MB in {layers} layer{'s'[: layers != 1]}"


def number(value: float | None, form: str = ".2f") -> str:
    """Return a number as text."""
    return "not measured" if value is None else format(value, form)


def _beside(value: float | None, form: str, unit: str, name: str, beside: str) -> str:
    return "" if name == beside or value is None else f"{value:{form}}{unit}"


def _median(values: Iterator[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None


def _processor_time(runs: Sequence[Run]) -> float:
    return statistics.median(run.processor_seconds for run in runs)


def _median_megabytes(values: Iterator[int]) -> float:
    return statistics.median(values) / MEGABYTE


def _pairs(runs: Runs, name: str, beside: str) -> Iterator[tuple[Run, Run]]:
    return zip(runs.get(name, ()), runs.get(beside, ()), strict=False)
