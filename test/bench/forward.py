"""A forwarding proxy on loopback: adds a round trip, counts bytes, and notes when a layer begins to flow."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

PIECE = 256 * 1024
LAYER = 64 * 1024
"""Bytes on one connection that only a layer can have: requests without one are smaller by far."""
MOST_PIECES = 64
"""Pieces under way in one direction: 16 MB at most, twice what a link of 800 Mbit/s and 80 ms holds."""


class Forwarder:
    """Forwards connections to one address.

    Attributes:
        sent: Bytes that clients have sent.
        began: When a connection had sent `LAYER` bytes for the first time, by `time.monotonic`; None before.
    """

    def __init__(self, target: str, round_trip: float = 0.0) -> None:
        self.sent = 0
        self.began: float | None = None
        self._target = target
        self._delay = round_trip / 2

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until both sides have ended."""
        host, port = self._target.rsplit(":", 1)
        try:
            there, to = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(self._pump(reader, to, outward=True), self._pump(there, writer, outward=False))
        except asyncio.CancelledError:  # the push has ended, and a client keeps its connection open
            for each in (to, writer):
                each.transport.abort()
        for each in (to, writer):
            each.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, outward: bool) -> None:
        """Forward one direction; each piece leaves half a round trip after it came, however many are under way."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MOST_PIECES)
        leaving = asyncio.create_task(leave(pieces, sink))
        total = 0
        with contextlib.suppress(OSError):
            while piece := await source.read(PIECE):
                if outward:
                    total += len(piece)
                    self.sent += len(piece)
                    if self.began is None and total >= LAYER:
                        self.began = time.monotonic()
                await pieces.put((time.monotonic() + self._delay, piece))
        await pieces.put((time.monotonic() + self._delay, b""))
        await leaving


async def leave(pieces: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
    """Write each piece when its time has come, until an empty one ends the direction or the receiver is gone."""
    with contextlib.suppress(OSError, RuntimeError):
        while True:
            when, piece = await pieces.get()
            await asyncio.sleep(max(0.0, when - time.monotonic()))
            if not piece:
                sink.write_eof()
                return
            sink.write(piece)
            await sink.drain()


@contextlib.contextmanager
def forwarded(target: str, round_trip: float = 0.0) -> Iterator[tuple[str, Forwarder]]:
    """Forward a free port of 127.0.0.1 to an address, in a thread.

    Args:
        target: `host:port`.
        round_trip: Seconds that a request and its response spend on the way. Opening a connection takes none.

    Yields:
        The address that clients use, and the forwarder.
    """
    forwarder = Forwarder(target, round_trip)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(forwarder.serve, "127.0.0.1", 0, limit=PIECE))
    thread = threading.Thread(target=loop.run_forever, name="forwarder", daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", forwarder
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    """Stop listening, and close the connections that clients keep open."""
    server.close()
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    await asyncio.sleep(0)  # transports close their sockets in the loop's next round
