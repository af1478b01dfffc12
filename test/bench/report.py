"""What was measured, as Markdown; every number and every ✔ is computed."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.measure import Runs
from bench.pushes import Run

MEGABYTE = 1_000_000
KEPT = {True: "✔", False: "✖"}


@dataclass(frozen=True, slots=True)
class Target:
    """A bound, and what was measured.

    Attributes:
        what: What is bounded.
        limit: The bound, in `unit`.
        measured: The number, in `unit`.
        unit: Such as " MB".
    """

    what: str
    limit: float
    measured: float
    unit: str

    @property
    def kept(self) -> bool:
        """Whether what was measured is within the bound."""
        return self.measured <= self.limit


def targets_table(targets: Sequence[Target]) -> str:
    """Return a table of bounds, what was measured, and whether they are kept."""
    rows = [
        (each.what, f"≤ {each.limit:g}{each.unit}", f"{each.measured:.2f}{each.unit}", KEPT[each.kept])
        for each in targets
    ]
    return table(("", "target", "measured", "kept"), rows)


def runs_table(runs: Runs, beside: str) -> str:
    """Return a table of medians.

    Args:
        runs: What was measured.
        beside: The contender that the others are compared with.
    """
    rows = [
        (
            name,
            f"{statistics.median(seconds(values)):.2f} s",
            f"{min(seconds(values)):.2f} to {max(seconds(values)):.2f} s",
            "" if name == beside else f"{difference(runs, name, beside):+.2f} s",
            "" if name == beside else f"{ratio(runs, name, beside):.2f}",
        )
        for name, values in runs.items()
    ]
    return table(("", "median", "from, to", "difference", "ratio"), rows)


def difference(runs: Runs, name: str, beside: str) -> float:
    """Return by how many seconds a contender took longer: the median of the rounds' own differences."""
    return statistics.median(one.seconds - other.seconds for one, other in _pairs(runs, name, beside))


def process_difference(runs: Runs, name: str, beside: str) -> float:
    """Return the same of the processes, without the making of containers."""
    return statistics.median(one.process_seconds - other.process_seconds for one, other in _pairs(runs, name, beside))


def process_median(runs: Runs, name: str) -> float:
    """Return how many seconds a contender's process took."""
    return statistics.median(run.process_seconds for run in runs[name])


def ratio(runs: Runs, name: str, beside: str) -> float:
    """Return how many times as long a contender took: the median of the rounds' own ratios."""
    return statistics.median(one.seconds / other.seconds for one, other in _pairs(runs, name, beside))


def process_ratio(runs: Runs, name: str, beside: str) -> float:
    """Return the same of the processes, without the making of containers."""
    return statistics.median(one.process_seconds / other.process_seconds for one, other in _pairs(runs, name, beside))


def seconds(runs: Sequence[Run]) -> list[float]:
    """Return how long each run took."""
    return [run.seconds for run in runs]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = (heads, ["---"] * len(heads), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _pairs(runs: Runs, name: str, beside: str) -> Iterator[tuple[Run, Run]]:
    return zip(runs[name], runs[beside], strict=True)
