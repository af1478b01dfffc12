"""The same rules, met by the real clients: docker with its Engine, and skopeo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from registry.client import LocalRegistry, local_registry
from registry.tests.asking import APP
from registry.tests.clients import Docker, Skopeo, layout, random_bytes, run
from registry.tests.images import image, image_list

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECOND = "demo-workspace/second-app"
OTHER = "demo-workspace/other-app"
FOREIGN = "other-workspace/my-container-app"
CONTENT = random_bytes(100_000, seed=4)


@pytest.fixture
def logged_in(registry: LocalRegistry, docker: Docker) -> Docker:
    docker.login(registry, "writer")
    return docker


@pytest.fixture(scope="module")
def limited(registry_image: None) -> Iterator[LocalRegistry]:
    with local_registry(max_layer="1MB", upload_timeout="2s") as running:
        yield running


def digest_in(output: str) -> str:
    """Return the digest that `docker push` and `docker pull` print."""
    return next(word for word in output.split() if word.startswith("sha256:"))


class TestAsDocumented:
    """`docker login`, `build`, `push` and `pull`, as Bitbucket's page shows them."""

    def test_login_build_push_pull(self, registry: LocalRegistry, docker: Docker, tmp_path: Path) -> None:
        name = f"{registry.host}/{APP}:documented"
        (tmp_path / "file").write_bytes(CONTENT)
        (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY file /\n", encoding="utf-8")
        docker("login", registry.host, "-u", "pipeline", "-p", "pipeline-token")
        docker.build(name, tmp_path)
        pushed = digest_in(docker("push", name))
        docker.remove_images()
        assert digest_in(docker("pull", name)) == pushed

    def test_skopeo_copies_and_inspects(self, registry: LocalRegistry, skopeo: Skopeo, tmp_path: Path) -> None:
        content = image([CONTENT])
        source = layout(tmp_path / "source", content)
        skopeo.copy(source, f"docker://{registry.host}/{APP}:skopeo", "--preserve-digests")
        skopeo.copy(f"docker://{registry.host}/{APP}:skopeo", f"docker://{registry.host}/{SECOND}:copy")
        output = skopeo("inspect", "--no-tags", f"docker://{registry.host}/{SECOND}:copy")
        assert content.digest in output


@pytest.mark.usefixtures("registry_image")
class TestLogin:
    @pytest.mark.parametrize(
        ("user", "token", "fails"),
        [
            pytest.param("writer", "writer-token", False, id="right"),
            pytest.param("writer", "wrong", True, id="wrong token"),
            pytest.param("nobody", "nobody-token", True, id="no such user"),
        ],
    )
    def test_docker_login(self, registry: LocalRegistry, docker: Docker, user: str, token: str, *, fails: bool) -> None:
        output = docker.login(registry, user, token, fails=fails)
        assert ("unauthorized" if fails else "Login Succeeded") in output

    def test_docker_without_one_is_told_to_log_in(self, registry: LocalRegistry, docker: Docker) -> None:
        output = docker("pull", f"{registry.host}/{APP}:latest", fails=True)
        assert "docker login" in output
        assert "incorrect" not in output

    def test_docker_search_is_told_that_there_is_none(self, registry: LocalRegistry, docker: Docker) -> None:
        output = docker("search", f"{registry.host}/app", fails=True)
        assert "<" not in output
        assert registry.requests(path="/v1/search", status="404")

    @pytest.mark.usefixtures("skopeo")
    def test_skopeo_without_credentials(self, registry: LocalRegistry) -> None:
        name = f"docker://{registry.host}/{APP}:latest"
        output = run("skopeo", "inspect", "--tls-verify=false", "--no-creds", name, fails=True)
        assert "incorrect user name or token" in output or "unauthorized" in output

    def test_a_token_that_ran_out_is_refused(self, skopeo: Skopeo, tmp_path: Path) -> None:
        with local_registry(token_lifetime="1s") as registry:
            registry.fault(method="PATCH", wait=1.1)
            source = layout(tmp_path / "source", image([CONTENT]))
            output = skopeo.copy(source, f"docker://{registry.host}/{APP}:tokens", fails=True)
            assert "unauthorized" in output
            assert registry.requests(method="POST", status="202")


class TestRoles:
    @pytest.mark.parametrize(
        ("user", "package", "words"),
        [
            pytest.param("reader", APP, "reader may not push", id="Read"),
            pytest.param("pipeline", OTHER, "linked to repository other-repository", id="step"),
        ],
    )
    def test_who_may_not_push(
        self, registry: LocalRegistry, docker: Docker, user: str, package: str, words: str
    ) -> None:
        docker.login(registry, user)
        name = docker.image(f"{registry.host}/{package}:denied", CONTENT)
        assert words in docker("push", name, fails=True)

    def test_read_pulls(self, registry: LocalRegistry, logged_in: Docker) -> None:
        name = logged_in.image(f"{registry.host}/{APP}:read", CONTENT)
        pushed = digest_in(logged_in("push", name))
        logged_in.remove_images()
        logged_in.login(registry, "reader")
        assert digest_in(logged_in("pull", name)) == pushed

    def test_no_role_pulls_nothing(self, registry: LocalRegistry, docker: Docker) -> None:
        docker.login(registry, "stranger")
        assert "does not exist in this workspace" in docker("pull", f"{registry.host}/{APP}:any", fails=True)


class TestPackages:
    @pytest.mark.parametrize("package", ["demo-workspace/never-created", "never-created/app"])
    def test_push_and_pull_of_an_unknown_one(self, registry: LocalRegistry, logged_in: Docker, package: str) -> None:
        name = logged_in.image(f"{registry.host}/{package}:latest", CONTENT)
        for command in ("push", "pull"):
            assert "does not exist in this workspace" in logged_in(command, name, fails=True)


class TestLimits:
    def test_a_layer_over_the_limit(self, limited: LocalRegistry, skopeo: Skopeo, tmp_path: Path) -> None:
        source = layout(tmp_path / "source", image([random_bytes(1_000_001, seed=5)]))
        output = skopeo.copy(source, f"docker://{limited.host}/{APP}:large", fails=True)
        assert "larger than the limit" in output or "413" in output
        assert "data" not in limited.run("find", "/var/lib/registry/storage", "-name", "data")

    def test_an_upload_that_lasts_too_long(self, limited: LocalRegistry, skopeo: Skopeo, tmp_path: Path) -> None:
        limited.fault(method="PATCH", bytes_per_second=50_000)
        source = layout(tmp_path / "source", image([random_bytes(1_000_000, seed=6)]))
        output = skopeo.copy(source, f"docker://{limited.host}/{APP}:slow", fails=True)
        assert "took longer than the limit of 2 seconds" in output or "504" in output


class TestNotSupported:
    @pytest.mark.parametrize(
        "command",
        [
            pytest.param(("list-tags", APP), id="tags"),
            pytest.param(("delete", f"{APP}:kept"), id="delete"),
        ],
    )
    def test_skopeo(
        self,
        registry: LocalRegistry,
        skopeo: Skopeo,
        tmp_path: Path,
        command: tuple[str, str],
    ) -> None:
        kept = f"docker://{registry.host}/{APP}:kept"
        skopeo.copy(layout(tmp_path / "source", image([CONTENT])), kept)
        verb, name = command
        output = skopeo(verb, f"docker://{registry.host}/{name}", user="admin", fails=True)
        assert "405" in output or "not supported" in output
        skopeo("inspect", "--no-tags", kept)


class TestMounts:
    @pytest.mark.parametrize(
        ("target", "words"),
        [
            pytest.param(OTHER, f"Mounted from {APP}", id="one workspace"),
            pytest.param(FOREIGN, "Pushed", id="across two"),
        ],
    )
    def test_docker_mounts_within_a_workspace(
        self, registry: LocalRegistry, logged_in: Docker, target: str, words: str
    ) -> None:
        first = logged_in.image(f"{registry.host}/{APP}:mount", CONTENT + target.encode())
        logged_in("push", first)
        second = logged_in.tag(first, f"{registry.host}/{target}:mount")
        assert words in logged_in("push", second)


class TestPassingThrough:
    def test_a_manifest_list(self, registry: LocalRegistry, skopeo: Skopeo, tmp_path: Path) -> None:
        content = image_list(amd64=image([CONTENT]), arm64=image([CONTENT[1:]], "arm64"))
        name = f"{registry.host}/{APP}:list"
        skopeo.copy(layout(tmp_path / "source", content), f"docker://{name}", "--all", "--preserve-digests")
        skopeo.copy(f"docker://{name}", f"oci:{tmp_path / 'back'}", "--all", "--preserve-digests")
        assert content.digest in (tmp_path / "back" / "index.json").read_text(encoding="utf-8")

    @pytest.mark.parametrize("kind", ["oci", "v2s2"])
    def test_both_formats(self, registry: LocalRegistry, skopeo: Skopeo, tmp_path: Path, kind: str) -> None:
        name = f"docker://{registry.host}/{APP}:{kind}"
        skopeo.copy(layout(tmp_path / "source", image([CONTENT])), name, f"--format={kind}")
        output = skopeo("inspect", "--no-tags", "--raw", name)
        assert ("docker.distribution" in output) == (kind == "v2s2")

    def test_an_unchanged_push_sends_nothing(self, registry: LocalRegistry, logged_in: Docker) -> None:
        name = logged_in.image(f"{registry.host}/{APP}:unchanged", CONTENT)
        first = digest_in(logged_in("push", name))
        registry.clear()
        output = logged_in("push", name)
        assert "Layer already exists" in output
        assert digest_in(output) == first
        assert registry.requests(method="PATCH") == []
