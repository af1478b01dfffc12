"""Uploads of blobs, and the limits of Bitbucket's registry on them."""

from __future__ import annotations

import asyncio
import shutil
from collections import OrderedDict
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from registry.gateway.body import Ended
from registry.gateway.chunks import Chunks
from registry.gateway.errors import oci_error
from registry.gateway.exchange import cut
from registry.gateway.layout import repositories_folder, upload_folder
from registry.gateway.ranges import size_in
from registry.gateway.upload import Traits, Upload

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import web

    from registry.gateway.body import RequestBody
    from registry.gateway.context import Context
    from registry.gateway.relay import Relay
    from registry.gateway.targets import Target

_REMEMBERED = 1000
_BYTES = "application/octet-stream"
_RETRY_SECONDS = 10
# So long an upload may lie untouched where only its requests are timed.
_LONGEST_SILENCE = 3600.0


class Uploads:
    """All open uploads. The time of one runs from its POST on, unless its requests are timed."""

    def __init__(self, context: Context) -> None:
        """Begin with none: what an earlier run left open cannot go on, so it is removed."""
        self._context = context
        self._chunks = Chunks(context.options.max_layer)
        self._open: dict[str, Upload] = {}
        self._ended: OrderedDict[str, Ended] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        for folder in repositories_folder(context.storage).glob("*/*/_uploads"):
            shutil.rmtree(folder)

    def patches(self, path: str) -> int:
        """Return how many PATCHes of the upload at a path were acknowledged; 0 for any other path."""
        upload = self._open.get(path.rpartition("/")[2])
        return upload.patches if upload else 0

    async def start(self, request: web.Request, relay: Relay, repository: str, query: str) -> web.StreamResponse:
        """Forward a POST that opens an upload or, where `query` asks for it, mounts a blob."""
        most = self._context.options.most_uploads
        if self._context.pushes.open_uploads(repository) >= most:
            headers = {"Retry-After": str(_RETRY_SECONDS)}
            message = f"{most} uploads to {repository} are open: finish them, or wait until they time out"
            return oci_error(HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message, headers=headers)
        deadline = self._time_out()
        body = relay.body(self._context.options.max_layer, deadline)
        if body.ended is not None:
            return self._refusal(request, body.ended)
        async with relay.ask(f"/v2/{repository}/blobs/uploads/{query}", body) as answer:
            upload = self._remember(repository, answer, deadline, self._traits(relay))
            if body.ended is None:
                least = upload.traits.least_chunk if upload else 0
                return await relay.answer(answer, {"OCI-Chunk-Min-Length": str(least)} if least else None)
        if upload is not None:
            await self._end(upload, body.ended)
        return self._refusal(request, body.ended)

    async def go_on(self, request: web.Request, relay: Relay, target: Target) -> web.StreamResponse:
        """Serve a request to an open upload."""
        if target.reference in self._ended:
            return self._refusal(request, self._ended[target.reference])
        upload = self._open.get(target.reference)
        if upload is None or upload.repository != target.repository:
            return oci_error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if request.headers.get("Content-Type", _BYTES) != _BYTES and request.can_read_body:
            # Distribution would answer 500.
            return oci_error(400, "BLOB_UPLOAD_INVALID", f"the Content-Type of a blob is {_BYTES}")
        if upload.traits.by_request:
            self._time(upload, self._time_out())
        served = await self._served(request, relay, target, upload)
        if not isinstance(served, Ended):
            return served
        await self._end(upload, served)
        return self._refusal(request, served)

    async def _served(
        self, request: web.Request, relay: Relay, target: Target, upload: Upload
    ) -> web.StreamResponse | Ended:
        """Serve a request, or tell which limit ends its upload, once Distribution has let go of it."""
        upload.busy += 1
        try:
            if self._chunks.serve(request, upload):
                return await self._chunks.go_on(request, relay, upload)
            return await self._forward(request, relay, target, upload)
        finally:
            upload.busy -= 1
            if upload.closed:
                self._forget(upload)
            elif not upload.busy and upload.overdue:
                self._expire(upload)
            elif not upload.busy and upload.traits.by_request:
                self._time(upload, self._time_out(_LONGEST_SILENCE))

    async def _forward(
        self, request: web.Request, relay: Relay, target: Target, upload: Upload
    ) -> web.StreamResponse | Ended:
        """Pass a request on as it is."""
        body = relay.body(self._context.options.max_layer - upload.size, upload.deadline)
        if body.ended is not None:
            return body.ended
        try:
            async with relay.ask(f"{target.path}?{request.rel_url.raw_query_string}", body) as answer:
                if body.ended is not None:
                    return body.ended
                _note(upload, request, body, answer)
                return await relay.answer(answer)
        except BaseException:
            upload.lost = upload.lost or request.method != "GET"
            raise

    def _traits(self, relay: Relay) -> Traits:
        """Return how the upload of a POST behaves: as the options say, unless a fault changes that."""
        fault = relay.exchange.fault
        traits = self._context.options.traits
        return replace(traits, **fault.upload) if fault else traits

    def _time_out(self, least: float = 0.0) -> float:
        return asyncio.get_running_loop().time() + max(self._context.options.upload_timeout, least)

    def _remember(
        self, repository: str, answer: aiohttp.ClientResponse, deadline: float, traits: Traits
    ) -> Upload | None:
        if answer.status != HTTPStatus.ACCEPTED:
            return None
        identifier, location = answer.headers["Docker-Upload-UUID"], answer.headers["Location"]
        upload = Upload(repository, identifier, location, traits, deadline)
        self._open[identifier] = upload
        self._context.pushes.upload_opened(repository)
        self._time(upload, deadline)
        return upload

    def _time(self, upload: Upload, deadline: float) -> None:
        """Have an upload end at a time."""
        upload.deadline = deadline
        if upload.timer is not None:
            upload.timer.cancel()
        upload.timer = asyncio.get_running_loop().call_at(deadline, self._expire, upload)

    def _forget(self, upload: Upload) -> None:
        """Take an upload off the list of open ones, once."""
        if self._open.pop(upload.identifier, None) is not None:
            self._context.pushes.upload_closed(upload.repository)
        if upload.timer is not None:
            upload.timer.cancel()

    def _expire(self, upload: Upload) -> None:
        """End an upload whose time is over; a request to it that is under way does it itself."""
        upload.overdue = True
        if upload.busy or upload.identifier not in self._open:
            return
        task = asyncio.create_task(self._end(upload, Ended.TOO_LATE))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, upload: Upload, why: Ended) -> None:
        """End an upload and remove what of it was stored."""
        self._forget(upload)
        self._ended[upload.identifier] = why
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        # Distribution 2.8 would refuse to cancel an upload of which a chunk broke off.
        folder = upload_folder(self._context.storage, upload.repository, upload.identifier)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _refusal(self, request: web.Request, why: Ended) -> web.Response:
        options = self._context.options
        if why is Ended.TOO_LARGE:
            response = oci_error(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "SIZE_INVALID",
                f"the layer is larger than the limit of {options.max_layer} bytes",
            )
        else:
            response = oci_error(
                HTTPStatus.GATEWAY_TIMEOUT,
                "BLOB_UPLOAD_INVALID",
                f"the upload took longer than the limit of {options.upload_timeout:g} seconds",
            )
            if options.cut_on_timeout:
                cut(request, reset=True)
        return response


def _note(upload: Upload, request: web.Request, body: RequestBody, answer: aiohttp.ClientResponse) -> None:
    """Keep what Distribution says of an upload after a request: only what it stored counts."""
    if answer.status == HTTPStatus.ACCEPTED:
        upload.size = size_in(answer.headers.get("Range", ""), upload.size + min(body.size, 1))
        upload.location = answer.headers["Location"]
        upload.patches += request.method == "PATCH"
    elif answer.status == HTTPStatus.CREATED:
        upload.closed = True
    elif request.method in ("PATCH", "PUT"):
        upload.lost = True
