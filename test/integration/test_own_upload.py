"""The pipe's own upload, from a real Engine to a real registry: what arrives is the image, or nothing."""

import hashlib
import json
import random
import secrets
import signal
from typing import Any

import docker
import pytest
from integration.engine_proxy import EngineProxy, Save
from integration.images import MB, Images, archive_of
from integration.registries import BY_ENGINE, REPOSITORY, StartRegistry, digest_in
from integration.running import Run, Start
from integration.transfers import config_of, diff_ids, manifest_of, put_manifest, stored, unpacked
from registry.client import LocalRegistry

CHUNK = 8 * 2**20
EMPTY = bytes(1024)
UPLOADS, MANIFESTS = "*/blobs/uploads/*", "*/manifests/*"


def files(count: int, size: int = 1, first: int = 0) -> bytes:
    """Make a layer of so many files."""
    return archive_of({f"files/{number:05d}": bytes(size) for number in range(first, first + count)})


def sent(registry: LocalRegistry) -> list[int]:
    """List the sizes of the chunks and whole blobs that carried data and were taken, the two-byte blob's apart."""
    requests = registry.requests(method="P[AU]T*", path=UPLOADS, status="20[12]")
    return [entry.received for entry in requests if entry.received > 1]


LAYERS = {
    "ten-thousand-files": (files(10_000),),
    "a-layer-without-files": (files(1), EMPTY),
    "a-layer-of-no-bytes-unpacked": (files(1), files(1, 0)),
    "a-layer-of-zeros": (files(1, 30 * MB),),
    "the-same-layer-twice": (files(3), files(2), files(3)),
    "thirty-layers": tuple(files(1, size) for size in range(1, 31)),
}


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS.keys())
def test_any_image_arrives_as_it_is(
    registry: LocalRegistry, images: Images, run: Run, layers: tuple[bytes, ...]
) -> None:
    image = images.load(*layers)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe")
    finished.expect(0, "✔ Pushed")
    assert config_of(registry, "latest") == image.id, finished.shown(f"the image {image.id}")
    config = json.loads(stored(registry, image.id) or b"{}")
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    assert registry.requests(user_agent=BY_ENGINE) == [], "the Engine has no part in it"
    assert finished.result["uploader"] == "pipe"
    assert registry.requests(method="DELETE") == []


def test_the_engine_pulls_what_the_pipe_uploaded(
    registry: LocalRegistry, images: Images, engine: docker.DockerClient, run: Run
) -> None:
    image = images.build(20 * MB, 100)
    run(registry, IMAGE_NAME=image.name, UPLOADER="pipe", TAGS="1.0 latest").expect(0)
    assert len(sent(registry)) == 5, "three chunks, the small layer, the configuration"
    images.remove()
    auth = {"username": "reader", "password": "reader-token"}
    pulled = engine.images.pull(f"{registry.host}/{REPOSITORY}", tag="1.0", auth_config=auth)
    engine.images.remove(f"{registry.host}/{REPOSITORY}:1.0", force=True)
    assert pulled.id == image.id
    assert digest_in(registry, "1.0") == digest_in(registry, "latest")


def test_it_takes_over_what_the_engine_would_be_slow_at(
    registry: LocalRegistry, images: Images, engine: docker.DockerClient, run: Run
) -> None:
    image = images.build(120 * MB, MB)
    finished = run(registry, IMAGE_NAME=image.name, DEBUG="true")
    finished.expect(
        0, "Uploading layer 1 (COPY … in /) directly: Docker Engine would take about ", " to compress it.\n"
    )
    assert finished.result["uploader"] == "pipe"
    assert config_of(registry, "latest") == image.id
    assert engine.images.get(image.id).tags == [image.name], "the Engine's own tags are left as found"


def test_a_layer_that_the_engine_cannot_compress_in_time_arrives(
    start_registry: StartRegistry, images: Images, run: Run
) -> None:
    # The estimate for the Engine counts unpacked bytes; zeros take the pipe a second, even on a busy machine.
    registry = start_registry(upload_timeout="9s")
    image = images.load(files(1, 250 * MB))
    finished = run(registry, IMAGE_NAME=image.name, UPLOAD_TIMEOUT="9s")
    finished.expect(0, "Uploading layer 1 (COPY 0 /) directly: ", "the registry times out after 9.0 s.")
    assert config_of(registry, "latest") == image.id


def test_a_link_that_is_too_slow_ends_it_foretold(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(20 * MB)
    registry.fault(method="PATCH", bytes_per_second=2 * MB)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe", UPLOAD_TIMEOUT="4s", TAGS="slow")
    finished.expect(5, "at this rate the upload will take", "exceeds the registry's time limit: layer 1", within=9)
    assert digest_in(registry, "slow") is None


@pytest.mark.parametrize("uploader", ["auto", "pipe"])
def test_the_limit_is_on_stored_bytes(registry: LocalRegistry, images: Images, run: Run, uploader: str) -> None:
    zeros, noise = images.load(files(1, 30 * MB)), images.build(2 * MB)
    limit = {"UPLOADER": uploader, "MAX_LAYER_SIZE": "1MB"}
    run(registry, IMAGE_NAME=zeros.name, TAGS="zeros", **limit).expect(0)
    registry.clear()
    refused = run(registry, IMAGE_NAME=noise.name, TAGS="noise", **limit)
    refused.expect(5, "layer 1 (COPY", "MAX_LAYER_SIZE", "Nothing of it was uploaded")
    assert sum(sent(registry)) < MB // 100, "nothing but the configuration may have gone before it"


def test_layers_that_the_registry_has_are_not_sent(registry: LocalRegistry, images: Images, run: Run) -> None:
    first = images.build(3 * MB, 2 * MB)
    second = images.build(MB, base=first.name)
    run(registry, IMAGE_NAME=first.name, UPLOADER="engine", TAGS="base").expect(0)
    registry.clear()
    finished = run(registry, IMAGE_NAME=second.name, UPLOADER="pipe", REUSE_FROM="base", TAGS="new")
    finished.expect(0)
    assert len(sent(registry)) == 2, "the new layer and the configuration"
    layers = finished.result["layers"]
    assert isinstance(layers, list)
    assert [(layer["reused"], layer["status"]) for layer in layers] == [
        *((True, "already there"), (True, "already there"), (False, "uploaded"))
    ]
    assert config_of(registry, "new") == second.id


def test_a_reused_layer_that_the_registry_lost_is_sent_after_all(
    registry: LocalRegistry, images: Images, run: Run
) -> None:
    first = images.build(MB)
    second = images.build(MB, base=first.name)
    run(registry, IMAGE_NAME=first.name, UPLOADER="engine", TAGS="base").expect(0)
    registry.clear()
    lost = {"status": 400, "body": '{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown"}]}'}
    registry.fault(method="PUT", path="*/manifests/new", times=1, answer=lost)
    finished = run(registry, IMAGE_NAME=second.name, UPLOADER="pipe", REUSE_FROM="base", TAGS="new")
    finished.expect(0, "Attempt 1 of 3 failed", "blob unknown")
    assert config_of(registry, "new") == second.id


MISLEADING = {
    "no-json": {"body": "{"},
    "more-layers-than-diff-ids": {"body": '{"rootfs":{"diff_ids":[]}}'},
    "brackets": {"body": "[" * 50_000},
    "five-megabytes": {"body": "{", "body_bytes": 5 * MB},
}


@pytest.mark.parametrize("config", MISLEADING.values(), ids=MISLEADING.keys())
def test_what_makes_no_sense_is_not_reused(
    registry: LocalRegistry, images: Images, run: Run, config: dict[str, object]
) -> None:
    first = images.build(MB)
    run(registry, IMAGE_NAME=first.name, UPLOADER="engine", TAGS="base").expect(0)
    registry.fault(method="GET", path=f"*/blobs/{first.id}", answer={"status": 200, **config})
    second = images.build(MB, base=first.name)
    finished = run(registry, IMAGE_NAME=second.name, UPLOADER="pipe", REUSE_FROM="base", TAGS="new")
    finished.expect(0)
    assert config_of(registry, "new") == second.id


@pytest.mark.parametrize(
    "sizes",
    [pytest.param((2 * MB, MB), id="of-other-sizes"), pytest.param((MB, MB), id="of-the-same-size")],
)
def test_layers_that_a_manifest_mixes_up_are_not_reused(
    registry: LocalRegistry, images: Images, run: Run, proxy: EngineProxy, sizes: tuple[int, int]
) -> None:
    first = images.build(*sizes)
    second = images.build(MB, base=first.name)
    run(registry, IMAGE_NAME=first.name, UPLOADER="engine", TAGS="base").expect(0)
    manifest: Any = manifest_of(registry, "base")
    manifest["layers"].reverse()
    put_manifest(registry, "mixed-up", manifest)
    read: list[None] = []
    proxy.save = Save(act=lambda: read.append(None))
    usual = {"IMAGE_NAME": second.name, "UPLOADER": "pipe", "DOCKER_HOST": proxy.docker_host}
    finished = run(registry, REUSE_FROM="mixed-up", TAGS="new", **usual)
    finished.expect(0)
    finished.expect_not("Attempt")
    assert len(read) == 2, "the stream is read again, without what was mixed up"
    layers = finished.result["layers"]
    assert isinstance(layers, list)
    assert [layer["reused"] for layer in layers] == [False] * 3
    assert unpacked(registry, "new") == diff_ids(registry, "new")


PHASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the-check": ({"method": "POST", "hang": True}, {"method": "POST", "state": "open"}),
    "a-chunk": (
        {"method": "PATCH", "content_range": "?????*", "bytes_per_second": MB},
        {"method": "PATCH", "content_range": "?????*", "state": "open"},
    ),
    "the-end-of-an-upload": (
        {"method": "PUT", "path": UPLOADS, "patches": 3, "hang": True},
        {"method": "PUT", "path": UPLOADS, "state": "open"},
    ),
    "the-manifest": (
        {"method": "PUT", "path": MANIFESTS, "hang": True},
        {"method": "PUT", "path": MANIFESTS, "state": "open"},
    ),
    "the-proof": (
        {"method": "GET", "path": "*/manifests/stopped-the-proof", "skip": 1, "hang": True},
        {"method": "PUT", "path": MANIFESTS, "status": "201"},
    ),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_ends_it_at_once(registry: LocalRegistry, images: Images, start: Start, phase: str) -> None:
    image = images.build(20 * MB)
    fault, reached = PHASES[phase]
    registry.fault(**fault)
    running = start(registry, IMAGE_NAME=image.name, UPLOADER="pipe", TAGS=f"stopped-{phase}")
    registry.wait_for(**reached)
    running.signal(signal.SIGTERM)
    running.finish().expect(143, "The push was stopped by signal SIGTERM", within=2)
    assert (digest_in(registry, f"stopped-{phase}") is None) == (phase != "the-proof")


def test_a_chunk_that_is_always_cut_ends_the_push(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(20 * MB)
    registry.fault(method="PATCH", content_range="?????*", cut="reset")
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe", MAX_ATTEMPTS="1", TAGS="cut")
    finished.expect(6, "The registry failed", "the connection broke")
    assert digest_in(registry, "cut") is None


def test_chunks_that_are_cut_wherever_arrive(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(20 * MB)
    source = random.Random(seed := secrets.randbits(48))
    print(f"cuts from seed {seed}")
    for skip in (1, 3, 5):
        registry.fault(
            method="PATCH", content_range="?????*", skip=skip, times=1, cut="reset", after=source.randrange(5 * MB)
        )
    run(registry, IMAGE_NAME=image.name, UPLOADER="pipe").expect(0)
    assert unpacked(registry, "latest") == diff_ids(registry, "latest")


UNKNOWN = {"status": 404, "body": '{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown"}]}'}


def test_an_upload_that_is_forgotten_costs_an_attempt(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB, 20 * MB)
    registry.fault(method="PATCH", content_range=f"{CHUNK}-*", times=1, answer=UNKNOWN)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe")
    finished.expect(0, "Attempt 1 of 3 failed", "blob upload unknown")
    finished.expect_not("does not exist")
    assert config_of(registry, "latest") == image.id


def test_a_registry_without_chunks_gets_streams(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(20 * MB)
    registry.fault(method="PATCH", content_range="?*", answer={"status": 400})
    run(registry, IMAGE_NAME=image.name, UPLOADER="pipe").expect(0)
    assert config_of(registry, "latest") == image.id


def test_a_registry_that_knows_no_patch_is_left_to_the_engine(
    registry: LocalRegistry, images: Images, run: Run
) -> None:
    image = images.build(120 * MB)
    registry.fault(method="PATCH", user_agent="bbc-*", answer={"status": 405})
    finished = run(registry, IMAGE_NAME=image.name)
    finished.expect(0, "answered 405", "Falling back to Docker Engine.")
    assert finished.result["uploader"] == "engine"
