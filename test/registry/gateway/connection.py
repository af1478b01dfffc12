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

    __slots__ = ()

    @classmethod
    def of(cls, runner: web.AppRunner) -> Self:
        """Return the protocol of a new connection.

        Raises:
            RuntimeError: the runner was not set up.

        """
        if runner.server is None:
            raise RuntimeError("the runner was not set up")
        return cls(
            runner.server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # as its documentation says
            lingering_time=_LINGER_SECONDS,
        )

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
