"""The rules of Bitbucket's registry, over plain HTTP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from registry.tests.asking import APP, ask, error, pushed
from registry.tests.images import digest_of, image

if TYPE_CHECKING:
    import requests
    from registry.client import LocalRegistry

MISSING = f"sha256:{'0' * 64}"


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
            pytest.param("HEAD", f"blobs/{MISSING}", "pull,push", id="what a push asks first"),
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
        challenge = answer.headers["WWW-Authenticate"]
        assert 'error="insufficient_scope"' in challenge
        [scope] = re.findall(r'scope="repository:([^"]+)"', challenge)
        granted = registry.bearer("writer", scope)
        assert ask(registry, "POST", f"/v2/{APP}/blobs/uploads/", user="", headers=granted).status_code == 202


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
            pytest.param("stranger", "my-container-app", 404, 404, id="no role"),
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

    def test_basic_credentials_mount_only_what_they_may_pull(self, registry: LocalRegistry) -> None:
        content = image([b"basic credentials"])
        source = "demo-workspace/other-app"
        pushed(registry, content, source, "mount")
        query = {"mount": digest_of(content.blobs[0]), "from": source}
        for user, status in (("pipeline", 202), ("writer", 201)):
            with registry.session(user) as session:
                answer = session.post(f"{registry.url}/v2/{APP}/blobs/uploads/", params=query)
            assert answer.status_code == status

    def test_an_upload_of_another_repository_is_unknown(self, registry: LocalRegistry) -> None:
        opened = ask(registry, "POST", "/v2/demo-workspace/other-app/blobs/uploads/")
        location = opened.headers["Location"].replace("other-app", "my-container-app")
        assert error(ask(registry, "PATCH", location, body=b"x")) == (404, "BLOB_UPLOAD_UNKNOWN")

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
