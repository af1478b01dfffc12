"""For tests: start registries of one's own, and control any of them.

with local_registry(upload_timeout="3s") as registry:
    registry.fault(method="PATCH", answer={"status": 503}, times=2)
    ...                                   # push to registry.host
    assert registry.requests(method="PATCH", status="503")
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker

from registry.controls import Entry, Registry, Tls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker.models.containers import Container

__all__ = [
    "CONTAINER_PREFIX",
    "IMAGE",
    "Entry",
    "LocalRegistry",
    "Registry",
    "Tls",
    "build_image",
    "local_registry",
]

IMAGE = os.environ.get("REGISTRY_IMAGE", "bbc-packages-push-registry:dev")
CONTAINER_PREFIX = "bbc-packages-push-registry-"
_HERE = Path(__file__).parent
_PORT = "5000/tcp"
_START_SECONDS = 90.0
_LOOK_AGAIN = 0.05


class LocalRegistry(Registry):
    """A registry in a container of its own."""

    def __init__(self, container: Container, host: str, **controls: Any) -> None:  # noqa: ANN401 - as Registry takes them
        """Control the registry in `container`."""
        super().__init__(host, **controls)
        self.container = container

    def output(self) -> str:
        """Return what the gateway and Distribution have printed."""
        return self.container.logs().decode()

    def run(self, *command: str) -> str:
        """Run a command in the registry's container; return all that it printed."""
        result = self.container.exec_run(list(command))
        if not isinstance(result.output, bytes):
            raise TypeError("the command's output is not whole")
        return result.output.decode()

    def await_ready(self) -> None:
        """Wait until the registry answers.

        Raises:
            RuntimeError: it ended instead, or did not answer in time; holds its output.

        """
        deadline = time.monotonic() + _START_SECONDS
        while not self.ready():
            self.container.reload()
            if self.container.status != "running" or time.monotonic() > deadline:
                raise RuntimeError(f"the registry did not start:\n{self.output()}")
            time.sleep(_LOOK_AGAIN)


def build_image() -> None:
    """Build the registry's image from the working tree; at once where nothing has changed."""
    subprocess.run([_HERE / "run", "image"], check=True)


@contextlib.contextmanager
def local_registry(
    *,
    world: str | None = None,
    tls: Tls | None = None,
    port: int = 0,
    admin: tuple[str, str] = ("admin", "admin-token"),
    **options: str,
) -> Iterator[LocalRegistry]:
    """Run a registry in a fresh container, gone afterwards with all its data.

    Args:
        world: the YAML to serve instead of `world.yaml`; `admin` must have Admin in it.
        tls: serve TLS with this certificate.
        port: on 127.0.0.1; a free one if 0.
        admin: the account that controls faults and log.
        options: `REGISTRY_…` variables in lower case without that prefix: `max_layer="1MB"`,
            `upload_timeout="3s"`, `on_upload_timeout="cut"`, `token_lifetime="2s"`, …

    """
    environment = {f"REGISTRY_{name.upper()}": value for name, value in options.items()}
    files: dict[str, bytes] = {}
    if world is not None:
        files["world"] = world.encode()
        environment["REGISTRY_WORLD"] = "/etc/registry/world"
    if tls is not None:
        files |= {"cert": tls.cert.read_bytes(), "key": tls.key.read_bytes()}
        environment |= {
            "REGISTRY_TLS_CERT": "/etc/registry/cert",
            "REGISTRY_TLS_KEY": "/etc/registry/key",
        }
    with contextlib.closing(docker.from_env()) as engine:
        container = engine.containers.create(
            IMAGE,
            name=f"{CONTAINER_PREFIX}{uuid.uuid4().hex[:12]}",
            environment=environment,
            ports={_PORT: ("127.0.0.1", port)},
        )
        try:
            container.put_archive("/etc", _archive(files))
            container.start()
            host = f"127.0.0.1:{_published(container)}"
            authority = tls.authority if tls else None
            registry = LocalRegistry(container, host, authority=authority, admin=admin)
            registry.await_ready()
            yield registry
        finally:
            container.remove(force=True, v=True)


def _published(container: Container) -> int:
    container.reload()
    bindings = container.ports.get(_PORT)
    if not bindings:
        raise RuntimeError(f"the registry did not start:\n{container.logs().decode()}")
    return int(bindings[0]["HostPort"])


def _archive(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"registry/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()
