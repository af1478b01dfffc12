"""A proxy in front of a real Engine: connections that break, bytes that change, at a point that a test names.

Each connection carries one request, so that what is done to one answer touches no other.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

PIECE = 64 * 1024
FAILED = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    b'{"message":"the proxy of a test failed"}'
)
SAVE = re.compile(rb"GET /v[\d.]+/images/(?:[^ ]+/get|get\?[^ ]+) ")


@dataclass
class Save:
    """What becomes of the streams of images (`GET /images/{name}/get`, or of several, `GET /images/get?names=`).

    Attributes:
        times: How many of them it becomes of.
        images: How many images each of those has; None for any number.
        after: Bytes of the answer that pass before; 0 for before the Engine is asked.
        act: Called then.
        cut: Whether the connection ends then.
        change: Bytes that are changed wherever they pass, and what they become, of the same length.
        seen: Set once a stream was asked for.
        ended: Set once one that was asked for has ended, for whatever reason.
        asked: How many images each of them has.
    """

    times: int = 1_000_000
    after: int = 0
    act: Callable[[], None] = lambda: None
    cut: bool = False
    images: int | None = None
    change: tuple[bytes, bytes] | None = None
    seen: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    asked: list[int] = field(default_factory=list)


class EngineProxy:
    """A proxy that listens at a socket of its own.

    Attributes:
        docker_host: What `DOCKER_HOST` has to be.
        save: What becomes of streams of images.
        refuse: Requests, by method and path, that the Engine fails to answer (500).
    """

    def __init__(self, folder: Path, engine: str) -> None:
        self._engine = urlsplit(engine)
        self._path = str(folder / "proxy.sock")
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.docker_host = f"unix://{self._path}"
        self.save = Save(times=0)
        self.refuse: re.Pattern[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Begin to listen."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Break every connection, and take no further one."""
        Path(self._path).unlink()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, self._kept(client):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(PIECE)
                if not piece:
                    return
                head += piece
            if self.refuse and self.refuse.match(head):
                client.sendall(FAILED)
                return
            images = max(1, head.partition(b"\r\n")[0].count(b"names="))
            is_save = SAVE.match(head) is not None and self.save.times > 0 and self.save.images in {None, images}
            if is_save:
                self.save.times -= 1
                self.save.asked.append(images)
                self.save.seen.set()
            if is_save and not self.save.after and self._acted():
                return
            with self._connected() as engine, self._kept(engine):
                engine.sendall(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                ended = self.save.ended if is_save else threading.Event()
                threading.Thread(target=_pump, args=(client, engine, ended), daemon=True).start()
                self._answer(engine, client, is_save=is_save)

    def _answer(self, engine: socket.socket, client: socket.socket, *, is_save: bool) -> None:
        passed, kept = 0, b""
        while piece := engine.recv(PIECE):
            if is_save and self.save.change:
                # What is to be changed may lie over the boundary of two pieces.
                old, new = self.save.change
                piece = (kept + piece).replace(old, new)
                piece, kept = piece[: -len(old)], piece[-len(old) :]
            if is_save and passed <= self.save.after < passed + len(piece) and self.save.after:
                client.sendall(piece[: self.save.after - passed])
                piece, passed = piece[self.save.after - passed :], self.save.after
                if self._acted():
                    return
            client.sendall(piece)
            passed += len(piece)
        client.sendall(kept)

    def _acted(self) -> bool:
        self.save.act()
        return self.save.cut

    def _connected(self) -> socket.socket:
        if self._engine.scheme == "unix":
            engine = socket.socket(socket.AF_UNIX)
            try:
                engine.connect(self._engine.path)
            except OSError:
                engine.close()
                raise
            return engine
        return socket.create_connection((self._engine.hostname, self._engine.port))

    @contextlib.contextmanager
    def _kept(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)
            # What one side no longer has, the other is not to wait for.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, sink: socket.socket, ended: threading.Event) -> None:
    """Hand on what the client still sends; its end ends the Engine's work for it, too."""
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            sink.sendall(piece)
    ended.set()
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
