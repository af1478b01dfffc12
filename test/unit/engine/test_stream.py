"""The event stream of a push: when events are stamped, and what a defect in its reader does."""

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from unit.fakes import Clock

from pipe.config.settings import Credentials
from pipe.engine import events
from pipe.engine.stream import PushStream
from pipe.oci.reference import Reference

TARGET, CREDENTIALS = Reference("h:1", "a/b", "latest"), Credentials("user", "token")


class Pushing:
    """An Engine whose push sends one line at 1010 s and one at 1030 s."""

    def __init__(self, clock: Clock) -> None:
        self.hooks: dict[str, list[Any]] = {"response": []}
        self.all_read = threading.Event()
        self._clock = clock

    def push(self, *_: object, **__: object) -> None:
        """Return its response through the hook, as the SDK does."""
        for hook in self.hooks["response"]:
            hook(self)

    def iter_lines(self, chunk_size: int | None) -> Iterator[bytes]:
        """Send the lines."""
        assert chunk_size is None
        for seconds in (10, 20):
            self._clock.now += seconds
            yield b'{"status": "Pushed", "id": "0123456789ab"}'

    def close(self) -> None:
        """Note that everything was read."""
        self.all_read.set()


def test_events_are_stamped_when_they_are_read_not_when_they_are_consumed() -> None:
    clock = Clock()
    engine = Pushing(clock)
    stream = PushStream(cast("Any", engine), TARGET, CREDENTIALS, clock)
    assert engine.all_read.wait(60)
    clock.now += 300
    uploaded = events.Uploaded("0123456789ab")
    assert [stream.next(10) for _ in range(3)] == [
        (1010.0, uploaded),
        (1030.0, uploaded),
        (1030.0, events.StreamEnded()),
    ]
    assert stream.next(0.001) is None


class Broken:
    """An Engine's client with a defect."""

    def __init__(self) -> None:
        self.hooks: dict[str, list[Any]] = {"response": []}

    def push(self, *_: object, **__: object) -> None:
        """Fail."""
        raise RecursionError("a defect")


def test_a_defect_in_the_reader_is_raised_by_next() -> None:
    stream = PushStream(cast("Any", Broken()), TARGET, CREDENTIALS, Clock())
    with pytest.raises(RecursionError, match="a defect"):
        stream.next(timeout=5)
