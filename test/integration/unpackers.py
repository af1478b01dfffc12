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
from typing import get_args

import docker
from docker.errors import DockerException
from integration.archives import digest_of, run
from integration.images import archive_of
from integration.layouts import MANIFEST, OCI
from integration.private_engine import PrivateEngine, private_engine
from integration.second_engine import Kind, second_engine
from integration.trees import Place, Tree, differences, read_trees

Image = Sequence[bytes]
"""The layers, each a tar, from the base up."""
REPOSITORY = "localhost/compared"
OVERLAY = ("docker", "second-graphdriver", "podman-overlay")
"""Engines that unpack each layer into a folder of its own, without a look at the ones below."""
ENGINES = (*OVERLAY, "second-containerd", "podman-vfs", "umoci")
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
        self._folder = engine.log.parent
        folders = (f"--root=/engine/data/{driver}", f"--runroot=/run/{driver}", f"--storage-driver={driver}")
        inside = (*engine.inside[:2], "--mount", "--root", "--wd=/", "--")
        self._podman = (*inside, "env", "PODMAN_IGNORE_CGROUPSV1_WARNING=1", "podman", *folders)
        self._archive = f"{driver}.tar"

    def load(self, images: Mapping[str, Image]) -> None:
        (self._folder / self._archive).write_bytes(_archive(images))
        try:
            run(*self._podman, "load", "--quiet", f"--input=/engine/{self._archive}")
        except AssertionError as error:
            raise RefusedError(str(error)) from error

    def place(self, tag: str, image: Image) -> Place:
        folder = run(*self._podman, "image", "mount", f"{REPOSITORY}:{tag}").decode().strip()
        return Path(f"{self._folder}/root{folder}")


class Umoci(Unpacker):
    """umoci, which unpacks all layers into one folder."""

    def __init__(self, folder: Path) -> None:
        """Use an empty folder."""
        super().__init__()
        self._folder = folder
        self._layout = folder / "layout"
        run("umoci", "init", "--layout", self._layout)

    def load(self, images: Mapping[str, Image]) -> None:
        _write_layout(self._layout, images)

    def place(self, tag: str, image: Image) -> Place:
        folder = self._folder / tag
        try:
            run("umoci", "raw", "unpack", f"--image={self._layout}:{tag}", folder)
        except AssertionError as error:
            raise RefusedError(str(error)) from error
        return folder


@contextlib.contextmanager
def unpackers() -> Iterator[dict[str, Unpacker]]:
    """Run all engines, with empty stores that are gone afterwards.

    Yields:
        Each of `ENGINES` by its name.
    """
    with contextlib.ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="unpack-"))) for _ in range(2)]
        first = stack.enter_context(private_engine(folders[0], in_memory=True))
        containerd, graph, podman = (
            stack.enter_context(second_engine(kind, in_memory=True)) for kind in get_args(Kind)
        )
        inside = Path("/engine")
        engines = {
            "docker": DockerEngine(first, folders[0], folders[0]),
            "second-graphdriver": DockerEngine(graph, graph.log.parent / "root/engine", inside),
            "second-containerd": ContainerdEngine(containerd, containerd.log.parent / "root/engine", inside),
            "podman-overlay": Podman(podman, "overlay"),
            "podman-vfs": Podman(podman, "vfs"),
            "umoci": Umoci(folders[1]),
        }
        for engine in engines.values():
            if isinstance(engine, DockerEngine):
                stack.callback(engine.client.close)
        yield engines


def unpack_all(images: Mapping[str, Image]) -> dict[str, dict[str, Unpacked]]:
    """Unpack images with all engines, at the same time.

    Args:
        images: By tag.

    Returns:
        What each engine unpacked of each image.
    """
    with unpackers() as engines, ThreadPoolExecutor(len(engines)) as pool:
        done = [(name, pool.submit(engine.unpack, images)) for name, engine in engines.items()]
        return {name: future.result() for name, future in done}


def _archive(images: Mapping[str, Image]) -> bytes:
    """Write a docker archive of images, with each layer once."""
    files: dict[str, bytes] = {}
    manifest = []
    for tag, layers in images.items():
        config = _config(layers)
        names = [f"{digest_of(layer)[7:]}.tar" for layer in layers]
        files |= dict(zip(names, layers, strict=True)) | {f"{digest_of(config)[7:]}.json": config}
        tags = [f"{REPOSITORY}:{tag}"]
        manifest.append({"Config": f"{digest_of(config)[7:]}.json", "RepoTags": tags, "Layers": names})
    return archive_of(files | {"manifest.json": json.dumps(manifest).encode()})


def _write_layout(folder: Path, images: Mapping[str, Image]) -> None:
    """Write images into an OCI layout."""

    def add(media_type: str, content: bytes, **more: object) -> dict[str, object]:
        digest = digest_of(content)
        (folder / "blobs" / digest.replace(":", "/")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content), **more}

    manifests = []
    for tag, layers in images.items():
        config = add(f"{OCI}config.v1+json", _config(layers))
        added = [add(f"{OCI}layer.v1.tar", layer) for layer in layers]
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": added}
        names = {"org.opencontainers.image.ref.name": tag}
        manifests.append(add(MANIFEST, json.dumps(manifest).encode(), annotations=names))
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}), "ascii")


def _config(layers: Image) -> bytes:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "history": [{"created_by": f"layer {number}"} for number, _ in enumerate(layers)],
    }
    return json.dumps(config).encode()
