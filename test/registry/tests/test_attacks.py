"""What strangers and careless clients send, and what they must not reach by it."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from registry.client import LocalRegistry, local_registry
from registry.tests.administrator import DEMO, administrator, free_port, layers
from registry.tests.asking import APP, ask, error, pushed
from registry.tests.clients import peak_memory
from registry.tests.conftest import WORLD
from registry.tests.images import INDEX, MANIFEST, Image, Repository, descriptor, digest_of, image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

BRACKETS = b"[" * 100_000
PAGE = f"/workspaces/{APP.replace('/', '/packages/')}"


@pytest.fixture
def repository(registry: LocalRegistry, session: requests.Session) -> Repository:
    return Repository(session, registry.url, APP)


def put(repository: Repository, body: bytes, tag: str = "", media_type: str = MANIFEST) -> requests.Response:
    url = f"{repository.url}/v2/{repository.name}/manifests/{tag or digest_of(body)}"
    return repository.session.put(url, data=body, headers={"Content-Type": media_type})


def index_of(*bodies: bytes, media_type: str = MANIFEST) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [descriptor(body, media_type) for body in bodies],
    }
    return json.dumps(document).encode()


def with_config(config: bytes) -> Image:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [],
    }
    return Image(json.dumps(document).encode(), MANIFEST, (config,))


class TestManifests:
    def test_lists_in_lists_keep_nobody_waiting(self, registry: LocalRegistry, repository: Repository) -> None:
        inner = image([b"the only one"])
        repository.push(inner)
        levels, media_type = [inner.manifest], MANIFEST
        for _ in range(5):
            levels.append(index_of(*[levels[-1]] * 12, media_type=media_type))
            media_type = INDEX
        with ThreadPoolExecutor() as threads:
            sent = threads.submit(lambda: [put(repository, body, media_type=INDEX) for body in levels[1:]])
            waited = slowest(registry, while_=lambda: not sent.done())
        answers = sent.result()
        assert [answer.status_code for answer in answers[:3]] == [201, 201, 201]
        assert error(answers[3]) == (400, "MANIFEST_INVALID")
        assert waited < 2

    def test_a_list_of_too_many(self, repository: Repository) -> None:
        inner = image([b"one of many"])
        repository.push(inner)
        answer = put(repository, index_of(*[inner.manifest] * 1001), "many", INDEX)
        assert error(answer) == (400, "MANIFEST_INVALID")

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(BRACKETS, id="100,000 brackets"),
            pytest.param(b'{"a":' * 50_000, id="50,000 objects"),
            pytest.param(b'{"layers": [' + b"1," * 100_000 + b"1]}", id="100,000 parts"),
            pytest.param(b"[]", id="no object"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, repository: Repository, body: bytes) -> None:
        assert error(put(repository, body)) == (400, "MANIFEST_INVALID")

    @pytest.mark.parametrize(
        "media_type",
        [
            pytest.param("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", id="OCI"),
            pytest.param("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", id="Docker"),
        ],
    )
    def test_layers_that_are_stored_elsewhere_are_refused(self, repository: Repository, media_type: str) -> None:
        content = image([b"a foreign layer"])
        repository.push(content)
        document = json.loads(content.manifest)
        document["layers"][0] |= {"mediaType": media_type, "urls": ["https://elsewhere.example/layer"]}
        answer = put(repository, json.dumps(document).encode(), "foreign")
        assert error(answer) == (400, "MANIFEST_INVALID")
        assert "stored elsewhere" in answer.text


class TestSha512:
    LONG = f"sha512:{'0' * 128}"

    @pytest.mark.parametrize("path", [f"blobs/{LONG}", f"manifests/{LONG}"])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_nothing_is_read_by_it(self, registry: LocalRegistry, method: str, path: str) -> None:
        assert ask(registry, method, f"/v2/{APP}/{path}").status_code == 400

    def test_nothing_is_pushed_by_it(self, registry: LocalRegistry, repository: Repository) -> None:
        opened = ask(registry, "POST", f"/v2/{APP}/blobs/uploads/")
        for body in (b"", b"content"):
            answer = ask(registry, "PUT", f"{opened.headers['Location']}&digest={self.LONG}", body=body)
            assert error(answer) == (400, "DIGEST_INVALID")
            assert "sha256" in answer.text
        named = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [{"digest": self.LONG}]}).encode()
        assert error(put(repository, named)) == (400, "MANIFEST_INVALID")


class TestConfigurations:
    def test_one_that_cannot_be_read_is_shown_as_such(self, registry: LocalRegistry, repository: Repository) -> None:
        repository.push(with_config(BRACKETS), "brackets")
        with registry.session("writer") as session:
            shown = session.get(f"{registry.url}/api/packages/{APP}/tags/brackets")
            assert shown.json()["images"][0]["platform"] == "configuration not readable"
            session.post(f"{registry.url}/login", data={"user": "writer", "token": "writer-token"})
            for page in ("", "/tags/brackets", "/tags/brackets/delete"):
                answer = session.get(registry.url + PAGE + page)
                assert answer.status_code == 200
                assert "<h1>" in answer.text

    def test_a_large_one_is_not_read(self, registry: LocalRegistry, repository: Repository) -> None:
        large = b"{" + b" " * 64_000_000 + b"}"
        before = peak_memory(registry)
        repository.push(with_config(large), "large")
        with registry.session("writer") as session:
            shown = session.get(f"{registry.url}/api/packages/{APP}").json()
        platforms = [each["images"][0]["platform"] for each in shown["tags"] if each["name"] == "large"]
        assert platforms == ["configuration not readable"]
        assert peak_memory(registry) - before < 32_000_000


class TestPages:
    def test_one_that_fails_is_still_a_page(self, registry: LocalRegistry) -> None:
        with registry.session() as session:
            answer = session.post(f"{registry.url}/workspaces/{DEMO}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (405, "text/html; charset=utf-8")
        assert "<h1>" in answer.text

    def test_what_clients_ask_is_no_page(self, registry: LocalRegistry) -> None:
        with registry.session() as session:
            assert error(session.get(f"{registry.url}/v1/search?q=app")) == (404, "UNSUPPORTED")
            assert error(session.get(f"{registry.url}/v1/_ping")) == (404, "UNSUPPORTED")


class TestOtherSites:
    @pytest.mark.parametrize(
        ("method", "path"), [("POST", "collections"), ("DELETE", f"packages/{APP}/tags/none"), ("POST", "packages")]
    )
    def test_they_command_nothing(self, registry: LocalRegistry, method: str, path: str) -> None:
        with registry.session("admin") as session:
            for origin in ("https://elsewhere.example", "null"):
                headers = {"Origin": origin}
                answer = session.request(method, f"{registry.url}/api/{path}", headers=headers, json={})
                assert (answer.status_code, list(answer.json())) == (403, ["error"])
            own = session.post(f"{registry.url}/api/collections", headers={"Origin": registry.url})
            assert own.status_code == 200

    @pytest.mark.parametrize(
        "lines",
        [
            pytest.param(["Host: one.example", "Host: two.example"], id="two"),
            pytest.param([], id="none"),
            pytest.param(["Host: a/b"], id="a path"),
            pytest.param(["Host: user@a"], id="a user"),
            pytest.param(["Host: a:b"], id="no port"),
        ],
    )
    def test_one_valid_host_is_asked_for(self, registry: LocalRegistry, lines: list[str]) -> None:
        address, port = registry.host.split(":")
        with socket.create_connection((address, int(port)), timeout=10) as connection:
            head = "\r\n".join(["GET /v2/ HTTP/1.1", *lines, "Connection: close", "", ""])
            connection.sendall(head.encode())
            with connection.makefile("rb") as answer:
                assert answer.readline().split()[1] == b"400"


class TestWhoSeesWhat:
    @pytest.mark.parametrize("path", ["manifests/never", "blobs/sha256:" + "0" * 64])
    def test_without_a_role_every_package_is_unknown(self, registry: LocalRegistry, path: str) -> None:
        texts = []
        for package in ("my-container-app", "no-such-app"):
            answer = ask(registry, "GET", f"/v2/{DEMO}/{package}/{path}", "stranger")
            assert error(answer) == (404, "NAME_UNKNOWN")
            texts.append(answer.text.replace(package, ""))
        assert texts[0] == texts[1]

    def test_a_reader_is_refused_where_a_push_begins(self, registry: LocalRegistry) -> None:
        content = image([b"a layer that is there"])
        pushed(registry, content, APP, "there")
        digest = digest_of(content.blobs[0])
        for query in ("", f"?mount={digest}&from={APP}", f"?digest={digest}"):
            answer = ask(registry, "POST", f"/v2/{APP}/blobs/uploads/{query}", "reader")
            assert error(answer) == (403, "DENIED")

    def test_a_tag_counts_only_what_its_own_repository_has(
        self, registry: LocalRegistry, repository: Repository
    ) -> None:
        content = image([b"a layer of two workspaces" * 50])
        pushed(registry, content, "other-workspace/my-container-app", "theirs")
        repository.push(content, "ours")
        link = f"repositories/{APP}/_layers/sha256/{digest_of(content.blobs[0]).removeprefix('sha256:')}"
        registry.run("rm", "-r", f"/var/lib/registry/storage/docker/registry/v2/{link}")
        with registry.session("writer") as session:
            tag = session.get(f"{registry.url}/api/packages/{APP}/tags/ours").json()
            assert tag["size"] == len(content.manifest) + len(content.blobs[1])
            session.delete(f"{registry.url}/api/packages/{APP}/tags/ours").raise_for_status()

    @pytest.mark.usefixtures("registry_image")
    def test_what_is_not_visible_yet_has_no_size(self) -> None:
        with administrator(visible_delay="1h") as admin:
            repository = admin.repository(APP)
            repository.push(image(layers(30)), "1.0")
            assert admin.ask("GET", f"packages/{APP}", 200)["size"] == 0
            assert admin.used() == 0


@pytest.mark.usefixtures("registry_image")
def test_young_blobs_outlive_a_restart_and_a_collection() -> None:
    content = image(layers(31))
    with administrator(port=free_port(), lease="100ms", young="1h") as admin:
        repository = admin.repository(APP)
        for blob in content.blobs:
            repository.upload(blob)
        admin.registry.container.kill("SIGKILL")
        admin.registry.container.start()
        admin.registry.await_ready()
        collected = admin.ask("POST", "collections", 200)
        assert (collected["blobs"], collected["young"]) == (0, len(content.blobs))
        repository.put_manifest(content, "1.0")
        assert repository.problems(content, "1.0") == []


@pytest.fixture(scope="module")
def guarded(registry_image: None) -> Iterator[LocalRegistry]:
    with local_registry(world=WORLD, header_timeout="500ms", max_layer="1MB", url="https://known.example") as running:
        yield running
        assert "Traceback" not in running.output()


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
        with socket.create_connection((address, int(port)), timeout=10) as connection:
            connection.sendall(beginning)
            began = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while connection.recv(1000):
                    connection.sendall(b"c")
            assert time.monotonic() - began < 5

    def test_one_that_waits_for_its_next_request_is_not(self, guarded: LocalRegistry) -> None:
        connection = HTTPConnection(guarded.host, timeout=10)
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

    def test_the_realm_can_be_configured(self, guarded: LocalRegistry) -> None:
        challenge = ask(guarded, "GET", "/v2/", user="").headers["WWW-Authenticate"]
        assert 'realm="https://known.example/token"' in challenge


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


def slowest(registry: LocalRegistry, while_: Callable[[], bool]) -> float:
    """Return the longest time in seconds that another client waited for an answer."""
    longest = 0.0
    with registry.session() as session:
        while while_():
            longest = max(longest, session.get(f"{registry.url}/v2/", timeout=60).elapsed.total_seconds())
    return longest
