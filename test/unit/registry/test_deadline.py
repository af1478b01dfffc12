"""Answers that come slowly: a request ends at its deadline. Real connections: `integration/test_connections.py`."""

import io
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

from pipe.registry.deadline import DeadlineReader, _Response, left, limited


class Clock:
    """Time that passes by what is read."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class SlowFile(io.RawIOBase):
    """Yields a byte each second, or waits for as long as the socket's timeout allows."""

    def __init__(self, data: bytes, clock: Clock, sock: "SlowSocket") -> None:
        self._data = data
        self._clock = clock
        self._socket = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if self._socket.timeout < 1:
            self._clock.now += self._socket.timeout
            raise TimeoutError("timed out")
        self._clock.now += 1
        piece, self._data = self._data[:1], self._data[1:]
        memoryview(buffer)[: len(piece)] = piece
        return len(piece)


class SlowSocket:
    """A socket whose other side sends a byte each second."""

    def __init__(self, data: bytes, clock: Clock) -> None:
        self.timeout = 0.0
        self._data = data
        self._clock = clock

    def makefile(self, mode: str, buffering: int = -1) -> SlowFile:
        return SlowFile(self._data, self._clock, self)

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds


def read(answer: _Response) -> bytes:
    """Read a whole answer."""
    answer.begin()
    return answer.read()


HEAD = b"HTTP/1.1 200 OK\r\n"
ENDLESS = {
    "headers": HEAD + b"X-A: b\r\n" * 90,
    "a-header": HEAD + b"X-A: " + b"b" * 9000,
    "continues": b"HTTP/1.1 100 Continue\r\n\r\n" * 90,
    "body": HEAD + b"Content-Length: 9000\r\n\r\n" + b"x" * 9000,
    "chunk-size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 9000,
    "chunk-extension": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"e" * 9000,
    "trailers": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: x\r\n" * 900,
}


@pytest.mark.parametrize("data", ENDLESS.values(), ids=ENDLESS.keys())
def test_an_answer_that_dribbles_ends_at_the_deadline(data: bytes) -> None:
    clock = Clock()
    sock = cast("socket.socket", SlowSocket(data, clock))
    answer = _Response(sock, method="GET", deadline=clock.now + 300.5, clock=clock)
    with pytest.raises(TimeoutError):
        read(answer)
    assert clock.now == 1300.5


def test_a_reader_waits_until_the_deadline_only() -> None:
    clock = Clock()
    sock = SlowSocket(b"ab", clock)
    reader = DeadlineReader(cast("socket.socket", sock), clock.now + 1.5, clock)
    assert reader.read(5) == b"a"
    assert sock.timeout == 1.5
    with pytest.raises(TimeoutError):
        reader.read(5)
    with pytest.raises(TimeoutError, match="not complete in time"):
        reader.read(5)


def test_no_time_is_left_at_the_deadline() -> None:
    assert left(1001.0, Clock()) == 1.0
    with pytest.raises(TimeoutError):
        left(1000.0, Clock())


def test_limits_are_put_back() -> None:
    from pipe.registry.deadline import _limits  # noqa: PLC0415

    before = _limits.whole, _limits.answer
    with limited(7.0, 3.0):
        assert (_limits.whole, _limits.answer) == (7.0, 3.0)
    assert (_limits.whole, _limits.answer) == before


def test_headers_that_are_no_headers_leave_nothing_for_a_warning_with_the_url() -> None:
    data = HEAD + b"Content-Length: 0\r\nno header\r\nX-A: b\r\n\r\n"
    clock = Clock()
    sock = cast("socket.socket", SlowSocket(data, clock))
    answer = _Response(sock, method="GET", deadline=clock.now + 3600, clock=clock)
    answer.begin()
    assert (answer.msg.defects, answer.msg.get_payload()) == ([], "")
