"""The pipe's own upload, from a real Engine to a real registry: what arrives is the image, or nothing."""

import hashlib
import json
import re
import signal

import docker
import pytest
from integration.images import MB, Images, archive_of
from integration.registries import BY_ENGINE, REPOSITORY, StartRegistry, digest_in
from integration.running import Run, Start
from integration.transfers import stored
from registry.client import LocalRegistry

CHUNK = 8 * 2**20
EMPTY = bytes(1024)
UPLOADS = "*/blobs/uploads/*"


def files(count: int, size: int = 1, first: int = 0) -> bytes:
    """Make a layer of so many files."""
    return archive_of({f"files/{number:05d}": bytes(size) for number in range(first, first + count)})


def manifest_of(registry: LocalRegistry, tag: str) -> dict[str, object]:
    """Read a manifest past the pipe."""
    headers = registry.bearer("reader", f"{REPOSITORY}:pull")
    accept = "application/vnd.docker.distribution.manifest.v2+json"
    with registry.session() as session:
        url = f"{registry.url}/v2/{REPOSITORY}/manifests/{tag}"
        answer: dict[str, object] = session.get(url, headers=headers | {"Accept": accept}, timeout=10).json()
    return answer


def config_of(registry: LocalRegistry, tag: str) -> str:
    """Tell which image a tag holds."""
    config = manifest_of(registry, tag)["config"]
    assert isinstance(config, dict)
    return str(config["digest"])


def sent(registry: LocalRegistry) -> list[int]:
    """List the sizes of the chunks that carried data and were taken, the two-byte blob's apart."""
    return [entry.received for entry in registry.requests(method="PATCH", status="202") if entry.received > 1]


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
    image = images.build(150 * MB, MB)
    finished = run(registry, IMAGE_NAME=image.name, DEBUG="true")
    finished.expect(
        0, "Docker Engine would need about ", "to compress layer 1 (COPY … in /); the pipe uploads it itself"
    )
    assert finished.result["uploader"] == "pipe"
    assert config_of(registry, "latest") == image.id
    assert engine.images.get(image.id).tags == [image.name], "the Engine's own tags are left as found"


def test_a_layer_that_the_engine_cannot_compress_in_time_arrives(
    start_registry: StartRegistry, images: Images, run: Run
) -> None:
    registry = start_registry(upload_timeout="3s")
    image = images.build(100 * MB)
    finished = run(registry, IMAGE_NAME=image.name, UPLOAD_TIMEOUT="3s")
    finished.expect(0, "the registry ends an upload after 3.0 s; the pipe uploads it itself")
    assert config_of(registry, "latest") == image.id


def test_a_link_that_is_too_slow_ends_it_foretold(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(20 * MB)
    registry.fault(method="PATCH", bytes_per_second=2 * MB)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe", UPLOAD_TIMEOUT="4s", TAGS="slow")
    finished.expect(5, "at this rate the upload will take", "takes too long for the registry: layer 1", within=9)
    assert digest_in(registry, "slow") is None


@pytest.mark.parametrize("uploader", ["auto", "pipe"])
def test_the_limit_is_on_stored_bytes(registry: LocalRegistry, images: Images, run: Run, uploader: str) -> None:
    zeros, noise = images.load(files(1, 30 * MB)), images.build(2 * MB)
    limit = {"UPLOADER": uploader, "MAX_LAYER_SIZE": "1MB"}
    run(registry, IMAGE_NAME=zeros.name, TAGS="zeros", **limit).expect(0)
    registry.clear()
    refused = run(registry, IMAGE_NAME=noise.name, TAGS="noise", **limit)
    refused.expect(5, "layer 1 (COPY", "MAX_LAYER_SIZE", "None of it was sent")
    assert sent(registry) == []


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
    "no-json": "{",
    "more-layers-than-diff-ids": '{"rootfs":{"diff_ids":[]}}',
    "brackets": "[" * 50_000,
}


@pytest.mark.parametrize("config", MISLEADING.values(), ids=MISLEADING.keys())
def test_what_makes_no_sense_is_not_reused(registry: LocalRegistry, images: Images, run: Run, config: str) -> None:
    first = images.build(MB)
    run(registry, IMAGE_NAME=first.name, UPLOADER="engine", TAGS="base").expect(0)
    registry.fault(method="GET", path=f"*/blobs/{first.id}", answer={"status": 200, "body": config})
    second = images.build(MB, base=first.name)
    finished = run(registry, IMAGE_NAME=second.name, UPLOADER="pipe", REUSE_FROM="base", TAGS="new")
    finished.expect(0)
    assert config_of(registry, "new") == second.id


@pytest.mark.parametrize("where", ["upload", "manifest"])
def test_a_signal_ends_it_at_once(registry: LocalRegistry, images: Images, start: Start, where: str) -> None:
    image = images.build(20 * MB)
    if where == "upload":
        registry.fault(method="PATCH", bytes_per_second=MB)
    else:
        registry.fault(method="PUT", path="*/manifests/*", hang=True)
    running = start(registry, IMAGE_NAME=image.name, UPLOADER="pipe", TAGS=f"stopped-{where}")
    if where == "upload":
        registry.wait_for(method="PATCH", received=MB, state="open")
    else:
        registry.wait_for(method="PUT", path="*/manifests/*", state="open")
    running.signal(signal.SIGTERM)
    running.finish().expect(143, "The push was stopped by signal SIGTERM", within=2)
    assert digest_in(registry, f"stopped-{where}") is None


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
    image = images.build(150 * MB)
    registry.fault(method="PATCH", user_agent="bbc-*", answer={"status": 405})
    finished = run(registry, IMAGE_NAME=image.name)
    finished.expect(0, "The pipe cannot upload this image itself; Docker Engine pushes it.")
    assert finished.result["uploader"] == "engine"


def test_two_pipes_at_once_never_take_one_image_for_the_other(
    registry: LocalRegistry, images: Images, engine: docker.DockerClient, start: Start
) -> None:
    for uploader in ("engine", "engine", "engine", "pipe"):
        ours = [images.build(MB), images.build(MB)]
        pipes = [start(registry, IMAGE_NAME=image.name, UPLOADER=uploader, TAGS="shared") for image in ours]
        for finished, image in zip([pipe.finish() for pipe in pipes], ours, strict=True):
            assert finished.exit_code in {0, 6}, finished.shown("an end in order")
            for reference in finished.references:
                digest = reference.partition("@")[2]
                assert config_of(registry, digest) == image.id, finished.shown(f"the image {image.id}")
            assert engine.images.get(image.id).tags == [image.name], finished.shown("the Engine's tags as found")
        assert re.fullmatch("sha256:.*", digest_in(registry, "shared") or ""), "one of the two arrived"
