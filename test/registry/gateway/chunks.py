"""Blobs in chunks, as the distribution specification has them.

Distribution 2.8 ignores `Content-Range`, and refuses every further request of an upload of which a
request broke off. So the gateway keeps an upload's state: it checks each chunk's place, and where
one breaks off it ends the request to Distribution in an orderly way, which thus keeps on disk what
has come. Nothing is held in memory or written twice.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from registry.gateway.body import Ended
from registry.gateway.manifests import DIGEST
from registry.gateway.ranges import Span, range_of, read_content_range, size_in

if TYPE_CHECKING:
    from registry.gateway.body import RequestBody
    from registry.gateway.relay import Relay
    from registry.gateway.upload import Upload

_RANGE = "Content-Range"


class Chunks:
    """Serves the requests of uploads whose state the gateway keeps."""

    def __init__(self, max_layer: int) -> None:
        """Take blobs of at most `max_layer` bytes."""
        self._max_layer = max_layer

    def serve(self, request: web.Request, upload: Upload) -> bool:
        """Tell whether a request is served here; what streams without a range passes through."""
        if not upload.traits.checked or upload.lost:
            return False
        if request.method in ("GET", "HEAD") or _RANGE in request.headers:
            return True
        return request.method == "PUT" and not request.can_read_body

    async def go_on(self, request: web.Request, relay: Relay, upload: Upload) -> web.StreamResponse | Ended:
        """Serve a request, or tell which limit ends its upload."""
        if request.method in ("GET", "HEAD"):
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=upload.headers)
        digest = request.query.get("digest", "")
        if request.method == "PUT" and DIGEST.fullmatch(digest) is None:
            return upload.refuse(400, "DIGEST_INVALID", "the digest is missing or malformed")
        span = self._span(request, upload) if _RANGE in request.headers else None
        if not isinstance(span, Span | None):
            return span
        if upload.receiving is not None:
            # Whoever goes on where the last chunk stands has given that up, even if its end was not seen here.
            upload.receiving.give_up()
        async with upload.turn:
            return await self._in_turn(request, relay, upload, span)

    def _span(self, request: web.Request, upload: Upload) -> Span | web.StreamResponse | Ended:
        """Return which bytes a chunk holds, or what is wrong with that."""
        span = read_content_range(request.headers[_RANGE])
        if span is None:
            return upload.refuse(400, "BLOB_UPLOAD_INVALID", "Content-Range takes <first>-<last>")
        if request.content_length not in (None, span.length):
            return upload.refuse(400, "SIZE_INVALID", "Content-Length is not the length of Content-Range")
        if span.first != upload.reached:
            return upload.out_of_order(span)
        return span if span.last < self._max_layer else Ended.TOO_LARGE

    async def _in_turn(
        self, request: web.Request, relay: Relay, upload: Upload, span: Span | None
    ) -> web.StreamResponse | Ended:
        if upload.closed:
            return upload.refuse(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if span is not None:
            if span.first != upload.size:
                return upload.out_of_order(span)
            refused = await self._chunk(request, relay, upload, span)
            if refused is not None:
                return refused
        if request.method == "PATCH":
            return web.Response(status=HTTPStatus.ACCEPTED, headers=upload.headers)
        separator = "&" if "?" in upload.location else "?"
        target = f"{upload.location}{separator}digest={quote(request.query['digest'], safe=':')}"
        async with relay.ask(target, b"") as answer:
            # Distribution lets go of an upload that it cannot make the blob of.
            upload.closed = True
            return await relay.answer(answer)

    async def _chunk(
        self, request: web.Request, relay: Relay, upload: Upload, span: Span
    ) -> web.StreamResponse | Ended | None:
        """Store a chunk; return None if it is there as a whole."""
        if upload.short and request.method == "PATCH":
            message = f"every chunk but the last must have {upload.traits.least_chunk} bytes or more"
            return upload.refuse(400, "BLOB_UPLOAD_INVALID", message)
        body = upload.receiving = relay.body(span.length, upload.deadline, keep=True)
        before, after_cut = upload.size, upload.cut
        try:
            async with relay.ask(upload.location, body, method="PATCH") as answer:
                upload.receiving = None
                if answer.status != HTTPStatus.ACCEPTED:
                    upload.closed = True
                    return await relay.answer(answer)
                upload.location = answer.headers["Location"]
                upload.size = size_in(answer.headers["Range"], before + min(body.size, 1))
        except BaseException:
            upload.closed = True
            raise
        finally:
            upload.receiving = None
        whole = upload.size - before == span.length and body.ended is None
        upload.cut = not whole
        upload.short = whole and not after_cut and span.length < upload.traits.least_chunk
        upload.patches += whole and request.method == "PATCH"
        return None if whole else self._broken_off(upload, body, span)

    def _broken_off(self, upload: Upload, body: RequestBody, span: Span) -> web.StreamResponse | Ended:
        if body.struck is not None:
            raise body.struck
        if body.ended is Ended.TOO_LATE:
            return body.ended
        if body.ended in (Ended.CUT, Ended.GIVEN_UP):
            message = f"the chunk broke off; {range_of(upload.size)} is stored"
            return upload.refuse(416, "BLOB_UPLOAD_INVALID", message)
        message = f"the chunk has not the {span.length} bytes that Content-Range says"
        return upload.refuse(400, "SIZE_INVALID", message)
