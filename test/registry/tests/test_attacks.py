"""What strangers and careless clients ask for, and what they must not reach by it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from registry.tests.administrator import DEMO, administrator, layers
from registry.tests.asking import APP, ask, error, pushed
from registry.tests.clients import free_port
from registry.tests.images import Repository, digest_of, image

if TYPE_CHECKING:
    from registry.client import LocalRegistry

FORM = "application/x-www-form-urlencoded"


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


class TestWhatMeansNothing:
    """It is refused like anything else that is wrong: no failure, and no traceback in the log."""

    @pytest.mark.parametrize("scheme", ["Basic", "Bearer", "Digest"])
    @pytest.mark.parametrize("path", ["/v2/", "/token", "/api/packages/demo-workspace", "/api/faults"])
    def test_credentials(self, registry: LocalRegistry, path: str, scheme: str) -> None:
        with registry.session() as session:
            headers = {"Authorization": f"{scheme} ".encode() + b"\xff\xfe"}
            assert session.get(registry.url + path, headers=headers).status_code == 401

    @pytest.mark.parametrize(
        ("content_type", "body", "status"),
        [
            pytest.param(FORM, b"user=\xff&token=x", 401, id="not UTF-8"),
            pytest.param(f"{FORM}; charset=none", b"user=a&token=x", 401, id="unknown encoding"),
            pytest.param(f"{FORM}; charset=utf-7", b"user=admin&token=+2AA-", 401, id="half a letter"),
            pytest.param("multipart/form-data", b"user=a&token=x", 401, id="parts without a boundary"),
            pytest.param(FORM, b"a&" * 30_000, 401, id="30,000 fields"),
            pytest.param(FORM, b"user=" + b"%41" * 20_000, 401, id="a long name"),
            pytest.param(FORM, b"user=" + b"a" * 70_000, 413, id="too much"),
        ],
    )
    def test_a_login(self, registry: LocalRegistry, content_type: str, body: bytes, status: int) -> None:
        with registry.session() as session:
            answer = session.post(f"{registry.url}/login", data=body, headers={"Content-Type": content_type})
        assert answer.status_code == status
        assert "<h1>" in answer.text

    @pytest.mark.parametrize("path", ["packages", "faults"])
    @pytest.mark.parametrize("body", [b"[" * 60_000, b'{"a":' * 12_000, b"\xff", b'"a"', b"1" * 60_000, b""])
    def test_json(self, registry: LocalRegistry, path: str, body: bytes) -> None:
        with registry.session("admin") as session:
            headers = {"Content-Type": "application/json"}
            answer = session.post(f"{registry.url}/api/{path}", data=body, headers=headers)
        assert (answer.status_code, list(answer.json())) == (400, ["error"])

    @pytest.mark.parametrize(
        "line",
        [
            pytest.param("CONNECT /v2/?from=a:b", id="a tunnel"),
            pytest.param("GET http://a:b/v2/", id="no port"),
            pytest.param("GET http://[a/v2/", id="no address"),
            pytest.param("POST http://a:99999999/login", id="too large a port"),
        ],
    )
    def test_a_target(self, registry: LocalRegistry, line: str) -> None:
        address, port = registry.host.split(":")
        with socket.create_connection((address, int(port)), timeout=10) as connection:
            connection.sendall(f"{line} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na".encode())
            assert connection.recv(1000).split()[1] == b"400"

    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    def test_a_type_of_a_blob(self, registry: LocalRegistry, method: str) -> None:
        location = ask(registry, "POST", f"/v2/{APP}/blobs/uploads/").headers["Location"]
        if method == "PUT":
            location += f"&digest={digest_of(b'blob')}"
        answer = ask(registry, method, location, headers={"Content-Type": "text/plain"}, body=b"blob")
        assert error(answer) == (400, "BLOB_UPLOAD_INVALID")
        kept = {"Content-Type": "application/octet-stream"}
        assert ask(registry, method, location, headers=kept, body=b"blob").status_code in (201, 202)

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_an_address_of_the_api(self, registry: LocalRegistry, method: str) -> None:
        with registry.session() as session:
            answer = session.request(method, f"{registry.url}/api/nothing/here")
        assert (answer.status_code, list(answer.json())) == (404, ["error"])


class TestPaths:
    @pytest.mark.parametrize(
        "tag",
        [
            "..%2Ftags",
            "..%2F..%2F_layers",
            "..%2F..%2F..%2Fsecond-app",
            "%2E%2E",
            "..%5C..",
            "1.0%2F..%2F1.0",
            "%2Fetc",
            "1.0%00",
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_a_tag_leads_to_no_other_folder(
        self, registry: LocalRegistry, repository: Repository, method: str, tag: str
    ) -> None:
        content = image([b"what a path might lead to"])
        repository.push(content, "1.0")
        with registry.session("admin") as session:
            answer = session.request(method, f"{registry.url}/api/packages/{APP}/tags/{tag}")
        assert answer.status_code in (404, 405)
        assert repository.problems(content, "1.0") == []


class TestOtherSites:
    @pytest.mark.parametrize(
        ("method", "path"), [("POST", "collections"), ("DELETE", f"packages/{APP}/tags/none"), ("POST", "packages")]
    )
    def test_they_command_nothing(self, registry: LocalRegistry, method: str, path: str) -> None:
        with registry.session("admin") as session:
            for origin in ("https://elsewhere.example", "null", "", "http://[", "x"):
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
