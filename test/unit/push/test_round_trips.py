"""How many round trips a push takes: over a link of 80 ms, they are most of the time of a small image."""

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
from unit.fakes import REQUEST, SETTINGS, Messages
from unit.rounds import Rounds, shown
from unit.runs import encoder

from pipe.errors import CredentialsRefusedError
from pipe.oci.image import Image, Layer
from pipe.oci.manifest import Manifest
from pipe.push.context import Context, Timing
from pipe.push.pushers import Pushers
from pipe.push.reuse import Place
from pipe.push.run import Push
from pipe.registry.client import Client
from pipe.source.blob import SourceBlob, StoredImage, in_memory

LAYERS = [hashlib.sha512(bytes([number])).digest() * 5000 for number in range(4)]
QUIET = (0.15, 0.6, 2.4, 5.0)
"""Seconds for which each run waits for further requests of a round. A loaded machine may split a round in two, but none
joins two: the first run with few rounds counts."""


def digest(data: bytes) -> str:
    """Return a digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


CONFIG = json.dumps({"rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in LAYERS]}}).encode()
NAMES = {digest(CONFIG): "config"}


class Source:
    """An image of four small layers."""

    image = Image(digest(CONFIG), 1, tuple(Layer(n, digest(data), len(data)) for n, data in enumerate(LAYERS, 1)))
    config = CONFIG
    manifests: tuple[Manifest, ...] = ()
    present: Manifest | None = None

    def __init__(self, *, replayable: bool) -> None:
        self.replayable = replayable

    def __iter__(self) -> Iterator[SourceBlob]:
        """Yield the layers."""
        for data in LAYERS:
            yield SourceBlob("layer", len(data), digest(data), None, in_memory("layer", "", data).open)

    def blobs(self, _known: Callable[[], frozenset[str]] = frozenset) -> AbstractContextManager["Source"]:
        """Open the image."""
        return nullcontext(self)

    def stored(self, _copied: Callable[[int], None]) -> StoredImage:
        """Return the image as it is."""
        return StoredImage((), self.config, tuple(self), (self.image,))

    def staged(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


def push(server: Rounds, *tags: str, replayable: bool = True) -> list[list[str]]:
    """Push tags, and return the requests of each round trip."""
    told, settings, request = Messages(), SETTINGS._replace(uploader="auto"), REQUEST._replace(tags=tags)
    client = Client(settings.registry, settings.credentials, "test/1", told, adapter=server)
    repository = client.repository(request.repository)
    context = Context(settings, request, repository, told, Timing(time.monotonic, time.sleep, random.random))
    places = [Place(repository, tag) for tag in (*tags, "latest")]
    server.rounds.clear()
    Push(context, lambda: Source(replayable=replayable), Pushers(context, places, encoder, None)).run()
    return list(server.rounds)


@pytest.mark.parametrize(
    ("before", "tags", "replayable", "rounds"),
    [
        pytest.param((), ("1",), True, 6, id="fresh"),
        pytest.param((), ("1",), False, 6, id="fresh-from-an-engine"),
        pytest.param(("1",), ("1",), True, 3, id="unchanged"),
        pytest.param(("1",), ("1", "2", "3", "4", "5"), True, 6, id="four-more-tags"),
        pytest.param(("latest",), ("1", "2", "3", "4"), False, 6, id="four-tags-of-latest"),
    ],
)
def test_round_trips(before: tuple[str, ...], tags: tuple[str, ...], replayable: bool, rounds: int) -> None:
    found: list[list[str]] = []
    for quiet in QUIET:
        server = Rounds(quiet)
        if before:
            push(server, *before)
        found = push(server, *tags, replayable=replayable)
        if len(found) <= rounds:
            break
    assert len(found) <= rounds, shown(found, NAMES)


def test_a_token_takes_one_round_trip_for_all_requests() -> None:
    server = Rounds()
    server.realm = "https://auth.example.com/token"
    found = push(server, "1")
    assert [request for each in found for request in each].count("GET /token") == 1


def test_credentials_that_are_rejected_are_sent_once() -> None:
    server = Rounds()
    server.realm = "https://auth.example.com/token"
    server.on("GET", "*/token", 401)
    with pytest.raises(CredentialsRefusedError):
        push(server, "1", "2", "3")
    assert len(server.matching("GET", "*/token")) == 1
