"""A step as `bitbucket-pipeline-runner` runs it, which imitates Pipelines and knows nothing of this pipe."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import docker
import pytest
from docker.errors import ImageNotFound
from integration.registries import REPOSITORY, digest_in
from integration.running import ROOT
from registry.client import IMAGE as TOOLS
from registry.client import LocalRegistry

pytestmark = [pytest.mark.local_engine]
PIPE = os.environ.get("IMAGE", "bbc-packages-push-container-image:dev")
VARIABLES = {
    "BITBUCKET_PACKAGES_USERNAME": "$BITBUCKET_PACKAGES_USERNAME",
    "BITBUCKET_PACKAGES_TOKEN": "$BITBUCKET_PACKAGES_TOKEN",
    "WORKSPACE": "demo-workspace",
    "PACKAGE_NAME": "my-container-app",
    "MAX_LAYER_SIZE": "$NEVER_SET",
}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline that has ended: its exit code, and all that it printed."""

    exit_code: int
    log: str

    def expect(self, exit_code: int, *words: str) -> None:
        """Assert how it ended, and what its log holds."""
        assert self.exit_code == exit_code, self.log
        for text in words:
            assert text in self.log, f"in the log: {text}\n{self.log}"


class RunPipeline(Protocol):
    """Runs a pipeline of two steps, the first of which builds an image and has the pipe push it."""

    def __call__(self, later: str, **variables: object) -> Pipeline:
        """Run it: with the second step's script, and the pipe's variables besides the usual ones."""


@pytest.fixture(scope="module")
def pipe_image() -> None:
    subprocess.run([ROOT / "test" / "setup" / "image", PIPE], cwd=ROOT, check=True)


@pytest.fixture
def run_pipeline(
    engine: docker.DockerClient, pipe_image: None, registry: LocalRegistry, tmp_path: Path
) -> Iterator[RunPipeline]:
    # The runner derives from it the names of all that it makes.
    name = f"bbc-packages-push-step-{secrets.token_hex(6)}"
    repository = tmp_path / name
    repository.mkdir()
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.com"]
    subprocess.run(["git", "init", "--quiet"], cwd=repository, check=True)
    subprocess.run(["git", *identity, "commit", "--quiet", "--allow-empty", "-m", "1"], cwd=repository, check=True)
    (tmp_path / "secrets").write_text(
        "BITBUCKET_PACKAGES_USERNAME=pipeline\nBITBUCKET_PACKAGES_TOKEN=pipeline-token\n", "ascii"
    )

    def run_pipeline(later: str, **variables: object) -> Pipeline:
        image = {"IMAGE_NAME": name, "REGISTRY": registry.host}
        script = [
            "date +%N >content",
            "printf 'FROM scratch\\nCOPY content /\\n' >Dockerfile",
            f"docker build --tag {name} .",
            {"pipe": f"docker://{PIPE}", "variables": image | VARIABLES | variables},
            "echo still in this step",
        ]
        steps = [{"step": {"name": "Push", "script": script, "artifacts": ["result.json"]}}]
        steps.append({"step": {"name": "Later", "script": [later]}})
        definition = {"image": TOOLS, "clone": {"enabled": False}, "pipelines": {"custom": {"push": steps}}}
        (repository / "bitbucket-pipelines.yml").write_text(json.dumps(definition), "utf-8")
        folders = {f"XDG_{kind}_HOME": str(tmp_path / kind) for kind in ("DATA", "CACHE")}
        process = subprocess.run(
            [sys.executable, "-m", "integration.foreign_runner", repository, "custom.push", tmp_path / "secrets"],
            cwd=tmp_path,
            env=os.environ | folders | {"PYTHONPATH": str(ROOT / "test"), "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        return Pipeline(process.returncode, process.stdout)

    yield run_pipeline
    for volume in engine.volumes.list(filters={"name": name}):
        volume.remove()
    try:
        engine.images.remove(name, force=True)
    except ImageNotFound:
        print(f"no image {name} was built")


def test_step_pushes_and_hands_its_result_to_the_next(registry: LocalRegistry, run_pipeline: RunPipeline) -> None:
    show = 'python3 -c \'import json; print("the next step knows", json.load(open("result.json"))["digest"])\''
    pipeline = run_pipeline(show, TAGS=["by-step", "$BITBUCKET_BUILD_NUMBER"], RESULT_FILE="result.json")
    digest = digest_in(registry, "by-step")
    pipeline.expect(
        0,
        f"{REPOSITORY}:by-step@{digest}",
        f"{REPOSITORY}:1@{digest}",
        "still in this step",
        f"the next step knows {digest}",
    )
    assert digest_in(registry, "1") == digest
    assert "pipeline-token" not in pipeline.log


def test_failing_push_makes_the_step_red(registry: LocalRegistry, run_pipeline: RunPipeline) -> None:
    pipeline = run_pipeline("echo in the next step", TAGS="red", BITBUCKET_PACKAGES_TOKEN="wrong-token")
    pipeline.expect(4, "✖ ", "The registry refuses the credentials", "Step 'Push': FAIL")
    assert not pipeline.log.count("\nstill in this step"), pipeline.log
    assert not pipeline.log.count("\nin the next step"), pipeline.log
    assert digest_in(registry, "red") is None
