"""The tests' controls: `/api/faults` and `/api/requests`, for operators."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from aiohttp import web

from registry.gateway.faults import FaultError, Faults
from registry.gateway.forms import read_body
from registry.gateway.login import authenticate
from registry.gateway.request_log import CONDITIONS, RequestLog
from registry.gateway.sessions import from_own_page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from registry.gateway.world import World

_LONGEST_WAIT = 600.0
# Bytes: an answer that is made up may be a manifest as large as they come.
_LARGEST_FAULT = 8 << 20


class Controls:
    """Handlers of the controls."""

    def __init__(self, world: World, faults: Faults, log: RequestLog) -> None:
        """Control these faults and this log."""
        self._world = world
        self._faults = faults
        self._log = log

    def routes(self) -> list[web.RouteDef]:
        """Return the controls' routes."""
        return [
            web.get("/api/faults", self._guarded(self._list_faults)),
            web.post("/api/faults", self._guarded(self._add_fault)),
            web.delete("/api/faults", self._guarded(self._clear_faults)),
            web.get("/api/requests", self._guarded(self._requests)),
            web.delete("/api/requests", self._guarded(self._clear_requests)),
            web.get("/api/requests/quiet", self._guarded(self._quiet)),
        ]

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def guarded(request: web.Request) -> web.Response:
            account = authenticate(request, self._world)
            if account is None:
                return _error(401, "log in", {"WWW-Authenticate": 'Basic realm="controls"'})
            if not account.operator:
                return _error(403, "an account is needed that the world's file calls operator")
            if not from_own_page(request):
                return _error(403, "a page of another site sent this")
            try:
                return await handler(request)
            except ValueError as error:
                return _error(400, str(error))

        return guarded

    async def _list_faults(self, _: web.Request) -> web.Response:
        return web.json_response({"faults": [asdict(fault) for fault in self._faults.active]})

    async def _add_fault(self, request: web.Request) -> web.Response:
        # A page of another site can send this type only after asking, and is told no.
        if request.content_type != "application/json":
            raise FaultError("a fault is sent as application/json")
        body = await read_body(request, _LARGEST_FAULT)
        try:
            description = await asyncio.to_thread(json.loads, body)
        except (ValueError, RecursionError) as error:
            raise FaultError(f"not JSON: {error}") from error
        return web.json_response(asdict(self._faults.add(description)), status=201)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response({})

    async def _requests(self, request: web.Request) -> web.Response:
        """List the requests that match; with `count`, wait up to `timeout` for so many."""
        query = dict(request.query)
        count, received = int(query.pop("count", "0")), int(query.pop("received", "0"))
        timeout = _seconds(query.pop("timeout", "30"))
        if unknown := query.keys() - CONDITIONS:
            raise ValueError(f"unknown condition {', '.join(sorted(unknown))}")
        met, found = await self._log.select(query, received, count, timeout)
        return await asyncio.to_thread(
            lambda: web.json_response({"met": met, "requests": [asdict(entry) for entry in found]})
        )

    async def _clear_requests(self, _: web.Request) -> web.Response:
        self._log.clear()
        return web.json_response({})

    async def _quiet(self, request: web.Request) -> web.Response:
        """Wait until no request has come, moved a byte or ended for `seconds` from now on."""
        seconds = _seconds(request.query.get("seconds", "2"))
        timeout = _seconds(request.query.get("timeout", "30"))
        return web.json_response({"met": await self._log.until_quiet(seconds, timeout)})


def _seconds(text: str) -> float:
    return min(float(text), _LONGEST_WAIT)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": message}, status=status, headers=headers)
