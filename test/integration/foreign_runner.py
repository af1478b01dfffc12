"""Runs a pipeline with `bitbucket-pipeline-runner`, a runner that is not ours, and without its outside world.

    python -m integration.foreign_runner REPOSITORY PIPELINE ENV_FILE

The exit code is the pipeline's. Where the runner would pull images of the internet, it gets the local
registry's, which has a shell, tar and Python. Its service `docker`, a privileged Engine of its own, becomes
one that hands on to the Engine in use, and the step's docker command starts the pipe in that Engine's words
(`docker_of_a_step.py`, which also takes off `docker://`, unknown to this runner). The rest is the runner's
own: its variables, its `docker run` of the pipe, its artifacts. It clones nothing: that takes alpine/git.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from docker.errors import NotFound
from docker.models.containers import Container, ContainerCollection
from docker.models.images import Image, ImageCollection
from pipeline_runner.config import ATLASSIAN_PAUSE_IMAGE
from pipeline_runner.runner import PipelineRunner, PipelineRunRequest
from pipeline_runner.service import DockerServiceRunner
from registry.client import IMAGE as TOOLS

HERE = Path(__file__).parent
AGENT = "/opt/atlassian/pipelines/agent"
FORWARD = HERE.parent / "system" / "forward.py"
FOREIGN = {"alpine", ATLASSIAN_PAUSE_IMAGE}
SERVICE = "bitbucket-pipelines-docker-daemon"

_get_image = ImageCollection.get
_run_container = ContainerCollection.run


def main() -> int:
    """Run the pipeline."""
    repository, pipeline, variables = sys.argv[1:]
    ImageCollection.pull = _pull  # type: ignore[method-assign, assignment]
    ImageCollection.get = _get  # type: ignore[method-assign, assignment]
    ContainerCollection.run = _run  # type: ignore[method-assign, assignment]
    # It ends every container of the Engine and removes its volumes; this Engine is not the step's own.
    DockerServiceRunner._teardown = lambda _: None  # type: ignore[method-assign, assignment]  # noqa: SLF001
    request = PipelineRunRequest(pipeline, repository_path=repository, env_files=[variables])
    return PipelineRunner(request).run().exit_code


def _pull(_: ImageCollection, name: str, **__: object) -> None:
    raise NotFound(f"{name} is not to be had here")


def _get(images: ImageCollection, name: str) -> Image:
    return _get_image(images, _local(name))


def _local(name: str) -> str:
    return TOOLS if name in FOREIGN or SERVICE in name else name


def _run(containers: ContainerCollection, image: str, **options: Any) -> Container:  # noqa: ANN401 - as the SDK takes them
    if image == ATLASSIAN_PAUSE_IMAGE:
        options["entrypoint"] = ["sleep", "infinity"]
    elif SERVICE in image:
        # The runner looks for a process of this name, and whether `docker info` succeeds beside it. No docker
        # command of the service may reach this Engine: the runner ends by removing all that it finds there.
        script = 'ln -s /bin/true /usr/local/bin/docker && exec -a dockerd python3 -c "$0"'
        options["entrypoint"] = ["bash", "-c", script, FORWARD.read_text("utf-8")]
        options |= {"command": None, "privileged": False, "volumes": options["volumes"] | _engine()}
    elif options.get("volumes", {}) and AGENT in (bind["bind"] for bind in options["volumes"].values()):
        options["volumes"] |= _docker()
        options["environment"] |= {"STEP_CONTAINER": options["name"]}
    # The image would else have a volume without a name, which the runner leaves behind.
    options["tmpfs"] = {"/var/lib/registry": ""}
    container = _run_container(containers, _local(image), **options)
    assert isinstance(container, Container)
    return container


def _engine() -> dict[str, dict[str, str]]:
    """Mount the Engine in use."""
    return {
        urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")).path: {"bind": "/var/run/docker.sock"}
    }


def _docker() -> dict[str, dict[str, str]]:
    """Mount the docker command."""
    docker = shutil.which("docker")
    if docker is None:
        raise FileNotFoundError("docker")
    return {
        str(Path(docker).resolve()): {"bind": "/usr/local/libexec/docker", "mode": "ro"},
        str(HERE / "docker_of_a_step.py"): {"bind": "/usr/local/bin/docker", "mode": "ro"},
    }


if __name__ == "__main__":
    sys.exit(main())
