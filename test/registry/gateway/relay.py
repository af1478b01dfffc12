"""Passing requests to Distribution and its answers back, as a stream."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from registry.gateway.body import RequestBody

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from registry.gateway.backend import Backend
    from registry.gateway.exchange import Exchange

# RFC 9110, section 7.6.1; the body's framing is made anew on each side.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    }
)
# The gateway checks the range of a chunk itself; a later Distribution would check it against a length.
_NOT_FORWARDED = _HOP_BY_HOP | {"authorization", "content-length", "content-range", "cookie"}


class Relay:
    """Forwards one request."""

    def __init__(self, backend: Backend, request: web.Request, exchange: Exchange) -> None:
        """Forward to `backend`."""
        self._backend = backend
        self._request = request
        self.exchange = exchange

    def body(self, room: int, deadline: float | None = None, *, keep: bool = False) -> RequestBody:
        """Return the request's body, to be read up to `room` bytes and until `deadline`."""
        return RequestBody(self._request, self.exchange, room, deadline, keep=keep)

    @contextlib.asynccontextmanager
    async def ask(
        self,
        target: str,
        body: RequestBody | bytes | None = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the request on to path and query `target` and give the answer, not yet read.

        `method` and `headers` replace those that the client sent.

        Raises:
            Struck: a fault ended the request while its body went through.
            aiohttp.ClientError: Distribution or the client broke off.

        """
        content: AsyncIterator[bytes] | bytes | None = None
        if isinstance(body, bytes):
            content = body
        elif body is not None and self._request.can_read_body:
            content = body.chunks()
        sent = CIMultiDict(
            (name, value) for name, value in self._request.headers.items() if name.lower() not in _NOT_FORWARDED
        )
        for name, value in (headers or {}).items():
            sent[name] = value
        try:
            async with self._backend.request(method or self._request.method, target, sent, content) as answer:
                yield answer
        except aiohttp.ClientError:
            if isinstance(body, RequestBody) and body.struck:
                raise body.struck from None
            raise

    async def answer(
        self, answer: aiohttp.ClientResponse, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """Pass Distribution's answer on to the client, with `headers` added.

        Raises:
            Struck: a fault ended the request.

        """
        response = web.StreamResponse(
            status=answer.status,
            reason=answer.reason,
            headers=CIMultiDict(
                (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
            ),
        )
        response.headers.update(headers or {})
        await response.prepare(self._request)
        async for chunk in answer.content.iter_any():
            async for part in self.exchange.send(chunk):
                await response.write(part)
        await response.write_eof()
        return response
