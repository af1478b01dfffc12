"""What the gateway keeps: options, packages, tokens, and leases of pushes under way."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar

import pytest
from registry.gateway.manifests import MOST_BELOW, MOST_CHILDREN, MOST_LEVELS, closure_of
from registry.gateway.options import OptionError, read_options
from registry.gateway.packages import PackageError, Packages
from registry.gateway.pushes import Pushes
from registry.gateway.tokens import Token, Tokens, read_scopes
from registry.gateway.world import Package
from registry.gateway.world_file import read_world

if TYPE_CHECKING:
    from pathlib import Path

WORLD = """\
workspaces:
  ws:
    projects: {KEY: [repo, second]}
    packages: [{name: app, repository: repo}, {name: tool, repository: repo}]
accounts: {}
"""


class Clock:
    """Time that passes when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class TestOptions:
    def test_defaults(self) -> None:
        options = read_options({"REGISTRY_MAX_LAYER": " ", "REGISTRY_LEASE": ""})
        assert (options.host, options.port) == ("127.0.0.1", 5000)
        assert (options.max_layer, options.upload_timeout) == (32_000_000_000, 420)
        assert not options.cut_on_timeout
        assert options.tls_cert is None

    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("500", 500),
            ("500B", 500),
            ("10kB", 10_000),
            ("10 KB", 10_000),
            ("1MB", 1_000_000),
            ("1MiB", 1 << 20),
            ("32GiB", 32 << 30),
        ],
    )
    def test_sizes(self, text: str, size: int) -> None:
        assert read_options({"REGISTRY_MAX_LAYER": text}).max_layer == size

    @pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("1h", 3600), ("500ms", 0.5)])
    def test_times(self, text: str, seconds: float) -> None:
        assert read_options({"REGISTRY_UPLOAD_TIMEOUT": text}).upload_timeout == seconds

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("REGISTRY_MAX_LAYER", "32 apples"),
            ("REGISTRY_MAX_LAYER", "-1"),
            ("REGISTRY_UPLOAD_TIMEOUT", "soon"),
            ("REGISTRY_ON_UPLOAD_TIMEOUT", "503"),
            ("REGISTRY_LISTEN", "5000"),
            ("REGISTRY_TLS_CERT", "only-this.pem"),
        ],
    )
    def test_what_is_refused_is_named(self, name: str, value: str) -> None:
        with pytest.raises(OptionError, match=name):
            read_options({name: value})


class TestPackages:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "packages.json"

    def test_what_changed_is_kept(self, file: Path) -> None:
        packages = Packages(read_world(WORLD), file)
        packages.create("ws", "new", "second")
        packages.delete(Package("ws", "tool", "repo"))
        again = Packages(read_world(WORLD), file)
        assert again.in_workspace("ws") == (Package("ws", "app", "repo"), Package("ws", "new", "second"))

    def test_the_world_may_change_meanwhile(self, file: Path) -> None:
        packages = Packages(read_world(WORLD), file)
        packages.create("ws", "new", "second")
        packages.delete(Package("ws", "tool", "repo"))
        changed = WORLD.replace("[repo, second]", "[repo]").replace("{name: tool", "{name: more")
        names = [package.name for package in Packages(read_world(changed), file).in_workspace("ws")]
        assert names == ["app", "more"]

    @pytest.mark.parametrize(
        ("workspace", "name", "repository", "words"),
        [
            pytest.param("ws", "app", "repo", "has a package 'app' already", id="taken"),
            pytest.param("ws", "New", "repo", "cannot be a package's name", id="upper case"),
            pytest.param("ws", "a" * 129, "repo", "cannot be a package's name", id="too long"),
            pytest.param("ws", "../x", "repo", "cannot be a package's name", id="a path"),
            pytest.param("ws", "new", "third", "no repository 'third'", id="repository"),
            pytest.param("other", "new", "repo", "workspace 'other' has no", id="workspace"),
        ],
    )
    def test_what_cannot_be_created(self, file: Path, workspace: str, name: str, repository: str, words: str) -> None:
        packages = Packages(read_world(WORLD), file)
        with pytest.raises(PackageError, match=words):
            packages.create(workspace, name, repository)
        assert not file.exists()


class TestTokens:
    def test_it_says_what_was_put_in(self) -> None:
        tokens = Tokens(60, Clock())
        token = tokens.read(tokens.issue("writer", {"ws/app": frozenset({"pull", "push"})}))
        assert isinstance(token, Token)
        assert token.account == "writer"
        assert token.access == {"ws/app": frozenset({"pull", "push"})}

    def test_it_runs_out(self) -> None:
        clock = Clock()
        tokens = Tokens(60, clock)
        text = tokens.issue("writer", {})
        clock.now += 59.9
        assert tokens.read(text) is not None
        clock.now += 0.1
        assert tokens.read(text) is None

    def test_another_process_has_another_secret(self) -> None:
        assert Tokens(60, Clock()).read(Tokens(60, Clock()).issue("writer", {})) is None

    @pytest.mark.parametrize("place", [0, 20, -1])
    def test_a_changed_one_is_refused(self, place: int) -> None:
        tokens = Tokens(60, Clock())
        text = list(tokens.issue("writer", {}))
        text[place] = "A" if text[place] != "A" else "B"
        assert tokens.read("".join(text)) is None

    @pytest.mark.parametrize(
        ("texts", "access"),
        [
            pytest.param([], {}, id="none"),
            pytest.param(["repository:ws/app:pull"], {"ws/app": {"pull"}}, id="one"),
            pytest.param(["repository:a/b:pull,push"], {"a/b": {"pull", "push"}}, id="two actions"),
            pytest.param(["repository:a/b:pull repository:a/c:push"], {"a/b": {"pull"}, "a/c": {"push"}}, id="spaces"),
            pytest.param(["repository:a/b:pull", "repository:a/b:push"], {"a/b": {"pull", "push"}}, id="same twice"),
            pytest.param(["registry:catalog:*", "nonsense"], {}, id="others"),
        ],
    )
    def test_scopes(self, texts: list[str], access: dict[str, set[str]]) -> None:
        assert read_scopes(texts) == access


def digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


LAYER, CONFIG = digest(b"layer"), digest(b"config")
MANIFEST = json.dumps({"config": {"digest": CONFIG}, "layers": [{"digest": LAYER}]}).encode()
LIST = json.dumps({"manifests": [{"digest": digest(MANIFEST)}]}).encode()
EVERYTHING = {LAYER, CONFIG, digest(MANIFEST), digest(LIST)}


class TestClosures:
    STORED: ClassVar = {digest(body): body for body in (MANIFEST, LIST)}

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            pytest.param(MANIFEST, {CONFIG, LAYER}, id="manifest"),
            pytest.param(LIST, {digest(MANIFEST), CONFIG, LAYER}, id="list"),
            pytest.param(b"no manifest", set(), id="neither"),
        ],
    )
    def test_all_that_a_manifest_leads_to(self, body: bytes, expected: set[str]) -> None:
        found = closure_of(body, lambda name: self.STORED.get(name, b""))
        assert found.digests == expected
        assert not found.too_much

    @pytest.mark.parametrize("more", [0, 1])
    def test_what_all_of_them_name_is_bounded(self, more: int) -> None:
        children = {
            digest(body): body
            for number in range(9)
            for body in [json.dumps({"n": number, "layers": [{"digest": LAYER}] * (MOST_BELOW // 9 - 1)}).encode()]
        }
        rest = MOST_BELOW - 9 - 9 * (MOST_BELOW // 9 - 1) + more
        own = {"manifests": [{"digest": each} for each in children], "layers": [{"digest": LAYER}] * rest}
        found = closure_of(json.dumps(own).encode(), lambda name: children[name])
        assert found.entries == MOST_BELOW + more
        assert found.too_much == bool(more)

    def test_each_is_read_once(self) -> None:
        stored = dict(self.STORED)
        body, asked = LIST, []
        for _ in range(4):
            stored[digest(body)] = body
            body = json.dumps({"manifests": [{"digest": digest(body)}] * 12}).encode()

        def read(name: str) -> bytes:
            asked.append(name)
            return stored[name]

        assert closure_of(body, read).too_much
        assert len(asked) < MOST_LEVELS + 1

    @pytest.mark.parametrize(
        ("sizes", "too_much"),
        [
            pytest.param([MOST_CHILDREN], False, id="as many as may be"),
            pytest.param([MOST_CHILDREN + 1], True, id="one more"),
            pytest.param([9, 4_000_000], True, id="too many bytes"),
        ],
    )
    def test_it_is_bounded(self, sizes: list[int], too_much: bool) -> None:
        count, *size = sizes
        body = json.dumps({"manifests": [{"digest": f"sha256:{number:064}"} for number in range(count)]}).encode()
        found = closure_of(body, lambda name: name.encode() * ((size or [0])[0] // len(name)))
        assert found.too_much == too_much


class TestLeases:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def pushes(self, clock: Clock) -> Pushes:
        return Pushes(60, clock)

    def protected(self, pushes: Pushes, workspace: str | None = None) -> set[str]:
        with pushes.guard(workspace) as guard:
            return {name for name in EVERYTHING if guard.protects(name)}

    def test_nothing_is_protected_at_first(self, pushes: Pushes) -> None:
        assert self.protected(pushes) == set()

    @pytest.mark.parametrize(
        ("workspace", "expected"),
        [
            pytest.param(None, {LAYER}, id="all"),
            pytest.param("ws", {LAYER}, id="its own"),
            pytest.param("w", set(), id="the beginning of a name"),
            pytest.param("other", set(), id="another"),
        ],
    )
    def test_a_guard_covers_workspaces(self, pushes: Pushes, workspace: str | None, expected: set[str]) -> None:
        pushes.lease("ws/app", LAYER)
        assert self.protected(pushes, workspace) == expected

    def test_silence_ends_them(self, pushes: Pushes, clock: Clock) -> None:
        pushes.lease("ws/app", LAYER)
        clock.now += 59
        pushes.lease("ws/app", CONFIG)
        clock.now += 59
        assert self.protected(pushes) == {LAYER, CONFIG}
        clock.now += 1
        assert self.protected(pushes) == set()

    def test_an_open_upload_is_no_silence(self, pushes: Pushes, clock: Clock) -> None:
        pushes.lease("ws/app", LAYER)
        pushes.upload_opened("ws/app")
        clock.now += 1000
        assert self.protected(pushes) == {LAYER}
        pushes.upload_closed("ws/app")
        clock.now += 59
        assert self.protected(pushes) == {LAYER}
        clock.now += 1
        assert self.protected(pushes) == set()

    def test_an_open_guard_only_grows(self, pushes: Pushes, clock: Clock) -> None:
        pushes.lease("ws/app", LAYER)
        with pushes.guard("ws") as guard:
            assert not guard.protects(CONFIG)
            pushes.lease("ws/other", CONFIG)
            pushes.lease("elsewhere/app", digest(MANIFEST))
            clock.now += 1000
            assert guard.protects(LAYER)
            assert guard.protects(CONFIG)
            assert not guard.protects(digest(MANIFEST))
