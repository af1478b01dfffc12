"""Which tags a policy protects, without a registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from registry.gateway.settings import Settings
from registry.gateway.tag_rules import PolicyError, Protect, Rejection, Rule, TagPolicy, read_policy, try_pattern
from registry.gateway.world_file import read_world

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
RELEASES = TagPolicy(Protect.SOME, (Rule("releases", r"^v\d+\.\d+\.\d+$"), Rule("prod", "^prod$")))
WORLD = """\
workspaces:
  ws:
    projects: {KEY: [repo]}
    tags: {protect: all}
accounts: {}
"""


@pytest.mark.parametrize(
    ("pattern", "tag", "expected"),
    [
        pytest.param("^prod$", "prod", True, id="a whole name"),
        pytest.param("^prod$", "prod-2", False, id="more than that"),
        pytest.param(r"^v\d+\.\d+\.\d+$", "v1.10.0", True, id="a version"),
        pytest.param(r"^v\d+\.\d+\.\d+$", "v1.10", False, id="half a version"),
        pytest.param("^release-.*$", "release-", True, id="a beginning"),
        pytest.param("rc", "1.0-rc.1", True, id="anywhere in a name"),
        pytest.param("PROD", "prod", False, id="another case"),
        pytest.param("(?i)PROD", "prod", True, id="any case"),
        pytest.param(r"\pL", "1.0", False, id="a class of Unicode"),
        pytest.param("(a+)+$", "a" * 127 + "!", False, id="what a backtracking engine would try for ever"),
    ],
)
def test_patterns(pattern: str, tag: str, expected: bool) -> None:
    assert try_pattern(pattern, tag) == expected


@pytest.mark.parametrize(
    ("policy", "tag", "expected"),
    [
        pytest.param(TagPolicy(), "v1.0.0", False, id="none"),
        pytest.param(TagPolicy(Protect.ALL), "latest", True, id="all"),
        pytest.param(RELEASES, "v1.0.0", True, id="the first rule"),
        pytest.param(RELEASES, "prod", True, id="the second rule"),
        pytest.param(RELEASES, "latest", False, id="no rule"),
        pytest.param(TagPolicy(Protect.NONE, RELEASES.rules), "v1.0.0", False, id="rules that do not count"),
    ],
)
def test_what_is_protected(policy: TagPolicy, tag: str, expected: bool) -> None:
    assert policy.protects(tag) == expected


@pytest.mark.parametrize(
    ("previous", "accepts", "expected"),
    [
        pytest.param(None, True, False, id="a new tag"),
        pytest.param(None, False, False, id="a new tag, where the same is rejected"),
        pytest.param(OTHER, True, True, id="another image"),
        pytest.param(ONE, True, False, id="the same"),
        pytest.param(ONE, False, True, id="the same, where that is rejected"),
    ],
)
def test_what_is_rejected(previous: str | None, accepts: bool, expected: bool) -> None:
    policy = TagPolicy(Protect.ALL, accepts_same_digest=accepts)
    assert policy.rejects("1.0", previous, ONE) == expected


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(TagPolicy(), id="defaults"),
        pytest.param(RELEASES, id="rules"),
        pytest.param(TagPolicy(Protect.ALL, (), Rejection(409, "TAG_INVALID", "no"), False), id="an OCI error"),
        pytest.param(TagPolicy(Protect.ALL, (), Rejection(412, body="")), id="an empty body"),
    ],
)
def test_it_is_read_as_it_was_written(policy: TagPolicy) -> None:
    assert read_policy(json.loads(json.dumps(policy.as_object()))) == policy


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param([], "tags must be a mapping", id="a list"),
        pytest.param({"protect": 1}, "protect must be a text", id="a number"),
        pytest.param({"protect": "all", "rules": {}}, "rules must be a list", id="no list of rules"),
        pytest.param({"rules": [{"name": "a"}]}, "has no 'pattern'", id="no pattern"),
        pytest.param({"rules": [{"name": "a", "pattern": 1}]}, "pattern must be a text", id="a number for a pattern"),
        pytest.param({"rules": [{"name": "a", "pattern": "\ud800"}]}, "is not Unicode", id="no Unicode"),
        pytest.param({"rules": [{"name": "a\nb", "pattern": "a"}]}, "in one line", id="a name of two lines"),
        pytest.param({"rejection": {"status": True}}, "from 400 to 599", id="a truth for a status"),
        pytest.param({"rejection": {"body": 1}}, "body must be a text", id="a number for a body"),
        pytest.param({"rejection": {"content_type": "a\r\nb"}}, "in one line", id="two headers"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: object, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        read_policy(values)


class TestSettings:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "settings.json"

    def test_what_was_set_is_kept(self, file: Path) -> None:
        Settings(read_world(WORLD), file).set_tags("ws", RELEASES)
        assert Settings(read_world(WORLD), file).tags("ws") == RELEASES

    def test_setting_what_the_world_says_is_no_change(self, file: Path) -> None:
        settings = Settings(read_world(WORLD), file)
        settings.set_tags("ws", RELEASES)
        settings.set_tags("ws", TagPolicy(Protect.ALL))
        changed = WORLD.replace("all", "none")
        assert Settings(read_world(changed), file).tags("ws") == TagPolicy()

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            pytest.param("protect: all", "protect: none", id="its tags"),
            pytest.param("  ws:", "  other:", id="its name"),
        ],
    )
    def test_a_world_that_changed_counts(self, file: Path, old: str, new: str) -> None:
        Settings(read_world(WORLD), file).set_tags("ws", RELEASES)
        world = read_world(WORLD.replace(old, new))
        [workspace] = world.workspaces
        assert Settings(world, file).tags(workspace) == world.workspaces[workspace].tags
