"""The real clients, run as people run them."""

from __future__ import annotations

import io
import json
import os
import random
import re
import socket
import subprocess
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from registry.client import LocalRegistry
from registry.tests.images import Image, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from registry.client import Registry
    from registry.tests.outside import OutsideRegistry

_SECONDS = 100
"""Longest run of a client."""


class ClientError(AssertionError):
    """A client failed where it should not, or the other way round; holds all it printed."""


def run(
    *command: str | Path,
    fails: bool = False,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a client that is expected to succeed, or to fail; return all that it printed."""
    done = subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_SECONDS,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    output = done.stdout.decode(errors="replace")
    if fails != (done.returncode != 0):
        shown = " ".join(map(str, command))
        raise ClientError(f"{shown}\nended with {done.returncode} and printed:\n{output}")
    return output


def peak_memory(registry: LocalRegistry | OutsideRegistry) -> int:
    """Return the bytes of memory that a gateway has held at most."""
    if isinstance(registry, LocalRegistry):
        status = registry.run("cat", "/proc/1/status")
    else:
        status = Path(f"/proc/{registry.pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def free_port() -> int:
    """Return a port that a restarted container can have again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def random_bytes(size: int, seed: int) -> bytes:
    """Return bytes that do not compress; the same seed gives the same ones."""
    return random.Random(seed).randbytes(size)


def until(met: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition that nothing announces.

    Raises:
        TimeoutError: it was not met within `seconds`.

    """
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not met within {seconds} seconds")
        time.sleep(0.05)


class Docker:
    """The docker command, with logins of its own."""

    def __init__(self, configuration: Path) -> None:
        self._environment = {"DOCKER_CONFIG": str(configuration)}
        self._images: list[str] = []

    def __call__(self, *arguments: str, fails: bool = False, stdin: bytes = b"") -> str:
        return run("docker", *arguments, fails=fails, stdin=stdin, environment=self._environment)

    def login(self, registry: Registry, user: str, token: str = "", *, fails: bool = False) -> str:
        secret = (token or f"{user}-token").encode()
        return self("login", registry.host, "-u", user, "--password-stdin", stdin=secret, fails=fails)

    def image(self, name: str, content: bytes) -> str:
        """Make an image of one layer under a name, which is returned."""
        self("import", "-", name, stdin=tar(content))
        self._images.append(name)
        return name

    def build(self, name: str, folder: Path) -> None:
        """Build a Dockerfile under a name."""
        self("build", "--tag", name, str(folder))
        self._images.append(name)

    def tag(self, source: str, name: str) -> str:
        """Give an image another name, which is returned."""
        self("tag", source, name)
        self._images.append(name)
        return name

    def remove_images(self) -> None:
        for name in reversed(self._images):
            subprocess.run(["docker", "rmi", "--force", name], check=False, capture_output=True)


def memory_in(folder: Path) -> dict[str, str]:
    """Return variables with which skopeo remembers blobs in a folder, and not in one that all share.

    By what it remembers it mounts blobs or compresses them, and a registry may have had the same port before; source:
    containers/image, `pkg/blobinfocache/default.go`.
    """
    return {"_CONTAINERS_ROOTLESS_UID": "1", "XDG_DATA_HOME": str(folder)}


class Skopeo:
    """The skopeo command."""

    def __init__(self, folder: Path) -> None:
        self._memory = memory_in(folder)

    def copy(self, source: str, target: str, *options: str, user: str = "writer", fails: bool = False) -> str:
        """Copy an image from or to the registry, or within it."""
        credentials = []
        for side, name in (("src", source), ("dest", target)):
            if name.startswith("docker://"):
                credentials += [f"--{side}-tls-verify=false", f"--{side}-creds={user}:{user}-token"]
        command = ("skopeo", "--insecure-policy", "copy", *credentials, *options, source, target)
        return run(*command, fails=fails, environment=self._memory)

    def __call__(self, *arguments: str, user: str = "writer", fails: bool = False) -> str:
        command, *rest = arguments
        credentials = ["--tls-verify=false", f"--creds={user}:{user}-token"]
        return run("skopeo", command, *credentials, *rest, fails=fails)


def layout(folder: Path, image: Image) -> str:
    """Write an image as an OCI layout; return its name for skopeo."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for content in _contents(image):
        (blobs / digest_of(content).removeprefix("sha256:")).write_bytes(content)
    index = {
        "schemaVersion": 2,
        "manifests": [{"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}],
    }
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
    return f"oci:{folder}"


def tar(content: bytes) -> bytes:
    """Return a file system with one file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as writing:
        member = tarfile.TarInfo("file")
        member.size = len(content)
        writing.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def _contents(image: Image) -> list[bytes]:
    members = [content for member in image.members for content in _contents(member)]
    return [image.manifest, *image.blobs, *members]
