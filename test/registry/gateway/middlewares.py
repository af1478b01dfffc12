"""What happens to every request: it is logged, faults may strike it, and no traceback leaves."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from registry.gateway.errors import oci_error
from registry.gateway.exchange import EXCHANGE, Exchange, Struck, cut, is_gone, made_up
from registry.gateway.options import HOST
from registry.gateway.render import failure_page
from registry.gateway.request_log import Entry

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from registry.gateway.callers import Gate
    from registry.gateway.faults import Faults
    from registry.gateway.request_log import RequestLog
    from registry.gateway.uploads import Uploads

# The tests' own controls: never struck, never logged.
CONTROLS = ("/api/faults", "/api/requests")
_LOGGER = logging.getLogger(__name__)


def recorder(log: RequestLog, faults: Faults, gate: Gate, uploads: Uploads) -> Middleware:
    """Return the middleware that logs each request and applies the fault that strikes it."""

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROLS):
            return await handler(request)
        clock = asyncio.get_running_loop().time
        began = clock()
        caller = gate.caller(request)
        entry = Entry(
            request.method,
            request.path,
            request.headers.get("User-Agent", ""),
            caller.account.name if caller else "",
            request.headers.get("Content-Range", ""),
            uploads.patches(request.path),
            _mounts(request),
        )
        log.add(entry)
        fault = faults.strike(entry)
        entry.shorten()
        entry.fault = fault.identifier if fault else None
        exchange = request[EXCHANGE] = Exchange(request, entry, log, faults, fault)
        try:
            return await _struck_or_served(request, handler, exchange)
        finally:
            entry.seconds = clock() - began
            entry.state = "cut" if is_gone(request) else "done"
            log.changed()

    return record


def _mounts(request: web.Request) -> str:
    """Return which blob a request asks to mount."""
    digest = request.query.get("mount", "")
    return f"{request.query.get('from', '')}@{digest}" if digest and request.method == "POST" else ""


async def _struck_or_served(request: web.Request, handler: Handler, exchange: Exchange) -> web.StreamResponse:
    try:
        await exchange.begin()
        return await handler(request)
    except Struck as struck:
        if struck.answer is None:
            return oci_error(500, "UNKNOWN", "a fault cut this connection")
        return await made_up(request, struck.answer, exchange)


@web.middleware
async def no_traceback(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what went wrong with an error body; the traceback goes to the log."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return await _failure(request, error.status, "UNSUPPORTED", error.reason)
    except Exception:
        if not is_gone(request):
            _LOGGER.exception("%s %s", request.method, request.path)
        if request.writer.output_size:
            # The answer has begun: only a cut can say that its end will not come.
            cut(request, reset=True)
        return await _failure(
            request, HTTPStatus.INTERNAL_SERVER_ERROR, "UNKNOWN", "the registry failed; its log says why"
        )


@web.middleware
async def one_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what does not say in one way which host it is for: answers name that host."""
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or HOST.fullmatch(hosts[0]) is None:
        return oci_error(HTTPStatus.BAD_REQUEST, "UNSUPPORTED", "the Host header is missing, malformed or repeated")
    return await handler(request)


async def _failure(request: web.Request, status: int, code: str, message: str) -> web.Response:
    """Say in the caller's language that something failed: JSON to clients, a page to people."""
    if request.path.startswith("/api/"):
        return web.json_response({"error": message}, status=status)
    if request.path.startswith(("/v1/", "/v2/", "/token")) or request.path in ("/v1", "/v2"):
        return oci_error(status, code, message)
    return await asyncio.to_thread(failure_page, request, status, f"{message[:1].upper()}{message[1:]}.")


async def finish_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Complete an answer's headers, and log the answer; called before they are sent.

    An answer that comes before the request's body was read ends the connection. Where a fault
    replaces headers, those that the answer has are replaced.
    """
    if request.can_read_body:
        response.force_close()
        response.headers["Connection"] = "close"
    exchange = request.get(EXCHANGE)
    if not isinstance(exchange, Exchange):
        return
    await exchange.hold()
    if not is_gone(request):
        exchange.entry.status = response.status
        body = getattr(response, "body", None)
        if isinstance(body, bytes) and request.method != "HEAD":
            exchange.entry.sent = len(body)
    if exchange.fault is not None:
        for name, value in exchange.fault.replace_headers.items():
            if name in response.headers:
                response.headers[name] = value
