"""An administrator of a registry, who creates and deletes by the pages' JSON."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from registry.client import LocalRegistry, local_registry
from registry.tests.conftest import WORLD
from registry.tests.images import Image, Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

DEMO = "demo-workspace"
OTHER = "other-workspace"
LEASE = 1.0
"""Seconds until what a push named is no longer protected."""


@dataclass
class Administrator:
    """A registry, and an administrator's way to its JSON."""

    registry: LocalRegistry
    session: requests.Session
    packages: int = 0

    def ask(self, method: str, path: str, status: int, json: object = None) -> dict[str, Any]:
        """Send a request that is to be answered with `status`; return the object of the answer."""
        answer = self.session.request(method, f"{self.registry.url}/api/{path}", json=json)
        assert answer.status_code == status, answer.text
        body: dict[str, Any] = answer.json() if answer.content else {}
        return body

    def repository(self, name: str) -> Repository:
        return Repository(self.session, self.registry.url, name)

    def created(self, name: str = "") -> Repository:
        """Create a package and return its repository."""
        self.packages += 1
        name = name or f"package-{self.packages}"
        fields = {"workspace": DEMO, "name": name, "repository": "demo-repository"}
        assert self.ask("POST", "packages", 201, json=fields) == fields
        return self.repository(f"{DEMO}/{name}")

    def used(self) -> int:
        """Return the bytes that the workspace uses, as its page says."""
        size: int = self.ask("GET", f"workspaces/{DEMO}", 200)["storage_used"]
        return size

    def on_disk(self) -> int:
        """Return the bytes of all blobs on the registry's disk."""
        command = ["find", "/var/lib/registry/storage", "-ignore_readdir_race", "-name", "data", "-printf", "%s\n"]
        status, output = self.registry.container.exec_run(command)
        assert isinstance(output, bytes)
        assert status == 0, output
        return sum(int(size) for size in output.split())

    def collect(self) -> None:
        """Collect garbage until no push protects anything."""
        while self.ask("POST", "collections", 200)["protected"]:
            time.sleep(LEASE / 4)


@contextmanager
def administrator(
    port: int = 0, lease: str = f"{LEASE}s", visible_delay: str = "0", young: str = "0"
) -> Iterator[Administrator]:
    """Run a registry of one's own."""
    running = local_registry(world=WORLD, port=port, lease=lease, visible_delay=visible_delay, young=young)
    with running as registry, registry.session("admin") as session:
        yield Administrator(registry, session)


def layers(seed: int, count: int = 2) -> list[bytes]:
    random = Random(seed)
    return [random.randbytes(1000) for _ in range(count)]


def size(*images: Image) -> int:
    """Return the bytes of images, each blob once."""
    parts = [part for each in images for part in (each, *each.members)]
    return sum(map(len, {content for part in parts for content in (part.manifest, *part.blobs)}))


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.05)
