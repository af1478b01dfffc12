"""The registries that are pushed to, and what they store afterwards."""

import contextlib
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import requests
from bench.pushes import REPOSITORY, USER
from bench.running import run
from registry.client import IMAGE, Registry

MEDIA_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
TAGS = ("pipe", "docker", "skopeo", "latest", "size", "tag-0")
"""All that a push of the bench may make first; Bitbucket's registry lists no tags."""
START_SECONDS = 30.0
LOOK_AGAIN = 0.05


@contextlib.contextmanager
def distribution(*, published: bool = False) -> Iterator[Registry]:
    """Run CNCF Distribution alone, as the local registry's image has it: no login, and nothing in front of it.

    Args:
        published: Reach it through a published port, as the local registry is; else it shares this network.
    """
    port = 5000 if published else _free_port()
    network = ["--publish=127.0.0.1::5000"] if published else ["--network=host"]
    address = "0.0.0.0" if published else "127.0.0.1"  # noqa: S104 - the container's own
    variables = {
        "HTTP_NET": "tcp",
        "HTTP_ADDR": f"{address}:{port}",
        "HTTP_SECRET": "measured",
        "STORAGE_FILESYSTEM_ROOTDIRECTORY": "/var/lib/registry",
    }
    environment = [f"--env=REGISTRY_{name}={value}" for name, value in variables.items()]
    command = ["docker", "run", "--detach", "--rm", *network, *environment]
    command += ["--entrypoint=docker-registry", IMAGE, "serve", "/opt/registry/distribution.yml"]
    container = run(*command).stdout.strip()
    try:
        host = run("docker", "port", container, "5000/tcp").stdout.strip() if published else f"127.0.0.1:{port}"
        registry = Registry(host)
        _await(registry)
        yield registry
    finally:
        run("docker", "rm", "--force", "--volumes", container)


def stored(registry: Registry, repository: str = REPOSITORY) -> dict[str, int]:
    """Return the layers of the `TAGS` of a repository, each with the bytes that the registry stores."""
    with registry.session() as session:
        session.headers["Accept"] = ", ".join(MEDIA_TYPES)
        url = f"{registry.url}/v2/{repository}/manifests/"
        if session.head(f"{registry.url}/v2/", timeout=10).status_code == HTTPStatus.UNAUTHORIZED:
            session.headers.update(registry.bearer(USER, f"{repository}:pull"))
        layers: dict[str, int] = {}
        for tag in TAGS:
            manifest: dict[str, Any] = session.get(f"{url}{tag}", timeout=10).json()
            while "manifests" in manifest:
                manifest = session.get(f"{url}{manifest['manifests'][0]['digest']}", timeout=10).json()
            layers |= {layer["digest"]: int(layer["size"]) for layer in manifest.get("layers", ())}
        return layers


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(registry: Registry) -> None:
    """Wait until a registry without login responds."""
    deadline = time.monotonic() + START_SECONDS
    with registry.session() as session:
        while True:
            with contextlib.suppress(requests.ConnectionError):
                if session.get(f"{registry.url}/v2/", timeout=10).status_code == HTTPStatus.OK:
                    return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the registry at {registry.host} did not start in {START_SECONDS:.0f} s")
            time.sleep(LOOK_AGAIN)
