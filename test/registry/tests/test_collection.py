"""Garbage collection beside pushes: what a client may count on is never taken away.

REGISTRY_LOAD_SECONDS makes it longer than it is in CI.
"""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from registry.client import local_registry
from registry.tests.conftest import WORLD
from registry.tests.images import Image, PushError, Repository, digest_of, image, image_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.client import LocalRegistry

SECONDS = float(os.environ.get("REGISTRY_LOAD_SECONDS", "20"))
LEASE = 1.5
"""Seconds: short, so that leases run out all the time while others are made."""
SEED = 20
CLIENTS = 12
WORKSPACES = ("demo-workspace", "other-workspace")
CREATED = ("app-1", "app-2", "app-3", "app-4")
PACKAGES = (
    "demo-workspace/my-container-app",
    "demo-workspace/second-app",
    "demo-workspace/other-app",
    "other-workspace/my-container-app",
    *(f"demo-workspace/{name}" for name in CREATED),
)


@pytest.fixture
def registry(registry_image: None) -> Iterator[LocalRegistry]:
    with local_registry(world=WORLD, lease=f"{LEASE}s", young="0") as running:
        with running.session("admin") as session:
            for package in CREATED:
                fields = {"workspace": "demo-workspace", "name": package, "repository": "demo-repository"}
                session.post(f"{running.url}/api/packages", json=fields).raise_for_status()
        yield running


@dataclass
class Client:
    """Pushes, moves and deletes tags of its own; blobs and manifests are everybody's."""

    registry: LocalRegistry
    number: int
    pool: list[Image]
    chance: random.Random
    tags: dict[tuple[str, str], Image | None] = field(default_factory=dict)
    """What each tag must refer to; None once it is deleted."""
    problems: list[str] = field(default_factory=list)
    pushes: int = 0
    deletions: int = 0
    too_slow: int = 0
    """Pushes that failed after a silence longer than a lease, as it may be on a busy machine."""

    def work(self, until: float) -> None:
        with self.registry.session("admin") as session:
            while time.monotonic() < until and not self.problems:
                there = [place for place, tagged in self.tags.items() if tagged]
                if there and self.chance.random() < 0.5:
                    package, tag = self.chance.choice(there)
                    self._delete(Repository(session, self.registry.url, package), tag)
                else:
                    package, tag = self.chance.choice(PACKAGES), f"client{self.number}"
                    self._push(Repository(session, self.registry.url, package), tag)
                time.sleep(self.chance.uniform(0, LEASE))

    def _delete(self, repository: Repository, tag: str) -> None:
        path = f"{repository.url}/api/packages/{repository.name}/tags/{tag}"
        repository.session.delete(path).raise_for_status()
        self.tags[repository.name, tag] = None
        self.deletions += 1

    def _push(self, repository: Repository, tag: str) -> None:
        wanted = self.chance.choice(self.pool)
        watch = Silence()
        try:
            self._push_parts(repository, wanted, watch)
            if self.chance.random() < 0.2:
                repository.put_manifest(wanted)  # as an interrupted push leaves it: without a tag
            else:
                repository.put_manifest(wanted, tag)
                self.tags[repository.name, tag] = wanted
        except PushError as error:
            watch.heard()
            if watch.longest < LEASE:
                self.problems.append(f"{repository.name}:{tag}: {error}")
            self.too_slow += 1
        else:
            self.pushes += 1

    def _push_parts(self, repository: Repository, wanted: Image, watch: Silence) -> None:
        for member in wanted.members:
            self._push_parts(repository, member, watch)
            if not repository.has_manifest(member):
                repository.put_manifest(member)
            watch.heard()
        for blob in wanted.blobs:
            if not repository.has_blob(blob):
                repository.upload(blob)
            watch.heard()
            # A client that compresses or waits for another layer: what it was told is there could
            # go away meanwhile.
            time.sleep(self.chance.uniform(0, 0.1))


class Silence:
    """The longest time between two requests of a push, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = time.monotonic()

    def heard(self) -> None:
        now = time.monotonic()
        self.longest = max(self.longest, now - self._last)
        self._last = now


def image_pool(chance: random.Random) -> list[Image]:
    """Return images and lists that share layers, and lists that share members."""
    layers = [chance.randbytes(chance.randrange(100, 50_000)) for _ in range(40)]
    images = [image(chance.sample(layers, 3)) for _ in range(20)]
    others = [image(chance.sample(layers, 3), "arm64") for _ in range(4)]
    lists = [image_list(amd64=one, arm64=other) for one in images[:4] for other in others[:2]]
    return images + lists


@pytest.mark.timeout(SECONDS + 120)
def test_pushes_deletions_and_collections_leave_every_tag_whole(registry: LocalRegistry) -> None:
    pool = image_pool(random.Random(SEED))
    clients = [Client(registry, number, pool, random.Random(SEED + number)) for number in range(CLIENTS)]
    collected: dict[str, int] = {}
    done = threading.Event()
    until = time.monotonic() + SECONDS
    with ThreadPoolExecutor() as threads:
        collections = threads.submit(collect_until, registry, done, collected)
        try:
            list(threads.map(lambda client: client.work(until), clients))
        finally:
            done.set()
        collections.result()
    pushes, deletions = sum(each.pushes for each in clients), sum(each.deletions for each in clients)
    too_slow = sum(each.too_slow for each in clients)
    print(f"seed {SEED}: {pushes=} {deletions=} {too_slow=} {collected=}")

    assert [problem for client in clients for problem in client.problems] == []
    assert damage(registry, clients) == []
    assert pushes > 10 * too_slow
    assert deletions > CLIENTS
    assert collected["manifests"] > CLIENTS
    assert collected["blobs"] > CLIENTS

    while collect(registry)["protected"]:
        time.sleep(LEASE / 4)
    assert damage(registry, clients) == []
    for workspace in WORKSPACES:
        assert storage_used(registry, workspace) == size_of_tagged(clients, workspace), workspace


def collect_until(registry: LocalRegistry, done: threading.Event, collected: dict[str, int]) -> None:
    while not done.wait(0.02):
        for name, count in collect(registry).items():
            collected[name] = collected.get(name, 0) + count


def collect(registry: LocalRegistry) -> dict[str, int]:
    with registry.session("admin") as session:
        answer = session.post(f"{registry.url}/api/collections")
    answer.raise_for_status()
    counts: dict[str, int] = answer.json()
    return counts


def storage_used(registry: LocalRegistry, workspace: str) -> int:
    with registry.session("admin") as session:
        answer = session.get(f"{registry.url}/api/workspaces/{workspace}")
    size: int = answer.json()["storage_used"]
    return size


def damage(registry: LocalRegistry, clients: list[Client]) -> list[str]:
    """Pull everything that should be there, and ask for everything that should not."""
    found = []
    with registry.session("admin") as session:
        for client in clients:
            for (package, tag), expected in client.tags.items():
                repository = Repository(session, registry.url, package)
                if expected is not None:
                    found += repository.problems(expected, tag)
                elif (status := repository.manifest_status(tag)) != 404:
                    found.append(f"deleted tag {package}:{tag} answers {status}")
    return found


def size_of_tagged(clients: list[Client], workspace: str) -> int:
    """Return the bytes of all that the workspace's tags lead to, each blob once."""
    contents: dict[str, int] = {}
    for client in clients:
        for (package, _), tagged in client.tags.items():
            if tagged is not None and package.startswith(f"{workspace}/"):
                for part in (tagged, *tagged.members):
                    contents |= {digest_of(blob): len(blob) for blob in (part.manifest, *part.blobs)}
    return sum(contents.values())
