"""The proxy that stands for a link with long round trips, between sockets of this machine."""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from bench.forward import LAYER, forwarded


class _Echo(socketserver.StreamRequestHandler):
    """Sends each line back, and ends when the client does."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


@pytest.fixture
def echo() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection


def echoed(connection: socket.socket, size: int) -> bytes:
    """Send a line of this many bytes, and return what comes back."""
    line = b"x" * (size - 1) + b"\n"
    connection.sendall(line)
    received = b""
    while len(received) < size and (piece := connection.recv(size)):
        received += piece
    return received


def test_each_exchange_takes_at_least_the_round_trip(echo: str) -> None:
    with forwarded(echo, round_trip=0.1) as (address, _), connected(address) as connection:
        for _ in range(2):
            began = time.monotonic()
            assert echoed(connection, 10) == b"x" * 9 + b"\n"
            assert time.monotonic() - began >= 0.1


def test_the_end_of_a_direction_is_forwarded(echo: str) -> None:
    with forwarded(echo, round_trip=0.01) as (address, _), connected(address) as connection:
        connection.sendall(b"last")
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read() == b"last"


@pytest.mark.parametrize(
    ("sizes", "began"),
    [
        pytest.param([LAYER - 1], False, id="less-than-a-layer"),
        pytest.param([LAYER], True, id="layer"),
        pytest.param([LAYER - 10, 10], True, id="layer-in-two-writes"),
    ],
)
def test_a_layer_is_noticed_by_its_bytes(echo: str, sizes: list[int], began: bool) -> None:
    start = time.monotonic()
    with forwarded(echo) as (address, forwarder), connected(address) as connection:
        for size in sizes:
            assert len(echoed(connection, size)) == size
    assert forwarder.sent == sum(sizes)
    assert (forwarder.began is not None) is began
    assert forwarder.began is None or forwarder.began >= start


def test_bytes_of_two_connections_are_not_one_layer(echo: str) -> None:
    with forwarded(echo) as (address, forwarder):
        for _ in range(2):
            with connected(address) as connection:
                echoed(connection, LAYER // 2)
    assert (forwarder.sent, forwarder.began) == (LAYER, None)


def test_a_connection_ends_if_the_registry_does_not_listen() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    with forwarded(address) as (entrance, _), connected(entrance) as connection:
        assert connection.recv(1) == b""


def test_the_proxy_ends_while_connections_are_open(echo: str) -> None:
    with forwarded(echo, round_trip=60) as (address, forwarder), connected(address) as connection:
        connection.sendall(b"on the way\n")
        while not forwarder.sent:
            threading.Event().wait(0.001)
