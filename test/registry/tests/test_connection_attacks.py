"""Connections that send too much, too slowly or nothing, and what they cost the others."""

from __future__ import annotations

import base64
import contextlib
import gzip
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from registry.client import LocalRegistry, local_registry
from registry.tests.asking import APP, ask, error
from registry.tests.clients import peak_memory
from registry.tests.conftest import LARGEST_MEMORY, WORLD
from registry.tests.images import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.tests.outside import OutsideRegistry


LONG = 60.0
"""Seconds after which a test fails whose connection is not cut off."""


@pytest.fixture(scope="module")
def guarded(registry_image: None) -> Iterator[LocalRegistry]:
    known = local_registry(
        world=WORLD, header_timeout="500ms", max_layer="1MB", url="https://known.example", most_uploads="20"
    )
    with known as running:
        yield running
        assert "Traceback" not in running.output()
        assert peak_memory(running) < LARGEST_MEMORY


class TestConnections:
    @pytest.mark.parametrize(
        "beginning",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"GET /v2/ HTTP/1.1\r\nA: b", id="half a header"),
            pytest.param(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\nGET", id="half a second request"),
        ],
    )
    def test_headers_that_never_end_are_cut_off(self, guarded: LocalRegistry, beginning: bytes) -> None:
        address, port = guarded.host.split(":")
        with socket.create_connection((address, int(port)), timeout=LONG) as connection:
            connection.sendall(beginning)
            with contextlib.suppress(ConnectionError):
                while connection.recv(1000):
                    connection.sendall(b"c")

    @pytest.mark.parametrize("path", ["/login", "/logout", "/create", "/api/packages", "/api/faults"])
    def test_a_body_that_never_ends_is_cut_off(self, guarded: LocalRegistry, path: str) -> None:
        with guarded.session() as visitor:
            visitor.post(f"{guarded.url}/login", data={"user": "admin", "token": "admin-token"})
            head = {
                "Host": guarded.host,
                "Content-Length": "100",
                "Content-Type": "application/json" if "api" in path else "application/x-www-form-urlencoded",
                "Cookie": f"registry_session={visitor.cookies.get('registry_session', '')}",
                "Authorization": f"Basic {base64.b64encode(b'admin:admin-token').decode()}",
            }
        connection = HTTPConnection(guarded.host, timeout=LONG)
        connection.putrequest("POST", path, skip_host=True)
        for name, value in head.items():
            connection.putheader(name, value)
        connection.endheaders(b"a=")
        assert connection.getresponse().status == 408
        connection.close()

    def test_one_that_waits_for_its_next_request_is_not(self, guarded: LocalRegistry) -> None:
        connection = HTTPConnection(guarded.host, timeout=LONG)
        connection.request("GET", "/v2/")
        first = connection.sock
        assert connection.getresponse().read()
        time.sleep(0.7)  # what is shown is that nothing happens
        connection.request("GET", "/v2/")
        assert connection.getresponse().read()
        assert connection.sock is first
        connection.close()

    def test_long_values_do_not_stay_in_the_log(self, guarded: LocalRegistry) -> None:
        guarded.clear()
        with guarded.session("writer") as session:
            headers = {"User-Agent": "b" * 4000, "Content-Range": "c" * 999}
            session.get(f"{guarded.url}/v2/{'a' * 1000}", headers=headers)
        [entry] = guarded.requests()
        assert (len(entry.path), len(entry.user_agent), len(entry.content_range)) == (200, 200, 200)

    def test_what_is_sent_compressed_is_stored_as_it_came(self, guarded: LocalRegistry) -> None:
        content = gzip.compress(bytes(200_000_000), 9)
        before = peak_memory(guarded)
        with guarded.session("writer") as session:
            location = guarded.url + session.post(f"{guarded.url}/v2/{APP}/blobs/uploads/").headers["Location"]
            headers = {"Content-Encoding": "gzip"}
            answer = session.put(f"{location}&digest={digest_of(content)}", data=content, headers=headers)
            assert answer.status_code == 201, answer.text
            assert session.get(f"{guarded.url}/v2/{APP}/blobs/{digest_of(content)}").content == content
            form = {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
            assert session.post(f"{guarded.url}/login", data=content[:9999], headers=form).status_code == 401
        assert peak_memory(guarded) - before < 16_000_000

    def test_the_cookie_is_for_tls_only_where_the_registry_is_known_by_it(self, guarded: LocalRegistry) -> None:
        with guarded.session() as session:
            form = {"user": "reader", "token": "reader-token"}
            answer = session.post(f"{guarded.url}/login", data=form, allow_redirects=False)
        assert "Secure" in answer.headers["Set-Cookie"]

    def test_the_realm_can_be_configured(self, guarded: LocalRegistry) -> None:
        challenge = ask(guarded, "GET", "/v2/", user="").headers["WWW-Authenticate"]
        assert 'realm="https://known.example/token"' in challenge


class TestFloods:
    """What never becomes a request, sent as fast as it goes, is cut off before it costs anything."""

    HEAD = b"GET /v2/ HTTP/1.1\r\nHost: a\r\n"
    UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    CHUNKED = b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

    @pytest.mark.parametrize(
        ("beginning", "repeated"),
        [
            pytest.param(HEAD, b"a: b\r\n", id="headers"),
            pytest.param(b"", b"\r\n", id="empty lines"),
            pytest.param(b"", HEAD + b"\r\n", id="requests without waiting for answers"),
            pytest.param(CHUNKED + b"0\r\n", b"a: b\r\n", id="trailers"),
            pytest.param(CHUNKED + b"1;", b"a" * 100, id="a chunk's extension"),
            pytest.param(HEAD + UPGRADE, b"a" * 100, id="after an upgrade"),
            pytest.param(HEAD + b"Content-Length: 9999999999\r\n\r\n", b"a" * 100, id="a body that nobody reads"),
        ],
    )
    def test_they_are_cut_off(self, either: LocalRegistry | OutsideRegistry, beginning: bytes, repeated: bytes) -> None:
        before = peak_memory(either)
        address, port = either.host.split(":")
        block = repeated * (65_536 // len(repeated))
        with socket.create_connection((address, int(port)), timeout=LONG) as connection:
            connection.sendall(beginning)
            deadline = time.monotonic() + LONG
            with contextlib.suppress(ConnectionError):
                while time.monotonic() < deadline:
                    connection.sendall(block)
            assert time.monotonic() < deadline, "the registry goes on reading"
        assert peak_memory(either) - before < 8_000_000

    def test_a_head_that_is_too_long_is_told_so(self, registry: LocalRegistry) -> None:
        address, port = registry.host.split(":")
        with socket.create_connection((address, int(port)), timeout=LONG) as connection:
            connection.sendall(self.HEAD + b"a: b\r\n" * 299)
            assert connection.recv(1000).startswith(b"HTTP/1.1 431 ")


class TestOpenUploads:
    def test_there_is_a_most(self, guarded: LocalRegistry) -> None:
        with guarded.session("admin") as session:
            url = f"{guarded.url}/v2/demo-workspace/second-app/blobs/uploads/"
            opened = [session.post(url) for _ in range(21)]
            assert {answer.status_code for answer in opened[:20]} == {202}
            assert error(opened[20]) == (429, "TOOMANYREQUESTS")
            assert int(opened[20].headers["Retry-After"]) > 0
            assert session.post(f"{guarded.url}/v2/{APP}/blobs/uploads/").status_code == 202
            done = session.put(f"{guarded.url}{opened[0].headers['Location']}&digest={digest_of(b'x')}", data=b"x")
            assert done.status_code == 201
            assert session.post(url).status_code == 202


def test_what_was_refused_does_not_count_as_stored(guarded: LocalRegistry) -> None:
    """Bodies that are sent side by side, each under the limit, and all of them over it."""
    body = b"x" * 400_000
    with guarded.session("writer") as session:
        location = guarded.url + session.post(f"{guarded.url}/v2/{APP}/blobs/uploads/").headers["Location"]
    guarded.fault(method="PATCH", bytes_per_second=2_000_000)

    def patch(_: int) -> int:
        with guarded.session("writer") as session:
            return session.patch(location, data=body).status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(patch, range(4)))
    guarded.clear_faults()
    print(statuses)
    assert 202 in statuses
    with guarded.session("writer") as session:
        assert 413 not in [*statuses, session.get(location).status_code]
