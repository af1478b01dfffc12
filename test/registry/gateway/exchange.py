"""One request on its way through: what it moved, and the fault that strikes it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from registry.gateway.faults import Answer, Fault, Faults
    from registry.gateway.request_log import Entry, RequestLog

_FILLER = b"x" * 65536
_LOOK_AGAIN = 0.1
# A slow link moves this many seconds' worth of bytes at once.
_PACE = 0.1
_SMALL_BUFFER = 65536


class Struck(Exception):  # noqa: N818 - not an error of ours but a test's wish
    """A fault has ended the request; `answer` is what the client gets, if anything."""

    def __init__(self, answer: Answer | None) -> None:
        """Keep the answer."""
        super().__init__("a fault ended this request")
        self.answer = answer


EXCHANGE = "exchange"


class Exchange:
    """Counts the bytes of a request and its answer, and lets its fault slow or end them."""

    def __init__(
        self, request: web.Request, entry: Entry, log: RequestLog, faults: Faults, fault: Fault | None
    ) -> None:
        """Begin; a slow link must not hide in the buffers of the receiving socket."""
        self.entry = entry
        self.fault = fault
        self._request = request
        self._log = log
        self._faults = faults
        self._until_strike = fault.after if fault and fault.ends else None
        if fault and fault.bytes_per_second and request.transport:
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)

    async def begin(self) -> None:
        """Wait as the fault asks; end the request if the fault lets none of its bytes through.

        Raises:
            Struck: the request is over.

        """
        if self.fault and self.fault.wait:
            await asyncio.sleep(self.fault.wait)
        if self._until_strike == 0:
            await self._strike()

    async def take_manifest(self, media_types: Collection[str]) -> None:
        """End the request if a fault strikes manifests that name one of these media types.

        Raises:
            Struck: the request is over.

        """
        fault = self._faults.strike_content(self.entry, media_types) if self.fault is None else None
        if fault is not None:
            self.fault, self.entry.fault = fault, fault.identifier
            self._until_strike = 0
            await self.begin()

    async def hold(self) -> None:
        """Hold an answer back as the fault asks, until nobody waits for it any more."""
        clock = asyncio.get_running_loop().time
        until = clock() + (self.fault.hold if self.fault else 0)
        # Nothing tells a handler that its client has gone.
        while self.fault and not self.fault.removed and not is_gone(self._request) and clock() < until:  # noqa: ASYNC110
            await asyncio.sleep(min(_LOOK_AGAIN, until - clock()))

    async def receive(self, chunk: bytes) -> AsyncIterator[bytes]:
        """Let a chunk of the request's body through.

        Raises:
            Struck: the request is over.

        """
        async for part in self._through(chunk):
            self.entry.received += len(part)
            self._log.changed()
            yield part

    async def send(self, chunk: bytes) -> AsyncIterator[bytes]:
        """Let a chunk of the answer's body through.

        Raises:
            Struck: the request is over.

        """
        async for part in self._through(chunk):
            self.entry.sent += len(part)
            self._log.changed()
            yield part

    async def _through(self, chunk: bytes) -> AsyncIterator[bytes]:
        rate = self.fault.bytes_per_second if self.fault else None
        step = max(1, int(rate * _PACE)) if rate else len(chunk)
        while chunk:
            length = step if self._until_strike is None else min(step, self._until_strike)
            part, chunk = chunk[:length], chunk[length:]
            if rate:
                await asyncio.sleep(len(part) / rate)
            yield part
            if self._until_strike is not None:
                self._until_strike -= len(part)
                if self._until_strike == 0:
                    await self._strike()

    async def _strike(self) -> None:
        fault = self.fault
        assert fault is not None  # noqa: S101 - only a fault sets the count that led here
        if fault.hang:
            # Nothing tells a handler that its client has gone.
            while not fault.removed and not is_gone(self._request):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_AGAIN)
        if fault.answer is None:
            cut(self._request, reset=fault.cut != "close")
        raise Struck(fault.answer)


def is_gone(request: web.Request) -> bool:
    """Tell whether the client's connection is closed."""
    return request.transport is None or request.transport.is_closing()


def cut(request: web.Request, *, reset: bool) -> None:
    """End the client's connection now, by a reset or by an orderly close."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        connection = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def made_up(request: web.Request, answer: Answer, exchange: Exchange) -> web.StreamResponse:
    """Send the answer a test asked for; a body of any size takes no memory."""
    response = web.StreamResponse(status=answer.status, headers=dict(answer.headers))
    body = answer.body.encode()
    if "Content-Length" not in response.headers:
        response.content_length = len(body) + answer.body_bytes
    await response.prepare(request)
    await response.write(body)
    exchange.entry.sent += len(body)
    for start in range(0, answer.body_bytes, len(_FILLER)):
        filler = _FILLER[: answer.body_bytes - start]
        await response.write(filler)
        exchange.entry.sent += len(filler)
    await response.write_eof()
    return response
