"""A step as `bitbucket-pipeline-runner` runs it, which imitates Pipelines and knows nothing of this pipe."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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


Command = str | dict[str, object]
"""Of a step's script: for a shell, or a pipe."""
SHOW_DIGEST = 'python3 -c \'import json; print("the next step knows", json.load(open("result.json"))["digest"])\''


@dataclass(frozen=True, slots=True)
class RunPipeline:
    """Runs a pipeline of two steps, the first of which builds an image.

    Attributes:
        name: The image's.
        repository: The pipeline's folder.
        registry: What the pipe pushes to.
    """

    name: str
    repository: Path
    registry: LocalRegistry

    def pipe(self, **variables: object) -> Command:
        """Return the pipe, with variables besides the usual ones."""
        image = {"IMAGE_NAME": self.name, "REGISTRY": self.registry.host}
        return {"pipe": f"docker://{PIPE}", "variables": image | VARIABLES | variables}

    def __call__(self, push: Sequence[Command], later: Sequence[Command], artifact: str = "result.json") -> Pipeline:
        """Run it: what the first step does after the build, the second step's script, and what that is handed."""
        build = ["date +%N >content", "printf 'FROM scratch\\nCOPY content /\\n' >Dockerfile"]
        # In search of a cached layer the Engine fails over images that another test removes meanwhile.
        build.append(f"docker build --no-cache --tag {self.name} .")
        steps = [
            {"step": {"name": "Push", "services": ["docker"], "script": [*build, *push], "artifacts": [artifact]}},
            {"step": {"name": "Later", "script": list(later)}},
        ]
        definition = {"image": TOOLS, "clone": {"enabled": False}, "pipelines": {"custom": {"push": steps}}}
        (self.repository / "bitbucket-pipelines.yml").write_text(json.dumps(definition), "utf-8")
        folder = self.repository.parent
        folders = {f"XDG_{kind}_HOME": str(folder / kind) for kind in ("DATA", "CACHE")}
        process = subprocess.run(
            [sys.executable, "-m", "integration.foreign_runner", self.repository, "custom.push", folder / "secrets"],
            cwd=folder,
            env=os.environ | folders | {"PYTHONPATH": str(ROOT / "test"), "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        return Pipeline(process.returncode, process.stdout)


@pytest.fixture
def run_pipeline(engine: docker.DockerClient, registry: LocalRegistry, tmp_path: Path) -> Iterator[RunPipeline]:
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
    yield RunPipeline(name, repository, registry)
    for volume in engine.volumes.list(filters={"name": name}):
        volume.remove()
    for image in engine.images.list(filters={"reference": f"{name}/*"}):
        engine.images.remove(str(image.id), force=True)
    try:
        engine.images.remove(name, force=True)
    except ImageNotFound:
        print(f"no image {name} was built")


def test_step_pushes_and_hands_its_result_to_the_next(registry: LocalRegistry, run_pipeline: RunPipeline) -> None:
    pipe = run_pipeline.pipe(TAGS=["by-step", "$BITBUCKET_BUILD_NUMBER"], RESULT_FILE="result.json")
    pipeline = run_pipeline([pipe, "echo still in this step"], [SHOW_DIGEST])
    digest = digest_in(registry, "by-step")
    pipeline.expect(
        0,
        "✔ Pushed by-step, 1: ",
        f"{REPOSITORY}@{digest}",
        "still in this step",
        f"the next step knows {digest}",
    )
    assert digest_in(registry, "1") == digest
    assert "pipeline-token" not in pipeline.log


def test_tags_are_made_from_the_branch_and_the_commit(registry: LocalRegistry, run_pipeline: RunPipeline) -> None:
    subprocess.run(["git", "checkout", "--quiet", "-b", "feature/login"], cwd=run_pipeline.repository, check=True)
    pipe = run_pipeline.pipe(TAGS=["{branch}-{build}", "{branch}-{commit:7}", "{version}"], RESULT_FILE="result.json")
    pipeline = run_pipeline([pipe], [SHOW_DIGEST])
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=run_pipeline.repository, encoding="ascii")[:7]
    digest = digest_in(registry, "feature-login-1")
    pipeline.expect(
        0,
        "Not pushing {version}: $BITBUCKET_TAG has no value in this step (Pipelines sets it for tag pipelines only).",
        f"✔ Pushed feature-login-1, feature-login-{commit}: ",
        f"{REPOSITORY}@{digest}",
        f"the next step knows {digest}",
    )
    assert digest_in(registry, f"feature-login-{commit}") == digest


def test_image_saved_in_one_step_is_pushed_in_the_next(registry: LocalRegistry, run_pipeline: RunPipeline) -> None:
    save = [f"docker save {run_pipeline.name} | gzip >image.tar.gz", f"docker image rm {run_pipeline.name}"]
    pipe = run_pipeline.pipe(IMAGE_ARCHIVE="image.tar.gz", TAGS="saved", RESULT_FILE="result.json")
    pipeline = run_pipeline(save, [pipe, SHOW_DIGEST], "image.tar.gz")
    digest = digest_in(registry, "saved")
    pipeline.expect(0, "✔ Pushed saved: ", f"{REPOSITORY}@{digest}", f"the next step knows {digest}")


SHOW_IMAGES = (
    'python3 -c \'import json; print("the next step knows",'
    ' *(image["digest"] for image in json.load(open("result.json"))["images"]))\''
)


@pytest.mark.parametrize("by", ["array", "compose-file"])
def test_a_monorepo_pushes_all_its_images_in_one_call(
    registry: LocalRegistry, run_pipeline: RunPipeline, by: str
) -> None:
    name = run_pipeline.name
    names = {package: f"{name}/{package}" for package in ("api", "worker")}
    services = {package: {"build": package, "image": f"{image}:${{TAG:-latest}}"} for package, image in names.items()}
    build = [f"echo '{json.dumps({'services': services})}' >compose.yaml"]
    build += [f"docker build --no-cache --label package={package} --tag {image} ." for package, image in names.items()]
    which = (
        {"IMAGE_NAME": list(names.values())} if by == "array" else {"IMAGE_NAME": "", "COMPOSE_FILE": "compose.yaml"}
    )
    tags = {"TAGS": [f"by-{by}", "$BITBUCKET_BUILD_NUMBER"], "RESULT_FILE": "result.json", "PACKAGE_NAME": ""}
    pipeline = run_pipeline([*build, run_pipeline.pipe(**which, **tags)], [SHOW_IMAGES])
    digests = [digest_in(registry, f"by-{by}", f"demo-workspace/{package}") for package in names]
    assert None not in digests, pipeline.log
    assert len(set(digests)) == 2
    suffix = "" if by == "array" else ":latest"
    pushed = ", ".join(f"{image}{suffix}" for image in names.values())
    pipeline.expect(0, f"✔ Pushed: {pushed}", f"the next step knows {' '.join(map(str, digests))}")


def test_failing_push_makes_the_step_red(registry: LocalRegistry, run_pipeline: RunPipeline) -> None:
    pipe = run_pipeline.pipe(TAGS="red", BITBUCKET_PACKAGES_TOKEN="wrong-token")
    pipeline = run_pipeline([pipe, "echo still in this step"], ["echo in the next step"])
    pipeline.expect(4, "✖ ", "The registry rejected the credentials", "Step 'Push': FAIL")
    assert not pipeline.log.count("\nstill in this step"), pipeline.log
    assert not pipeline.log.count("\nin the next step"), pipeline.log
    assert digest_in(registry, "red") is None
