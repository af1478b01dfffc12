"""Which failures are retried, and after which delay."""

import math
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pipe.errors import CredentialsRefusedError, PipeError

Value = TypeVar("Value")

FIRST_DELAY = 2.0
"""Seconds before the second attempt of a push; the delay doubles before each further one."""
REQUEST_DELAY = 1.0
"""Seconds before the second attempt of one request."""
MAXIMUM_DELAY = 60.0
"""Seconds; the minutes of a step are paid for."""
JITTER = 0.25
"""Random share of a delay, so that steps that failed at the same time do not retry at the same time."""
RETRY_AFTER_MAXIMUM = 600.0
"""Longest `Retry-After` in seconds that a paid step honours."""


def retry_after(header: str, now: float) -> float | None:
    """Parse the header `Retry-After` (RFC 9110, section 10.2.3).

    Args:
        header: Seconds or a date; "" if the answer has none.
        now: Seconds since the epoch.

    Returns:
        Seconds to wait, at most ten minutes; None if the header is absent or invalid.
    """
    if header.strip().isascii() and header.strip().isdecimal():
        return min(float(header.strip()[:9]), RETRY_AFTER_MAXIMUM)
    try:
        return min(max(0.0, parsedate_to_datetime(header).timestamp() - now), RETRY_AFTER_MAXIMUM)
    except (ValueError, TypeError, OverflowError):
        return None


class RetryPolicy:
    """Counts the failures of a request or of a whole push, and decides on the next attempt.

    Attributes:
        maximum: Maximum number of attempts.
        made: Number of failed attempts so far.
        allowed: Whether the registry has accepted a push with these credentials before: an `unauthorized` after
            that is an expired token of the Engine, and is retried once.
    """

    def __init__(self, maximum: int, random: Callable[[], float], first: float = FIRST_DELAY) -> None:
        """Nothing has failed yet; `first` is the delay in seconds before the second attempt."""
        self.maximum = maximum
        self.made = 0
        self.allowed = False
        self._random = random
        self._first = first

    def call(
        self,
        call: Callable[[], Value],
        before_retry: Callable[[PipeError, float], None],
        left: Callable[[], float],
    ) -> Value:
        """Make a call, again after temporary failures.

        Args:
            call: What to do.
            before_retry: Logs the failure, and waits for the given seconds.
            left: Returns the seconds that remain; a wait that does not fit is not begun.

        Raises:
            PipeError: The last failure.
        """
        while True:
            try:
                return call()
            except PipeError as error:
                delay = self.next_delay(error, left())
                if delay is None:
                    raise
                before_retry(error, delay)

    def next_delay(self, error: PipeError, left: float = math.inf) -> float | None:
        """Count a failure and decide on the next attempt.

        Args:
            error: Why the attempt failed.
            left: Seconds that remain; a delay that does not fit is never begun.

        Returns:
            Seconds to wait before the next attempt, None if the error is final.
        """
        self.made += 1
        passing = isinstance(error, CredentialsRefusedError) and self.allowed
        if passing:
            self.allowed = False
        if self.made >= self.maximum or not (error.temporary or passing):
            return None
        delay = min(self._first * 2.0 ** (self.made - 1), MAXIMUM_DELAY)
        delay = max(delay * (1 - JITTER * self._random()), error.retry_after or 0.0)
        return delay if delay < left else None
