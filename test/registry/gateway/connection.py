"""A client's connection: what is no HTTP is answered like any other malformed request."""

from __future__ import annotations

import asyncio
from typing import Self

from aiohttp import web

from registry.gateway.errors import oci_error

# So long a client that was refused may go on sending before it is cut off.
_LINGER_SECONDS = 2.0


class Connection(web.RequestHandler):
    """Reads requests and hands them to the application."""

    __slots__ = ("_head_seconds", "_head_timer")

    _head_seconds: float
    _head_timer: asyncio.TimerHandle | None

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
        )
        connection._head_seconds = header_timeout
        connection._head_timer = None
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Read on; where no request is whole yet, its time runs."""
        super().data_received(data)
        if self._waits_for_head():
            self._await_head()
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

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
