"""The pipe, and what its users would run instead, each timed from its start to its end."""

import base64
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

USER = "pipeline"
TOKEN = "pipeline-token"  # noqa: S105 - public, of the local registry
REPOSITORY = "demo-workspace/my-container-app"
SOCKET = "unix:///var/run/docker.sock"

_WATCH = """
import json, os, sys, time
began = time.monotonic()
child = os.posix_spawn(sys.executable, ["python3", "-m", "pipe"], os.environ)
_, status, usage = os.wait4(child, 0)
print(json.dumps({"seconds": time.monotonic() - began, "memory": usage.ru_maxrss * 1024}))
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Runs in the pipe's container, starts the pipe as the image does, and reads from the kernel what it took."""


@dataclass(frozen=True, slots=True)
class Run:
    """One push.

    Attributes:
        seconds: From the command's start to its end.
        process_seconds: Of the pipe's own process, without the making of its container; of other commands
            the same as `seconds`.
        memory: Bytes that the pipe's process held at most (peak resident set); 0 for other commands.
    """

    seconds: float
    process_seconds: float
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """An Engine and a registry that it pushes to.

    Attributes:
        engine: The Engine's address, as in `DOCKER_HOST`.
        registry: The registry's host and port.
        inside: What begins a command that is to run in the Engine's network.
    """

    engine: str
    registry: str
    inside: tuple[str, ...] = ()

    def pipe_options(self, image: str, tags: Sequence[str], **others: str) -> list[str]:
        """Return the options of `docker run` with which the pipe's container pushes an image."""
        socket = self.engine.removeprefix("unix://")
        reach = [f"--volume={socket}:{SOCKET.removeprefix('unix://')}"]
        if socket == self.engine:
            reach = [f"--env=DOCKER_HOST={self.engine}"]
        variables = {
            "REGISTRY": self.registry,
            "WORKSPACE": REPOSITORY.partition("/")[0],
            "PACKAGE_NAME": REPOSITORY.partition("/")[2],
            "IMAGE_NAME": image,
            "TAGS": " ".join(tags),
            "BITBUCKET_PACKAGES_USERNAME": USER,
            "BITBUCKET_PACKAGES_TOKEN": TOKEN,
            **others,
        }
        return ["--rm", "--network=host", *reach, *(f"--env={name}={value}" for name, value in variables.items())]

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the docker command with this Engine."""
        return run("docker", "--host", self.engine, *arguments)

    def pipe(self, pipe: str, image: str, *tags: str, mounts: Sequence[str] = (), **variables: str) -> Run:
        """Push with the pipe's image `pipe`, with variables of its own and folders mounted where they are."""
        options = [*self.pipe_options(image, tags, **variables), *(f"--volume={path}:{path}" for path in mounts)]
        began = time.monotonic()
        done = self.docker("run", *options, "--entrypoint=python3", pipe, "-c", _WATCH)
        seconds = time.monotonic() - began
        process = json.loads(done.stdout.splitlines()[-1])
        return Run(seconds, process["seconds"], process["memory"])

    def docker_push(self, image: str, *tags: str) -> Run:
        """Push with `docker push`, once for each tag; the login and `docker tag` come before and are not timed."""
        references = [f"{self.registry}/{REPOSITORY}:{tag}" for tag in tags]
        login = {"auths": {self.registry: {"auth": base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()}}}
        for reference in references:
            self.docker("tag", image, reference)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "config.json").write_text(json.dumps(login), encoding="utf-8")
            began = time.monotonic()
            for reference in references:
                self.docker("--config", folder, "push", reference)
            seconds = time.monotonic() - began
        self.docker("image", "rm", *references)
        return Run(seconds, seconds)

    def staging(self, image: str) -> Run:
        """Time how long the Engine stages an image before it gives the first byte of `docker save`."""
        began = time.monotonic()
        command = ["docker", "--host", self.engine, "save", image]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as save:
            if save.stdout is None or not save.stdout.read(1):
                raise RuntimeError(f"{' '.join(command)} gave nothing")
            seconds = time.monotonic() - began
            save.kill()
        return Run(seconds, seconds)

    def skopeo_copy(self, image: str, tag: str) -> Run:
        """Push with `skopeo copy`."""
        began = time.monotonic()
        run(
            *(*self.inside, "skopeo", "--insecure-policy", "copy", "--src-daemon-host", self.engine),
            *("--dest-tls-verify=false", f"--dest-creds={USER}:{TOKEN}"),
            *(f"docker-daemon:{image}", f"docker://{self.registry}/{REPOSITORY}:{tag}"),
        )
        seconds = time.monotonic() - began
        return Run(seconds, seconds)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that has to succeed.

    Raises:
        RuntimeError: It failed; holds all that it printed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done
