"""Put into a registry's container: writes down each time that an event loop is busy for long.

It is measured in processor time of the loop's own thread, which a busy machine does not change.
"""

import time
from asyncio import events
from pathlib import Path

FILE = Path("/tmp/long-callbacks")  # noqa: S108 - of the container, which nobody else uses
LEAST = 0.001
"""Seconds from which on it is written down."""
FILE.touch()
_run = events.Handle._run  # noqa: SLF001 - there is no other place through which all of it goes


def _measured(handle: events.Handle) -> None:
    began = time.thread_time()
    _run(handle)
    took = time.thread_time() - began
    if took >= LEAST:
        with FILE.open("a", encoding="utf-8") as file:
            file.write(f"{took:.3f} {handle!r}\n")


events.Handle._run = _measured  # type: ignore[method-assign, assignment] # noqa: SLF001
