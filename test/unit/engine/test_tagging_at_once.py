"""Two runs at once with one tag of an Engine, in every order of their requests with up to three changes of turn."""

import itertools
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, cast

import pytest
import requests
from docker.errors import APIError
from unit.engine.tags import NOW, OURS, TARGET, THEIRS, USERS, EngineTags

from pipe.engine.marker import Marker
from pipe.engine.tagging import Tag
from pipe.oci.image import Image

if TYPE_CHECKING:
    from docker import APIClient

REQUESTS = 16
"""Requests of a run, at most: later changes of turn are none."""
FOUND = {"app:1": OURS, "other:1": THEIRS}


class Turns:
    """Lets one of two threads at a time send its requests."""

    def __init__(self, lengths: tuple[int, ...]) -> None:
        """Store how many requests the first one sends, then the second one, and so on; at last each its rest."""
        self._order = [number % 2 for number, length in enumerate(lengths) for _ in range(length)]
        self._ended: set[int] = set()
        self._changed = threading.Condition()
        self._running: int | None = None

    def take(self, run: int) -> None:
        """Wait for the turn of a run, which lasts until it takes the next one or ends."""
        with self._changed:
            self._stop(run)
            assert self._changed.wait_for(lambda: self._running is None and self._next() == run, 60), "its turn came"
            if self._order:
                self._order.pop(0)
            self._running = run

    def _stop(self, run: int) -> None:
        if self._running == run:
            self._running = None
            self._changed.notify_all()

    def _next(self) -> int | None:
        while self._order and self._order[0] in self._ended:
            self._order.pop(0)
        return self._order[0] if self._order else min({0, 1} - self._ended, default=None)

    def end(self, run: int) -> None:
        """Give all further turns to the other run."""
        with self._changed:
            self._ended.add(run)
            self._stop(run)
            self._changed.notify_all()


class Shared(EngineTags):
    """An Engine that two runs use, each in a thread that is named by its number."""

    def __init__(self, tags: dict[str, str], turns: Turns) -> None:
        super().__init__(tags, OURS)
        self._turns = turns

    def request(self) -> None:
        """Wait for the turn of this thread."""
        self._turns.take(int(threading.current_thread().name))


def orders() -> list[tuple[int, ...]]:
    """Return the lengths of the turns: the first run's, the second one's, the first one's, then the rest of both."""
    return list(itertools.product(range(REQUESTS), range(1, REQUESTS), range(REQUESTS)))


class Containerd(Shared):
    """An Engine with a containerd store, which removes a tag before it sets it anew, and fails if another did so."""

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Set a tag."""
        self.request()
        name = f"{repository}:{tag}"
        if self.tags.get(name, image) != image:
            del self.tags[name]
            self.request()
            if name in self.tags:
                raise APIError("already exists", response=SERVER_ERROR)
        self.tags[name] = image


SERVER_ERROR = requests.Response()
SERVER_ERROR.status_code = 500
BEFORE = pytest.mark.parametrize(
    "before", [{}, {str(TARGET): USERS, "users:1": USERS}], ids=["no-such-tag", "another-image"]
)


def ended(
    found: dict[str, str], images: tuple[str, str], lengths: tuple[int, ...], kind: type[Shared] = Shared
) -> tuple[dict[str, str], list[str]]:
    """Let two runs tag their images, and return the tags in the end and the warnings."""
    turns = Turns(lengths)
    engine = kind(found, turns)
    warnings: list[str] = []

    def push(run: int) -> None:
        api = cast("APIClient", engine)
        try:
            with Tag(lambda: api, Image(images[run], 0, ()), TARGET, warnings.append, lambda: NOW).applied(nullcontext):
                pass
        finally:
            turns.end(run)

    threads = [threading.Thread(target=push, args=(run,), name=str(run)) for run in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return engine.tags, warnings


@BEFORE
@pytest.mark.parametrize("second", [pytest.param(OURS, id="one-image"), pytest.param(THEIRS, id="two-images")])
@pytest.mark.parametrize("kind", [Shared, Containerd])
def test_the_tags_are_as_found_in_the_end(before: dict[str, str], second: str, kind: type[Shared]) -> None:
    for lengths in orders():
        end = ended(FOUND | before, (OURS, second), lengths, kind)
        assert end == (FOUND | before, []), f"turns of {lengths} requests"


@BEFORE
def test_an_image_without_a_name_is_not_deleted(before: dict[str, str]) -> None:
    for lengths in orders():
        tags, warnings = ended(before, (OURS, OURS), lengths)
        kept = [tag for tag, image in tags.items() if image == OURS]
        assert kept, f"turns of {lengths} requests"
        assert not any(map(Marker.parse, (tag.rpartition(":")[2] for tag in kept))), f"turns of {lengths} requests"
        assert {tag: image for tag, image in tags.items() if tag not in kept} == before, f"turns of {lengths} requests"
        assert all(any(tag in each for each in warnings) for tag in kept), f"turns of {lengths} requests"
