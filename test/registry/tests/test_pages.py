"""The pages over plain HTTP: who sees and may do what."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from registry.gateway.render import age_text, size_text
from registry.tests.visitor import APP, DEMO, TAG, Visitor

if TYPE_CHECKING:
    from registry.client import LocalRegistry


class TestLists:
    @pytest.mark.parametrize(
        ("user", "path", "expected"),
        [
            pytest.param("reader", DEMO, ["my-container-app", "other-app", "second-app"], id="a workspace's"),
            pytest.param(
                "reader",
                f"{DEMO}/projects/DEMO",
                ["my-container-app", "other-app", "second-app"],
                id="a project's",
            ),
            pytest.param(
                "reader",
                f"{DEMO}/repositories/demo-repository",
                ["my-container-app", "second-app"],
                id="a repository's",
            ),
            pytest.param("pipeline", DEMO, ["my-container-app", "second-app"], id="only what one may read"),
        ],
    )
    def test_packages(self, visitor: Visitor, user: str, path: str, expected: list[str]) -> None:
        page = visitor.log_in(user).get(path)
        assert re.findall(r'<th scope="row"><a href="[^"]+/packages/([^"]+)"', page) == expected

    def test_who_reads_two_workspaces_chooses(self, visitor: Visitor) -> None:
        page = visitor.log_in("writer").get("/")
        assert re.findall(r'href="/workspaces/([^"/]+)"', page) == ["demo-workspace", "other-workspace"]

    def test_who_reads_one_goes_there_at_once(self, visitor: Visitor) -> None:
        assert "<h1>demo-workspace</h1>" in visitor.log_in("reader").get("/")

    def test_who_reads_none_is_told_so(self, visitor: Visitor) -> None:
        assert "stranger can read no repository" in visitor.log_in("stranger").get("/")

    @pytest.mark.parametrize(
        ("user", "path"),
        [
            pytest.param("reader", "/workspaces/nowhere", id="workspace"),
            pytest.param("reader", "/workspaces/other-workspace", id="workspace of others"),
            pytest.param("reader", f"{DEMO}/projects/NONE", id="project"),
            pytest.param("pipeline", f"{DEMO}/repositories/other-repository", id="repository of others"),
            pytest.param("pipeline", f"{DEMO}/packages/other-app", id="package of others"),
            pytest.param("reader", f"{DEMO}/packages/none", id="package"),
            pytest.param("reader", f"{APP}/tags/none", id="tag"),
            pytest.param("reader", f"{APP}/tags/..%2f..%2f..", id="a path for a tag"),
            pytest.param("reader", "/nowhere", id="page"),
            pytest.param("reader", "/%3Cscript%3E", id="a script for a page"),
        ],
    )
    def test_what_is_not_there_or_not_theirs_is_404(self, visitor: Visitor, user: str, path: str) -> None:
        page = visitor.log_in(user).get(path, 404)
        assert "That is not possible" in page
        assert "<script" not in page


class TestRoles:
    @pytest.mark.parametrize(
        ("user", "tag", "image_too", "create"),
        [
            pytest.param("reader", False, False, False, id="Read"),
            pytest.param("pipeline", True, False, False, id="a pipeline"),
            pytest.param("writer", True, False, False, id="Write"),
            pytest.param("admin", True, True, True, id="Admin"),
            pytest.param("read-scope", False, False, False, id="Write with a token for reading"),
        ],
    )
    def test_pages_offer_only_what_one_may_do(
        self, visitor: Visitor, user: str, tag: bool, image_too: bool, create: bool
    ) -> None:
        visitor.log_in(user)
        assert (f'href="{TAG}/delete"' in visitor.get(TAG)) == tag
        assert (f'href="{TAG}/delete"' in visitor.get(APP)) == tag
        assert (f'href="{APP}/delete"' in visitor.get(APP)) == image_too
        assert (f'href="{DEMO}/create"' in visitor.get(DEMO)) == create

    @pytest.mark.parametrize(
        ("user", "path"),
        [
            pytest.param("reader", f"{TAG}/delete", id="Read deletes a tag"),
            pytest.param("reader", f"{APP}/delete", id="Read deletes an image"),
            pytest.param("writer", f"{APP}/delete", id="Write deletes an image"),
            pytest.param("read-scope", f"{TAG}/delete", id="a token for reading deletes a tag"),
            pytest.param("writer", f"{DEMO}/create", id="Write creates a package"),
        ],
    )
    def test_what_is_not_offered_is_refused(self, visitor: Visitor, user: str, path: str) -> None:
        visitor.log_in(user)
        visitor.get(path, 403)
        fields = {"form_token": visitor.form_token(), "name": "new", "repository": "demo-repository"}
        visitor.post(path, fields, 403)
        visitor.get(TAG)
        visitor.get(f"{DEMO}/packages/new", 404)


class TestCreating:
    @pytest.mark.parametrize(
        ("name", "status", "said"),
        [
            pytest.param("My App", 400, "cannot be a package&#39;s name", id="capitals and a space"),
            pytest.param("", 400, "cannot be a package&#39;s name", id="none"),
            pytest.param("../up", 400, "cannot be a package&#39;s name", id="a path"),
            pytest.param('"><script>', 400, "cannot be a package&#39;s name", id="a script"),
            pytest.param("second-app", 409, "has a package &#39;second-app&#39; already", id="taken"),
        ],
    )
    def test_a_name_that_cannot_be_had_is_explained(self, visitor: Visitor, name: str, status: int, said: str) -> None:
        visitor.log_in("admin")
        fields = {"form_token": visitor.form_token(), "name": name, "repository": "other-repository"}
        page = visitor.post(f"{DEMO}/create", fields, status).text
        assert said in page
        assert "<script" not in page
        assert '<option value="other-repository" selected>' in page

    def test_a_repository_that_is_not_there_is_refused(self, visitor: Visitor) -> None:
        visitor.log_in("admin")
        fields = {"form_token": visitor.form_token(), "name": "new", "repository": "nowhere"}
        visitor.post(f"{DEMO}/create", fields, 403)


def test_every_page_forbids_scripts_frames_and_caches(visitor: Visitor) -> None:
    visitor.log_in("admin")
    for path in ("/", DEMO, APP, TAG, f"{DEMO}/create", f"{TAG}/delete", f"{APP}/delete"):
        answer = visitor.session.get(visitor.url + path)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], path
        assert answer.headers["Cache-Control"] == "no-store", path
        assert "<script" not in answer.text, path


class TestApi:
    @pytest.mark.parametrize(
        ("content_type", "body", "status"),
        [
            pytest.param("application/json", b'{"workspace": "demo-workspace"}', 400, id="fields missing"),
            pytest.param("application/json", b"[]", 400, id="no object"),
            pytest.param("application/json", b"{", 400, id="no JSON"),
            pytest.param("application/json", b'{"workspace":1,"name":2,"repository":3}', 400, id="no texts"),
            pytest.param("text/plain", b"{}", 415, id="what a form of another site can send"),
        ],
    )
    def test_a_malformed_package_is_refused(
        self, registry: LocalRegistry, content_type: str, body: bytes, status: int
    ) -> None:
        with registry.session("admin") as session:
            headers = {"Content-Type": content_type}
            answer = session.post(f"{registry.url}/api/packages", data=body, headers=headers)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])

    @pytest.mark.parametrize(
        ("user", "method", "path", "status"),
        [
            pytest.param("", "GET", "packages/demo-workspace", 401, id="nobody lists"),
            pytest.param("reader", "GET", "packages/demo-workspace", 200, id="Read lists"),
            pytest.param("reader", "GET", "workspaces/demo-workspace", 200, id="Read asks for the usage"),
            pytest.param("reader", "DELETE", "packages/demo-workspace/second-app/tags/1.0", 403, id="Read deletes"),
            pytest.param("writer", "DELETE", "packages/demo-workspace/second-app", 403, id="Write deletes an image"),
            pytest.param("writer", "POST", "collections", 403, id="Write collects"),
            pytest.param("pipeline", "GET", "packages/demo-workspace/other-app", 404, id="another repository's"),
        ],
    )
    def test_the_rules_are_those_of_the_pages(
        self, registry: LocalRegistry, user: str, method: str, path: str, status: int
    ) -> None:
        with registry.session(user) as session:
            assert session.request(method, f"{registry.url}/api/{path}").status_code == status


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (76_606_801, "76.6 MB"), (32 * 10**9, "32 GB"), (10**13, "10 TB")],
)
def test_sizes_are_decimal(size: int, expected: str) -> None:
    assert size_text(size) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (7199, "1 hour ago"),
        (7200, "2 hours ago"),
        (3 * 86400, "3 days ago"),
    ],
)
def test_ages_are_in_their_largest_unit(seconds: int, expected: str) -> None:
    now = datetime(2024, 5, 6, tzinfo=UTC)
    assert age_text(now - timedelta(seconds=seconds), now) == expected
