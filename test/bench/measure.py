"""What every row needs: the contenders, new images, registries and Engines."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.contenders import Pipe
from bench.images import fresh_image
from bench.pushes import Place, Run
from bench.registries import distribution, stored
from bench.runs import Runs, in_turn
from integration.private_engine import PrivateEngine, private_engine
from registry.client import Registry, local_registry

PIPE, DOCKER, SKOPEO = "the pipe", "`docker push`", "`skopeo copy`"

SMALLEST = 25_000_000
"""Bytes that an image keeps, however small `Bench.scale` is."""

Image = tuple[int, int]
"""Bytes of files and number of layers."""
Push = Callable[[Place, str], Run]
"""Pushes an image of a place's Engine to its registry."""
Registries = Callable[[], contextlib.AbstractContextManager[Registry]]
"""Runs a new registry."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement needs.

    Attributes:
        engine: Address of the Engine in use.
        image: Name of the pipe's image.
        pipes: The pipes that are measured, the first of them as `PIPE`.
        rounds: How often, at least, each contender runs.
        skopeo: Whether skopeo can read images from this Engine.
        skopeos: Programs of further versions of skopeo, for archives.
        compressions: Values of COMPRESSION that rows with a link measure; "auto" sets no variable.
        scale: What the sizes of images over `SMALLEST` are multiplied by.
        alone: Whether this runs in a separate network namespace, whose loopback may be shaped.
    """

    engine: str
    image: str
    pipes: tuple[Pipe, ...]
    rounds: int = 4
    skopeo: bool = False
    skopeos: tuple[str, ...] = ()
    compressions: tuple[str, ...] = ("auto", "zstd")
    scale: float = 1.0
    alone: bool = False

    def sized(self, image: Image) -> Image:
        """Return an image's bytes and layers in this run; what is small anyway stays as it is."""
        return max(round(image[0] * self.scale), min(image[0], SMALLEST)), image[1]

    def distribution(self) -> contextlib.AbstractContextManager[Registry]:
        """Run CNCF Distribution alone: in this network if that is the bench's, else through a published port."""
        return distribution(published=not self.alone)

    def pipe_pushes(self, *tags: str, suffix: str = "", **variables: str) -> dict[str, Push]:
        """Return a push by each pipe.

        Args:
            tags: In the registry.
            suffix: Of their names in tables.
            variables: Beside those of every push.
        """

        def by(pipe: Pipe) -> Push:
            return lambda place, image: place.pipe(pipe, image, *tags, **variables)

        return {f"{pipe.name}{suffix}": by(pipe) for pipe in self.pipes}

    @property
    def contenders(self) -> dict[str, Push]:
        """The pipes, and the Engine's own push."""
        return {**self.pipe_pushes("pipe"), DOCKER: lambda place, image: place.docker_push(image, "docker")}

    @property
    def all_contenders(self) -> dict[str, Push]:
        """The same, and skopeo if it can."""
        if not self.skopeo:
            return self.contenders
        return {**self.contenders, SKOPEO: lambda place, image: place.skopeo_copy(image, "skopeo")}

    def compressing(self) -> dict[str, Push]:
        """Return the contenders with each value of COMPRESSION that is measured."""
        pushes: dict[str, Push] = {}
        for value in self.compressions:
            variables = {} if value == "auto" else {"COMPRESSION": value}
            pushes |= self.pipe_pushes("pipe", suffix=suffix_of(value), **variables)
        return {**pushes, DOCKER: self.contenders[DOCKER]}

    def each_fresh(
        self, row: str, size: Image, pushes: Mapping[str, Push], registries: Registries = local_registry
    ) -> Runs:
        """Push with a new image in each round, and a new registry for each push.

        Args:
            row: The row's name.
            size: Bytes and layers of the image.
            pushes: The contenders.
            registries: Runs a registry.
        """
        runs = Runs(row)
        for names in in_turn(pushes, self.rounds):
            with fresh_image(*self.sized(size)) as image:
                for name in names:
                    with registries() as registry:
                        place = Place(self.engine, registry.host)
                        runs.add(name, lambda: counted(registry, lambda: pushes[name](place, image)))  # noqa: B023
        return runs

    @contextlib.contextmanager
    def new_engine(self, network_of: int, image: str) -> Iterator[PrivateEngine]:
        """Run an Engine that stores only the pipes' images and another one."""
        images = [*(pipe.image for pipe in self.pipes if pipe.image), image]
        with tempfile.TemporaryDirectory() as folder, private_engine(Path(folder), network_of=network_of) as engine:
            copy_images(engine.docker_host, *images)
            yield engine


def suffix_of(compression: str) -> str:
    """Return what the name of a contender ends with in tables, for a value of COMPRESSION."""
    return "" if compression == "auto" else f", {compression}"


def counted(registry: Registry, push: Callable[[], Run]) -> Run:
    """Push, with nothing left to write to the disk before, and add the bytes that the registry stores afterwards."""
    os.sync()  # what was written before is not this push's to wait for
    run = push()
    return replace(run, stored=sum(stored(registry).values()))


def copy_images(engine: str, *images: str) -> None:
    """Copy images from the Engine in use to another one.

    Raises:
        RuntimeError: That failed.
    """
    with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as save:
        load = ["docker", "--host", engine, "load", "--quiet"]
        loaded = subprocess.run(load, stdin=save.stdout, capture_output=True, text=True, check=False)
    if save.returncode or loaded.returncode:
        raise RuntimeError(f"the images {', '.join(images)} were not copied:\n{loaded.stderr}")


def skopeo_reads(engine: str, image: str) -> bool:
    """Return whether skopeo can read an image of an Engine; new Engines no longer speak the API of Debian's."""
    if shutil.which("skopeo") is None:
        return False
    command = ["skopeo", "inspect", "--daemon-host", engine, f"docker-daemon:{image}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def can_make_engines() -> bool:
    """Return whether Engines can be started here, in separate namespaces."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        return False
    return subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode == 0
