"""Reading the world: what it may say, and what is refused with which line."""

from __future__ import annotations

from pathlib import Path

import pytest
from registry.gateway.tag_rules import Protect, Rejection, Rule
from registry.gateway.world import Role, World
from registry.gateway.world_file import WorldError, read_world

SHIPPED = Path(__file__).parents[1] / "world.yaml"
WRITE = "write:package:bitbucket"
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
    assert [(p.path, p.repository) for p in workspace.packages] == [
        ("demo-workspace/my-container-app", DEMO),
        ("demo-workspace/my-container-worker", DEMO),
    ]


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
        pytest.param("ws/repo: admin", "other: admin", 9, "no workspace 'other'", id="workspace alone"),
        pytest.param("ws/repo: admin", "ws: write", 9, "role in a workspace 'write'", id="no role of a workspace"),
        pytest.param("ws/repo: admin", "ws: admin, ws/repo: read", 9, "two roles on repository 'ws/repo'", id="two"),
    ],
)
def test_what_cannot_be_meant_is_refused(old: str, new: str, line: int, words: str) -> None:
    assert old in VALID
    text = VALID.replace(old, new, 1).replace("{, ", "{")
    with pytest.raises(WorldError, match=words) as raised:
        read_world(text, "my-world.yaml")
    assert str(raised.value).startswith(f"my-world.yaml:{line}: ")


PROTECTED = """\
workspaces:
  ws:
    projects:
      KEY: [repo]
    tags:
      protect: some
      rules:
        - {name: one, pattern: ^v}
        - name: two
          pattern: ^prod$
        - {name: three, pattern: c}
        - {name: four, pattern: d}
        - {name: five, pattern: e}
        - {name: six, pattern: f}
        - {name: seven, pattern: g}
      rejection:
        status: 409
        body: |
          no
      same_digest: rejected
accounts: {}
"""


def test_a_workspace_with_protected_tags() -> None:
    policy = read_world(PROTECTED).workspaces["ws"].tags
    assert (policy.protect, len(policy.rules)) == (Protect.SOME, 7)
    assert policy.rules[1] == Rule("two", "^prod$")
    assert policy.rejection == Rejection(status=409, body="no\n")
    assert not policy.accepts_same_digest


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        pytest.param("some", "most", 6, "protect 'most' is none of none, all, some", id="unknown choice"),
        pytest.param("pattern: ^prod$", "pattern: (", 10, r"'\(' is no RE2: missing \)", id="no RE2"),
        pytest.param("^prod$", "(?=a)", 10, "is no RE2: invalid perl operator", id="look-around"),
        pytest.param("^prod$", r"(a)\1", 10, "is no RE2: invalid escape sequence", id="back-reference"),
        pytest.param("^prod$", "a" * 101, 10, "has 101 characters, at most 100", id="long pattern"),
        pytest.param("^prod$", "''", 10, "pattern is empty", id="empty pattern"),
        pytest.param("{name: seven", "{name: 7, pattern: x}\n        - {name: 8", 16, "at most 7 rules", id="eighth"),
        pytest.param("name: two", "name: one", 9, "two rules have the name 'one'", id="two of one name"),
        pytest.param("name: two", "name: ''", 9, "name has 1 to 100", id="no name"),
        pytest.param("name: two", "nam: two", 9, "unknown key 'nam' in a rule", id="unknown key of a rule"),
        pytest.param("name: two\n          ", "", 9, "a rule has no 'name'", id="rule without a name"),
        pytest.param("protect:", "protects:", 6, "unknown key 'protects' in tags", id="unknown key"),
        pytest.param("rejection:", "rejections:", 16, "unknown key 'rejections' in tags", id="key of a block"),
        pytest.param("status: 409", "status: 200", 17, "from 400 to 599", id="status"),
        pytest.param("status: 409", "status: four", 17, "from 400 to 599", id="status in words"),
        pytest.param("body: |", "text: |", 18, "unknown key 'text' in rejection", id="key of a rejection"),
        pytest.param("same_digest: rejected", "same_digest: no", 20, "same_digest 'no' is none", id="same digest"),
        pytest.param("protect: some", "protect: some\n      protect: all", 7, "'protect' stands twice", id="twice"),
        pytest.param("- {name: three, pattern: c}", "- three", 11, "a rule must be a mapping", id="text for a rule"),
    ],
)
def test_a_protection_that_cannot_be_meant_is_refused(old: str, new: str, line: int, words: str) -> None:
    assert old in PROTECTED
    with pytest.raises(WorldError, match=words) as raised:
        read_world(PROTECTED.replace(old, new, 1), "my-world.yaml")
    assert str(raised.value).startswith(f"my-world.yaml:{line}: ")


def test_some_needs_rules() -> None:
    text = VALID.replace("    packages:", "    tags: {protect: some}\n    packages:")
    with pytest.raises(WorldError, match=r"^world.yaml:5: protect: some needs at least one rule$"):
        read_world(text)


@pytest.mark.parametrize(
    ("roles", "administers"),
    [
        pytest.param("ws: admin", True, id="of the workspace"),
        pytest.param("ws/repo: admin, ws/second: admin", False, id="of all its repositories"),
    ],
)
def test_an_admin_of_a_workspace_is_more_than_one_of_its_repositories(roles: str, administers: bool) -> None:
    account = read_world(VALID.replace("ws/repo: admin", roles)).accounts["one"]
    assert [account.role_on("ws", repository) for repository in ("repo", "second")] == [Role.ADMIN, Role.ADMIN]
    assert account.administers("ws") == administers


def test_a_token_for_writing_administers_nothing() -> None:
    text = VALID.replace("ws/repo: admin", "ws: admin").replace("token: secret", f"token: secret, scope: {WRITE}")
    assert not read_world(text).accounts["one"].administers("ws")


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "\x00"])
def test_what_is_no_world_is_refused(text: str) -> None:
    with pytest.raises(WorldError, match=r"^world\.yaml:1: "):
        read_world(text)
