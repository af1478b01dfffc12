"""Run the gateway with Distribution behind it, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
import sys
import time

from aiohttp import web

from registry.gateway.app import create_app
from registry.gateway.backend import BackendError, running_backend
from registry.gateway.connection import Connection
from registry.gateway.context import Context
from registry.gateway.options import OptionError, Options, read_options
from registry.gateway.packages import Packages
from registry.gateway.pushes import Pushes
from registry.gateway.repair import repair
from registry.gateway.settings import Settings
from registry.gateway.world_file import WorldError, read_world

_LOGGER = logging.getLogger("registry")
_STOP_SECONDS = 2.0


def main() -> int:
    """Run, and return the exit status: 0 stopped, 1 failed, 2 configuration refused."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        options = read_options(os.environ)
        context = _context(options)
    except (OptionError, WorldError, OSError) as error:
        _LOGGER.error("%s", error)  # noqa: TRY400 - for the reader of the configuration, no traceback
        return 2
    try:
        asyncio.run(_serve(context))
    except (BackendError, OSError) as error:
        _LOGGER.error("%s", error)  # noqa: TRY400 - says all there is to say
        return 1
    return 0


def _context(options: Options) -> Context:
    world = read_world(options.world.read_text(encoding="utf-8"), str(options.world))
    options.storage.mkdir(parents=True, exist_ok=True)
    repair(options.storage)
    return Context(
        world=world,
        packages=Packages(world, options.data / "packages.json"),
        settings=Settings(world, options.data / "settings.json"),
        pushes=Pushes(options.lease, time.monotonic),
        options=options,
    )


async def _serve(context: Context) -> None:
    options = context.options
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    loop = asyncio.get_running_loop()
    async with running_backend(options.storage) as (backend, ended):
        runner = web.AppRunner(create_app(context, backend), shutdown_timeout=_STOP_SECONDS)
        await runner.setup()
        try:
            server = await loop.create_server(
                lambda: Connection.of(runner, options.header_timeout),
                options.host,
                options.port,
                ssl=_tls(options),
                ssl_handshake_timeout=options.header_timeout if options.tls_cert else None,
            )
            _LOGGER.info("serving on %s:%s", options.host, options.port)
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait((stopped, ended), return_when=asyncio.FIRST_COMPLETED)
            server.close()
            if ended.done():
                ended.result()
        finally:
            await runner.cleanup()


def _tls(options: Options) -> ssl.SSLContext | None:
    if options.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.tls_cert, options.tls_key)
    return context


if __name__ == "__main__":
    sys.exit(main())
