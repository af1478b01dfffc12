"""The pipe, and what its users would run instead, each timed from its start to its end."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import Pipe
from bench.running import run

USER = "pipeline"
TOKEN = "pipeline-token"  # noqa: S105 - public, of the local registry
REPOSITORY = "demo-workspace/my-container-app"
SOCKET = "unix:///var/run/docker.sock"

_WATCH = """
import json, os, sys, time
began = time.monotonic()
command = sys.argv[1:] or [sys.executable, "-m", "pipe"]
child = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
print(json.dumps({"seconds": time.monotonic() - began, "memory": usage.ru_maxrss * 1024}))
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Runs in the pipe's container, starts the pipe as the image does, and reads from the kernel what it took."""
_AS_IN_THE_IMAGE = {
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One push.

    Attributes:
        seconds: From the command's start to its end.
        process_seconds: Of the pipe's own process, without the making of its container; of other commands
            the same as `seconds`.
        memory: Bytes that the pipe's process held at most (peak resident set); 0 for other commands.
        stored: Bytes of the layers that the registry stores afterwards, or that it received; 0 if unknown.
        processor_seconds: That all processes of the machine spent meanwhile; 0 if unknown.
    """

    seconds: float
    process_seconds: float
    memory: int = 0
    stored: int = 0
    processor_seconds: float = 0


@dataclass(frozen=True, slots=True)
class Place:
    """An Engine and a registry that it pushes to.

    Attributes:
        engine: The Engine's address, as in `DOCKER_HOST`.
        registry: The registry's host and port.
        inside: The prefix of a command that runs in the Engine's network.
        processors: The processors that the pipe may use, as in `taskset --cpu-list`; empty for all.
        repository: `workspace/package` that is pushed to.
    """

    engine: str
    registry: str
    inside: tuple[str, ...] = ()
    repository: str = REPOSITORY
    processors: str = ""

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the docker command with this Engine."""
        return run("docker", "--host", self.engine, *arguments)

    def pipe(self, pipe: Pipe, image: str, *tags: str, mounts: Sequence[str] = (), **variables: str) -> Run:
        """Push with a pipe.

        Args:
            pipe: How it is run.
            image: The image's name.
            tags: In the registry.
            mounts: Folders that a container needs, mounted where they are.
            variables: Beside those of every push.
        """
        variables = {
            "REGISTRY": self.registry,
            "WORKSPACE": self.repository.partition("/")[0],
            "PACKAGE_NAME": self.repository.partition("/")[2],
            "IMAGE_NAME": image,
            "TAGS": " ".join(tags),
            "BITBUCKET_PACKAGES_USERNAME": USER,
            "BITBUCKET_PACKAGES_TOKEN": TOKEN,
            **variables,
        }
        began = time.monotonic()
        done = self._image(pipe.image, mounts, variables) if pipe.image else self._command(pipe, variables)
        seconds = time.monotonic() - began
        process = json.loads(done.stdout.splitlines()[-1])
        return Run(seconds, process["seconds"], process["memory"])

    def _image(
        self, image: str, mounts: Sequence[str], variables: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        options = [f"--env={name}={value}" for name, value in variables.items()]
        options += [f"--volume={path}:{path}" for path in mounts]
        options += [f"--cpuset-cpus={self.processors}"] * bool(self.processors)
        return self._watched(image, options=options)

    def _command(self, pipe: Pipe, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment |= {"DOCKER_HOST": self.engine, **variables}
        if pipe.folder is not None:
            environment |= _AS_IN_THE_IMAGE | {"PYTHONPATH": str(pipe.folder)}
        pinned = ["taskset", "--cpu-list", self.processors] if self.processors else []
        return run(*self.inside, *pinned, sys.executable, "-c", _WATCH, *pipe.command, environment=environment)

    def empty_python(self, image: str) -> Run:
        """Run a program without a line in the pipe's image, in a container and by a parent like those of a push."""
        began = time.monotonic()
        done = self._watched(image, "python3", "-c", "")
        return Run(time.monotonic() - began, json.loads(done.stdout)["seconds"])

    def _watched(self, image: str, *command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        socket = self.engine.removeprefix("unix://")
        engine = f"--volume={socket}:{SOCKET.removeprefix('unix://')}"
        if socket == self.engine:
            engine = f"--env=DOCKER_HOST={self.engine}"
        return self.docker(
            "run", "--rm", "--network=host", engine, *options, "--entrypoint=python3", image, "-c", _WATCH, *command
        )

    def docker_push(self, image: str, *tags: str) -> Run:
        """Push with `docker push`, once for each tag; the login and `docker tag` come before and are not timed."""
        references = [f"{self.registry}/{self.repository}:{tag}" for tag in tags]
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

    def pull(self, tag: str) -> Run:
        """Pull an image that this Engine does not have, and remove it; the removal is not timed."""
        reference = f"{self.registry}/{self.repository}:{tag}"
        began = time.monotonic()
        self.docker("pull", "--quiet", reference)
        seconds = time.monotonic() - began
        self.docker("image", "rm", reference)
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
            *(f"docker-daemon:{image}", f"docker://{self.registry}/{self.repository}:{tag}"),
        )
        seconds = time.monotonic() - began
        return Run(seconds, seconds)
