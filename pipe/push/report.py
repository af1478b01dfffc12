"""Who is told what happens, and time and randomness: what a run passes to all that it does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Report(Protocol):
    """Who tells people what happens."""

    def info(self, text: str) -> None:
        """Tell what happens."""

    def warning(self, text: str) -> None:
        """Tell what people should know."""

    def debug(self, text: str) -> None:
        """Tell what matters only when something is wrong."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Time and randomness, which tests pass in.

    Attributes:
        clock: Returns seconds that never go back.
        sleep: Waits for seconds.
        random: Returns a number from 0 up to 1.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    random: Callable[[], float]
