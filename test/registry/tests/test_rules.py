"""The rules of Bitbucket's registry, over plain HTTP."""

from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING

import pytest
from registry.tests.images import INDEX, MANIFEST, Image, Repository, digest_of, image, image_list

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests
    from registry.client import LocalRegistry

APP = "demo-workspace/my-container-app"
MISSING = f"sha256:{'0' * 64}"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def ask(
    registry: LocalRegistry,
    method: str,
    path: str,
    user: str = "writer",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> requests.Response:
    """Send a request with a token for the repository that the path names."""
    with registry.session() as session:
        bearer = {}
        if user:
            name = re.match(r"/v2/([^/]+/[^/]+)/", path)
            scopes = [f"{name[1]}:pull,push"] if name else []
            bearer = registry.bearer(user, *scopes)
        return session.request(
            method, registry.url + path, headers={**bearer, **(headers or {})}, data=body, timeout=30
        )


def error(answer: requests.Response) -> tuple[int, str]:
    """Return the status and the OCI code of an error."""
    assert answer.headers["Content-Type"].startswith("application/json"), answer.text
    [entry] = answer.json()["errors"]
    assert entry["message"], answer.text
    return answer.status_code, entry["code"]


def pushed(registry: LocalRegistry, content: Image, name: str, tag: str, user: str = "writer") -> None:
    with registry.session() as session:
        session.headers.update(registry.bearer(user, f"{name}:pull,push"))
        Repository(session, registry.url, name).push(content, tag)


class TestLogin:
    def test_the_base_names_where_to_get_a_token(self, registry: LocalRegistry) -> None:
        answer = ask(registry, "GET", "/v2/", user="")
        assert error(answer) == (401, "UNAUTHORIZED")
        assert answer.headers["WWW-Authenticate"] == (
            f'Bearer realm="{registry.url}/token",service="bitbucket-packages"'
        )

    @pytest.mark.parametrize(
        ("method", "path", "actions"),
        [
            pytest.param("GET", "manifests/latest", "pull", id="pull"),
            pytest.param("POST", "blobs/uploads/", "pull,push", id="push"),
        ],
    )
    def test_a_challenge_names_the_scope(self, registry: LocalRegistry, method: str, path: str, actions: str) -> None:
        answer = ask(registry, method, f"/v2/{APP}/{path}", user="")
        assert answer.status_code == 401
        assert f'scope="repository:{APP}:{actions}"' in answer.headers["WWW-Authenticate"]

    def test_a_token_opens_the_base(self, registry: LocalRegistry) -> None:
        answer = ask(registry, "GET", "/v2/")
        assert (answer.status_code, answer.text) == (200, "{}")
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"

    def test_basic_credentials_open_it_too(self, registry: LocalRegistry) -> None:
        with registry.session("writer") as session:
            assert session.get(f"{registry.url}/v2/").status_code == 200

    @pytest.mark.parametrize(
        ("user", "token"),
        [
            pytest.param("writer", "wrong", id="wrong token"),
            pytest.param("writer", "", id="no token"),
            pytest.param("nobody", "nobody-token", id="no such user"),
            pytest.param("writer", "ATCTT3xFfGF0", id="access token"),
            pytest.param("", "", id="no credentials"),
        ],
    )
    def test_unknown_credentials_are_refused(self, registry: LocalRegistry, user: str, token: str) -> None:
        with registry.session(user, token) as session:
            assert error(session.get(f"{registry.url}/token")) == (401, "UNAUTHORIZED")
            assert error(session.get(f"{registry.url}/v2/")) == (401, "UNAUTHORIZED")

    @pytest.mark.parametrize(
        "authorization",
        [
            pytest.param("Bearer", id="nothing"),
            pytest.param("Bearer abc.def", id="not signed"),
            pytest.param("Bearer é", id="not ASCII"),
            pytest.param("Basic !!!", id="not base64"),
            pytest.param("Basic d3JpdGVy", id="no colon"),
            pytest.param("Basic //8=", id="not UTF-8"),
            pytest.param("Digest username=writer", id="another scheme"),
        ],
    )
    def test_malformed_credentials_are_refused(self, registry: LocalRegistry, authorization: str) -> None:
        headers = {"Authorization": authorization.encode().decode("latin-1")}
        assert error(ask(registry, "GET", "/v2/", user="", headers=headers)) == (401, "UNAUTHORIZED")

    def test_a_changed_token_is_refused(self, registry: LocalRegistry) -> None:
        token = registry.bearer("reader")["Authorization"]
        headers = {"Authorization": token.replace("Bearer ", "Bearer A")}
        assert error(ask(registry, "GET", "/v2/", user="", headers=headers)) == (401, "UNAUTHORIZED")

    def test_a_token_is_good_only_for_its_scope(self, registry: LocalRegistry) -> None:
        pull_only = registry.bearer("writer", f"{APP}:pull")
        answer = ask(registry, "POST", f"/v2/{APP}/blobs/uploads/", user="", headers=pull_only)
        assert error(answer) == (401, "UNAUTHORIZED")
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


class TestRoles:
    @pytest.mark.parametrize(
        ("user", "package", "pulls", "pushes"),
        [
            pytest.param("reader", "my-container-app", 404, 403, id="Read"),
            pytest.param("writer", "my-container-app", 404, 202, id="Write"),
            pytest.param("admin", "my-container-app", 404, 202, id="Admin"),
            pytest.param("pipeline", "my-container-app", 404, 202, id="step, own repository"),
            pytest.param("pipeline", "second-app", 404, 202, id="step, second package"),
            pytest.param("pipeline", "other-app", 403, 403, id="step, another repository"),
            pytest.param("read-scope", "my-container-app", 404, 403, id="Write, read scope"),
            pytest.param("stranger", "my-container-app", 403, 403, id="no role"),
        ],
    )
    def test_who_may_what(self, registry: LocalRegistry, user: str, package: str, pulls: int, pushes: int) -> None:
        base = f"/v2/demo-workspace/{package}"
        pull = ask(registry, "GET", f"{base}/manifests/never-pushed", user)
        push = ask(registry, "POST", f"{base}/blobs/uploads/", user)
        put = ask(registry, "PUT", f"{base}/manifests/never-pushed", user, body=b"{}")
        assert (pull.status_code, push.status_code) == (pulls, pushes)
        assert (put.status_code == 403) == (pushes == 403)
        for refused in (pull, push, put):
            if refused.status_code == 403:
                assert error(refused) == (403, "DENIED")


class TestPackages:
    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("demo-workspace/never-created", id="package"),
            pytest.param("never-created/my-container-app", id="workspace"),
            pytest.param("demo-workspace/my-container-app/part", id="three parts"),
            pytest.param("alone", id="one part"),
        ],
    )
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            pytest.param("GET", "manifests/latest", id="pull"),
            pytest.param("POST", "blobs/uploads/", id="push"),
            pytest.param("PUT", "manifests/latest", id="put"),
        ],
    )
    def test_an_unknown_one_does_not_come_into_being(
        self, registry: LocalRegistry, name: str, method: str, path: str
    ) -> None:
        for _ in range(2):
            answer = ask(registry, method, f"/v2/{name}/{path}", "admin")
            assert error(answer) == (404, "NAME_UNKNOWN")
            assert "does not exist in this workspace" in answer.json()["errors"][0]["message"]


class TestNotSupported:
    @pytest.mark.parametrize("user", ["admin", ""])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            pytest.param("GET", "/v2/_catalog", id="catalogue"),
            pytest.param("GET", f"/v2/{APP}/tags/list", id="tags"),
            pytest.param("DELETE", f"/v2/{APP}/manifests/latest", id="delete tag"),
            pytest.param("DELETE", f"/v2/{APP}/manifests/{MISSING}", id="delete manifest"),
            pytest.param("DELETE", f"/v2/{APP}/blobs/{MISSING}", id="delete blob"),
            pytest.param("DELETE", f"/v2/{APP}/blobs/uploads/1", id="delete upload"),
            pytest.param("DELETE", "/v2/anything/at/all", id="delete anything"),
            pytest.param("POST", f"/v2/{APP}/manifests/latest", id="wrong method"),
            pytest.param("PUT", "/v2/", id="wrong method of the base"),
        ],
    )
    def test_405(self, registry: LocalRegistry, method: str, path: str, user: str) -> None:
        assert error(ask(registry, method, path, user)) == (405, "UNSUPPORTED")


class TestMounts:
    @pytest.mark.parametrize(
        ("source", "target", "user", "mounted"),
        [
            pytest.param(APP, "demo-workspace/other-app", "writer", True, id="one workspace"),
            pytest.param("other-workspace/my-container-app", APP, "writer", False, id="across two"),
            pytest.param("demo-workspace/other-app", APP, "pipeline", False, id="source not allowed"),
            pytest.param("demo-workspace/never", APP, "writer", False, id="source does not exist"),
        ],
    )
    def test_a_mount_needs_the_source_in_the_same_workspace(
        self, registry: LocalRegistry, source: str, target: str, user: str, *, mounted: bool
    ) -> None:
        content = image([f"{source} {target}".encode()])
        digest = digest_of(content.blobs[0])
        if "never" not in source:
            pushed(registry, content, source, "mount")
        answer = mount(registry, user, target, source, digest)
        assert answer.status_code == (201 if mounted else 202)
        head = ask(registry, "HEAD", f"/v2/{target}/blobs/{digest}", user)
        assert head.status_code == (200 if mounted else 404)

    def test_a_mount_needs_a_token_for_the_source(self, registry: LocalRegistry) -> None:
        content = image([b"token for the source"])
        pushed(registry, content, APP, "mount")
        target, digest = "demo-workspace/second-app", digest_of(content.blobs[0])
        path = f"/v2/{target}/blobs/uploads/?mount={digest}&from={APP}"
        assert ask(registry, "POST", path).status_code == 202

    @pytest.mark.parametrize(
        "reader_of",
        [
            pytest.param("demo-workspace/second-app", id="same workspace"),
            pytest.param("other-workspace/my-container-app", id="another workspace"),
        ],
    )
    def test_a_digest_opens_no_blob_of_another_repository(self, registry: LocalRegistry, reader_of: str) -> None:
        content = image([f"secret to {reader_of}".encode()])
        pushed(registry, content, "demo-workspace/other-app", "secret")
        for blob in content.blobs:
            path = f"/v2/{reader_of}/blobs/{digest_of(blob)}"
            assert error(ask(registry, "GET", path)) == (404, "BLOB_UNKNOWN")
        path = f"/v2/{reader_of}/manifests/{content.digest}"
        assert error(ask(registry, "GET", path)) == (404, "MANIFEST_UNKNOWN")
        path = f"/v2/{reader_of}/manifests/stolen"
        headers = {"Content-Type": content.media_type}
        answer = ask(registry, "PUT", path, headers=headers, body=content.manifest)
        assert answer.status_code == 400
        assert {entry["code"] for entry in answer.json()["errors"]} == {"MANIFEST_BLOB_UNKNOWN"}


def mount(registry: LocalRegistry, user: str, target: str, source: str, digest: str) -> requests.Response:
    bearer = registry.bearer(user, f"{target}:pull,push", f"{source}:pull")
    with registry.session() as session:
        return session.post(
            f"{registry.url}/v2/{target}/blobs/uploads/",
            params={"mount": digest, "from": source},
            headers=bearer,
        )


def as_docker(content: Image) -> Image:
    """Return the same image or list with Docker's media types."""
    document = json.loads(content.manifest)
    document["mediaType"] = DOCKER_LIST if content.members else DOCKER_MANIFEST
    members = tuple(map(as_docker, content.members))
    for entry, member in zip(document.get("manifests", []), members, strict=True):
        entry |= {
            "mediaType": DOCKER_MANIFEST,
            "digest": member.digest,
            "size": len(member.manifest),
        }
    if "config" in document:
        document["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json"
        for layer in document["layers"]:
            layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    return Image(json.dumps(document).encode(), document["mediaType"], content.blobs, members)


SINGLE = image([b"one layer", b"another"])
LIST = image_list(amd64=image([b"for amd64"]), arm64=image([b"for arm64"], "arm64"))


class TestPassingThrough:
    @pytest.mark.parametrize(
        ("media_type", "content"),
        [
            pytest.param(MANIFEST, SINGLE, id="OCI manifest"),
            pytest.param(INDEX, LIST, id="OCI index"),
            pytest.param(DOCKER_MANIFEST, as_docker(SINGLE), id="Docker manifest"),
            pytest.param(DOCKER_LIST, as_docker(LIST), id="Docker list"),
        ],
    )
    def test_a_manifest_comes_back_as_it_was_put(
        self, registry: LocalRegistry, media_type: str, content: Image
    ) -> None:
        pushed(registry, content, APP, "through")
        for reference in ("through", content.digest):
            for method in ("GET", "HEAD"):
                path = f"/v2/{APP}/manifests/{reference}"
                answer = ask(registry, method, path, headers={"Accept": media_type})
                assert answer.status_code == 200
                assert answer.headers["Content-Type"] == media_type
                assert answer.headers["Docker-Content-Digest"] == content.digest
                assert answer.headers["Content-Length"] == str(len(content.manifest))
                assert answer.content == (content.manifest if method == "GET" else b"")

    @pytest.mark.parametrize("chunk", [pytest.param(7, id="7 bytes"), pytest.param(1000, id="one")])
    def test_an_upload_in_chunks(self, registry: LocalRegistry, chunk: int) -> None:
        blob = b"a blob in chunks of %d" % chunk * 3
        location = start_upload(registry)
        for first in range(0, len(blob), chunk):
            part = blob[first : first + chunk]
            headers = {"Content-Range": f"{first}-{first + len(part) - 1}"}
            answer = ask_location(registry, "PATCH", location, body=part, headers=headers)
            assert answer.status_code == 202
            assert answer.headers["Range"] == f"0-{first + len(part) - 1}"
            location = answer.headers["Location"]
        status = ask_location(registry, "GET", location)
        assert (status.status_code, status.headers["Range"]) == (204, f"0-{len(blob) - 1}")
        finish(registry, location, blob, b"")

    def test_an_upload_at_once(self, registry: LocalRegistry) -> None:
        blob = b"a blob at once"
        finish(registry, start_upload(registry), blob, blob)

    def test_a_wrong_digest(self, registry: LocalRegistry) -> None:
        answer = ask_location(registry, "PUT", f"{start_upload(registry)}&digest={MISSING}", body=b"x")
        assert error(answer) == (400, "DIGEST_INVALID")

    def test_a_part_of_a_blob(self, registry: LocalRegistry) -> None:
        blob = b"0123456789"
        finish(registry, start_upload(registry), blob, blob)
        path = f"/v2/{APP}/blobs/{digest_of(blob)}"
        answer = ask(registry, "GET", path, headers={"Range": "bytes=2-5"})
        assert (answer.status_code, answer.content) == (206, b"2345")
        assert answer.headers["Content-Range"] == "bytes 2-5/10"
        whole = ask(registry, "HEAD", path)
        assert (whole.status_code, whole.headers["Content-Length"]) == (200, "10")


def start_upload(registry: LocalRegistry) -> str:
    answer = ask(registry, "POST", f"/v2/{APP}/blobs/uploads/")
    assert answer.status_code == 202
    return answer.headers["Location"]


def ask_location(
    registry: LocalRegistry,
    method: str,
    location: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    return ask(registry, method, location, headers=headers, body=body)


def finish(registry: LocalRegistry, location: str, blob: bytes, body: bytes) -> None:
    """End an upload with the rest of a blob, and read the blob back."""
    answer = ask_location(registry, "PUT", f"{location}&digest={digest_of(blob)}", body=body)
    assert answer.status_code == 201
    assert answer.headers["Docker-Content-Digest"] == digest_of(blob)
    assert ask(registry, "GET", f"/v2/{APP}/blobs/{digest_of(blob)}").content == blob


class TestMalformed:
    @pytest.mark.parametrize(
        ("method", "path", "expected"),
        [
            pytest.param("GET", "/v2/nothing", (404, "UNSUPPORTED"), id="no endpoint"),
            pytest.param("GET", f"/v2/{APP}/referrers/{MISSING}", (404, "UNSUPPORTED"), id="referrers"),
            pytest.param("GET", "/v2/Demo/app/manifests/a", (400, "NAME_INVALID"), id="upper case"),
            pytest.param("GET", "/v2/a//b/manifests/a", (400, "NAME_INVALID"), id="empty part"),
            pytest.param("GET", "/v2/a/%2e%2e/manifests/a", (400, "NAME_INVALID"), id="dots"),
            pytest.param("GET", f"/v2/{APP}/manifests/a%00b", (400, "TAG_INVALID"), id="zero byte"),
            pytest.param("GET", f"/v2/{APP}/manifests/-a", (400, "TAG_INVALID"), id="tag"),
            pytest.param("GET", f"/v2/{APP}/manifests/{'a' * 129}", (400, "TAG_INVALID"), id="long tag"),
            pytest.param("GET", f"/v2/{APP}/manifests/sha256:1", (400, "DIGEST_INVALID"), id="digest"),
            pytest.param("GET", f"/v2/{APP}/blobs/sha256:xyz", (400, "DIGEST_INVALID"), id="blob"),
            pytest.param("GET", f"/v2/{APP}/blobs/latest", (400, "DIGEST_INVALID"), id="no digest"),
            pytest.param("PATCH", f"/v2/{APP}/blobs/uploads/1", (404, "BLOB_UPLOAD_UNKNOWN"), id="upload"),
            pytest.param("PUT", f"/v2/{APP}/manifests/a", (400, "MANIFEST_INVALID"), id="manifest"),
        ],
    )
    def test_the_answer_is_an_error_body(
        self, registry: LocalRegistry, method: str, path: str, expected: tuple[int, str]
    ) -> None:
        body = b"no manifest" if method == "PUT" else None
        assert error(ask(registry, method, path, body=body)) == expected

    def test_a_manifest_of_5_mb(self, registry: LocalRegistry) -> None:
        answer = ask(registry, "PUT", f"/v2/{APP}/manifests/large", body=b" " * 5_000_000)
        assert error(answer) == (400, "MANIFEST_INVALID")

    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param({"Host": 'a"b'}, id="quote in the host"),
            pytest.param({"Host": ""}, id="no host"),
        ],
    )
    def test_a_malformed_host(self, registry: LocalRegistry, headers: Mapping[str, str]) -> None:
        answer = ask(registry, "GET", "/v2/", user="", headers=headers)
        assert answer.status_code == 400
        assert "Traceback" not in answer.text

    @pytest.mark.parametrize(
        "request_bytes",
        [
            pytest.param(b"garbage\r\n\r\n", id="no request"),
            pytest.param(b"\x16\x03\x01\x02\x00\r\n\r\n", id="TLS"),
            pytest.param(b"GET /v2/ HTTP/1.1\r\nno header\r\n\r\n", id="header"),
            pytest.param(b"GET /v2/ HTTP/1.1\r\nA: " + b"a" * 20_000 + b"\r\n\r\n", id="long header"),
            pytest.param(b"PUT /v2/ HTTP/1.1\r\nContent-Length: x\r\n\r\n", id="length"),
        ],
    )
    def test_what_is_no_http(self, registry: LocalRegistry, request_bytes: bytes) -> None:
        address, port = registry.host.split(":")
        with socket.create_connection((address, int(port))) as connection:
            connection.sendall(request_bytes)
            with connection.makefile("rb") as answer:
                head, _, body = answer.read().partition(b"\r\n\r\n")
        assert head.split()[1] == b"400"
        assert json.loads(body)["errors"][0]["code"] == "UNSUPPORTED"
