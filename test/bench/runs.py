"""The runs of a row. Contenders run in turn, every other round in the reverse order; every value is kept."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from bench.machine import processor_seconds
from bench.pushes import Run

_MB = 1_000_000
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


class Runs(dict[str, list[Run]]):
    """Of each contender, its run in each round.

    Attributes:
        failures: Contenders that failed, with the last line of their output. They have no runs.
    """

    def __init__(self, row: str, processors: Callable[[], float] | None = processor_seconds) -> None:
        """Begin without runs.

        Args:
            row: The row's name.
            processors: Returns the seconds that all processors have worked; None if pushes include a preparation.
        """
        super().__init__()
        self._processors = processors or (lambda: 0.0)
        self.failures: dict[str, str] = {}
        self._row = row

    def add(self, name: str, push: Callable[[], Run]) -> None:
        """Let a contender push, unless it has failed before."""
        if name in self.failures:
            return
        before = self._processors()
        try:
            run = push()
        except RuntimeError as error:
            sys.stderr.write(f"{self._row}: {name} failed: {error}\n")
            self.failures[name] = _COLOUR.sub("", str(error)).strip().splitlines()[-1].strip()
            self.pop(name, None)
            return
        run = replace(run, processor_seconds=self._processors() - before)
        self.setdefault(name, []).append(run)
        facts = [f"{run.seconds:.2f} s", f"process {run.process_seconds:.2f} s"]
        facts += [f"processors {run.processor_seconds:.2f} s"] * bool(run.processor_seconds)
        facts += [f"{run.stored / _MB:.2f} MB stored"] * bool(run.stored)
        facts += [f"{run.memory / _MB:.0f} MB of memory"] * bool(run.memory)
        sys.stderr.write(f"{self._row}: {name}: {', '.join(facts)}\n")


def in_turn(names: Iterable[str], rounds: int) -> Iterator[list[str]]:
    """Return the names for each round: of any two, each comes first as often as the other."""
    for number in range(rounds):
        yield list(names)[:: -1 if number % 2 else 1]
