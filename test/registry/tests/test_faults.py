"""Faults on demand."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
from registry.tests.asking import APP, LARGE, send_blob
from registry.tests.images import Repository, digest_of, image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from registry.client import LocalRegistry


LOOK = """
import socket
with socket.create_connection(("127.0.0.1", 5000)) as connection:
    connection.sendall(b"GET /v2/ HTTP/1.1\\r\\nHost: registry\\r\\n\\r\\n")
    print(len(connection.recv(1000)), "bytes")
"""


@pytest.fixture
def repository(registry: LocalRegistry, session: requests.Session) -> Iterator[Repository]:
    yield Repository(session, registry.url, APP)
    registry.clear_faults()


class TestAnswers:
    def test_status_headers_and_body(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(
            method="PATCH",
            answer={"status": 413, "headers": {"Content-Type": "text/html"}, "body": "<h1>no</h1>"},
        )
        answer = send_blob(registry, session, b"x")
        assert (answer.status_code, answer.text) == (413, "<h1>no</h1>")
        assert answer.headers["Content-Type"] == "text/html"

    def test_skip_and_times(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(path="/v2/", answer={"status": 503}, skip=1, times=2)
        statuses = [session.get(f"{registry.url}/v2/").status_code for _ in range(5)]
        assert statuses == [200, 503, 503, 200, 200]

    @pytest.mark.parametrize(
        ("condition", "strikes"),
        [
            pytest.param({}, True, id="none"),
            pytest.param({"method": "GET"}, True, id="method"),
            pytest.param({"method": "HEAD"}, False, id="another method"),
            pytest.param({"path": "/v2/*/manifests/*"}, True, id="path"),
            pytest.param({"path": "/v2/*/blobs/*"}, False, id="another path"),
            pytest.param({"user_agent": "docker/*"}, True, id="user agent"),
            pytest.param({"user_agent": "bbc-*"}, False, id="another user agent"),
            pytest.param({"account": "writer"}, True, id="account"),
            pytest.param({"account": ""}, False, id="no account"),
            pytest.param({"method": "GET", "account": "reader"}, False, id="both must match"),
            pytest.param({"mounts": ""}, True, id="no mount"),
            pytest.param({"mounts": "?*"}, False, id="a mount"),
            pytest.param({"media_type": "*zstd"}, False, id="no manifest with such a media type"),
        ],
    )
    def test_conditions(
        self,
        registry: LocalRegistry,
        session: requests.Session,
        condition: Mapping[str, str],
        *,
        strikes: bool,
    ) -> None:
        registry.fault(**condition, answer={"status": 418})
        url = f"{registry.url}/v2/{APP}/manifests/never?n=1"
        answer = session.get(url, headers={"User-Agent": "docker/20.10 go/go1"})
        assert answer.status_code == (418 if strikes else 404)

    def test_1_gb_of_answer(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(path="/v2/", answer={"status": 500, "body": "<", "body_bytes": 1_000_000_000})
        with session.get(f"{registry.url}/v2/", stream=True) as answer:
            assert answer.headers["Content-Length"] == "1000000001"
            assert next(answer.iter_content(10)).startswith(b"<xxx")
        [entry] = registry.wait_for(path="/v2/", status="500", state="cut")
        assert entry.sent < 1_000_000_000

    def test_after_some_of_the_body(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(method="PATCH", after=1_000_000, answer={"status": 500})
        assert send_blob(registry, session, LARGE[:2_000_000]).status_code == 500
        [entry] = registry.requests(method="PATCH")
        assert entry.received == 1_000_000

    def test_wait(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(path="/v2/", wait=0.3)
        answer = session.get(f"{registry.url}/v2/")
        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() > 0.3


class TestConnections:
    @pytest.mark.parametrize("how", ["reset", "close"])
    def test_cut_at_once(self, registry: LocalRegistry, session: requests.Session, how: str) -> None:
        registry.fault(path="/v2/", cut=how)
        with pytest.raises(requests.ConnectionError):
            session.get(f"{registry.url}/v2/")
        [entry] = registry.requests(path="/v2/")
        assert (entry.status, entry.sent, entry.state) == (None, 0, "cut")

    @pytest.mark.parametrize(
        ("how", "seen"),
        [
            pytest.param("reset", "Connection reset by peer", id="reset"),
            pytest.param("close", "0 bytes", id="close"),
        ],
    )
    def test_how_it_is_cut(self, registry: LocalRegistry, how: str, seen: str) -> None:
        registry.fault(path="/v2/", cut=how)
        # Beside the gateway: the Engine's port forwarding makes the two look the same.
        assert seen in registry.run("python3", "-c", LOOK)

    def test_cut_in_the_middle_of_an_upload(
        self, registry: LocalRegistry, repository: Repository, session: requests.Session
    ) -> None:
        registry.fault(method="PATCH", after=5_000_000, cut="reset", times=1)
        with pytest.raises(requests.ConnectionError):
            send_blob(registry, session, LARGE)
        [entry] = registry.wait_for(method="PATCH", state="cut")
        assert entry.received == 5_000_000
        content = image([LARGE])
        repository.push(content, "after-the-cut")
        assert repository.problems(content, "after-the-cut") == []

    def test_cut_in_the_middle_of_a_download(
        self, registry: LocalRegistry, repository: Repository, session: requests.Session
    ) -> None:
        repository.push(image([LARGE]), "download")
        registry.fault(method="GET", path="*/blobs/*", after=5_000_000, cut="reset")
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            session.get(f"{registry.url}/v2/{APP}/blobs/{digest_of(LARGE)}")
        [entry] = registry.wait_for(path="*/blobs/sha256*", method="GET", state="cut")
        assert entry.sent == 5_000_000

    def test_no_answer(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(path="/v2/", hang=True)
        with pytest.raises(requests.ReadTimeout):
            session.get(f"{registry.url}/v2/", timeout=0.5)
        [entry] = registry.wait_for(path="/v2/", state="cut")
        assert (entry.status, entry.sent) == (None, 0)

    def test_removing_it_lets_go(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(path="/v2/", hang=True)
        with ThreadPoolExecutor() as threads:
            asked = threads.submit(session.get, f"{registry.url}/v2/")
            registry.wait_for(path="/v2/", state="open")
            registry.clear_faults()
            assert isinstance(asked.exception(timeout=60), requests.ConnectionError)

    def test_a_slow_link(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(method="PATCH", bytes_per_second=1_000_000)
        began = time.monotonic()
        assert send_blob(registry, session, LARGE[:500_000]).status_code == 202
        assert 0.4 < time.monotonic() - began < 2


class TestWrongHeaders:
    def test_a_wrong_digest(self, registry: LocalRegistry, repository: Repository) -> None:
        content = image([b"another digest"])
        repository.push(content, "wrong-digest")
        wrong = f"sha256:{'0' * 64}"
        registry.fault(method="HEAD", replace_headers={"Docker-Content-Digest": wrong}, times=1)
        url = f"{registry.url}/v2/{APP}/manifests/wrong-digest"
        headers = {"Accept": content.media_type}
        digests = [repository.session.head(url, headers=headers).headers["Docker-Content-Digest"] for _ in range(2)]
        assert digests == [wrong, content.digest]

    def test_a_foreign_location(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(method="POST", replace_headers={"Location": "http://other.test/upload"})
        answer = session.post(f"{registry.url}/v2/{APP}/blobs/uploads/")
        assert answer.headers["Location"] == "http://other.test/upload"

    def test_another_realm(self, registry: LocalRegistry) -> None:
        challenge = 'Bearer realm="http://other.test/token",service="x"'
        registry.fault(replace_headers={"WWW-Authenticate": challenge})
        with registry.session() as nobody, registry.session("writer") as writer:
            assert nobody.get(f"{registry.url}/v2/").headers["WWW-Authenticate"] == challenge
            assert "WWW-Authenticate" not in writer.get(f"{registry.url}/v2/").headers


class TestDescriptions:
    @pytest.mark.parametrize(
        ("description", "words"),
        [
            pytest.param({}, "needs one of", id="nothing"),
            pytest.param({"answr": {}}, "unknown key 'answr'", id="unknown key"),
            pytest.param({"answer": {"code": 500}}, "unknown key 'code'", id="unknown part"),
            pytest.param({"answer": {}}, "status from 200 to 599", id="no status"),
            pytest.param({"answer": {"status": 99}}, "status from 200 to 599", id="status"),
            pytest.param({"answer": {"status": "500"}}, "status takes int", id="status as text"),
            pytest.param({"times": -1, "hang": True}, "negative", id="negative"),
            pytest.param({"cut": "softly"}, "reset or close", id="another cut"),
            pytest.param({"cut": "reset", "hang": True}, "at most one", id="two ends"),
            pytest.param({"bytes_per_second": 0}, "above 0", id="no speed"),
            pytest.param({"hang": 1}, "hang takes bool", id="number for a truth"),
            pytest.param({"times": True, "hang": True}, "times takes int", id="truth for a number"),
            pytest.param({"replace_headers": {"A": "b\r\nC: d"}}, "one line", id="two lines"),
            pytest.param({"mount": "refused"}, "ignored or challenged", id="another mount"),
            pytest.param({"media_type": "*", "wait": 1, "hold": "1"}, "hold takes int or float", id="hold as text"),
            pytest.param({"media_type": "*zstd", "wait": 1}, "goes with answer, cut or hang", id="late wait"),
        ],
    )
    def test_what_means_nothing_is_refused(
        self, registry: LocalRegistry, description: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ValueError, match=words):
            registry.fault(**description)

    @pytest.mark.parametrize(
        ("body", "content_type", "status"),
        [
            pytest.param(b"{", "application/json", 400, id="not JSON"),
            pytest.param(b"\xff", "application/json", 400, id="not UTF-8"),
            pytest.param(b"[]", "application/json", 400, id="no object"),
            pytest.param(b'{"hang": true}', "text/plain", 400, id="as another site could send it"),
        ],
    )
    def test_what_is_no_fault_is_refused(
        self, registry: LocalRegistry, body: bytes, content_type: str, status: int
    ) -> None:
        with registry.session("admin") as session:
            answer = session.post(f"{registry.url}/api/faults", data=body, headers={"Content-Type": content_type})
        assert (answer.status_code, list(answer.json())) == (status, ["error"])

    def test_its_answer_may_be_large_and_deep(self, registry: LocalRegistry, session: requests.Session) -> None:
        body = "[" * 4_000_000
        registry.fault(path="*/manifests/deep", answer={"status": 200, "body": body})
        assert session.get(f"{registry.url}/v2/{APP}/manifests/deep").text == body

    @pytest.mark.parametrize(
        ("user", "status"),
        [
            pytest.param("admin", 200, id="operator"),
            pytest.param("writer", 403, id="Write"),
            pytest.param("other-admin", 403, id="Admin of a workspace"),
            pytest.param("", 401, id="nobody"),
        ],
    )
    @pytest.mark.parametrize("path", ["faults", "requests", "requests/quiet?seconds=0"])
    def test_only_operators_control(self, registry: LocalRegistry, user: str, status: int, path: str) -> None:
        with registry.session(user) as session:
            assert session.get(f"{registry.url}/api/{path}").status_code == status
