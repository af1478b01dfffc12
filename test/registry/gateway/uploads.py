"""Uploads of blobs, and the limits of Bitbucket's registry on them."""

from __future__ import annotations

import asyncio
import shutil
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from registry.gateway.body import Ended
from registry.gateway.errors import oci_error
from registry.gateway.exchange import cut
from registry.gateway.layout import repositories_folder, upload_folder

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import web

    from registry.gateway.body import RequestBody
    from registry.gateway.context import Context
    from registry.gateway.relay import Relay
    from registry.gateway.targets import Target

_REMEMBERED = 1000


@dataclass(slots=True)
class Upload:
    """An open upload; `deadline` is a time of the event loop."""

    repository: str
    identifier: str
    deadline: float
    timer: asyncio.TimerHandle | None = None
    received: int = 0
    busy: int = 0
    overdue: bool = False


class Uploads:
    """All open uploads. The time of one runs from its POST on."""

    def __init__(self, context: Context) -> None:
        """Begin with none: what an earlier run left open cannot go on, so it is removed."""
        self._context = context
        self._open: dict[str, Upload] = {}
        self._ended: OrderedDict[str, Ended] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        for folder in repositories_folder(context.storage).glob("*/*/_uploads"):
            shutil.rmtree(folder)

    async def start(self, request: web.Request, relay: Relay, repository: str, query: str) -> web.StreamResponse:
        """Forward a POST that opens an upload or, where `query` asks for it, mounts a blob."""
        deadline = asyncio.get_running_loop().time() + self._context.options.upload_timeout
        body = relay.body(self._context.options.max_layer, deadline)
        if body.ended is not None:
            return self._refusal(request, body.ended)
        async with relay.ask(f"/v2/{repository}/blobs/uploads/{query}", body) as answer:
            upload = self._remember(repository, answer, deadline)
            if body.ended is None:
                return await relay.answer(answer)
        if upload is not None:
            await self._end(upload, body.ended)
        return self._refusal(request, body.ended)

    async def go_on(self, request: web.Request, relay: Relay, target: Target) -> web.StreamResponse:
        """Forward a request to an open upload."""
        if target.reference in self._ended:
            return self._refusal(request, self._ended[target.reference])
        upload = self._open.get(target.reference)
        if upload is None or upload.repository != target.repository:
            return oci_error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        body = relay.body(self._context.options.max_layer - upload.received, upload.deadline)
        if body.ended is None:
            response = await self._forward(request, relay, target, upload, body)
            if response is not None:
                return response
        ended = body.ended or Ended.TOO_LATE
        await self._end(upload, ended)
        return self._refusal(request, ended)

    async def _forward(
        self,
        request: web.Request,
        relay: Relay,
        target: Target,
        upload: Upload,
        body: RequestBody,
    ) -> web.StreamResponse | None:
        """Pass a request on; None if a limit ended it, once Distribution has let go of it."""
        upload.busy += 1
        try:
            async with relay.ask(f"{target.path}?{request.rel_url.raw_query_string}", body) as answer:
                if body.ended is not None:
                    return None
                upload.received += body.size
                if answer.status == HTTPStatus.CREATED:
                    self._forget(upload)
                return await relay.answer(answer)
        finally:
            upload.busy -= 1
            if not upload.busy and upload.overdue:
                self._expire(upload)

    def _remember(self, repository: str, answer: aiohttp.ClientResponse, deadline: float) -> Upload | None:
        if answer.status != HTTPStatus.ACCEPTED:
            return None
        upload = Upload(repository, answer.headers["Docker-Upload-UUID"], deadline)
        self._open[upload.identifier] = upload
        self._context.pushes.upload_opened(repository)
        upload.timer = asyncio.get_running_loop().call_at(deadline, self._expire, upload)
        return upload

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
