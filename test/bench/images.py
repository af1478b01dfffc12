"""Images of real files, no two of which share a layer."""

import contextlib
import hashlib
import io
import itertools
import json
import os
import random
import tarfile
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, run
from typing import IO

MEGABYTE = 1_000_000
SOURCE = Path("/usr")
"""The folder that files come from: programs, libraries and documents in the shares that a machine has."""


@contextlib.contextmanager
def fresh_image(size: int, layers: int) -> Iterator[str]:
    """Load a new image, unknown to any registry, into the Engine in use, and remove it at the end.

    Args:
        size: Bytes of files in all, at least, and at most a tenth more.
        layers: How many layers share them.

    Yields:
        The image's name.
    """
    with loaded(real_layers(size, layers)) as name:
        yield name


@contextlib.contextmanager
def relatives(size: int, layers: int, new: int) -> Iterator[tuple[str, str]]:
    """Load two images of which the second has other last layers than the first.

    Args:
        size: Bytes of files in all of each.
        layers: How many layers share them.
        new: How many layers the second does not share.

    Yields:
        The names of both.
    """
    made = list(real_layers(size * (layers + new) // layers, layers + new))
    with loaded(iter(made[:layers])) as first, loaded(iter(made[: layers - new] + made[layers:])) as second:
        del made
        yield first, second


@contextlib.contextmanager
def siblings(size: int, packages: Sequence[str], own: int = 0) -> Iterator[list[str]]:
    """Load images that share a first layer, and have a second one each.

    Args:
        size: Bytes of files in the first layer, at least, and at most a tenth more.
        packages: The package that each image is for: its name without the tag, as most users name their images.
        own: The same of each second layer; 0 for a thousand bytes of noise.

    Yields:
        The images' names.
    """
    [shared] = real_layers(size, 1)
    with contextlib.ExitStack() as images:
        yield [
            images.enter_context(
                loaded(iter([shared, *(real_layers(own, 1) if own else noise_layers(1000, 1))]), package)
            )
            for package in packages
        ]


@contextlib.contextmanager
def loaded(layers: Iterator[bytes], repository: str = "bbc-packages-push-bench") -> Iterator[str]:
    """Load an image of these layers into the Engine in use, and remove it at the end.

    Args:
        layers: Its layers, plain tar archives.
        repository: Its name without the tag, which is a new one.

    Yields:
        The image's name.
    """
    name = f"{repository}:{uuid.uuid4().hex}"
    with Popen(["docker", "load", "--quiet"], stdin=PIPE, stdout=DEVNULL) as load:
        if load.stdin is not None:
            write_archive(load.stdin, name, layers)
    if load.returncode:
        raise RuntimeError(f"docker load ended with {load.returncode}")
    try:
        yield name
    finally:
        run(["docker", "image", "rm", "--force", name], check=True, capture_output=True)


def write_archive(stream: IO[bytes], name: str, layers: Iterator[bytes]) -> None:
    """Write a docker archive, one layer in memory at a time.

    Args:
        stream: Takes it.
        name: The image's.
        layers: Its layers, plain tar archives.
    """
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        contents: dict[str, str] = {}
        for number, layer in enumerate(layers):
            contents[f"{number}.tar"] = f"sha256:{hashlib.sha256(layer).hexdigest()}"
            _add(archive, f"{number}.tar", layer)
        config = {
            "created": datetime.now(UTC).isoformat(),
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": list(contents.values())},
            "history": [{"created_by": f"COPY {member} /"} for member in contents],
        }
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": list(contents)}]
        _add(archive, "config.json", json.dumps(config).encode())
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def real_layers(size: int, layers: int) -> Iterator[bytes]:
    """Return new layers of real files."""
    files = itertools.cycle(_files(size // layers // 10))
    return (_layer(files, size // layers) for _ in range(layers))


def noise_layers(size: int, layers: int) -> Iterator[bytes]:
    """Return new layers that do not compress."""
    return (_noise(size // layers) for _ in range(layers))


def half_noise_layer(size: int, fresh: float) -> bytes:
    """Return a new layer of files of a megabyte, of each of which so much does not compress."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for number in range(size // MEGABYTE):
            noise = os.urandom(int(fresh * MEGABYTE))
            _add(archive, f"data/{number:05d}", noise + bytes(MEGABYTE - len(noise)))
    return content.getvalue()


def _noise(size: int) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        _add(archive, "noise", os.urandom(size))
    return content.getvalue()


def _files(largest: int) -> list[Path]:
    """List the files of at most `largest` bytes, in an order that mixes their kinds and is always the same."""
    found = [
        file
        for folder, _, names in os.walk(SOURCE)
        for file in (Path(folder, name) for name in sorted(names))
        if file.is_file() and not file.is_symlink() and file.stat().st_size <= largest and os.access(file, os.R_OK)
    ]
    random.Random(0).shuffle(found)  # noqa: S311 - no secret
    return found


def _layer(files: Iterator[Path], size: int) -> bytes:
    """Make a layer of the next files; a unique one makes it differ from every other layer."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        _add(archive, "unique", uuid.uuid4().bytes)
        while size > 0:
            file = next(files)
            archive.add(file, file.relative_to("/"))
            size -= file.stat().st_size
    return content.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
