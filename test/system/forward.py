"""Offers the Docker Engine on TCP port 2375, as a step's Docker service does.

forward.py [ADDRESS]   at that address of this machine; all of its addresses by default

The Engine is the one at `DOCKER_HOST`, or at /var/run/docker.sock.
"""

import asyncio
import contextlib
import errno
import os
import sys
from urllib.parse import urlsplit

ENGINE = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
PORT = 2375
PIECE = 64 * 1024
_SERVING: set[asyncio.Task[None] | None] = set()
"""asyncio itself keeps no task from being collected as garbage."""


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on one direction until it ends; its end is handed on as well."""
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on one connection."""
    task = asyncio.current_task()
    _SERVING.add(task)
    if ENGINE.scheme == "unix":
        engine_reader, engine_writer = await asyncio.open_unix_connection(ENGINE.path)
    else:
        engine_reader, engine_writer = await asyncio.open_connection(ENGINE.hostname, ENGINE.port)
    await asyncio.gather(pump(reader, engine_writer), pump(engine_reader, writer))
    engine_writer.close()
    writer.close()
    _SERVING.discard(task)


async def main() -> None:
    """Serve for ever."""
    try:
        await asyncio.start_server(serve, sys.argv[1] if sys.argv[1:] else None, PORT)
    except OSError as error:
        # Pipelines' Engine itself listens on all addresses.
        if error.errno != errno.EADDRINUSE:
            raise
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
