"""When another upload may begin: those at the same time share buffers and the link, and each has its own time limit."""

import threading
from collections.abc import Callable, Sequence

from pipe.push.clocks import Clocks
from pipe.push.progress import LayerProgress
from pipe.push.result import ARRIVED
from pipe.threads import Cancel

TICK = 0.25
"""Seconds between checks of the clocks."""
ASSUMED = 5e6
"""Bytes a second that count as the speed of the link until it is measured; few links are slower."""
MEASURED = 2.0
"""Seconds after which an upload shows the speed of the link: the first megabytes only fill buffers."""
SAFE = 0.85
"""Share of the time limit that uploads may need together: the link may become slower."""


def may_begin(size: int, others: Sequence[LayerProgress], now: float, timeout: float) -> bool:
    """Return whether an upload may begin beside others without any of them exceeding the time limit.

    If the link serves each connection separately, more could begin; that shows only in the speed once they have.

    Args:
        size: Bytes of the blob, uncompressed if it is compressed on the way.
        others: Large uploads that have not arrived; those that are about to begin have no start.
        now: The clock.
        timeout: Seconds that one upload may take.
    """
    under_way = [one for one in others if one.status not in ARRIVED]
    if not under_way:
        return True
    known = [one for one in under_way if one.sent and one.elapsed(now) >= MEASURED]
    speed = sum(one.sent / one.elapsed(now) for one in known) or ASSUMED
    left = [max(0, one.total - one.sent) for one in under_way]
    needed = [(size * _ratio(known) + sum(left)) / speed]
    needed += [
        one.elapsed(now) + rest * (len(under_way) + 1) / speed for one, rest in zip(under_way, left, strict=True)
    ]
    return max(needed) <= SAFE * timeout


def _ratio(layers: Sequence[LayerProgress]) -> float:
    """Return how much smaller layers become that are compressed on the way; 1 if that is unknown."""
    plain = [one for one in layers if one.layer.size and one.layer.descriptor is None]
    return min(1.0, sum(one.total for one in plain) / sum(one.layer.size or 0 for one in plain)) if plain else 1.0


class Link:
    """The large uploads that share the link."""

    def __init__(self, clocks: Clocks, wait: Callable[[Cancel, float], None]) -> None:
        self._clocks = clocks
        self._wait = wait
        self._names: set[str] = set()
        self._lock = threading.Lock()

    def enter(self, name: str, size: int, cancel: Cancel) -> None:
        """Wait until a large blob can be uploaded beside the others; `name` is that in the progress."""
        while not may_begin(size, self._others(), self._clocks.now(), self._clocks.timeout):
            self._wait(cancel, TICK)
        with self._lock:
            self._names.add(name)

    def leave(self, name: str) -> None:
        """Let others begin: a blob has arrived, or is not uploaded."""
        with self._lock:
            self._names.discard(name)

    def _others(self) -> list[LayerProgress]:
        with self._lock:
            return [self._clocks.tracker.of(name) for name in self._names]
