"""The clock of a run: how long it waits for a registry while no layer is on its way.

Each request has a deadline, but an image decides how many there are, and a registry can answer each just in time.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from pipe.errors import RegistryTooSlowError
from pipe.units import format_duration

RUN_LIMIT = 3600.0
"""Seconds. Over a link of 200 ms, an index of 100 platforms with 125 layers each takes 14 minutes of questions if the
registry has every layer, 21 if it is promoted from another package, and 7 for each further proof. An hour is also half
of what Pipelines allows a step: it ends with an explanation in the log. See docs/decisions/0002."""


class RunClock:
    """Counts the time of a run in which the pipe waits for a registry and no layer is being uploaded.

    A layer has its own clock, and requests at the same time count once, so that a run lasts at most as long as its
    layers and this clock together, besides its own work.
    """

    def __init__(self, clock: Callable[[], float], limit: float = RUN_LIMIT) -> None:
        """Create it; nothing is counted yet. `clock` returns seconds that never go back, and `limit` is in seconds."""
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._waits = self._layers = self._total = 0
        self._used = 0.0
        self._since = clock()

    def waiting(self) -> AbstractContextManager[None]:
        """Count the time of the context, in which the registry is asked, or a wait precedes the next attempt."""
        return self._during(waits=1, layers=0)

    def uploading(self) -> AbstractContextManager[None]:
        """Stop the clock for the context, in which the clock of a layer runs."""
        return self._during(waits=0, layers=1)

    def left(self) -> float:
        """Return the seconds that are left; no request lasts longer, and no wait is begun that does."""
        with self._lock:
            return self._limit - self._used - self._running()

    def check(self, what: str) -> None:
        """Raise `RegistryTooSlowError` if no time is left; `what` is the request that comes next, or the last one."""
        if self.left() <= 0:
            raise self.error(what)

    def error(self, what: str) -> RegistryTooSlowError:
        """Return the error for a run that has no time left; `what` was not done."""
        limit = format_duration(self._limit)
        return RegistryTooSlowError(
            f"the run has waited {limit} for the answers to {self._total} requests, not counting uploads of layers, and"
            f" has no time left for {what}. A registry that answers each request late, but just in time, could"
            f" otherwise hold up a step without end, so the pipe waits no longer than {limit} in all.",
            fix="Run the step again later: layers that were uploaded are not sent again. If it fails again, check"
            " Bitbucket's status page, and push fewer platforms, tags or images in one step.",
        )

    @contextmanager
    def _during(self, *, waits: int, layers: int) -> Iterator[None]:
        self._change(waits, layers)
        try:
            yield
        finally:
            self._change(-waits, -layers)

    def _change(self, waits: int, layers: int) -> None:
        with self._lock:
            self._used += self._running()
            self._since = self._clock()
            self._waits += waits
            self._layers += layers
            self._total += max(0, waits)

    def _running(self) -> float:
        """Return the seconds since the last change if they count."""
        return self._clock() - self._since if self._waits and not self._layers else 0.0
