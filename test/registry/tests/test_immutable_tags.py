"""Protected tags: what a push gets, who may delete, and who may change the settings."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from registry.tests.asking import error
from registry.tests.images import Image, Repository, image

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from registry.client import LocalRegistry
    from registry.tests.clients import Docker

DEMO = "demo-workspace"
FIRST, SECOND = image([b"the first image"]), image([b"the second image"])
SOME: dict[str, Any] = {"protect": "some", "rules": [{"name": "releases", "pattern": r"^v\d+$"}]}
AT_ONCE = 8
ROUNDS = 20


@pytest.fixture
def package(registry: LocalRegistry) -> Iterator[Repository]:
    """A package of this test's own, with both images but no tag, used by a writer."""
    fields = {"workspace": DEMO, "name": "immutable", "repository": "demo-repository"}
    with registry.session("admin") as admin, registry.session("writer") as session:
        admin.post(f"{registry.url}/api/packages", json=fields).raise_for_status()
        repository = Repository(session, registry.url, f"{DEMO}/immutable")
        repository.push(FIRST)
        repository.push(SECOND)
        yield repository
        admin.delete(f"{registry.url}/api/packages/{DEMO}/immutable")


def put(repository: Repository, pushed: Image, tag: str) -> requests.Response:
    url = f"{repository.url}/v2/{repository.name}/manifests/{tag}"
    return repository.session.put(url, data=pushed.manifest, headers={"Content-Type": pushed.media_type})


def delete(registry: LocalRegistry, user: str, path: str) -> int:
    with registry.session(user) as session:
        return session.delete(f"{registry.url}/api/packages/{DEMO}/immutable{path}").status_code


class TestPushes:
    def test_the_first_succeeds_and_the_next_changes_nothing(
        self, registry: LocalRegistry, package: Repository
    ) -> None:
        with registry.protected_tags(DEMO):
            assert put(package, FIRST, "1.0").status_code == 201
            rejected = put(package, SECOND, "1.0")
            assert error(rejected) == (403, "DENIED")
            [entry] = rejected.json()["errors"]
            assert entry["message"] == "tag 1.0 is protected and cannot be overwritten"
            assert package.problems(FIRST, "1.0") == []
            assert put(package, FIRST, "1.0").status_code == 201, "the same image changes nothing"
            assert put(package, SECOND, SECOND.digest).status_code == 201, "a digest is no tag"
        assert put(package, SECOND, "1.0").status_code == 201

    def test_rules_choose_the_tags(self, registry: LocalRegistry, package: Repository) -> None:
        with registry.protected_tags(DEMO, **SOME):
            statuses = {tag: [put(package, each, tag).status_code for each in (FIRST, SECOND)] for tag in ("v1", "v1b")}
        assert statuses == {"v1": [201, 403], "v1b": [201, 201]}

    def test_a_tag_that_existed_before_is_protected_too(self, registry: LocalRegistry, package: Repository) -> None:
        package.push(FIRST, "1.0")
        with registry.protected_tags(DEMO):
            assert put(package, SECOND, "1.0").status_code == 403

    def test_other_workspaces_are_not_concerned(self, registry: LocalRegistry) -> None:
        with registry.session("writer") as session, registry.protected_tags(DEMO):
            other = Repository(session, registry.url, "other-workspace/my-container-app")
            for each in (FIRST, SECOND):
                other.push(each, "moves")

    @pytest.mark.parametrize("status", [400, 403, 405, 409, 412])
    @pytest.mark.parametrize("code", ["DENIED", "TAG_INVALID", "MANIFEST_INVALID", "PRECONDITION"])
    def test_the_rejection_can_be_another_error(
        self, registry: LocalRegistry, package: Repository, status: int, code: str
    ) -> None:
        package.push(FIRST, "1.0")
        with registry.protected_tags(DEMO, rejection={"status": status, "code": code, "message": "cannot be changed"}):
            rejected = put(package, SECOND, "1.0")
        assert error(rejected) == (status, code)
        assert rejected.json()["errors"][0]["message"] == "cannot be changed"

    @pytest.mark.parametrize(
        ("rejection", "body", "content_type"),
        [
            pytest.param({"status": 409, "body": ""}, "", "text/html", id="no body"),
            pytest.param({"status": 409, "body": "<h1>no</h1>"}, "<h1>no</h1>", "text/html", id="HTML"),
            pytest.param(
                {"status": 400, "body": '{"error": "no"}', "content_type": "application/json"},
                '{"error": "no"}',
                "application/json",
                id="JSON of its own",
            ),
        ],
    )
    def test_the_rejection_can_be_anything(
        self, registry: LocalRegistry, package: Repository, rejection: dict[str, Any], body: str, content_type: str
    ) -> None:
        package.push(FIRST, "1.0")
        with registry.protected_tags(DEMO, rejection=rejection):
            rejected = put(package, SECOND, "1.0")
        assert (rejected.status_code, rejected.text) == (rejection["status"], body)
        assert rejected.headers["Content-Type"] == content_type

    def test_the_same_digest_can_be_rejected_too(self, registry: LocalRegistry, package: Repository) -> None:
        with registry.protected_tags(DEMO, same_digest="rejected"):
            assert [put(package, FIRST, "1.0").status_code for _ in range(2)] == [201, 403]
        assert package.problems(FIRST, "1.0") == []

    @pytest.mark.parametrize("same", [False, True], ids=["of different images", "of one image"])
    def test_of_pushes_at_once_one_image_wins(
        self, registry: LocalRegistry, package: Repository, *, same: bool
    ) -> None:
        contents = [image([b"one of many"] if same else [b"one of many", bytes([number])]) for number in range(AT_ONCE)]
        for content in contents:
            package.push(content)
        barrier = Barrier(AT_ONCE)

        def push(content: Image, tag: str) -> int:
            with registry.session("writer") as session:
                session.get(f"{registry.url}/v2/")  # the connection is there
                barrier.wait(30)
                return put(Repository(session, registry.url, package.name), content, tag).status_code

        with registry.protected_tags(DEMO), ThreadPoolExecutor(AT_ONCE) as threads:
            for number in range(ROUNDS):
                tag = f"round-{number}"
                statuses = list(threads.map(push, contents, [tag] * AT_ONCE))
                assert sorted(statuses) == ([201] * AT_ONCE if same else [201] + [403] * (AT_ONCE - 1))
                assert package.problems(contents[statuses.index(201)], tag) == []

    def test_docker_prints_the_rejection(self, registry: LocalRegistry, docker: Docker, package: Repository) -> None:
        docker.login(registry, "writer")
        name = docker.image(f"{registry.host}/{package.name}:1.0", b"pushed first")
        docker("push", name)
        docker.image(name, b"pushed second")
        with registry.protected_tags(DEMO):
            output = docker("push", name, fails=True)
        assert "denied: tag 1.0 is protected and cannot be overwritten" in output


class TestDeletions:
    @pytest.mark.parametrize(
        ("user", "protected", "free"),
        [
            pytest.param("reader", 403, 403, id="Read"),
            pytest.param("writer", 403, 204, id="Write"),
            pytest.param("repository-admin", 403, 204, id="Admin of the repository"),
            pytest.param("admin", 204, 204, id="admin of the workspace"),
        ],
    )
    def test_tags(self, registry: LocalRegistry, package: Repository, user: str, protected: int, free: int) -> None:
        for tag in ("v1", "latest"):
            package.push(FIRST, tag)
        with registry.protected_tags(DEMO, **SOME):
            statuses = [delete(registry, user, f"/tags/{tag}") for tag in ("v1", "latest", "v2")]
        assert statuses == [protected, free, 403 if user == "reader" else 404]
        assert (package.problems(FIRST, "v1") == []) == (protected == 403)

    @pytest.mark.parametrize(
        ("user", "tag", "status"),
        [
            pytest.param("writer", "latest", 403, id="Write"),
            pytest.param("repository-admin", "latest", 204, id="Admin of the repository, no protected tag"),
            pytest.param("repository-admin", "v1", 403, id="Admin of the repository"),
            pytest.param("admin", "v1", 204, id="admin of the workspace"),
        ],
    )
    def test_images(self, registry: LocalRegistry, package: Repository, user: str, tag: str, status: int) -> None:
        package.push(FIRST, tag)
        package.push(SECOND, "other")
        with registry.protected_tags(DEMO, **SOME):
            assert delete(registry, user, "") == status
        assert package.manifest_status(tag) == (404 if status == 204 else 200)

    def test_a_deleted_tag_is_new_again(self, registry: LocalRegistry, package: Repository) -> None:
        package.push(FIRST, "1.0")
        with registry.protected_tags(DEMO):
            assert delete(registry, "admin", "/tags/1.0") == 204
            assert [put(package, each, "1.0").status_code for each in (SECOND, FIRST)] == [201, 403]


class TestSettings:
    @pytest.mark.parametrize(
        ("user", "status"),
        [
            pytest.param("", 401, id="nobody"),
            pytest.param("stranger", 404, id="no role"),
            pytest.param("writer", 403, id="Write"),
            pytest.param("repository-admin", 403, id="Admin of a repository"),
            pytest.param("admin", 200, id="admin of the workspace"),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "PUT"])
    def test_who_may_change_them(self, registry: LocalRegistry, user: str, method: str, status: int) -> None:
        with registry.session(user) as session, registry.protected_tags(DEMO, "none"):
            url = f"{registry.url}/api/workspaces/{DEMO}/tags"
            answer = session.request(method, url, json={"protect": "none"} if method == "PUT" else None)
        assert answer.status_code == status

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            pytest.param(b"", "JSON object", id="nothing"),
            pytest.param(b"[]", "JSON object", id="no object"),
            pytest.param(b'{"protect": "most"}', "'most' is none of none, all, some", id="an unknown choice"),
            pytest.param(b'{"protect": "some"}', "needs at least one rule", id="no rules"),
            pytest.param(
                json.dumps({"rules": [{"name": f"{n}", "pattern": "a"} for n in range(8)]}).encode(),
                "at most 7 rules",
                id="eight rules",
            ),
            pytest.param(b'{"rules": [{"name": "a", "pattern": "(?!a)"}]}', "is no RE2", id="look-around"),
        ],
    )
    def test_what_cannot_be_meant_changes_nothing(self, registry: LocalRegistry, body: bytes, words: str) -> None:
        url = f"{registry.url}/api/workspaces/{DEMO}/tags"
        with registry.session("admin") as session, registry.protected_tags(DEMO, **SOME):
            answer = session.put(url, data=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == 400
            assert words in answer.json()["error"]
            assert session.get(url).json()["rules"] == SOME["rules"]

    def test_a_form_of_another_site_changes_nothing(self, registry: LocalRegistry) -> None:
        url = f"{registry.url}/api/workspaces/{DEMO}/tags"
        with registry.session("admin") as session:
            assert session.put(url, data=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415

    @pytest.mark.parametrize(
        ("fields", "status", "answer"),
        [
            pytest.param({"pattern": "^v", "tag": "v1"}, 200, {"matches": True}, id="it matches"),
            pytest.param({"pattern": "^v", "tag": "1"}, 200, {"matches": False}, id="it does not"),
            pytest.param({"pattern": "^v"}, 400, {"error": "Send an object with the texts pattern, tag."}, id="no tag"),
            pytest.param(
                {"pattern": "(", "tag": "v1"},
                400,
                {"error": "the pattern '(' is no RE2: missing ): ("},
                id="no RE2",
            ),
        ],
    )
    def test_patterns_can_be_tried(
        self, registry: LocalRegistry, fields: dict[str, str], status: int, answer: dict[str, Any]
    ) -> None:
        with registry.session("reader") as session:
            tried = session.post(f"{registry.url}/api/patterns", json=fields)
        assert (tried.status_code, tried.json()) == (status, answer)

    def test_a_tag_says_that_it_is_protected(self, registry: LocalRegistry, package: Repository) -> None:
        package.push(FIRST, "v1")
        package.push(FIRST, "latest")
        with registry.session("reader") as session, registry.protected_tags(DEMO, **SOME):
            shown = {
                tag: session.get(f"{registry.url}/api/packages/{package.name}/tags/{tag}").json()["protected"]
                for tag in ("v1", "latest")
            }
        assert shown == {"v1": True, "latest": False}
