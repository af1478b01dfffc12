"""A request's body on its way through the gateway, never held as a whole."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING

from aiohttp.http_exceptions import PayloadEncodingError

from registry.gateway.exchange import Struck

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from registry.gateway.exchange import Exchange


class Ended(Enum):
    """Why the gateway read no further."""

    TOO_LARGE = "too large"
    TOO_LATE = "too late"
    CUT = "cut"
    """The client went away, or a fault struck, where the part that came is to be kept."""
    GIVEN_UP = "given up"
    """Another request goes on in place of this one."""


class RequestBody:
    """The body of a request, read as Distribution takes it.

    Where a limit ends it, what was read so far ends in an orderly way, so that Distribution answers
    and can clean up; where the client or a fault ends it, it breaks off, unless it is to be kept.
    """

    def __init__(
        self,
        request: web.Request,
        exchange: Exchange,
        room: int,
        deadline: float | None = None,
        *,
        keep: bool = False,
    ) -> None:
        """Read at most `room` bytes, until `deadline` (time of the event loop); `keep` what a cut leaves."""
        self.ended: Ended | None = None
        self.struck: Struck | None = None
        self.size = 0
        self._keep = keep
        self._timeout: asyncio.Timeout | None = None
        self._request = request
        self._exchange = exchange
        self._room = room
        self._deadline = deadline
        if (request.content_length or 0) > room:
            self.ended = Ended.TOO_LARGE

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the body, chunk by chunk, up to its end or the limit.

        Raises:
            Struck: a fault ended the request.
            OSError: the client went away.

        """
        try:
            while self.ended is None and (chunk := await self._next()):
                if self.size + len(chunk) > self._room:
                    self.ended = Ended.TOO_LARGE
                    return
                async for part in self._exchange.receive(chunk):
                    self.size += len(part)
                    yield part
                    self._check_time()
                    if self.ended is not None:
                        return
        except Struck as struck:
            self.struck = struck
            if not self._keep:
                raise
            self.ended = Ended.CUT
        except TimeoutError:
            self.ended = self.ended or Ended.TOO_LATE
        except (OSError, PayloadEncodingError):
            if not self._keep:
                raise
            self.ended = Ended.CUT

    def give_up(self) -> None:
        """Read no further."""
        self.ended = self.ended or Ended.GIVEN_UP
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def read(self) -> bytes:
        """Return the whole body; for manifests, which are small."""
        return b"".join([chunk async for chunk in self.chunks()])

    def _check_time(self) -> None:
        """Notice the deadline where the fault of a slow link spends the time."""
        if self._deadline is not None and asyncio.get_running_loop().time() >= self._deadline:
            raise TimeoutError

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout_at(self._deadline) as self._timeout:
                return await self._request.content.readany()
        finally:
            self._timeout = None
