"""Runs of the use case: an Engine that plays events, and a registry in memory behind real requests."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pytest
from unit.fakes import REQUEST, SETTINGS, Clock, FakeEngine, Line, Messages
from unit.http import FakeHTTP, FakeRegistryServer, sha256

from pipe.encoding.blob import EncodedBlob
from pipe.encoding.codecs import COMPRESSIONS
from pipe.encoding.pool import BlockPool
from pipe.engine import events
from pipe.errors import PipeError
from pipe.oci.image import Image, Layer
from pipe.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, OCI_MANIFEST, Manifest
from pipe.push.context import Context, Timing
from pipe.push.pushers import Pushers
from pipe.push.result import Result
from pipe.push.reuse import Place
from pipe.push.run import Push
from pipe.push.splits import Splits
from pipe.push.transfer import Encode
from pipe.registry.client import Client
from pipe.registry.run_clock import RUN_LIMIT, RunClock
from pipe.registry.upload import CHUNK

CONFIG = b'{"created": "2026-03-01T12:00:00Z", "config": {"Labels": {"org.opencontainers.image.revision": "c0ffee"}}}'
BLOBS = ("sha256:" + "1" * 64, "sha256:" + "2" * 64)
SIZES = (500, 50)


def image_manifest(
    config: str, size: int, layers: Iterable[tuple[str, int]], media_type: str = DOCKER_LAYER
) -> Manifest:
    """Make an image's manifest."""
    content = {
        "schemaVersion": 2,
        "config": {"mediaType": DOCKER_CONFIG, "digest": config, "size": size},
        "layers": [{"mediaType": media_type, "digest": digest, "size": size} for digest, size in layers],
    }
    return Manifest.parse(OCI_MANIFEST, json.dumps(content).encode())


IMAGE_ID = "sha256:" + "c" * 64
IMAGE = Image(
    IMAGE_ID,
    1100,
    (Layer(1, "sha256:" + "a" * 64, 1000, "ADD base /"), Layer(2, "sha256:" + "b" * 64, 100, "COPY . /app")),
)
MANIFEST = image_manifest(IMAGE_ID, 7, list(zip(BLOBS, SIZES, strict=True)))
OTHER_ID = sha256(CONFIG)
OTHER = image_manifest(OTHER_ID, len(CONFIG), list(zip(BLOBS, SIZES, strict=True)))
BASE, TOP = "a" * 12, "b" * 12
SUCCESS: list[Line] = [
    (0.0, events.Uploading(BASE, 1, 1000)),
    (1.0, events.AlreadyThere(TOP)),
    (2.0, events.Uploaded(BASE)),
    (2.5, events.PushDone(MANIFEST.digest)),
]


@dataclass
class Bench:
    """A push, and all that it works with."""

    clock: Clock
    engine: FakeEngine
    server: FakeRegistryServer
    told: Messages
    push: Push
    context: Context

    def run(self) -> Result:
        """Push, and return the result."""
        self.push.run()
        return self.push.result(0)

    def fail(self) -> tuple[PipeError, Result]:
        """Push in vain, and return error and result."""
        with pytest.raises(PipeError) as raised:
            self.push.run()
        return raised.value, self.push.result(raised.value.exit_code)

    def store(self, manifest: Manifest, *tags: str) -> None:
        """Store a manifest with its blobs, under tags."""
        store(self.server, manifest, *tags)

    @property
    def asked(self) -> list[str]:
        """What the registry was asked, without questions for blobs."""
        return [
            "POST" if sent.method == "POST" else f"{sent.method} {sent.path.rpartition('/')[2]}"
            for sent in self.server.sent
            if sent.path != "/v2/" and "/blobs/sha256:" not in sent.path
        ]


def store(server: FakeRegistryServer, manifest: Manifest, *tags: str) -> None:
    """Store a manifest with its blobs, under tags."""
    server.keep_manifest(manifest.body, manifest.media_type)
    for tag in tags:
        server.tags[tag] = manifest.digest
    for blob in (manifest.config_descriptor, *manifest.layers):
        if blob is not None:
            server.blobs.setdefault(blob.digest, CONFIG if blob.size == len(CONFIG) else b"x" * blob.size)


def connected(clock: Clock, told: Messages, server: FakeHTTP, limit: float = RUN_LIMIT) -> Client:
    """Connect to the registry; waits between requests pass on the clock, and the run waits for `limit` seconds."""
    return Client(
        SETTINGS.registry,
        SETTINGS.credentials,
        "test/1",
        told,
        clock=clock,
        wait=clock.pass_by,
        random=lambda: 0.0,
        adapter=server,
        run_clock=RunClock(clock, limit),
    )


def encoder(compression: str = "auto") -> Encode:
    """Encode layers as the pipe does."""
    pool = BlockPool(COMPRESSIONS[compression])
    return lambda blob, cancel, read: EncodedBlob(blob, CHUNK, cancel, pool, read)


def bench(
    *pushes: Iterable[Line] | PipeError,
    tags: Iterable[str] = ("1.0",),
    image: Image | PipeError = IMAGE,
    settings: Mapping[str, object] | None = None,
    limit: float = RUN_LIMIT,
) -> Bench:
    """Prepare a push; the registry learns the manifest when the Engine names its digest."""
    clock, told, server = Clock(), Messages(), FakeRegistryServer()
    engine = FakeEngine(clock, image)
    engine.pushes = list(pushes)
    engine.arrives = lambda tag, _digest: store(server, MANIFEST, tag)
    request = REQUEST._replace(tags=tuple(tags))
    chosen = SETTINGS._replace(requests=(request,), **(settings or {}))  # type: ignore[arg-type]
    repository = connected(clock, told, server, limit).repository(request.repository)
    context = Context(chosen, request, repository, told, Timing(clock, clock.sleep, lambda: 0.0, clock.wait))
    places = [Place(repository, tag) for tag in (*request.tags, "latest")]
    pushers = Pushers(context, places, encoder, engine)
    splits = Splits(context) if chosen.split_auto or chosen.split_size else None
    return Bench(clock, engine, server, told, Push(context, engine.find, pushers, splits=splits), context)


def statuses(result: Result) -> list[str]:
    """Return the outcome for each tag."""
    return [tag.status.value for tag in result.tags]


def pushes(engine: FakeEngine) -> list[str]:
    """Return what the Engine was asked to push."""
    return [done.removeprefix("push ") for done in engine.done if done.startswith("push ")]
