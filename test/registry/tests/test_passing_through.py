"""What passes through the gateway unchanged, and how it answers what is malformed."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from registry.tests.asking import APP, ask, error, pushed
from registry.tests.images import INDEX, MANIFEST, Image, digest_of, image, image_list

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests
    from registry.client import LocalRegistry

MISSING = f"sha256:{'0' * 64}"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


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

    def test_what_refers_to_a_manifest_is_stored_without_a_list_of_referrers(self, registry: LocalRegistry) -> None:
        pushed(registry, SINGLE, APP, "subject")
        document = json.loads(SINGLE.manifest)
        document["subject"] = {"mediaType": MANIFEST, "digest": SINGLE.digest, "size": len(SINGLE.manifest)}
        headers = {"Content-Type": MANIFEST}
        path = f"/v2/{APP}/manifests/sha256-{SINGLE.digest[7:]}"
        answer = ask(registry, "PUT", path, headers=headers, body=json.dumps(document).encode())
        assert answer.status_code == 201
        assert "OCI-Subject" not in answer.headers

    @pytest.mark.parametrize("accept", ["", "*/*"])
    def test_who_asks_for_no_kind_gets_what_was_put(self, registry: LocalRegistry, accept: str) -> None:
        for content in (SINGLE, LIST, as_docker(SINGLE), as_docker(LIST)):
            pushed(registry, content, APP, "any-kind")
            with registry.session("writer") as session:
                session.headers["Accept"] = accept  # without one, this client would send */*
                if not accept:
                    del session.headers["Accept"]
                answer = session.get(f"{registry.url}/v2/{APP}/manifests/any-kind")
            assert (answer.content, answer.headers["Content-Type"]) == (content.manifest, content.media_type)

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
