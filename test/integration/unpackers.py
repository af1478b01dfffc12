"""What six engines unpack from an image, read where each of them puts it."""

import contextlib
import json
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException
from integration.archives import digest_of, run
from integration.image_files import Image, docker_archive, write_layout
from integration.private_engine import PrivateEngine, private_engine
from integration.second_engine import Kind, second_engine
from integration.trees import Place, Tree, differences, read_trees

REPOSITORY = "localhost/compared"
OVERLAY = ("docker", "second-graphdriver", "podman-overlay")
"""Engines that unpack each layer into a separate folder, without a look at the ones below."""
ENGINES = (*OVERLAY, "second-containerd", "podman-vfs", "umoci")
SECOND: Mapping[str, Kind] = {"graphdriver": "graphdriver", "containerd": "containerd"}
_SLACK = 10**9
"""Nanoseconds: the kernel gives files times that are a little older than the clock's."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An image that an engine does not unpack.

    Attributes:
        reason: The engine's message.
    """

    reason: str


Unpacked = Tree | Refused


class RefusedError(Exception):
    """An engine does not unpack an image."""


def compared(before: Unpacked, after: Unpacked) -> list[str]:
    """Describe how an image differs from another one that the same engine has unpacked."""
    if isinstance(before, Refused) or isinstance(after, Refused):
        refused = [each.reason for each in (before, after) if isinstance(each, Refused)]
        return [] if isinstance(before, Refused) else [f"refused: {refused[-1]}"]
    return differences(before, after)


class Unpacker(ABC):
    """An engine with a store that belongs to one test."""

    inside: Sequence[str] = ()
    """What begins a command that sees the store."""

    def __init__(self) -> None:
        self._began = time.time_ns() - _SLACK

    def unpack(self, images: Mapping[str, Image]) -> dict[str, Unpacked]:
        """Unpack images, and read their files.

        Args:
            images: By tag.

        Returns:
            The files of each, or why the engine refuses it.
        """
        refused = self._load_all(images)
        places: dict[str, Place] = {}
        for tag in images.keys() - refused.keys():
            try:
                places[tag] = self.place(tag, images[tag])
            except RefusedError as error:
                refused[tag] = Refused(str(error))
        created = range(self._began, time.time_ns() + _SLACK)
        return refused | dict(zip(places, read_trees(list(places.values()), created, self.inside), strict=True))

    def _load_all(self, images: Mapping[str, Image]) -> dict[str, Unpacked]:
        """Load images at once; halve them until those that are refused are found."""
        try:
            self.load(images)
        except RefusedError as error:
            if len(images) == 1:
                return dict.fromkeys(images, Refused(str(error)))
            tags = list(images)
            halves = tags[: len(tags) // 2], tags[len(tags) // 2 :]
            first, second = (self._load_all({tag: images[tag] for tag in half}) for half in halves)
            return first | second
        return {}

    @abstractmethod
    def load(self, images: Mapping[str, Image]) -> None:
        """Load images, all or none.

        Raises:
            RefusedError: One of them is refused.
        """

    @abstractmethod
    def place(self, tag: str, image: Image) -> Place:
        """Return where a loaded image's files are.

        Raises:
            RefusedError: It is refused only now.
        """


class DockerEngine(Unpacker):
    """Docker Engine with an overlay2 graphdriver."""

    def __init__(self, engine: PrivateEngine, folder: Path, known: Path) -> None:
        """Use an Engine.

        Args:
            engine: It runs.
            folder: Has its store.
            known: The Engine's own name for that folder.
        """
        super().__init__()
        self.inside = engine.inside
        self._folder, self._known = folder, known
        self.client = docker.DockerClient(engine.docker_host)

    def load(self, images: Mapping[str, Image]) -> None:
        with _refusals():
            self.client.images.load(_archive(images))

    def place(self, tag: str, image: Image) -> Place:
        data = self.client.api.inspect_image(f"{REPOSITORY}:{tag}")["GraphDriver"]["Data"]
        return self.outside(":".join(filter(None, [data["UpperDir"], data.get("LowerDir")])))

    def outside(self, folders: str) -> Place:
        """Return the paths, as this machine knows them, of folders with colons between them."""
        return [self._folder / Path(folder).relative_to(self._known) for folder in folders.split(":")]


class ContainerdEngine(DockerEngine):
    """Docker Engine with the containerd image store."""

    def place(self, tag: str, image: Image) -> Place:
        with _refusals():
            container = self.client.api.create_container(f"{REPOSITORY}:{tag}", ["/"])["Id"]
        chain = digest_of(image[0])
        for layer in image[1:]:
            chain = digest_of(f"{chain} {digest_of(layer)}".encode())
        inside = [*self.inside[:2], "--mount", "--root", "--wd=/", "--"]
        ctr = ["ctr", "--address=/run/engine/containerd/containerd.sock", "--namespace=moby", "snapshots"]
        # containerd may collect the view at once; the folders stay as long as the container.
        [mount] = json.loads(run(*inside, *ctr, "view", "--mounts", f"view-{container}", chain))
        if mount["Type"] == "bind":
            return self.outside(mount["Source"])
        options = dict(option.partition("=")[::2] for option in mount["Options"])
        return self.outside(options["lowerdir"])


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except DockerException as error:
        raise RefusedError(str(error)) from error


class Podman(Unpacker):
    """podman with one of its storage drivers."""

    def __init__(self, engine: PrivateEngine, driver: str) -> None:
        """Use podman where its service runs."""
        super().__init__()
        self.inside = engine.inside
        self._driver = driver
        self._folder = engine.log.parent
        self._parents: list[dict[bytes, bytes]] = []
        self._stores: dict[str, int] = {}

    def load(self, images: Mapping[str, Image]) -> None:
        """Load images into as many stores as are necessary.

        podman unpacks a layer from its store if another image has it. That spoils sparse files: see
        `findings/skopeo-sparse-file-in-store.sh`.
        """
        for tag, image in images.items():
            self._stores[tag] = self._store_for(image)
        for store in sorted({self._stores[tag] for tag in images}):
            archive = f"{self._driver}.tar"
            chosen = {tag: image for tag, image in images.items() if self._stores[tag] == store}
            (self._folder / archive).write_bytes(_archive(chosen))
            try:
                self._podman(store, "load", "--quiet", f"--input=/engine/{archive}")
            except AssertionError as error:
                raise RefusedError(str(error)) from error

    def _store_for(self, image: Image) -> int:
        """Return the first store that has none of the layers above other ones."""
        parents = {layer: b"".join(image[:number]) for number, layer in enumerate(image)}
        for number, known in enumerate(self._parents):
            if all(known.get(layer, parent) == parent for layer, parent in parents.items()):
                known.update(parents)
                return number
        self._parents.append(parents)
        return len(self._parents) - 1

    def place(self, tag: str, image: Image) -> Place:
        """Return where podman mounts it."""
        folder = self._podman(self._stores[tag], "image", "mount", f"{REPOSITORY}:{tag}").decode().strip()
        return Path(f"{self._folder}/root{folder}")

    def _podman(self, store: int, *command: str) -> bytes:
        inside = (*self.inside[:2], "--mount", "--root", "--wd=/", "--")
        name = f"{self._driver}-{store}"
        folders = (f"--root=/engine/data/{name}", f"--runroot=/run/{name}", f"--storage-driver={self._driver}")
        return run(*inside, "env", "PODMAN_IGNORE_CGROUPSV1_WARNING=1", "podman", *folders, *command)


class Umoci(Unpacker):
    """umoci, which unpacks all layers into one folder."""

    def __init__(self, folder: Path) -> None:
        """Use an empty folder."""
        super().__init__()
        self._folder = folder
        self._layout = folder / "layout"

    def load(self, images: Mapping[str, Image]) -> None:
        write_layout(self._layout, images)

    def place(self, tag: str, image: Image) -> Place:
        folder = self._folder / tag
        try:
            run("umoci", "raw", "unpack", f"--image={self._layout}:{tag}", folder)
        except AssertionError as error:
            raise RefusedError(str(error)) from error
        return folder


@contextlib.contextmanager
def unpackers(names: Sequence[str]) -> Iterator[dict[str, Unpacker]]:
    """Run engines, with empty stores that are gone afterwards.

    Args:
        names: Of `ENGINES`.
    """
    with contextlib.ExitStack() as stack:
        engines: dict[str, Unpacker] = {}
        podman = None
        for name in names:
            program, _, driver = name.partition("-")
            if name == "docker":
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docker-")))
                engine = stack.enter_context(private_engine(folder, in_memory=True))
                engines[name] = DockerEngine(engine, folder, folder)
            elif name == "umoci":
                engines[name] = Umoci(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="umoci-"))))
            elif program == "podman":
                podman = podman or stack.enter_context(second_engine("podman", in_memory=True))
                engines[name] = Podman(podman, driver)
            else:
                kind = DockerEngine if driver == "graphdriver" else ContainerdEngine
                engine = stack.enter_context(second_engine(SECOND[driver], in_memory=True))
                engines[name] = kind(engine, engine.log.parent / "root/engine", Path("/engine"))
        for each in engines.values():
            if isinstance(each, DockerEngine):
                stack.callback(each.client.close)
        yield engines


def unpack_all(images: Mapping[str, Image], names: Sequence[str] = ENGINES) -> dict[str, dict[str, Unpacked]]:
    """Unpack images with engines, at the same time.

    Args:
        images: By tag.
        names: Of `ENGINES`.

    Returns:
        What each engine unpacked of each image.
    """
    with unpackers(names) as engines, ThreadPoolExecutor(len(engines)) as pool:
        done = [(name, pool.submit(engine.unpack, images)) for name, engine in engines.items()]
        return {name: future.result() for name, future in done}


def _archive(images: Mapping[str, Image]) -> bytes:
    return docker_archive({f"{REPOSITORY}:{tag}": image for tag, image in images.items()})
