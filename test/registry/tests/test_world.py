"""Reading the world: what it may say, and what is refused with which line."""

from __future__ import annotations

from pathlib import Path

import pytest
from registry.gateway.world import Role, World, WorldError, read_world

SHIPPED = Path(__file__).parents[1] / "world.yaml"
DEMO, OTHER = "demo-repository", "other-repository"


@pytest.fixture(scope="module")
def shipped() -> World:
    return read_world(SHIPPED.read_text(encoding="utf-8"))


def test_the_shipped_world(shipped: World) -> None:
    [workspace] = shipped.workspaces.values()
    assert (workspace.slug, workspace.projects) == ("demo-workspace", ("DEMO",))
    assert [(r.slug, r.project) for r in workspace.repositories.values()] == [
        (DEMO, "DEMO"),
        (OTHER, "DEMO"),
    ]
    assert [(p.path, p.repository) for p in workspace.packages] == [("demo-workspace/my-container-app", DEMO)]


@pytest.mark.parametrize(
    ("user", "demo", "other"),
    [
        pytest.param("admin", Role.ADMIN, Role.ADMIN, id="admin"),
        pytest.param("writer", Role.WRITE, Role.WRITE, id="writer"),
        pytest.param("reader", Role.READ, Role.READ, id="reader"),
        pytest.param("pipeline", Role.WRITE, Role.NONE, id="pipeline"),
    ],
)
def test_the_shipped_accounts(shipped: World, user: str, demo: Role, other: Role) -> None:
    account = shipped.accounts[user]
    assert account.token == f"{user}-token"
    assert account.token not in repr(account)
    assert account.role_on("demo-workspace", DEMO) == demo
    assert account.role_on("demo-workspace", OTHER) == other


@pytest.mark.parametrize(
    ("scope", "role"),
    [
        pytest.param("", Role.ADMIN, id="none"),
        pytest.param("scope: write:package:bitbucket", Role.WRITE, id="write"),
        pytest.param("scope: read:package:bitbucket", Role.READ, id="read"),
    ],
)
def test_a_scope_narrows_roles(scope: str, role: Role) -> None:
    text = VALID.replace("token: secret", f"token: secret, {scope}".rstrip(", "))
    assert read_world(text).accounts["one"].role_on("ws", "repo") == role


VALID = """\
workspaces:
  ws:
    projects:
      KEY: [repo, second]
    packages:
      - {name: app, repository: repo}
      - {name: tool, repository: second}
accounts:
  one: {token: secret, roles: {ws/repo: admin}}
"""


@pytest.mark.parametrize(("said", "operator"), [("", False), (", operator: true", True), (", operator: false", False)])
def test_only_who_is_called_so_operates(said: str, operator: bool) -> None:
    world = read_world(VALID.replace("token: secret", f"token: secret{said}"))
    assert world.accounts["one"].operator == operator


def test_a_valid_world() -> None:
    world = read_world(VALID)
    assert [package.name for package in world.workspaces["ws"].packages] == ["app", "tool"]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        pytest.param("accounts:", "acounts:", 8, "unknown key 'acounts'", id="unknown key"),
        pytest.param("    packages:", "    package:", 5, "unknown key 'package'", id="in a workspace"),
        pytest.param("{name: app, ", "{nam: app, ", 6, "unknown key 'nam'", id="in a package"),
        pytest.param("token: secret", "tokens: a", 9, "unknown key 'tokens'", id="in an account"),
        pytest.param("repository: second", "repository: third", 7, "no repository 'third'", id="repository"),
        pytest.param("ws/repo", "ws/third", 9, "no repository 'ws/third'", id="repository of a role"),
        pytest.param("ws/repo", "other/repo", 9, "no repository 'other/repo'", id="workspace of a role"),
        pytest.param("name: tool", "name: app", 7, "two packages of the name 'app'", id="same package"),
        pytest.param("[repo, second]", "[repo, repo]", 4, "'repo' stands twice", id="same repository"),
        pytest.param("      KEY:", "      KEY: []\n      KEY:", 5, "'KEY' stands twice", id="same key"),
        pytest.param("admin}", "owner}", 9, "role 'owner' is none of", id="role"),
        pytest.param("token: secret", "token: a, scope: all", 9, "scope 'all' is none of", id="scope"),
        pytest.param("token: secret", "token: ''", 9, "is empty", id="empty token"),
        pytest.param("token: secret", "token: a, operator: 1", 9, "operator '1' is none of", id="operator"),
        pytest.param("  one:", "  'o:ne':", 9, "colon", id="colon in a name"),
        pytest.param("name: app", "name: App", 6, "lowercase letters", id="upper case"),
        pytest.param("name: app", "name: a/b", 6, "lowercase letters", id="slash"),
        pytest.param("  ws:", "  'w s':", 2, "lowercase letters", id="space"),
        pytest.param("[repo, second]", "repo", 4, "must be a list", id="no list"),
        pytest.param("token: secret", "token: [a]", 9, "must be a text", id="no text"),
        pytest.param("  one: {token: secret", "  one: {", 9, "has no 'token'", id="no token"),
        pytest.param("[repo, second]", "[repo", 5, "not YAML", id="no YAML"),
    ],
)
def test_what_cannot_be_meant_is_refused(old: str, new: str, line: int, words: str) -> None:
    assert old in VALID
    text = VALID.replace(old, new, 1).replace("{, ", "{")
    with pytest.raises(WorldError, match=words) as raised:
        read_world(text, "my-world.yaml")
    assert str(raised.value).startswith(f"my-world.yaml:{line}: ")


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "\x00"])
def test_what_is_no_world_is_refused(text: str) -> None:
    with pytest.raises(WorldError, match=r"^world\.yaml:1: "):
        read_world(text)
