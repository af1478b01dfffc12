"""The pages over plain HTTP: who sees and may do what, and that no other site can do it for them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest
from registry.gateway.render import age_text, size_text
from registry.tests.images import Repository, image

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from registry.client import LocalRegistry

DEMO = "/workspaces/demo-workspace"
APP = f"{DEMO}/packages/my-container-app"
TAG = f"{APP}/tags/1.0"


class Visitor:
    """A browser without a screen."""

    def __init__(self, registry: LocalRegistry, session: requests.Session) -> None:
        self.url = registry.url
        self.session = session

    def get(self, path: str, status: int = 200) -> str:
        answer = self.session.get(self.url + path)
        assert answer.status_code == status, answer.text
        return answer.text

    def post(
        self, path: str, fields: dict[str, str], status: int = 200, origin: str | None = None
    ) -> requests.Response:
        headers = {"Origin": origin} if origin else {}
        answer = self.session.post(self.url + path, data=fields, headers=headers)
        assert answer.status_code == status, answer.text
        return answer

    def log_in(self, user: str) -> Visitor:
        self.post("/login", {"user": user, "token": f"{user}-token"})
        return self

    def form_token(self) -> str:
        match = re.search(r'name="form_token" value="([^"]+)"', self.get(DEMO))
        assert match
        return match[1]


@pytest.fixture
def visitor(registry: LocalRegistry) -> Iterator[Visitor]:
    """Somebody who has not logged in, and a tag 1.0 to look at."""
    with registry.session("writer") as session:
        repository = Repository(session, registry.url, "demo-workspace/my-container-app")
        repository.push(image([Random(1).randbytes(2500)]), "1.0")
    with registry.session() as session:
        yield Visitor(registry, session)


class TestLogin:
    @pytest.mark.parametrize("path", ["/", DEMO, APP, TAG, f"{DEMO}/create", f"{TAG}/delete", "/nowhere"])
    def test_nothing_is_shown_without(self, visitor: Visitor, path: str) -> None:
        answer = visitor.session.get(visitor.url + path, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/login?next={path}")

    def test_it_leads_to_the_page_that_was_asked_for(self, visitor: Visitor) -> None:
        fields = {"user": "reader", "token": "reader-token"}
        answer = visitor.post(f"/login?next={TAG}", fields)
        assert answer.url == visitor.url + TAG

    @pytest.mark.parametrize("path", ["//elsewhere.example", "/\\elsewhere.example", "https://elsewhere.example", ""])
    def test_it_never_leads_to_another_host(self, visitor: Visitor, path: str) -> None:
        fields = {"user": "reader", "token": "reader-token"}
        answer = visitor.session.post(
            f"{visitor.url}/login", params={"next": path}, data=fields, allow_redirects=False
        )
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")

    @pytest.mark.parametrize(
        ("user", "token"),
        [
            pytest.param("reader", "writer-token", id="another one's token"),
            pytest.param("reader", "", id="no token"),
            pytest.param("nobody", "reader-token", id="unknown user"),
            pytest.param("", "", id="nothing"),
            pytest.param('"><script>', "é\udcff", id="no words"),
        ],
    )
    def test_a_wrong_one_is_refused(self, visitor: Visitor, user: str, token: str) -> None:
        fields = {"user": user, "token": token.encode("utf-8", "replace").decode()}
        page = visitor.post("/login", fields, 401).text
        assert "User name or token is wrong." in page
        assert "<script" not in page
        visitor.get(DEMO)
        assert "registry_session" not in visitor.session.cookies

    def test_from_another_site_is_refused(self, visitor: Visitor) -> None:
        fields = {"user": "reader", "token": "reader-token"}
        visitor.post("/login", fields, 401, origin="https://elsewhere.example")

    def test_the_cookie_is_kept_from_scripts_and_other_sites(self, visitor: Visitor) -> None:
        fields = {"user": "reader", "token": "reader-token"}
        answer = visitor.session.post(f"{visitor.url}/login", data=fields, allow_redirects=False)
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie

    def test_a_changed_cookie_is_worth_nothing(self, visitor: Visitor) -> None:
        visitor.log_in("reader")
        [cookie] = visitor.session.cookies
        assert cookie.value
        cookie.value = "A" + cookie.value[1:] if cookie.value[0] != "A" else "B" + cookie.value[1:]
        assert "<h1>Log in</h1>" in visitor.get(DEMO)

    def test_logging_out_ends_the_session_wherever_the_cookie_is_kept(self, visitor: Visitor) -> None:
        visitor.log_in("reader")
        [cookie] = visitor.session.cookies
        assert cookie.value
        visitor.post("/logout", {"form_token": visitor.form_token()})
        visitor.session.cookies.set(cookie.name, cookie.value)
        assert "<h1>Log in</h1>" in visitor.get(DEMO)

    def test_an_api_token_is_no_session(self, visitor: Visitor, registry: LocalRegistry) -> None:
        bearer = registry.bearer("admin", "demo-workspace/my-container-app:pull")
        visitor.session.cookies.set("registry_session", bearer["Authorization"].removeprefix("Bearer "))
        assert "<h1>Log in</h1>" in visitor.get(DEMO)


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


class TestForgery:
    @pytest.mark.parametrize(
        ("path", "fields"),
        [
            pytest.param(f"{TAG}/delete", {}, id="delete a tag"),
            pytest.param(f"{APP}/delete", {}, id="delete an image"),
            pytest.param(f"{DEMO}/create", {"name": "forged", "repository": "demo-repository"}, id="create"),
            pytest.param("/logout", {}, id="log out"),
        ],
    )
    @pytest.mark.parametrize("kind", ["no token", "another session's token", "another site"])
    def test_a_form_of_another_site_does_nothing(
        self, visitor: Visitor, registry: LocalRegistry, path: str, fields: dict[str, str], kind: str
    ) -> None:
        visitor.log_in("admin")
        match kind:
            case "no token":
                visitor.post(path, fields, 403)
            case "another session's token":
                with registry.session() as session:
                    stolen = Visitor(registry, session).log_in("admin").form_token()
                visitor.post(path, {**fields, "form_token": stolen}, 403)
            case _:
                fields = {**fields, "form_token": visitor.form_token()}
                visitor.post(path, fields, 403, origin="https://elsewhere.example")
                visitor.post(path, fields, 403, origin="null")
        visitor.get(TAG)
        visitor.get(f"{DEMO}/packages/forged", 404)


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
    def test_a_name_that_cannot_be_had_is_explained(
        self, visitor: Visitor, name: str, status: int, said: str
    ) -> None:
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
