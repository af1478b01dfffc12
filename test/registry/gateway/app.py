"""The gateway's application, put together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web

from registry.gateway import api, collector, pages
from registry.gateway.callers import TOKEN_PATH, Gate
from registry.gateway.context import CONTEXT
from registry.gateway.controls import Controls
from registry.gateway.errors import oci_error
from registry.gateway.faults import Faults
from registry.gateway.middlewares import finish_headers, no_traceback, one_host, recorder
from registry.gateway.request_log import RequestLog
from registry.gateway.tokens import Tokens
from registry.gateway.uploads import Uploads
from registry.gateway.v2 import Registry

if TYPE_CHECKING:
    from registry.gateway.backend import Backend
    from registry.gateway.context import Context


async def no_v1(_: web.Request) -> web.Response:
    """Answer what `docker search` asks."""
    return oci_error(404, "UNSUPPORTED", "this registry has no search, and no API of version 1")


def create_app(context: Context, backend: Backend) -> web.Application:
    """Return the application that serves the API and the pages."""
    log, faults = RequestLog(), Faults()
    gate = Gate(context, Tokens(context.options.token_lifetime, time.time))
    uploads = Uploads(context)
    registry = Registry(context, backend, gate, uploads)
    app = web.Application(
        middlewares=[no_traceback, one_host, recorder(log, faults, gate, uploads)],
    )
    app[CONTEXT] = context
    app.on_response_prepare.append(finish_headers)
    app.router.add_get(TOKEN_PATH, gate.issue)
    app.router.add_routes(Controls(context.world, faults, log).routes())
    app.router.add_route("*", "/v1/{rest:.*}", no_v1)
    app.router.add_route("*", "/v2", registry.handle)
    app.router.add_route("*", "/v2/{rest:.*}", registry.handle)
    collector.add_to(app)
    api.add_routes(app)
    pages.add_routes(app)
    return app
