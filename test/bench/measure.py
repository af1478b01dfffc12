"""What is measured. Contenders run in turn, every other round in the reverse order; every value is kept."""

import contextlib
import itertools
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.images import fresh_image
from bench.pushes import REPOSITORY, USER, Place, Run, run
from integration.private_engine import PrivateEngine, private_engine
from registry.client import local_registry

from pipe.oci.manifest import MEDIA_TYPES

SMALL = (25_000_000, 3)
MEDIUM = (250_000_000, 4)
"""Bytes and layers of the images that are pushed."""
PIPE, DOCKER, SKOPEO = "the pipe", "`docker push`", "`skopeo copy`"
STAGING = "the first byte of `docker save`"
ONE_TAG, TEN_TAGS = "the pipe, one tag", "the pipe, ten tags"
START, EMPTY = "the pipe's first line", "a line of an empty program"

Push = Callable[[Place, str], Run]
"""Pushes an image of a place's Engine to its registry."""
Runs = Mapping[str, Sequence[Run]]
"""Of each contender, its run in each round."""


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of the pipe's image."""

    compressed: int
    unpacked: int


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement needs.

    Attributes:
        engine: Address of the Engine in use.
        pipe: Name of the pipe's image.
        skopeo: Whether skopeo can read images from this Engine.
    """

    engine: str
    pipe: str
    skopeo: bool

    def size(self) -> Size:
        """Measure the pipe's image: its layers' blobs as `docker push` sends them, and all its files."""
        with local_registry() as registry:
            Place(self.engine, registry.host).docker_push(self.pipe, "size")
            with registry.session() as session:
                session.headers.update(registry.bearer(USER, f"{REPOSITORY}:pull"), Accept=", ".join(MEDIA_TYPES))
                manifest: dict[str, Any] = {"manifests": [{"digest": "size"}]}
                while "manifests" in manifest:
                    url = f"{registry.url}/v2/{REPOSITORY}/manifests/{manifest['manifests'][0]['digest']}"
                    manifest = session.get(url, timeout=10).json()
        container = run("docker", "create", self.pipe).stdout.strip()
        with (
            subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export,
            tarfile.open(fileobj=export.stdout, mode="r|") as files,
        ):
            unpacked = sum(file.size for file in files)
        run("docker", "rm", container)
        return Size(sum(layer["size"] for layer in manifest["layers"]), unpacked)

    def cold_start(self, rounds: int) -> Runs:
        """Time how long after `docker run` the pipe's log begins, and a program's output that does nothing else."""
        programs = {START: [self.pipe], EMPTY: ["--entrypoint=python3", self.pipe, "-c", "print()"]}
        runs: dict[str, list[Run]] = {name: [] for name in programs}
        for _, name in turns(programs, rounds):
            runs[name].append(_first_line(["docker", "run", "--rm", "--network=host", *programs[name]]))
        return runs

    def already_there(self, rounds: int) -> Runs:
        """Push a small image that each contender pushed before."""
        with fresh_image(*SMALL) as image, local_registry() as registry:
            place = Place(self.engine, registry.host)
            runs: dict[str, list[Run]] = {name: [] for name in self.pushes}
            for _, name in turns(self.pushes, rounds + 1):
                runs[name].append(self.pushes[name](place, image))
        return {name: values[1:] for name, values in runs.items()}

    def ten_tags(self, rounds: int) -> Runs:
        """Push a small image that nobody has seen before, under one tag and under ten."""
        tags = [f"tag-{number}" for number in range(10)]
        pushes: dict[str, Push] = {
            ONE_TAG: lambda place, image: place.pipe(self.pipe, image, *tags[:1]),
            TEN_TAGS: lambda place, image: place.pipe(self.pipe, image, *tags),
            DOCKER: lambda place, image: place.docker_push(image, *tags[:1]),
            f"ten times {DOCKER}": lambda place, image: place.docker_push(image, *tags),
        }
        return self.each_fresh(rounds, SMALL, pushes)

    def no_memory(self, rounds: int) -> Runs:
        """Push an image that the registry has, from an Engine that never saw the registry.

        Only `docker push` leaves something in the Engine's memory, so it comes last.
        """
        runs: dict[str, list[Run]] = {name: [] for name in self.pushes}
        with fresh_image(*MEDIUM) as image, local_registry() as registry:
            for push in self.pushes.values():
                push(Place(self.engine, registry.host), image)
            process = run("docker", "inspect", "--format={{.State.Pid}}", str(registry.container.id)).stdout
            for _ in range(rounds):
                with self.new_engine(int(process), image) as engine:
                    place = Place(engine.docker_host, "127.0.0.1:5000", engine.inside)
                    for name in sorted(self.pushes, key=DOCKER.__eq__):
                        runs[name].append(self.pushes[name](place, image))
        return runs

    @property
    def pushes(self) -> dict[str, Push]:
        """The contenders; skopeo where it can."""
        pushes: dict[str, Push] = {
            PIPE: lambda place, image: place.pipe(self.pipe, image, "pipe"),
            DOCKER: lambda place, image: place.docker_push(image, "docker"),
        }
        if self.skopeo:
            pushes[SKOPEO] = lambda place, image: place.skopeo_copy(image, "skopeo")
        return pushes

    def each_fresh(self, rounds: int, size: tuple[int, int], pushes: Mapping[str, Push]) -> Runs:
        """Push with a new image in each round, and a new registry for each push."""
        runs: dict[str, list[Run]] = {name: [] for name in pushes}
        for _, names in itertools.groupby(turns(pushes, rounds), key=lambda turn: turn[0]):
            with fresh_image(*size) as image:
                for _, name in names:
                    with local_registry() as registry:
                        os.sync()  # what was written before is not this push's to wait for
                        runs[name].append(pushes[name](Place(self.engine, registry.host), image))
        return runs

    @contextlib.contextmanager
    def new_engine(self, network_of: int, image: str) -> Iterator[PrivateEngine]:
        """Run an Engine with nothing but the pipe's image and another one."""
        with tempfile.TemporaryDirectory() as folder, private_engine(Path(folder), network_of=network_of) as engine:
            with subprocess.Popen(["docker", "save", self.pipe, image], stdout=subprocess.PIPE) as save:
                load = ["docker", "--host", engine.docker_host, "load", "--quiet"]
                subprocess.run(load, stdin=save.stdout, check=True, capture_output=True)
            yield engine


def skopeo_reads(engine: str, image: str) -> bool:
    """Tell whether skopeo can read an image of an Engine; new Engines no longer speak the API of Debian's."""
    command = ["skopeo", "inspect", "--daemon-host", engine, f"docker-daemon:{image}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def can_make_engines() -> bool:
    """Tell whether `Bench.no_memory` can be measured here."""
    return os.geteuid() == 0 and shutil.which("dockerd") is not None


def turns(names: Mapping[str, object], rounds: int) -> Iterator[tuple[int, str]]:
    """Give each round's number with each name: of any two, each comes first as often as the other."""
    for number in range(rounds):
        for name in reversed(list(names)) if number % 2 else names:
            yield number, name


def _first_line(command: Sequence[str]) -> Run:
    """Time how long a command takes to its first line; what it does then is not looked at."""
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        if process.stdout is None or not process.stdout.readline():
            raise RuntimeError(f"{' '.join(command)} printed nothing")
        seconds = time.monotonic() - began
        process.stdout.read()
    return Run(seconds, seconds)
