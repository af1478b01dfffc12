"""What engines make of images: each unpacks them in its own way, and the files are read where it put them."""

import contextlib
import hashlib
import io
import json
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import docker
from docker.errors import DockerException
from integration.archives import run
from integration.layouts import MANIFEST, OCI
from integration.private_engine import PrivateEngine
from integration.trees import Place, Tree, read_trees

Layers = Sequence[bytes]
"""An image: its layers as plain tar archives, from the base up."""
REPOSITORY = "proof"


@dataclass(frozen=True, slots=True)
class Refused:
    """An image that an engine does not unpack.

    Attributes:
        reason: The end of its message.
    """

    reason: str


class Unpacker(Protocol):
    """An engine."""

    name: str

    def unpack(self, images: Mapping[str, Layers]) -> Mapping[str, Tree | Refused]:
        """Unpack images, and read their files.

        Args:
            images: By tag.

        Returns:
            The files of each image.
        """


def _refusals(load: Callable[[Mapping[str, Layers]], None], images: Mapping[str, Layers]) -> dict[str, Refused]:
    """Load all images at once, or one by one where that fails."""
    try:
        load(images)
    except _RefusedError as refusal:
        if len(images) == 1:
            return dict.fromkeys(images, Refused(str(refusal)))
        return {tag: why for tag in images for why in _refusals(load, {tag: images[tag]}).values()}
    return {}


class _RefusedError(Exception):
    """An engine does not take an image."""


class DockerEngine:
    """Docker Engine with an overlay2 graphdriver or the containerd image store."""

    def __init__(self, name: str, engine: PrivateEngine, folder: Path, inside: Path) -> None:
        """Use an Engine that runs.

        Args:
            name: For people.
            engine: The Engine.
            folder: Holds all its files.
            inside: What the Engine itself calls that folder.
        """
        self.name = name
        self._folder, self._inside = folder, inside
        self._engine = engine
        self._client = docker.DockerClient(engine.docker_host)
        self._containerd = self._client.info()["Driver"] == "overlayfs"

    def unpack(self, images: Mapping[str, Layers]) -> Mapping[str, Tree | Refused]:
        """Load images, and read the folders of their layers as a container's mount puts them together."""
        since = time.time_ns()
        found: dict[str, Refused | Place] = {**_refusals(self._load, images)}
        for tag in images:
            if tag not in found:
                try:
                    found[tag] = self._place(f"{REPOSITORY}:{tag}")
                except _RefusedError as refusal:
                    found[tag] = Refused(str(refusal))
        return _read(found, images, since)

    def _load(self, images: Mapping[str, Layers]) -> None:
        with _docker_errors():
            self._client.images.load(docker_archive(images))

    def _place(self, image: str) -> Place:
        with _docker_errors():
            return self._snapshot(image) if self._containerd else self._graph(image)

    def _graph(self, image: str) -> Place:
        data = self._client.api.inspect_image(image)["GraphDriver"]["Data"]
        folders = [data["UpperDir"], *filter(None, data.get("LowerDir", "").split(":"))]
        return [self._outside(folder) for folder in folders]

    def _snapshot(self, image: str) -> Place:
        container = self._client.api.create_container(image, command=["/"])["Id"]
        try:
            diff_ids = self._client.api.inspect_image(image)["RootFS"]["Layers"]
            chain = diff_ids[0]
            for diff_id in diff_ids[1:]:
                chain = f"sha256:{hashlib.sha256(f'{chain} {diff_id}'.encode()).hexdigest()}"
            # The view is garbage to containerd at once; the folders stay as long as the image.
            key = f"view-{time.monotonic_ns()}"
            [mount] = json.loads(self._ctr("snapshots", "view", "--mounts", key, chain))
        finally:
            self._client.api.remove_container(container)
        if mount["Type"] == "bind":
            return [self._outside(mount["Source"])]
        [folders] = [option[9:] for option in mount["Options"] if option.startswith("lowerdir=")]
        return [self._outside(folder) for folder in folders.split(":")]

    def _ctr(self, *command: str) -> bytes:
        inside = [*self._engine.inside[:2], "--mount", "--root", "--wd=/", "--"]
        ctr = ["ctr", "--address=/run/engine/containerd/containerd.sock", "--namespace=moby"]
        return run(*inside, *ctr, *command)

    def _outside(self, path: str) -> Path:
        return self._folder / Path(path).relative_to(self._inside)


@contextlib.contextmanager
def _docker_errors() -> Iterator[None]:
    try:
        yield
    except DockerException as error:
        raise _RefusedError(str(error)) from error


def _read(found: Mapping[str, Refused | Place], order: Mapping[str, object], since: int) -> dict[str, Tree | Refused]:
    places = {tag: place for tag, place in found.items() if not isinstance(place, Refused)}
    trees = dict(zip(places, read_trees(list(places.values()), since), strict=True))
    return {tag: trees[tag] if tag in trees else found[tag] for tag in order}  # type: ignore[misc]


class Podman:
    """Podman of Debian trixie with one of its storage drivers."""

    def __init__(self, engine: PrivateEngine, folder: Path, driver: str) -> None:
        """Use podman where its service runs.

        Args:
            engine: The service, whose programs and namespaces are used.
            folder: Known as `/engine` inside.
            driver: `overlay` or `vfs`.
        """
        self.name = f"podman {driver}"
        self._process = engine.inside[1].removeprefix("--target=")
        self._inside = [*engine.inside[:2], "--mount", "--root", "--wd=/", "--"]
        self._folder = folder
        self._driver = driver

    def unpack(self, images: Mapping[str, Layers]) -> Mapping[str, Tree | Refused]:
        """Load images, and let podman mount them."""
        since = time.time_ns()
        found: dict[str, Refused | Place] = {**_refusals(self._load, images)}
        for tag in images:
            if tag not in found:
                place = self._podman("image", "mount", f"localhost/{REPOSITORY}:{tag}").decode().strip()
                found[tag] = Path(f"/proc/{self._process}/root{place}")
        return _read(found, images, since)

    def _load(self, images: Mapping[str, Layers]) -> None:
        archive = self._folder / "images.tar"
        archive.write_bytes(docker_archive(images))
        try:
            self._podman("load", "--quiet", "--input=/engine/images.tar")
        except AssertionError as error:
            raise _RefusedError(str(error)) from error

    def _podman(self, *command: str) -> bytes:
        folders = (f"--root=/engine/{self._driver}", f"--runroot=/run/{self._driver}", f"--storage-driver={self._driver}")
        return run(*self._inside, "podman", *folders, *command)


class Umoci:
    """umoci, which unpacks layers into a folder."""

    name = "umoci"

    def __init__(self, folder: Path) -> None:
        """Use an empty folder."""
        self._folder = folder

    def unpack(self, images: Mapping[str, Layers]) -> Mapping[str, Tree | Refused]:
        """Unpack each image into a folder of its own."""
        since = time.time_ns()
        layout = self._folder / "layout"
        write_layout(layout, images)
        found: dict[str, Refused | Place] = {}
        for tag in images:
            place = self._folder / f"unpacked-{tag}-{since}"
            try:
                run("umoci", "raw", "unpack", f"--image={layout}:{tag}", place)
            except AssertionError as error:
                found[tag] = Refused(str(error))
            else:
                found[tag] = place
        return _read(found, images, since)


def docker_archive(images: Mapping[str, Layers]) -> bytes:
    """Write a docker archive of images, each layer once."""
    output = io.BytesIO()
    manifest = []
    with tarfile.open(fileobj=output, mode="w") as archive:
        present: set[str] = set()
        for tag, layers in images.items():
            config = _config(layers)
            files = {f"{_digest(layer)}.tar": layer for layer in layers}
            files[f"{_digest(config)}.json"] = config
            for name, content in files.items():
                if name not in present:
                    _add(archive, name, content)
                    present.add(name)
            manifest.append(
                {
                    "Config": f"{_digest(config)}.json",
                    "RepoTags": [f"{REPOSITORY}:{tag}"],
                    "Layers": [f"{_digest(layer)}.tar" for layer in layers],
                }
            )
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    return output.getvalue()


def write_layout(folder: Path, images: Mapping[str, Layers]) -> None:
    """Write an OCI layout of images."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def add(media_type: str, content: bytes, **more: object) -> dict[str, object]:
        (blobs / _digest(content)).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{_digest(content)}", "size": len(content), **more}

    manifests = []
    for tag, layers in images.items():
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": add(f"{OCI}config.v1+json", _config(layers)),
            "layers": [add(f"{OCI}layer.v1.tar", layer) for layer in layers],
        }
        annotations = {"org.opencontainers.image.ref.name": tag}
        manifests.append(add(MANIFEST, json.dumps(manifest).encode(), annotations=annotations))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', "ascii")
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}), "ascii")


def _config(layers: Layers) -> bytes:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}" for layer in layers]},
        "history": [{"created_by": f"layer {number}"} for number, _ in enumerate(layers)],
    }
    return json.dumps(config).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
