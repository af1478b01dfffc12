"""Real connections to a server on a loopback port: how many there are, how long an answer may take."""

import contextlib
import hashlib
import http.server
import logging
import math
import os
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

import pytest
import requests
from integration.certificates import make_certificate
from registry.client import Tls
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPConnection

from pipe.config.settings import Credentials
from pipe.errors import PipeError, RegistryFailedError, RegistryTooSlowError
from pipe.push.transfer import WORKERS
from pipe.registry.client import CONNECTIONS, Client
from pipe.registry.deadline import DeadlineAdapter, _SecureDeadline
from pipe.registry.repository import Repository
from pipe.registry.run_clock import RunClock
from pipe.registry.tcp import shortest_round_trip
from pipe.registry.transport import Bearer, Request, Transport

TIMEOUT = 0.5
"""Seconds for an answer in these tests."""
PATIENCE = 20.0
"""Seconds after which a request that does not end at its deadline has failed the test."""


class Server(http.server.ThreadingHTTPServer):
    """A registry that stores nothing, and counts connections."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = self.accepted = 0
        self.most: float = math.inf
        """Connections that are accepted; further ones are closed."""
        self.arrivals = threading.Semaphore(0)
        self.bodies: list[bytes] = []
        self.heads = threading.Barrier(1)
        """Is waited for before a HEAD is answered."""

    @property
    def domain(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def verify_request(self, request: object, client_address: object) -> bool:
        """Return whether to accept a connection."""
        self.accepted += 1
        return self.accepted <= self.most

    def finish_request(self, request: object, client_address: object) -> None:
        if not isinstance(request, ssl.SSLSocket) and request.recv(1, socket.MSG_PEEK) == b"\x16":  # type: ignore[attr-defined]
            return  # a client that finds out whether this is TLS
        self.connections += 1
        self.arrivals.release()
        super().finish_request(request, client_address)  # type: ignore[arg-type]


class Handler(http.server.BaseHTTPRequestHandler):
    """Says yes."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.command == "HEAD":
            self.server.heads.wait(PATIENCE)
        status = {"POST": 202, "PATCH": 202, "PUT": 201}.get(self.command, 200)
        if self.command == "PUT":
            self.server.bodies.append(body)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Location", "/v2/acme/app/blobs/uploads/x")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = _answer  # noqa: N815


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class Quiet:
    """Logs nothing."""

    def info(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...
    def debug(self, text: str) -> None: ...
    def hide(self, secret: str) -> None: ...


@dataclass
class Blob:
    """A blob of one chunk."""

    data: bytes
    digest: str = ""

    def __iter__(self) -> Iterator[memoryview]:
        self.digest = f"sha256:{hashlib.sha256(self.data).hexdigest()}"
        yield memoryview(self.data)


@dataclass
class Watch:
    """Lets an upload go on."""

    totals: list[int] = field(default_factory=list)

    def check(self) -> None: ...
    def wait(self, seconds: float, cause: PipeError) -> None:
        raise cause

    def remaining(self) -> float:
        return 60.0

    def began(self, at: float) -> None: ...
    def sent(self, total: int) -> None:
        self.totals.append(total)


def repository(domain: str) -> Repository:
    """Return a repository of a registry."""
    return Client(domain, Credentials("me", "s3cr3t"), "test/1", Quiet()).repository("acme/app")


def test_twenty_blobs_and_questions_share_a_connection_for_each_worker_and_one_more(server: Server) -> None:
    registry = repository(server.domain)
    blobs = [bytes([number]) * 1000 for number in range(20)]
    registry.check_push()
    # One of them sends the config.
    with ThreadPoolExecutor(WORKERS + 1) as workers:
        uploads = [workers.submit(registry.put_blob, Blob(data), Watch()) for data in blobs]
        registry.stat_all(f"sha256:{number:064x}" for number in range(20))
        for upload in uploads:
            upload.result()
    assert sorted(server.bodies) == blobs
    assert server.connections <= WORKERS + 2


def test_the_round_trip_of_a_connection_is_measured_by_the_kernel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as connection:
        assert 0 < shortest_round_trip(connection) < math.inf


@pytest.mark.parametrize(
    ("round_trip", "answer", "is_near"),
    [
        pytest.param(None, 0.001, True, id="loopback"),
        pytest.param(0.0019, 0.019, True, id="data-centre"),
        pytest.param(0.0021, 0.001, False, id="far"),
        pytest.param(0.0001, 0.021, False, id="near-edge-of-a-far-registry"),
        pytest.param(math.inf, 0.001, False, id="unknown"),
    ],
)
def test_a_registry_is_near_if_round_trips_and_answers_are_short(
    server: Server, monkeypatch: pytest.MonkeyPatch, round_trip: float | None, answer: float, is_near: bool
) -> None:
    client = Client(server.domain, Credentials("me", "s3cr3t"), "test/1", Quiet())
    assert not client.is_near, "it is not connected"
    client.connect()
    monkeypatch.setattr(Client, "round_trip", answer)
    if round_trip is not None:
        monkeypatch.setattr("pipe.registry.deadline.shortest_round_trip", lambda _: round_trip)
    assert client.is_near is is_near


def test_the_round_trip_to_a_registry_behind_a_proxy_is_unknown(
    server: Server, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    transport = Transport("registry.example", "test/1", 1, trace=lambda _: None)
    assert transport.round_trip("http://registry.example") == math.inf
    assert Transport(server.domain, "test/1", 1, trace=lambda _: None).round_trip(f"http://{server.domain}") == math.inf


def test_a_connection_is_used_again_after_an_answer_that_was_read_whole(server: Server) -> None:
    registry = repository(server.domain)
    for number in range(10):
        registry.stat(f"sha256:{number:064x}")
        registry.read(f"sha256:{number:064x}", 100)
    assert server.connections == 1


def test_a_head_of_a_blob_passes_few_frames(server: Server) -> None:
    """From the question to the socket; frames of libraries do not count."""
    registry = repository(server.domain)
    registry.connect()
    stacks = list[list[str]]()

    def look(frame: FrameType, event: str, called: object) -> None:
        if event != "c_call" or getattr(called, "__name__", "") != "send":
            return
        names, each = list[str](), frame
        while each.f_back is not None:
            if "/pipe/" in each.f_code.co_filename:
                names.append(each.f_code.co_qualname)
            each = each.f_back
        stacks.append(names)

    def ask() -> None:
        sys.setprofile(look)
        registry.stat(f"sha256:{0:064x}")
        sys.setprofile(None)

    # As a worker does, which sends by itself; the main thread lets a thread of the pool send.
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert [(names[0], names[-1]) for names in stacks] == [("_Deadline.send", "Repository.stat")]
    assert len(stacks[0]) <= 8, stacks


def test_requests_end_with_the_time_of_the_run(server: Server) -> None:
    server.heads = threading.Barrier(CONNECTIONS + 1)
    run_clock = RunClock(time.monotonic, TIMEOUT)
    client = Client(server.domain, Credentials("me", "s3cr3t"), "test/1", Quiet(), run_clock=run_clock)
    with pytest.raises(RegistryTooSlowError):
        client.repository("acme/app").stat_all(f"sha256:{number:064x}" for number in range(20))
    assert not server.heads.broken, "a request lasted as long as the server waited"
    server.heads.abort()


class ConnectProxy(http.server.BaseHTTPRequestHandler):
    """Connects every name to the port of the request on this machine."""

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_CONNECT(self) -> None:
        port = int(self.path.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as target:
            self.send_response(200)
            self.end_headers()
            other = {self.connection: target, target: self.connection}
            while True:
                for reader in select.select(list(other), [], [])[0]:
                    piece = reader.recv(65536)
                    if not piece:
                        return
                    other[reader].sendall(piece)


@pytest.fixture
def proxy() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), ConnectProxy) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return make_certificate(tmp_path, "IP:127.0.0.1", "DNS:registry.test")


@pytest.fixture
def secure(server: Server, tls: Tls, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server over TLS, trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.authority))
    return server


@pytest.mark.parametrize("through", ["direct", "proxy"])
def test_connections_over_tls_are_used_again(
    secure: Server, proxy: str, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy if through == "proxy" else "http://127.0.0.1:1")
    host = "127.0.0.1" if through == "direct" else "registry.test"
    registry = repository(f"{host}:{secure.server_address[1]}")
    blobs = [bytes([number]) * 3_000_000 for number in range(3)]
    for data in blobs:
        registry.put_blob(Blob(data), Watch())
    assert secure.bodies == blobs
    assert secure.connections == 1


@pytest.mark.parametrize(
    ("through", "connections"), [pytest.param("direct", CONNECTIONS, id="direct"), pytest.param("proxy", 1, id="proxy")]
)
def test_connections_over_tls_are_opened_ahead(
    secure: Server, proxy: str, monkeypatch: pytest.MonkeyPatch, through: str, connections: int
) -> None:
    """Each takes two round trips or three, which the first questions would wait for."""
    monkeypatch.setenv("HTTPS_PROXY", proxy if through == "proxy" else "http://127.0.0.1:1")
    host = "127.0.0.1" if through == "direct" else "registry.test"
    client = Client(f"{host}:{secure.server_address[1]}", Credentials("me", "s3cr3t"), "test/1", Quiet())
    client.connect_early()
    client.connect()
    assert all(secure.arrivals.acquire(timeout=PATIENCE) for _ in range(connections))
    secure.heads = threading.Barrier(connections)
    heads = [f"sha256:{number:064x}" for number in range(connections)]
    client.repository("acme/app").stat_all(heads)
    assert secure.connections == connections


@pytest.mark.parametrize("silent", [(True, False), (False, False)], ids=["between-two-looks", "before"])
def test_a_ticket_does_not_end_a_connection(monkeypatch: pytest.MonkeyPatch, silent: tuple[bool, bool]) -> None:
    """TLS 1.3 sends tickets after the handshake, at any moment; no request was sent yet."""
    looks = iter(silent)
    monkeypatch.setattr(HTTPConnection, "is_connected", property(lambda _: next(looks)))
    here, there = socket.socketpair()
    context = ssl.create_default_context()
    with there, context.wrap_socket(here, server_hostname="x.test", do_handshake_on_connect=False) as secure:
        connection = _SecureDeadline("x.test")
        connection.sock = secure
        assert connection.is_connected
        connection.sock = None


def test_connections_whose_handshakes_stall_are_free_again_in_time() -> None:
    """A registry may limit the connections of a client."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        adapter = DeadlineAdapter(CONNECTIONS)
        adapter.open_others(url, True, TIMEOUT)
        pool = adapter.get_connection_with_tls_context(requests.Request("GET", url).prepare(), True)
        assert isinstance(pool, HTTPSConnectionPool)
        connections = [pool._get_conn(timeout=PATIENCE) for _ in range(CONNECTIONS)]  # noqa: SLF001
        assert all(each.is_closed for each in connections)


def test_open_connections_are_used_if_the_registry_accepts_no_others(secure: Server) -> None:
    secure.most = 1
    # Else each would be accepted by the handshake.
    secure.socket.do_handshake_on_connect = False  # type: ignore[attr-defined]
    client = Client(f"127.0.0.1:{secure.server_address[1]}", Credentials("me", "s3cr3t"), "test/1", Quiet())
    client.connect_early()
    client.connect()
    for thread in threading.enumerate():
        if thread.name.startswith("connection-"):
            thread.join(PATIENCE)
    registry = client.repository("acme/app")
    for _ in range(CONNECTIONS):
        registry.check_push()
    assert secure.connections == secure.most


@pytest.mark.parametrize("through", ["direct", "proxy"])
def test_connections_over_tls_share_the_authorities(
    secure: Server, proxy: str, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    """Those of the image are 150 kB, which each connection would read and parse."""
    read, original = [], ssl.SSLContext.load_verify_locations

    def load(context: ssl.SSLContext, *files: str | None) -> None:
        read.append(files[0])
        original(context, *files)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load)
    monkeypatch.setenv("HTTPS_PROXY", proxy if through == "proxy" else "http://127.0.0.1:1")
    registry = repository(f"{'127.0.0.1' if through == 'direct' else 'registry.test'}:{secure.server_address[1]}")
    secure.heads = threading.Barrier(3)
    registry.pool.gather([partial(registry.stat, f"sha256:{number:064x}") for number in range(3)])
    assert secure.connections == 3
    assert read == [os.environ["REQUESTS_CA_BUNDLE"]]


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass
class Dribble:
    """Sends some bytes at once, and then one at a time for ever."""

    begin: bytes
    forever: bytes

    def __call__(self, connection: socket.socket, end: threading.Event) -> None:
        connection.sendall(self.begin)
        while not end.wait(0.02):
            for byte in self.forever:
                connection.sendall(bytes([byte]))
                if end.wait(0.02):
                    return


DRIBBLES = {
    "status": Dribble(b"HTTP/1.1 200 ", b"O"),
    "headers": Dribble(HEAD, b"X: y\r\n"),
    "continues": Dribble(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": Dribble(HEAD + b"Content-Length: 100000\r\n\r\n", b"x"),
    "chunk-size": Dribble(CHUNKED, b"0"),
    "chunks": Dribble(CHUNKED, b"1\r\nx\r\n"),
    "trailers": Dribble(CHUNKED + b"0\r\n", b"T: x\r\n"),
}


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """Serve one connection, and yield the address."""
    end = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    serve(connection, end)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v2/"
        end.set()
        thread.join(PATIENCE)


class Pieces:
    """A large body in pieces, each of which is accepted in time."""

    def __len__(self) -> int:
        return 3000 * 16384

    def __iter__(self) -> Iterator[memoryview]:
        yield from [memoryview(bytes(16384))] * 3000


def send(
    url: str, body: "bytes | Pieces" = b"", limit: float = TIMEOUT, timeout: float = TIMEOUT
) -> BaseException | None:
    """Send a request and return its failure."""
    transport = Transport("127.0.0.1", "test/1", 1, trace=lambda _: None)
    failures = list[BaseException]()

    def call() -> None:
        try:
            request = Request("PATCH" if body else "GET", url, body=body, timeout=timeout, limit=limit, maximum=10**6)
            transport.send(request, Bearer())
        except PipeError as error:
            failures.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "the request did not end at its deadline"
    return failures[0] if failures else None


@pytest.mark.parametrize(
    "limit", [pytest.param(TIMEOUT, id="request"), pytest.param(10 * PATIENCE, id="answer-to-a-long-request")]
)
@pytest.mark.parametrize("dribble", DRIBBLES.values(), ids=DRIBBLES.keys())
def test_an_answer_that_dribbles_ends_at_the_deadline(dribble: Dribble, limit: float) -> None:
    with listening(dribble) as url:
        failure = send(url, b"a chunk" if limit > TIMEOUT else b"", limit=limit)
    assert isinstance(failure, RegistryFailedError)
    assert "in time" in str(failure)


def test_a_body_that_is_read_slowly_ends_at_the_deadline() -> None:
    def swallow(connection: socket.socket, end: threading.Event) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while not end.wait(0.02):
            connection.recv(1024)

    with listening(swallow) as url:
        failure = send(url, Pieces())
    assert isinstance(failure, RegistryFailedError)


def test_an_answer_within_the_deadline_arrives() -> None:
    def serve(connection: socket.socket, end: threading.Event) -> None:
        for byte in HEAD + b"Content-Length: 3\r\n\r\nyes":
            connection.sendall(bytes([byte]))
        end.wait(PATIENCE)

    with listening(serve) as url:
        assert send(url, limit=PATIENCE, timeout=PATIENCE) is None


def test_headers_that_are_broken_are_not_logged_with_the_url_of_the_upload(caplog: pytest.LogCaptureFixture) -> None:
    def serve(connection: socket.socket, end: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + b"Content-Length: 0\r\nno header\r\nX: y\r\n\r\n")
        end.wait(PATIENCE)

    with caplog.at_level(logging.INFO), listening(serve) as url:
        assert send(f"{url}acme/app/blobs/uploads/x?_state=secret", limit=PATIENCE, timeout=PATIENCE) is None
    assert caplog.text == ""
