"""Faults of single steps of a push: late answers, mounts, and manifests that a registry does not take."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import requests
from registry.tests.asking import APP, error
from registry.tests.images import Image, Repository, digest_of, image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.client import LocalRegistry
    from registry.tests.clients import Docker

TARGET = "demo-workspace/second-app"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
GZIP, ZSTD = "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd"
INVALID = {"errors": [{"code": "MANIFEST_INVALID", "message": "unsupported media type"}]}
REJECTION = {"status": 400, "headers": {"Content-Type": "application/json"}, "body": json.dumps(INVALID)}


@pytest.fixture(autouse=True)
def without_faults(registry: LocalRegistry) -> Iterator[None]:
    """Leave no fault behind."""
    yield
    registry.clear_faults()


def upload(registry: LocalRegistry, session: requests.Session) -> str:
    return registry.url + session.post(f"{registry.url}/v2/{APP}/blobs/uploads/").headers["Location"]


class TestLateAnswers:
    @pytest.mark.parametrize("patched", [False, True], ids=["POST and PUT", "POST, PATCH and PUT"])
    def test_a_blob_is_stored_before_its_put_is_answered(
        self, registry: LocalRegistry, session: requests.Session, patched: bool
    ) -> None:
        content = b"committed slowly, " + (b"in two steps" if patched else b"at once")
        registry.fault(method="PUT", path="*/blobs/uploads/*", hold=0.4)
        location = upload(registry, session)
        if patched:
            location = registry.url + session.patch(location, data=content).headers["Location"]
        answer = session.put(f"{location}&digest={digest_of(content)}", data=b"" if patched else content)
        assert answer.status_code == 201
        assert answer.elapsed.total_seconds() >= 0.4
        [entry] = registry.requests(method="PUT")
        assert entry.received == (0 if patched else len(content))

    def test_a_client_that_does_not_wait_is_let_go(self, registry: LocalRegistry, session: requests.Session) -> None:
        content = b"nobody waits for this commit"
        registry.fault(method="PUT", path="*/blobs/uploads/*", hold=60)
        location = f"{upload(registry, session)}&digest={digest_of(content)}"
        with pytest.raises(requests.ReadTimeout):
            session.put(location, data=content, timeout=3)  # by then, it has stored them
        registry.wait_for(method="PUT", state="cut")
        assert session.head(f"{registry.url}/v2/{APP}/blobs/{digest_of(content)}").status_code == 200


class TestMounts:
    """A POST that asks for a blob of another package; what it gets otherwise is in test_rules.py."""

    @pytest.fixture
    def digest(self, repository: Repository) -> str:
        """The digest of a layer that the other package has."""
        content = image([b"mounted by faults"])
        repository.push(content, "mounted")
        return digest_of(content.blobs[0])

    def mount(
        self, registry: LocalRegistry, digest: str, *scopes: str, session: requests.Session | None = None
    ) -> requests.Response:
        query = {"mount": digest, "from": APP}
        url = f"{registry.url}/v2/{TARGET}/blobs/uploads/"
        if session is not None:
            return session.post(url, params=query)
        with registry.session() as nobody:
            return nobody.post(url, params=query, headers=registry.bearer("writer", *scopes))

    def test_the_log_names_what_was_to_be_mounted(
        self, registry: LocalRegistry, session: requests.Session, digest: str
    ) -> None:
        assert self.mount(registry, digest, session=session).status_code == 201
        session.post(f"{registry.url}/v2/{TARGET}/blobs/uploads/")
        assert [entry.mounts for entry in registry.requests(method="POST", path=f"/v2/{TARGET}/*")] == [
            f"{APP}@{digest}",
            "",
        ]
        assert len(registry.requests(mounts=f"{APP}@*")) == 1

    def test_it_is_ignored(self, registry: LocalRegistry, session: requests.Session, digest: str) -> None:
        registry.fault(mounts=f"{APP}@*", mount="ignored")
        answer = self.mount(registry, digest, session=session)
        assert answer.status_code == 202
        content = b"sent instead"
        location = f"{registry.url}{answer.headers['Location']}&digest={digest_of(content)}"
        assert session.put(location, data=content).status_code == 201

    def test_it_leads_to_another_digest(self, registry: LocalRegistry, session: requests.Session, digest: str) -> None:
        other = digest_of(b"another blob")
        registry.fault(mounts="?*", replace_headers={"Docker-Content-Digest": other})
        answer = self.mount(registry, digest, session=session)
        assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, other)

    @pytest.mark.parametrize("status", [404, 405])
    def test_it_is_refused(self, registry: LocalRegistry, session: requests.Session, digest: str, status: int) -> None:
        registry.fault(mounts="?*", answer={"status": status})
        assert self.mount(registry, digest, session=session).status_code == status
        assert session.post(f"{registry.url}/v2/{TARGET}/blobs/uploads/").status_code == 202

    def test_it_needs_a_token_with_the_scope_of_its_source(self, registry: LocalRegistry, digest: str) -> None:
        registry.fault(mounts="?*", mount="challenged")
        refused = self.mount(registry, digest, f"{TARGET}:pull,push")
        assert error(refused) == (401, "UNAUTHORIZED")
        [scope] = re.findall(r'scope="([^"]+)"', refused.headers["WWW-Authenticate"])
        assert scope == f"repository:{TARGET}:pull,push repository:{APP}:pull"
        scopes = [each.removeprefix("repository:") for each in scope.split()]
        assert self.mount(registry, digest, *scopes).status_code == 201

    @pytest.mark.parametrize(
        ("fault", "statuses"),
        [
            pytest.param({}, [201], id="mounted"),
            pytest.param({"mounts": "?*", "mount": "challenged"}, [201], id="where the source's scope is needed"),
            pytest.param({"mounts": "?*", "mount": "ignored"}, [202], id="sent, where nothing is mounted"),
        ],
    )
    def test_docker_mounts_what_it_pushed_to_another_package(
        self, registry: LocalRegistry, docker: Docker, fault: dict[str, str], statuses: list[int]
    ) -> None:
        docker.login(registry, "writer")
        name = docker.image(f"{registry.host}/{APP}:mounts", f"mounted by docker, {fault}".encode())
        docker("push", name)
        if fault:
            registry.fault(**fault)
        docker("push", docker.tag(name, f"{registry.host}/{TARGET}:mounts"))
        mounts = registry.requests(method="POST", path=f"/v2/{TARGET}/*", mounts=f"{APP}@*")
        assert [entry.status for entry in mounts] == statuses


class TestManifests:
    def pushed(self, layer: str, media_type: str = "") -> Image:
        document = json.loads(image([b"of a media type"]).manifest)
        document["layers"][0]["mediaType"] = layer
        document["mediaType"] = media_type or document["mediaType"]
        return Image(json.dumps(document).encode(), document["mediaType"], image([b"of a media type"]).blobs)

    @pytest.mark.parametrize(
        ("media_type", "pushed", "status"),
        [
            pytest.param("*+zstd", (ZSTD,), 400, id="zstd"),
            pytest.param("*+zstd", (GZIP,), 201, id="gzip where zstd is not taken"),
            pytest.param("application/vnd.oci.*", (GZIP,), 400, id="OCI"),
            pytest.param(
                "application/vnd.oci.image.manifest.*", (GZIP, DOCKER), 201, id="Docker where OCI is not taken"
            ),
        ],
    )
    def test_some_media_types_are_not_taken(
        self, registry: LocalRegistry, repository: Repository, media_type: str, pushed: tuple[str, ...], status: int
    ) -> None:
        content = self.pushed(*pushed)
        for blob in content.blobs:
            repository.upload(blob)
        registry.fault(method="PUT", path="*/manifests/*", media_type=media_type, answer=REJECTION)
        url = f"{registry.url}/v2/{APP}/manifests/typed"
        answer = repository.session.put(url, data=content.manifest, headers={"Content-Type": content.media_type})
        assert answer.status_code == status
        [entry] = registry.requests(method="PUT", path="*/manifests/*")
        assert entry.received == len(content.manifest)
        assert (entry.fault is not None) == (status == 400)

    def test_it_counts_as_any_fault(self, registry: LocalRegistry, repository: Repository) -> None:
        content = self.pushed(ZSTD)
        for blob in content.blobs:
            repository.upload(blob)
        registry.fault(media_type="*+zstd", skip=1, times=1, answer=REJECTION)
        url, headers = f"{registry.url}/v2/{APP}/manifests/typed", {"Content-Type": content.media_type}
        statuses = [repository.session.put(url, data=content.manifest, headers=headers).status_code for _ in range(3)]
        assert statuses == [201, 400, 201]

    @pytest.mark.parametrize(
        ("answer", "content_type"),
        [
            pytest.param(REJECTION, "application/json", id="JSON"),
            pytest.param(
                {"status": 403, "headers": {"Content-Type": "text/html"}, "body": "<h1>no</h1>"}, "text/html", id="HTML"
            ),
        ],
    )
    def test_some_tags_are_not_taken(
        self, registry: LocalRegistry, repository: Repository, answer: dict[str, Any], content_type: str
    ) -> None:
        content = image([b"for some tags"])
        repository.push(content)
        registry.fault(method="PUT", path="*/manifests/v*", answer=answer)
        headers = {"Content-Type": content.media_type}
        answers = [
            repository.session.put(f"{registry.url}/v2/{APP}/manifests/{tag}", data=content.manifest, headers=headers)
            for tag in ("v1", "latest")
        ]
        assert [each.status_code for each in answers] == [answer["status"], 201]
        assert (answers[0].text, answers[0].headers["Content-Type"]) == (answer["body"], content_type)
