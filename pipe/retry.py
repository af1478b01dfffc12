"""What is worth another try, and when (pure)."""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from pipe.errors import CredentialsRefusedError, PipeError

FIRST_DELAY = 2.0
"""Seconds before the second attempt; doubled before each further one."""
MAXIMUM_DELAY = 60.0
"""Seconds; a step's minutes are paid for."""
JITTER = 0.25
"""Share of the delay that is left to chance, so that steps that failed together do not return together."""
RETRY_AFTER_MAXIMUM = 600.0
"""Seconds that a registry may make a paid step wait."""


def retry_after(header: str, now: float) -> float | None:
    """Read the header `Retry-After` (RFC 9110, section 10.2.3).

    Args:
        header: Seconds or a date; "" where there is none.
        now: Seconds since the epoch.

    Returns:
        Seconds to wait, at most ten minutes; None where the header says nothing.
    """
    if header.strip().isascii() and header.strip().isdecimal():
        return min(float(header.strip()[:9]), RETRY_AFTER_MAXIMUM)
    try:
        return min(max(0.0, parsedate_to_datetime(header).timestamp() - now), RETRY_AFTER_MAXIMUM)
    except (ValueError, TypeError, OverflowError):
        return None


@dataclass(slots=True)
class Attempts:
    """Counts attempts of one run and decides on the next.

    Attributes:
        maximum: Attempts in all.
        random: Returns a number from 0 up to 1.
        made: Attempts that failed so far.
        allowed: Whether the registry has let these credentials push before: an `unauthorized` after
            that is the Engine's token that ran out, and passes once.
    """

    maximum: int
    random: Callable[[], float]
    made: int = 0
    allowed: bool = False

    def next_delay(self, error: PipeError) -> float | None:
        """Decide after a failure.

        Args:
            error: Why the attempt failed.

        Returns:
            Seconds to wait before the next attempt, None where there is to be none.
        """
        self.made += 1
        passing = isinstance(error, CredentialsRefusedError) and self.allowed
        if passing:
            self.allowed = False
        if self.made >= self.maximum or not (error.temporary or passing):
            return None
        delay = min(FIRST_DELAY * 2.0 ** (self.made - 1), MAXIMUM_DELAY)
        delay *= 1 - JITTER * self.random()
        return max(delay, error.retry_after or 0.0)
