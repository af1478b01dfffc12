"""Offers the Docker Engine at /var/run/docker.sock on TCP port 2375, as a step's Docker service does."""

import asyncio
import contextlib

SOCKET = "/var/run/docker.sock"
PORT = 2375
PIECE = 64 * 1024


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on one direction until it ends; its end is handed on as well."""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on one connection."""
    engine_reader, engine_writer = await asyncio.open_unix_connection(SOCKET)
    await asyncio.gather(pump(reader, engine_writer), pump(engine_reader, writer))
    engine_writer.close()
    writer.close()


async def main() -> None:
    """Serve for ever."""
    server = await asyncio.start_server(serve, port=PORT)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
