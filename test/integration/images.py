"""Images with layers of real files that no registry and no Engine has seen."""

import hashlib
import io
import itertools
import json
import random
import secrets
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import docker
from docker.errors import ImageNotFound

MB = 10**6


@dataclass(frozen=True, slots=True)
class Built:
    """An image in the Engine.

    Attributes:
        name: Such as `integration-…/my-container-app:latest`.
        id: Its ID.
    """

    name: str
    id: str


class Images:
    """Builds images, and removes them."""

    def __init__(self, engine: docker.DockerClient) -> None:
        self._engine = engine
        self._seeds = itertools.count(secrets.randbits(48))
        self._built: list[Built] = []

    def build(
        self,
        *sizes: int,
        base: str = "scratch",
        package: str = "my-container-app",
        named: bool = True,
        labels: Mapping[str, str] | None = None,
    ) -> Built:
        """Build an image of random files, one a layer.

        Args:
            sizes: Bytes of each layer's file, from the base up; they do not compress.
            base: The image that they are added to.
            package: The last component of the image's name.
            named: Whether it has a name; else only its ID tells it.
            labels: Of the image.

        Returns:
            The image; its seed is printed.
        """
        seed = next(self._seeds)
        print(f"image of {sizes} bytes from seed {seed}")
        name = f"integration-{seed:x}/{package}:latest"
        context = _context(base, sizes, random.Random(seed))
        image, _ = self._engine.images.build(
            fileobj=context,
            custom_context=True,
            tag=name if named else None,
            rm=True,
            # In search of a cached layer the Engine fails over images that another test removes meanwhile.
            nocache=True,
            labels=dict(labels or {}),
        )
        built = Built(name, str(image.id))
        self._built.append(built)
        return built

    def load(self, *layers: bytes) -> Built:
        """Load an image of these layers, plain tar archives, from the base up."""
        seed = next(self._seeds)
        name = f"integration-{seed:x}/my-container-app:latest"
        diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"seed": str(seed)}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": f"COPY {number} /"} for number in range(len(layers))],
        }
        names = [f"{number}.tar" for number in range(len(layers))]
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
        files = dict(zip(names, layers, strict=True))
        archive = archive_of(
            files | {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
        )
        [image] = self._engine.images.load(archive)
        built = Built(name, str(image.id))
        self._built.append(built)
        return built

    def remove(self) -> None:
        """Remove every image that was built, with all its names."""
        for built in reversed(self._built):
            try:
                self._engine.images.remove(built.id, force=True)
            except ImageNotFound:
                continue


def _context(base: str, sizes: Sequence[int], source: random.Random) -> io.BytesIO:
    files = {f"layer-{number}": source.randbytes(size) for number, size in enumerate(sizes, start=1)}
    dockerfile = "\n".join([f"FROM {base}", *(f"COPY {name} /" for name in files), 'CMD ["/layer-1"]'])
    return io.BytesIO(archive_of({"Dockerfile": dockerfile.encode(), **files}))


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """Make a tar archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()
