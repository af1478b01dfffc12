"""The log of requests, for tests."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_KEPT = 10_000
_LONGEST = 200
_PAUSE = 0.01
# What requests can be selected by, each as a glob.
CONDITIONS = frozenset({"method", "path", "user_agent", "account", "status", "state", "content_range", "mounts"})


@dataclass(slots=True)
class Entry:
    """One request. Times in seconds, sizes in bytes; `state` is open, done or cut.

    `patches` says how many PATCHes of the same upload were acknowledged before it came, `mounts` which blob a
    POST asks to mount, as `<repository>@<digest>`.
    """

    method: str
    path: str
    user_agent: str
    account: str
    content_range: str = ""
    patches: int = 0
    mounts: str = ""
    status: int | None = None
    received: int = 0
    sent: int = 0
    seconds: float = 0.0
    state: str = "open"
    fault: int | None = None

    def shorten(self) -> None:
        """Keep of each value what a log needs."""
        for name in ("method", "path", "user_agent", "content_range", "mounts"):
            setattr(self, name, getattr(self, name)[:_LONGEST])


@dataclass(slots=True)
class RequestLog:
    """Keeps the newest requests and wakes those who wait for one."""

    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=_KEPT))
    last_change: float = 0.0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, entry: Entry) -> None:
        """Record a request that has just arrived."""
        self.entries.append(entry)
        self.changed()

    def changed(self) -> None:
        """Say that an entry came, moved bytes or ended."""
        self.last_change = time.monotonic()
        self._changed.set()
        self._changed = asyncio.Event()

    def clear(self) -> None:
        """Forget every request that has come so far, those under way included."""
        self.entries.clear()

    async def select(
        self, conditions: Mapping[str, str], received: int, count: int, within: float
    ) -> tuple[bool, list[Entry]]:
        """Wait until `count` requests match; return whether they did `within` so many seconds, and all that match."""
        deadline = asyncio.get_running_loop().time() + within
        while True:
            changed = self._changed
            # In a thread, and not at each byte that moves: the log is long.
            found = await asyncio.to_thread(select, tuple(self.entries), conditions, received)
            if len(found) >= count:
                return True, found
            try:
                async with asyncio.timeout_at(deadline):
                    await changed.wait()
            except TimeoutError:
                return False, found
            await asyncio.sleep(_PAUSE)

    async def until_quiet(self, seconds: float, within: float) -> bool:
        """Wait until nothing has happened for `seconds` from now on; tell whether that came `within` so many."""
        started = time.monotonic()
        while (now := time.monotonic()) < started + within:
            quiet_at = max(self.last_change, started) + seconds
            if quiet_at <= now:
                return True
            await asyncio.sleep(quiet_at - now)
        return False


def select(entries: Iterable[Entry], conditions: Mapping[str, str], received: int = 0) -> list[Entry]:
    """Return the requests that moved at least `received` bytes and whose fields match the globs."""
    return [
        entry
        for entry in entries
        if entry.received >= received
        and all(fnmatchcase(str(getattr(entry, key)), glob) for key, glob in conditions.items())
    ]
