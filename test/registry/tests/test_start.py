"""Starting, stopping and configuring it, as `make registry` does."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from integration.certificates import make_certificate
from registry.client import Registry, local_registry
from registry.tests.administrator import DEMO
from registry.tests.asking import APP
from registry.tests.clients import run
from registry.tests.images import Repository, image

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CONTENT = image([b"kept over a restart"])


@dataclass(frozen=True, slots=True)
class Installation:
    """A registry started by the script, beside any other."""

    name: str
    port: int

    def __call__(self, command: str, *, fails: bool = False, **options: str) -> str:
        environment = {"REGISTRY_NAME": self.name, "REGISTRY_PORT": str(self.port)}
        environment |= {f"REGISTRY_{name.upper()}": value for name, value in options.items()}
        return run(HERE.parent / "run", command, fails=fails, environment=environment)

    def volumes(self) -> list[str]:
        mounts = "{{range .Mounts}}{{.Name}} {{end}}"
        return run("docker", "container", "inspect", "--format", mounts, self.name).split()

    @property
    def registry(self) -> Registry:
        return Registry(f"127.0.0.1:{self.port}")

    def container(self) -> str:
        return run("docker", "ps", "--quiet", "--filter", f"name=^{self.name}$").strip()


@pytest.fixture
def installation() -> Iterator[Installation]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    installed = Installation(f"bbc-packages-push-registry-{uuid.uuid4().hex[:12]}", port)
    yield installed
    volumes = set(installed.volumes())
    subprocess.run(["docker", "rm", "--force", "--volumes", installed.name], check=True, capture_output=True)
    left = run("docker", "volume", "ls", "--quiet").split()
    assert volumes.isdisjoint(left), "the data goes with the container"


def test_what_was_pushed_is_kept(installation: Installation) -> None:
    output = installation("start")
    assert f"docker login 127.0.0.1:{installation.port}" in output
    for user in ("admin", "writer", "reader", "pipeline"):
        assert re.search(rf"^  {user} +{user}-token ", output, re.MULTILINE)
    with installation.registry.session("writer") as session:
        repository = Repository(session, installation.registry.url, APP)
        repository.push(CONTENT, "kept")
        first = installation.container()
        assert "runs already" in installation("start")
        assert installation.container() == first
        installation("stop")
        assert installation.container() == ""
        installation("start", max_layer="1MB")
        assert installation.container() != first
        assert repository.problems(CONTENT, "kept") == []
        installation("stop")
        run("docker", "rename", installation.name, f"{installation.name}-before")  # a start that was broken off
        installation("start")
        assert repository.problems(CONTENT, "kept") == []
    assert run("docker", "ps", "--all", "--quiet", "--filter", f"name=^{installation.name}-before$") == ""


def test_an_upload_does_not_outlive_a_restart(installation: Installation) -> None:
    installation("start")
    with installation.registry.session("writer") as session:
        opened = session.post(f"{installation.registry.url}/v2/{APP}/blobs/uploads/")
        installation("stop")
        installation("start")
        status = session.get(installation.registry.url + opened.headers["Location"])
        assert status.status_code == 404
    uploads = ["find", "/var/lib/registry", "-path", "*/_uploads/*"]
    assert run("docker", "exec", installation.name, *uploads) == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"max_layer": "32 apples"}, "REGISTRY_MAX_LAYER takes a size", id="size"),
        pytest.param({"world": "two-packages.yaml"}, ":7: workspace 'ws' has two", id="world"),
        pytest.param({"world": "no-re2.yaml"}, ":7: the pattern '(?=a)' is no RE2", id="rule"),
    ],
)
def test_bad_configuration_is_told(
    installation: Installation, tmp_path: Path, options: dict[str, str], words: str
) -> None:
    packages = "      - {name: app, repository: repo}\n" * 2
    (tmp_path / "two-packages.yaml").write_text(
        "workspaces:\n  ws:\n    projects:\n      KEY: [repo]\n    packages:\n" + packages + "accounts: {}\n",
        encoding="utf-8",
    )
    rule = "      protect: some\n      rules: [{name: a, pattern: '(?=a)'}]\n"
    (tmp_path / "no-re2.yaml").write_text(
        "workspaces:\n  ws:\n    projects:\n      KEY: [repo]\n    tags:\n" + rule + "accounts: {}\n", encoding="utf-8"
    )
    if "world" in options:
        options = {"world": str(tmp_path / options["world"])}
    output = installation("start", fails=True, **options)
    assert words in output
    assert "Traceback" not in output


def test_it_is_published_on_loopback_only(installation: Installation) -> None:
    installation("start")
    published = run("docker", "port", installation.name).splitlines()
    assert published == [f"5000/tcp -> 127.0.0.1:{installation.port}"]


def test_tls_with_options_of_the_script(installation: Installation, tmp_path: Path) -> None:
    tls = make_certificate(tmp_path, "IP:127.0.0.1")
    output = installation("start", tls_cert=str(tls.cert), tls_key=str(tls.key))
    assert f"https://127.0.0.1:{installation.port}/" in output
    registry = Registry(installation.registry.host, authority=tls.authority)
    with registry.session() as session:
        answer = session.get(f"{registry.url}/v2/")
    assert answer.headers["WWW-Authenticate"].startswith(f'Bearer realm="{registry.url}/token"')


@pytest.mark.usefixtures("registry_image")
def test_tls_is_verified(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path, "IP:127.0.0.1")
    with local_registry(tls=tls) as registry, Registry(registry.host).session() as session:
        with pytest.raises(requests.exceptions.SSLError):
            session.get(f"https://{registry.host}/v2/")
        with registry.session("writer") as trusting:
            assert trusting.get(f"{registry.url}/v2/").status_code == 200


class TestFromAShell:
    """`python3 -m registry`, for tests that are no Python."""

    def test_faults_and_log(self, registry: Registry) -> None:
        assert shell("fault", registry.host, '{"path": "/v2/", "answer": {"status": 418}}') == ""
        with registry.session("writer") as session:
            assert session.get(f"{registry.url}/v2/").status_code == 418
        assert '"status": 418' in shell("requests", registry.host, "path=/v2/", "--count=1")
        shell("clear", registry.host)
        assert shell("requests", registry.host) == ""
        shell("quiet", registry.host, "0.1")

    def test_protecting_tags(self, registry: Registry) -> None:
        with registry.protected_tags(DEMO, "none"), registry.session("admin") as session:
            assert shell("protect", registry.host, DEMO, '{"protect": "all"}') == ""
            assert session.get(f"{registry.url}/api/workspaces/{DEMO}/tags").json()["protect"] == "all"
            assert "'most' is none of" in shell("protect", registry.host, DEMO, '{"protect": "most"}', fails=True)

    def test_what_does_not_come(self, registry: Registry) -> None:
        output = shell("requests", registry.host, "method=PUT", "--count=1", "--timeout=0.1", fails=True)
        assert "no 1 requests" in output

    def test_a_registry_of_its_own(self) -> None:
        command = ["python3", "-m", "registry", "run", "max_layer=1MB"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=shell_environment()) as process:
            assert process.stdout is not None
            host = process.stdout.readline().strip()
            assert Registry(host).ready()
            process.terminate()
            assert process.wait(timeout=30) == 0
        assert not Registry(host).ready()


def shell(*arguments: str, fails: bool = False) -> str:
    return run("python3", "-m", "registry", *arguments, fails=fails, environment=shell_environment())


def shell_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
