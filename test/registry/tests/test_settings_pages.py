"""The page of a workspace's Container settings, over plain HTTP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from registry.tests.visitor import APP, DEMO, TAG, Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.client import LocalRegistry

SETTINGS = f"{DEMO}/settings"
WORKSPACE = "demo-workspace"


@pytest.fixture(autouse=True)
def settings(registry: LocalRegistry) -> Iterator[None]:
    """No tag is protected, before and after."""
    with registry.protected_tags(WORKSPACE, "none"):
        yield


def save(visitor: Visitor, fields: dict[str, str], status: int = 200) -> str:
    return visitor.post(SETTINGS, {"form_token": visitor.form_token(), **fields}, status).text


def checked(page: str) -> list[str]:
    return re.findall(r'name="protect" value="(\w+)" checked', page)


def values(page: str) -> list[str]:
    return [value for value in re.findall(r'name="(?:name|pattern)-\d" value="([^"]*)"', page) if value]


class TestWho:
    @pytest.mark.parametrize(
        ("user", "status"),
        [
            pytest.param("reader", 403, id="Read"),
            pytest.param("writer", 403, id="Write"),
            pytest.param("repository-admin", 403, id="Admin of a repository"),
            pytest.param("stranger", 404, id="no role"),
            pytest.param("admin", 200, id="admin of the workspace"),
        ],
    )
    def test_sees_and_saves_them(self, visitor: Visitor, user: str, status: int) -> None:
        visitor.log_in(user)
        visitor.get(SETTINGS, status)
        token = {"form_token": visitor.form_token()} if status != 404 else {}
        visitor.post(SETTINGS, {**token, "protect": "none"}, 403 if status == 404 else status)
        if status != 404:
            assert (f'href="{SETTINGS}"' in visitor.get(DEMO)) == (status == 200)

    def test_a_form_of_another_site_saves_nothing(self, visitor: Visitor) -> None:
        visitor.log_in("admin")
        visitor.post(SETTINGS, {"form_token": "guessed", "protect": "all"}, 403)
        assert checked(visitor.get(SETTINGS)) == ["none"]


class TestSaving:
    def test_all(self, visitor: Visitor) -> None:
        visitor.log_in("admin")
        page = save(visitor, {"protect": "all"})
        assert "The settings have been saved." in page
        assert checked(page) == ["all"]

    def test_some_by_rules_in_any_rows(self, visitor: Visitor) -> None:
        visitor.log_in("admin")
        fields = {"name-1": "releases", "pattern-1": "^v", "name-6": "prod", "pattern-6": "^prod$"}
        page = save(visitor, {"protect": "some", **fields})
        assert checked(page) == ["some"]
        assert values(page) == ["releases", "^v", "prod", "^prod$"]

    def test_it_leaves_what_only_tests_set(self, visitor: Visitor, registry: LocalRegistry) -> None:
        registry.protect_tags(WORKSPACE, same_digest="rejected", rejection={"status": 409})
        visitor.log_in("admin")
        save(visitor, {"protect": "all"})
        with registry.session("admin") as session:
            saved = session.get(f"{registry.url}/api/workspaces/{WORKSPACE}/tags").json()
        assert (saved["protect"], saved["same_digest"], saved["rejection"]["status"]) == ("all", "rejected", 409)

    @pytest.mark.parametrize(
        ("fields", "said", "row"),
        [
            pytest.param({}, "needs at least one rule.", None, id="some without rules"),
            pytest.param({"protect": "most"}, "Protect &#39;most&#39; is none of", None, id="an unknown choice"),
            pytest.param({"name-2": "a", "pattern-2": "("}, "is no RE2: missing ): (.", 2, id="no RE2"),
            pytest.param({"name-2": "a"}, "pattern is empty.", 2, id="no pattern"),
            pytest.param({"pattern-2": "a"}, "name has 1 to 100 characters", 2, id="no name"),
            pytest.param({"name-3": "a", "pattern-3": "a" * 101}, "has 101 characters", 3, id="a long pattern"),
            pytest.param(
                {"name-0": "a", "pattern-0": "a", "name-4": "a", "pattern-4": "b"},
                "Two rules have the name &#39;a&#39;.",
                4,
                id="two of one name",
            ),
        ],
    )
    def test_what_is_wrong_is_said_beside_the_form_as_it_was_filled_in(
        self, visitor: Visitor, fields: dict[str, str], said: str, row: int | None
    ) -> None:
        visitor.log_in("admin")
        page = save(visitor, {"protect": "some", **fields}, 400)
        assert said in page
        assert values(page) == [value for key, value in sorted(fields.items(), key=_by_row) if key != "protect"]
        invalid = re.findall(r'name="name-(\d)"[^>]* aria-invalid="true"', page)
        assert invalid == ([] if row is None else [str(row)])
        assert checked(visitor.get(SETTINGS)) == ["none"]


def _by_row(field: tuple[str, str]) -> tuple[str, str]:
    kind, _, row = field[0].partition("-")
    return row, kind


class TestTester:
    @pytest.mark.parametrize(
        ("pattern", "tag", "said"),
        [
            pytest.param("^v\\d", "v1", "protect this tag", id="it matches"),
            pytest.param("^v\\d", "latest", "would not protect this tag", id="it does not"),
            pytest.param("(", "v1", "is no RE2", id="no RE2"),
            pytest.param("a" * 101, "v1", "has 101 characters", id="too long"),
            pytest.param("<b>", "v1", "<code>&lt;b&gt;</code> does not match", id="no HTML"),
        ],
    )
    def test_it_says_what_a_pattern_does(self, visitor: Visitor, pattern: str, tag: str, said: str) -> None:
        visitor.log_in("admin")
        answer = visitor.session.get(visitor.url + SETTINGS, params={"pattern": pattern, "tag": tag})
        assert answer.status_code == 200
        assert said in answer.text

    def test_it_says_nothing_before_it_is_asked(self, visitor: Visitor) -> None:
        assert "protect this tag" not in visitor.log_in("admin").get(SETTINGS)


class TestPagesOfTags:
    @pytest.mark.parametrize(
        ("user", "offered"),
        [
            pytest.param("writer", False, id="Write"),
            pytest.param("repository-admin", False, id="Admin of the repository"),
            pytest.param("admin", True, id="admin of the workspace"),
        ],
    )
    def test_deleting_what_is_protected_is_offered_to_admins_only(
        self, visitor: Visitor, registry: LocalRegistry, user: str, offered: bool
    ) -> None:
        visitor.log_in(user)
        assert "Protected" not in visitor.get(TAG)
        registry.protect_tags(WORKSPACE, "all")
        for path in (TAG, APP):
            assert "Protected" in visitor.get(path)
            assert (f'href="{TAG}/delete"' in visitor.get(path)) == offered
        for path in (DEMO, APP):
            assert (f'href="{APP}/delete"' in visitor.get(path)) == offered
        visitor.get(f"{TAG}/delete", 200 if offered else 403)
        visitor.get(f"{APP}/delete", 200 if offered else 403)
        if not offered:
            visitor.post(f"{TAG}/delete", {"form_token": visitor.form_token()}, 403)
            visitor.post(f"{APP}/delete", {"form_token": visitor.form_token()}, 403)
            visitor.get(TAG)
