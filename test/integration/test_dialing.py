"""Hosts with several addresses, of which some refuse connections and some are silent, as behind a firewall."""

import contextlib
import errno
import queue
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from integration.certificates import make_certificate
from registry.client import Tls

from pipe.errors import RegistryFailedError
from pipe.registry.dialing import KEEP_ALIVE, SMALL_SEGMENT, Address, DialedConnection, dial, resolve
from pipe.registry.transport import Bearer, NoTLSError, Request, Transport

HOST = "registry.example.com"
PATIENCE = 20.0
"""Seconds after which a test has failed."""


class Places:
    """Addresses of this machine: the first listens at a port, a refusing one does not, a silent one does not answer."""

    def __init__(self, sockets: contextlib.ExitStack) -> None:
        self._sockets = sockets
        self._used = 0
        self.listening = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port: int = self.listening.getsockname()[1]

    def of(self, kinds: str) -> list[Address]:
        """Return one address for each word of `listening`, `refusing`, `silent`, `unreachable`."""
        return [Address(socket.AF_INET, getattr(self, f"_{kind}")()) for kind in kinds.split()]

    def _listening(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def _refusing(self) -> tuple[str, int]:
        self._used += 1
        return f"127.0.1.{self._used}", self.port

    def _silent(self) -> tuple[str, int]:
        place = self._refusing()
        self._sockets.enter_context(socket.create_server(place, backlog=0))
        # A queue that is full drops further attempts.
        for _ in range(3):
            waiting = self._sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(place)
        return place

    def _unreachable(self) -> tuple[str, int]:
        """Return an address to which a TCP connection fails at once."""
        return "255.255.255.255", self.port


@pytest.fixture(autouse=True)
def _no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports are used again."""
    monkeypatch.setattr("pipe.registry.dialing._losing", set())
    monkeypatch.setattr("pipe.registry.dialing._broken", {})


@pytest.fixture
def places() -> Iterator[Places]:
    with contextlib.ExitStack() as sockets:
        yield Places(sockets)


@pytest.mark.parametrize(
    "kinds",
    [
        "listening",
        "refusing listening",
        "unreachable listening",
        "silent listening",
        "silent silent silent listening silent",
        "refusing silent unreachable silent refusing listening",
        "listening silent",
    ],
)
def test_the_first_address_that_accepts_is_used(places: Places, kinds: str) -> None:
    connection, address = dial(places.of(kinds), PATIENCE)
    with connection:
        assert address.place == connection.getpeername() == ("127.0.0.1", places.port)
        assert connection.gettimeout() == PATIENCE
        connection.sendall(b"x")
        places.listening.settimeout(PATIENCE)
        accepted, _ = places.listening.accept()
        with accepted:
            assert accepted.recv(1) == b"x"


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        pytest.param("refusing", errno.ECONNREFUSED, id="refused"),
        pytest.param("refusing unreachable", errno.ECONNREFUSED, id="refused-first"),
        pytest.param("unreachable refusing", errno.ENETUNREACH, id="unreachable-first"),
        pytest.param("silent", None, id="silent"),
        pytest.param("refusing silent", None, id="refused-and-silent"),
        pytest.param("silent unreachable", None, id="silent-and-unreachable"),
    ],
)
def test_a_host_without_an_address_that_accepts(places: Places, kinds: str, expected: int | None) -> None:
    with pytest.raises(OSError) as raised:  # noqa: PT011 - the number is checked
        dial(places.of(kinds), 0.5)
    assert raised.value.errno == expected
    assert isinstance(raised.value, TimeoutError) is (expected is None)


def test_a_connection_is_kept_alive(places: Places) -> None:
    connection = DialedConnection("127.0.0.1", places.port)
    connection.connect()
    with contextlib.closing(connection):
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEP_ALIVE
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == KEEP_ALIVE


def test_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET6, 1), (socket.AF_INET6, 2), (socket.AF_INET, 3), (socket.AF_INET6, 4), (socket.AF_INET, 5)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(family, 0, 0, "", place) for family, place in found])
    assert [place for _, place in resolve(HOST, 443)] == [1, 3, 2, 5, 4]


def test_requests_reach_a_host_whose_first_addresses_are_silent(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ten seconds for each of them, the request would have ended before."""
    found = [(*address[:1], 0, 0, "", address[1]) for address in places.of("silent silent silent silent listening")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    answers = threading.Thread(target=_answer, args=(places.listening, queue.SimpleQueue[int]()))
    answers.start()
    transport = Transport(HOST, "test/1", 1, trace=lambda _: None)
    assert transport.send(Request("GET", f"http://{HOST}/v2/"), Bearer()).status == HTTPStatus.OK
    answers.join()


def _answer(listening: socket.socket, segments: "queue.SimpleQueue[int]") -> None:
    """Answer one request, if it comes; report the size of its segments."""
    listening.settimeout(3 * PATIENCE)
    with contextlib.suppress(TimeoutError):
        connection, _ = listening.accept()
        segments.put(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("silent", "expected"),
    [pytest.param(0, False, id="at-once"), pytest.param(1, True, id="after-a-lost-handshake")],
)
def test_packets_are_small_if_a_handshake_was_lost(
    places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, silent: int, expected: bool
) -> None:
    """A router that drops large packets, and does not report it, was tried by hand: the second handshake passes."""
    tls = make_certificate(tmp_path, "IP:127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.authority))
    monkeypatch.setattr("pipe.registry.transport.CONNECT_TIMEOUT", 0.5)
    segments = queue.SimpleQueue[int]()
    server = threading.Thread(target=_answer_over_tls, args=(places.listening, tls, silent, segments))
    server.start()
    transport = Transport(f"127.0.0.1:{places.port}", "test/1", 1, trace=lambda _: None)
    request = Request("GET", f"https://127.0.0.1:{places.port}/v2/")
    for _ in range(silent):
        with pytest.raises(RegistryFailedError, match="no answer in time"):
            transport.send(request, Bearer())
    monkeypatch.setattr("pipe.registry.transport.CONNECT_TIMEOUT", PATIENCE)
    assert transport.send(request, Bearer()).status == HTTPStatus.OK
    server.join()
    assert (segments.get() <= SMALL_SEGMENT) is expected


@pytest.mark.parametrize("kind", ["silent", "resetting", "closing"])
def test_an_address_that_broke_a_handshake_is_tried_last(
    places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """As that of a dead backend: it accepts connections, so that each attempt would end there."""
    tls = make_certificate(tmp_path, f"DNS:{HOST}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.authority))
    monkeypatch.setattr("pipe.registry.transport.CONNECT_TIMEOUT", 0.5 if kind == "silent" else PATIENCE)
    dead = Address(socket.AF_INET, ("127.0.2.1", places.port))
    found = [(*address[:1], 0, 0, "", address[1]) for address in (dead, *places.of("listening"))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with socket.create_server(dead.place) as listening:
        breaking = threading.Thread(target=_break, args=(listening, kind))
        server = threading.Thread(target=_answer_over_tls, args=(places.listening, tls, 0, queue.SimpleQueue[int]()))
        breaking.start()
        server.start()
        transport = Transport(HOST, "test/1", 1, trace=lambda _: None)
        request = Request("GET", f"https://{HOST}:{places.port}/v2/")
        with pytest.raises(RegistryFailedError):
            transport.send(request, Bearer())
        breaking.join()
        monkeypatch.setattr("pipe.registry.transport.CONNECT_TIMEOUT", PATIENCE)
        assert transport.send(request, Bearer()).status == HTTPStatus.OK
        server.join()


def test_an_address_that_speaks_no_tls_keeps_its_turn(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a loopback host, plain HTTP must reach the same server; the other address may be another's."""
    first = Address(socket.AF_INET, ("127.0.2.1", places.port))
    found = [(*address[:1], 0, 0, "", address[1]) for address in (first, *places.of("listening"))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with socket.create_server(first.place) as listening:
        transport = Transport(f"localhost:{places.port}", "test/1", 1, trace=lambda _: None)
        for scheme in ("https", "http"):
            server = threading.Thread(target=_answer, args=(listening, queue.SimpleQueue[int]()))
            server.start()
            with contextlib.suppress(NoTLSError):
                transport.send(Request("GET", f"{scheme}://localhost:{places.port}/v2/"), Bearer())
            server.join()


def test_packets_are_small_if_a_body_was_not_accepted(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """The packets of a handshake with a short certificate are small, so that only those of a body are lost."""
    monkeypatch.setattr("pipe.registry.transport.CONNECT_TIMEOUT", 0.5)
    transport = Transport(f"127.0.0.1:{places.port}", "test/1", 1, trace=lambda _: None)
    request = Request("PUT", f"http://127.0.0.1:{places.port}/v2/", body=bytes(32_000_000), limit=PATIENCE)
    with pytest.raises(RegistryFailedError, match="the connection broke: timed out"):
        transport.send(request, Bearer())
    places.listening.accept()[0].close()
    segments = queue.SimpleQueue[int]()
    answers = threading.Thread(target=_answer, args=(places.listening, segments))
    answers.start()
    monkeypatch.setattr("pipe.registry.transport.CONNECT_TIMEOUT", PATIENCE)
    transport.send(request._replace(method="GET", body=b""), Bearer())
    answers.join()
    assert segments.get() <= SMALL_SEGMENT


@pytest.mark.parametrize("kind", ["silent", "resetting", "closing"])
def test_a_proxy_that_does_not_answer_is_named(places: Places, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cr3t@127.0.0.1:{places.port}")
    monkeypatch.setattr("pipe.registry.transport.CONNECT_TIMEOUT", 0.5 if kind == "silent" else PATIENCE)
    breaking = threading.Thread(target=_break, args=(places.listening, kind))
    breaking.start()
    with pytest.raises(RegistryFailedError, match="the proxy of HTTPS_PROXY failed: ") as raised:
        Transport(HOST, "test/1", 1, trace=lambda _: None).send(Request("GET", f"https://{HOST}/v2/"), Bearer())
    breaking.join()
    assert "s3cr3t" not in str(raised.value)


def test_a_handshake_ends_at_the_limit_of_its_request(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    places.listening.settimeout(PATIENCE)
    monkeypatch.setattr("pipe.registry.transport.CONNECT_TIMEOUT", 3 * PATIENCE)
    ends = queue.SimpleQueue[bytes]()
    server = threading.Thread(target=_wait_for_end, args=(places.listening, ends))
    server.start()
    request = Request("GET", f"https://127.0.0.1:{places.port}/v2/", limit=0.5)
    with pytest.raises(RegistryFailedError, match="no answer in time"):
        Transport(f"127.0.0.1:{places.port}", "test/1", 1, trace=lambda _: None).send(request, Bearer())
    server.join()
    assert ends.get_nowait() == b"", "the client waited longer than the server"


def _wait_for_end(listening: socket.socket, ends: "queue.SimpleQueue[bytes]") -> None:
    """Accept one connection, read what begins a handshake, and report how the connection ends."""
    connection, _ = listening.accept()
    with connection:
        connection.settimeout(PATIENCE)
        connection.recv(65536)
        with contextlib.suppress(TimeoutError):
            ends.put(connection.recv(65536))


def _break(listening: socket.socket, kind: str) -> None:
    """Accept one connection, and break its handshake."""
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        if kind == "resetting":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif kind == "silent":
            # Until the client gives up.
            connection.recv(65536)


def _answer_over_tls(listening: socket.socket, tls: Tls, silent: int, segments: "queue.SimpleQueue[int]") -> None:
    """Answer no handshake of some connections, and one request of the next; report the size of its segments."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    listening.settimeout(PATIENCE)
    with contextlib.ExitStack() as connections, contextlib.suppress(OSError):
        for _ in range(silent):
            connections.enter_context(listening.accept()[0])
        raw = connections.enter_context(listening.accept()[0])
        segments.put(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
        with context.wrap_socket(raw, server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
