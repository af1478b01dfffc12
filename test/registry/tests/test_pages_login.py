"""Logging in to the pages, and that no other site can use a visitor's login."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from registry.tests.visitor import APP, DEMO, TAG, Visitor

if TYPE_CHECKING:
    from registry.client import LocalRegistry


ELSEWHERE = (
    "//elsewhere.example",
    "/\\elsewhere.example",
    "https://elsewhere.example",
    "/\t/elsewhere.example",
    "/\n/elsewhere.example",
    "/workspaces//elsewhere.example",
    "\t//elsewhere.example",
    "///elsewhere.example",
    "/./..//elsewhere.example",
    "http:elsewhere.example",
    "javascript:alert(1)",
    "/@elsewhere.example",
    "/ /elsewhere.example",
    "/\u2044/elsewhere.example",
    "elsewhere.example",
)


class TestLogin:
    @pytest.mark.parametrize("path", ["/", DEMO, APP, TAG, f"{DEMO}/create", f"{TAG}/delete", "/nowhere"])
    def test_nothing_is_shown_without(self, visitor: Visitor, path: str) -> None:
        answer = visitor.session.get(visitor.url + path, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/login?next={path}")

    @pytest.mark.parametrize("path", ["/logout", f"{TAG}/delete"])
    def test_no_form_does_anything_without(self, visitor: Visitor, path: str) -> None:
        answer = visitor.session.post(visitor.url + path, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
        visitor.log_in("reader").get(TAG)

    def test_it_leads_to_the_page_that_was_asked_for(self, visitor: Visitor) -> None:
        fields = {"user": "reader", "token": "reader-token"}
        answer = visitor.post(f"/login?next={TAG}", fields)
        assert answer.url == visitor.url + TAG

    @pytest.mark.parametrize("path", [*ELSEWHERE, ""])
    def test_it_never_leads_to_another_host(self, visitor: Visitor, path: str) -> None:
        fields = {"user": "reader", "token": "reader-token"}
        answer = visitor.session.post(f"{visitor.url}/login", params={"next": path}, data=fields, allow_redirects=False)
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
        assert '"><script>' not in page
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
        cookie = visitor.session.cookies["registry_session"]
        visitor.session.cookies.set("registry_session", cookie[:-1] + ("A" if cookie[-1] != "A" else "Q"))
        assert "<h1>Log in</h1>" in visitor.get(DEMO)

    def test_logging_out_ends_the_session_wherever_the_cookie_is_kept(self, visitor: Visitor) -> None:
        visitor.log_in("reader")
        cookie = visitor.session.cookies["registry_session"]
        visitor.post("/logout", {"form_token": visitor.form_token()})
        visitor.session.cookies.set("registry_session", cookie)
        assert "<h1>Log in</h1>" in visitor.get(DEMO)

    def test_an_api_token_is_no_session(self, visitor: Visitor, registry: LocalRegistry) -> None:
        bearer = registry.bearer("admin", "demo-workspace/my-container-app:pull")
        visitor.session.cookies.set("registry_session", bearer["Authorization"].removeprefix("Bearer "))
        assert "<h1>Log in</h1>" in visitor.get(DEMO)


class TestForgery:
    @pytest.mark.parametrize(
        ("path", "fields"),
        [
            pytest.param(f"{TAG}/delete", {}, id="delete a tag"),
            pytest.param(f"{APP}/delete", {}, id="delete an image"),
            pytest.param("/create", {"name": "forged", "repository": "demo-workspace/demo-repository"}, id="create"),
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
