"""A client's connection: what is no HTTP is answered like any other malformed request.

aiohttp bounds each line of a request's head, but neither their number, nor the trailers after a body, nor how
many requests a client sends without waiting for the answers; it would keep all of that in memory.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from aiohttp import EMPTY_PAYLOAD, StreamReader, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from registry.gateway.errors import oci_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.http_parser import RawRequestMessage

# So long a client that was refused may go on sending before it is cut off.
_LINGER_SECONDS = 2.0
# What a client may send that neither ends a request's head nor belongs to a body: bytes, and lines.
_LONGEST_HEAD = 64 << 10
_MOST_LINES = 300
# How many requests may wait for the answers to those before them.
_MOST_AHEAD = 20
# What is read is handed on in pieces, so that a bound is noticed before much more has been parsed.
_PIECE = 16 << 10
_PIECE_OF_BODY = 128 << 10


def _readable(make: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """Make something to answer, too, of a request whose target names a host that cannot be one."""

    def request(message: RawRequestMessage, *rest: object) -> web.BaseRequest:
        try:
            return make(message, *rest)
        except ValueError:
            # Without a host it is refused for not having one.
            return make(message._replace(url=URL("/"), headers=CIMultiDictProxy(CIMultiDict())), *rest)

    return request


class Connection(web.RequestHandler):
    """Reads requests and hands them to the application."""

    __slots__ = ("_body", "_head_seconds", "_head_timer", "_idle_bytes", "_idle_lines")

    _head_seconds: float
    _head_timer: asyncio.TimerHandle | None
    _body: StreamReader
    """The body of the newest request."""
    _idle_bytes: int
    _idle_lines: int

    @classmethod
    def of(cls, runner: web.AppRunner, header_timeout: float) -> Self:
        """Return the protocol of a new connection; the headers of a request may take `header_timeout` seconds.

        Raises:
            RuntimeError: the runner was not set up.

        """
        if runner.server is None:
            raise RuntimeError("the runner was not set up")
        connection = cls(
            runner.server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # as its documentation says
            lingering_time=_LINGER_SECONDS,
            # What is pushed is stored as it came; and nobody's small body becomes a large one.
            auto_decompress=False,
        )
        connection._head_seconds = header_timeout
        connection._head_timer = None
        assert connection._request_factory is not None  # noqa: S101 - it is, until the connection is lost
        connection._request_factory = _readable(connection._request_factory)
        connection._body = EMPTY_PAYLOAD
        connection._idle_bytes = connection._idle_lines = 0
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; while no request is complete, its time runs."""
        if not data:
            # aiohttp 3.14 calls this to parse what it kept while the reader of a body was behind.
            self._read(b"")
        start = 0
        while start < len(data) and self.transport is not None and not self.transport.is_closing():
            size = _PIECE if self._body.is_eof() else _PIECE_OF_BODY
            self._read(data[start : start + size])
            start += size
        if self._waits_for_head():
            self._await_head()
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _read(self, piece: bytes) -> None:
        """Parse what came; cut the connection off where that leads nowhere."""
        waiting, read = len(self._messages), self._body.total_bytes
        try:
            super().data_received(piece)
        except (ValueError, IndexError):
            # Not every target that cannot be an address is found out as malformed.
            self._refuse("400 Bad Request")
            return
        if len(self._messages) > waiting:
            message, self._body = self._messages[-1]
            if getattr(message, "upgrade", False):
                # To nothing that is spoken here: the request is answered, and what follows it is not read.
                self._message_tail = b""
                self.close()
        elif self._body.total_bytes == read:
            self._idle_bytes += len(piece)
            self._idle_lines += piece.count(b"\n")
            if self._idle_bytes > _LONGEST_HEAD or self._idle_lines > _MOST_LINES:
                self._refuse("431 Request Header Fields Too Large")
            return
        self._idle_bytes = self._idle_lines = 0
        if len(self._messages) > _MOST_AHEAD:
            self._refuse("429 Too Many Requests")

    def _refuse(self, status: str) -> None:
        """End the connection, with an answer where no other is on its way."""
        if self.transport is None:
            return
        if self._waits_for_head():
            self.transport.write(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
            self.transport.close()
        else:
            self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the time."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self._loop.call_later(self._head_seconds, self._head_overdue)

    def _waits_for_head(self) -> bool:
        # aiohttp's own sign: the task of the connection waits for the next request that is whole.
        return self._waiter is not None and not self._waiter.done()

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self._waits_for_head() and self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - aiohttp's signature
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that cannot be read; `message` says why."""
        if request.writer.output_size:
            raise ConnectionResetError("the answer had begun")
        answer = oci_error(status, "UNSUPPORTED", message or "malformed request")
        answer.force_close()
        return answer
