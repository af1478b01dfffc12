"""Load on a registry that is killed again and again: what it acknowledged is there.

REGISTRY_LOAD_SECONDS makes it longer than it is in CI.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import pytest
import requests
from registry.tests.administrator import Administrator, administrator
from registry.tests.clients import free_port
from registry.tests.images import Image, PushError, Repository, digest_of, image, image_list

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = float(os.environ.get("REGISTRY_LOAD_SECONDS", "15"))
KILLS = SECONDS / 5
"""The fewest: a busy machine takes longer for them."""
ALIVE = (1.5, 3.5)
"""Between how many seconds and how many it is left alone."""
CLIENTS = 8
SEED = 30
NAMES = ("my-container-app", "second-app", "other-app")


@dataclass
class Client:
    """Pushes to tags of its own, and deletes them, over a registry that may not answer."""

    admin: Administrator
    number: int
    pool: list[Image]
    chance: Random
    tags: dict[tuple[str, str], set[Image | None]] = field(default_factory=dict)
    """What each tag may refer to: one image, or either of two where an answer did not come; None if deleted."""
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """What was acknowledged as stored, by repository and digest."""
    acknowledged: int = 0
    broken: int = 0

    def work(self, done: threading.Event) -> None:
        while not done.is_set():
            with self.admin.registry.session("admin") as session:
                try:
                    self._act(session)
                except (requests.RequestException, PushError):
                    self.broken += 1
                    time.sleep(0.05)

    def _act(self, session: requests.Session) -> None:
        place = (f"demo-workspace/{self.chance.choice(NAMES)}", f"client{self.number}-{self.chance.randrange(4)}")
        name, tag = place
        now = self.tags.get(place, {None})
        if now != {None} and self.chance.random() < 0.2:
            self.tags[place] = now | {None}
            url = f"{self.admin.registry.url}/api/packages/{name}/tags/{tag}"
            session.delete(url).raise_for_status()
            self.tags[place] = {None}
        else:
            wanted = self.chance.choice(self.pool)
            repository = Repository(session, self.admin.registry.url, name)
            for part in (*wanted.members, wanted):
                self._push_blobs(repository, part)
                if part is not wanted:
                    repository.put_manifest(part)
            self.tags[place] = self.tags.get(place, {None}) | {wanted}
            repository.put_manifest(wanted, tag)
            self.tags[place] = {wanted}
        self.acknowledged += 1

    def _push_blobs(self, repository: Repository, part: Image) -> None:
        for blob in part.blobs:
            if not repository.has_blob(blob):
                self.chance.choice((repository.upload, lambda content: in_chunks(repository, content)))(blob)
            self.blobs[repository.name, digest_of(blob)] = blob

    def problems(self) -> list[str]:
        """Say what of it is not there, or not whole."""
        found = []
        with self.admin.registry.session("admin") as session:
            for (name, tag), allowed in self.tags.items():
                repository = Repository(session, self.admin.registry.url, name)
                seen = [repository.problems(each, tag) for each in allowed if each]
                deleted = None in allowed and repository.manifest_status(tag) == 404
                if not deleted and [] not in seen:
                    found.append(f"{name}:{tag}: {seen}")
            for (name, digest), blob in self.blobs.items():
                if not Repository(session, self.admin.registry.url, name).has_blob(blob):
                    found.append(f"{name}: blob {digest} is gone")
        return found


def in_chunks(repository: Repository, blob: bytes) -> None:
    """Upload a blob in three chunks."""
    opened = repository.session.post(f"{repository.url}/v2/{repository.name}/blobs/uploads/")
    location = opened.headers.get("Location", "")
    step = -(-len(blob) // 3)
    for first in range(0, len(blob), step):
        part = blob[first : first + step]
        headers = {"Content-Range": f"{first}-{first + len(part) - 1}"}
        answer = repository.session.patch(repository.url + location, data=part, headers=headers)
        if answer.status_code != 202:
            raise PushError(answer.text)
        location = answer.headers["Location"]
    answer = repository.session.put(f"{repository.url}{location}&digest={digest_of(blob)}")
    if answer.status_code != 201:
        raise PushError(answer.text)


def every(seconds: float, done: threading.Event, act: Callable[[], object]) -> int:
    """Do something again and again; return how often."""
    count = 0
    while not done.wait(seconds):
        act()
        count += 1
    return count


@pytest.mark.usefixtures("registry_image")
@pytest.mark.timeout(SECONDS + 120)
def test_nothing_that_was_acknowledged_is_lost() -> None:
    chance = Random(SEED)
    layers = [chance.randbytes(chance.randrange(100, 200_000)) for _ in range(60)]
    images = [image(chance.sample(layers, 3)) for _ in range(30)]
    pool = [*images, *(image_list(amd64=images[n], arm64=images[n + 1]) for n in range(0, 10, 2))]
    with administrator(port=free_port(), lease="1s", young="1h") as admin:
        clients = [Client(admin, number, pool, Random(SEED + number)) for number in range(CLIENTS)]

        def kill() -> int:
            count, until = 0, time.monotonic() + SECONDS
            while count < KILLS or time.monotonic() < until:
                time.sleep(chance.uniform(*ALIVE))
                admin.registry.container.kill("SIGKILL")
                admin.registry.container.start()
                admin.registry.await_ready()
                count += 1
            return count

        def collect() -> None:
            with admin.registry.session("admin") as session:
                try:
                    session.post(f"{admin.registry.url}/api/collections")
                except requests.RequestException:
                    return

        done = threading.Event()
        with ThreadPoolExecutor(CLIENTS + 1) as threads:
            collections = threads.submit(every, 0.3, done, collect)
            working = [threads.submit(client.work, done) for client in clients]
            try:
                kills = kill()
            finally:
                done.set()
            for each in working:
                each.result()
            counts = f"{kills=} collections={collections.result()}"
        pushes, broken = sum(each.acknowledged for each in clients), sum(each.broken for each in clients)
        print(f"seed {SEED}: {pushes=} {broken=} {counts}")
        assert [problem for client in clients for problem in client.problems()] == []
        assert pushes > SECONDS
        collect()
        assert [problem for client in clients for problem in client.problems()] == []
        assert "Traceback" not in admin.registry.output()
