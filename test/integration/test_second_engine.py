"""The pipe with Docker Engine 26.1, with the containerd image store and with a graphdriver."""

import hashlib
import io
import json
import secrets
import tarfile

import pytest
from integration.images import MB, archive_of
from integration.prefixes import read_with_prefixes
from integration.registries import BY_ENGINE, BY_PIPE, REPOSITORY, digest_in
from integration.second_engine import INSIDE, RunSecond, Second

from pipe.engine.client import Engine

pytestmark = [pytest.mark.root]
TWO = {"linux/amd64": [MB, MB], "linux/arm64": [MB]}
LIMIT = {"MAX_LAYER_SIZE": "1.5MB"}


def blob_sizes(second: Second) -> list[int]:
    """List the bytes of each blob's requests that carried some, those that find out about chunks apart."""
    entries = second.registry.requests(method="P*", path="*/blobs/uploads/*")
    return sorted(entry.received for entry in entries if entry.received > 2)


def test_fresh_image_arrives(second: Second, run_second: RunSecond) -> None:
    image = second.images.build(MB, MB)
    finished = run_second(second, IMAGE_NAME=image.name, TAGS="fresh another")
    finished.expect(0, "✔ Pushed ", "2 layers", "uploaded")
    digest = digest_in(second.registry, "fresh")
    assert finished.references == [f"{INSIDE}/{REPOSITORY}:{tag}@{digest}" for tag in ("fresh", "another")]
    assert digest_in(second.registry, "another") == digest == finished.result["digest"]


def test_unchanged_image_is_known_to_be_there(second: Second, run_second: RunSecond) -> None:
    image = second.images.build(MB)
    run_second(second, IMAGE_NAME=image.name, TAGS="twice").expect(0)
    second.registry.clear()
    again = run_second(second, IMAGE_NAME=image.name, TAGS="twice")
    again.expect(0, "✔ Up to date: ")
    assert again.result["digest"] == digest_in(second.registry, "twice")
    assert second.registry.requests(user_agent=BY_ENGINE) == []


def test_changed_image_sends_only_what_is_new(second: Second, run_second: RunSecond) -> None:
    first = second.images.build(MB)
    run_second(second, IMAGE_NAME=first.name, TAGS="changing").expect(0)
    second.registry.clear()
    changed = second.images.build(MB, base=first.name)
    run_second(second, IMAGE_NAME=changed.name, TAGS="changing").expect(0, "already there", "uploaded")
    assert [
        entry.received > MB for entry in second.registry.requests(method="P*", path="*/uploads/*", received=2000)
    ] == [True]


def test_tags_of_the_user_are_left_as_found(second: Second, run_second: RunSecond) -> None:
    mine, pushed = second.images.build(MB), second.images.build(MB)
    repository = f"{INSIDE}/{REPOSITORY}"
    second.client.api.tag(mine.id, repository, "moved")
    run_second(second, IMAGE_NAME=pushed.name, TAGS="moved added").expect(0)
    assert second.client.images.get(f"{repository}:moved").id == mine.id
    assert second.client.images.get(pushed.id).tags == [pushed.name]


def test_image_without_a_name_is_pushed_by_its_id(second: Second, run_second: RunSecond) -> None:
    image = second.images.build(MB, named=False)
    finished = run_second(second, IMAGE_NAME=image.id, TAGS="by-id", PACKAGE_NAME="my-container-app")
    finished.expect(0, "✔ Pushed ")
    assert second.client.images.get(image.id).id == image.id
    assert digest_in(second.registry, "by-id") == finished.result["digest"]


def test_image_with_a_layer_above_the_limit_is_not_pushed(graphdriver: Second, run_second: RunSecond) -> None:
    image = graphdriver.images.build(MB, 2 * MB, MB)
    finished = run_second(graphdriver, IMAGE_NAME=image.name, MAX_LAYER_SIZE="1.5MB", TAGS="too-large")
    finished.expect(5, "layer 2 (COPY", "MAX_LAYER_SIZE")
    assert graphdriver.registry.requests(user_agent=BY_ENGINE) == []
    assert digest_in(graphdriver.registry, "too-large") is None


@pytest.mark.parametrize("dry_run", ["", "true"], ids=["push", "dry run"])
@pytest.mark.parametrize("platform", TWO)
def test_layer_of_any_platform_above_the_limit_is_known_before(
    containerd: Second, run_second: RunSecond, platform: str, dry_run: str
) -> None:
    index = containerd.layouts.load(TWO | {platform: [MB, 2 * MB]})
    finished = run_second(containerd, IMAGE_NAME=index.name, MAX_LAYER_SIZE="1.5MB", DRY_RUN=dry_run)
    finished.expect(5, "MAX_LAYER_SIZE")
    assert containerd.registry.requests(method="P[AU]T*") == []


@pytest.mark.parametrize("docker_types", [pytest.param(False, id="OCI"), pytest.param(True, id="Docker")])
def test_every_platform_and_attestation_of_an_index_arrives(
    containerd: Second, run_second: RunSecond, docker_types: bool
) -> None:
    index = containerd.layouts.load(TWO, attested=not docker_types, docker_types=docker_types)
    finished = run_second(containerd, IMAGE_NAME=index.name, TAGS="index another")
    finished.expect(0, "✔ Pushed ")
    assert finished.result["digest"] == index.digest
    assert digest_in(containerd.registry, "index") == digest_in(containerd.registry, "another") == index.digest
    assert [digest_in(containerd.registry, manifest) for manifest in index.manifests] == index.manifests
    assert containerd.client.images.get(index.name).tags == [index.name]


def test_unchanged_index_is_known_to_be_there(containerd: Second, run_second: RunSecond) -> None:
    index = containerd.layouts.load(TWO, attested=True)
    run_second(containerd, IMAGE_NAME=index.name, TAGS="index-twice").expect(0)
    containerd.registry.clear()
    again = run_second(containerd, IMAGE_NAME=index.name, TAGS="index-twice")
    again.expect(0, "✔ Up to date: ")
    assert again.result["digest"] == index.digest
    assert containerd.registry.requests(user_agent=BY_ENGINE) == []


JSON = {"Content-Type": "application/json"}
UNAVAILABLE = {"status": 503, "body": '{"errors":[{"code":"UNAVAILABLE","message":"the registry is being mended"}]}'}
DENIED = {"status": 403, "headers": JSON, "body": '{"errors":[{"code":"DENIED","message":"no writing today"}]}'}
UNLISTED = {"headers": JSON, "body": '{"errors":[{"code":"X","message":"its words"}]}'}
DIGEST = {"status": 400, "headers": JSON, "body": '{"errors":[{"code":"DIGEST_INVALID","message":"it differs"}]}'}
INVALID = {
    "status": 400,
    "headers": JSON,
    "body": '{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}',
}


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        pytest.param("POST", "*/blobs/*", DENIED, id="403 on a layer's POST"),
        pytest.param("PUT", "*/blobs/*", DENIED, id="403 on a layer"),
        pytest.param("PUT", "*/manifests/*", DENIED, id="403 on the manifest"),
        pytest.param("PUT", "*/manifests/*", INVALID, id="400 on the manifest"),
        pytest.param("PUT", "*/manifests/*", UNLISTED | {"status": 400}, id="400 with a code that nobody knows"),
        pytest.param("PUT", "*/manifests/*", UNLISTED | {"status": 403}, id="403 with a code that nobody knows"),
        pytest.param("PUT", "*/manifests/*", {"status": 400, "body": '{"code":"X"}'}, id="400 without errors"),
        pytest.param("PUT", "*/manifests/*", {"status": 400}, id="400 without words"),
        pytest.param("PUT", "*/blobs/*", DIGEST, id="400 on a layer: digest invalid"),
    ],
)
def test_refusal_in_the_push_is_not_tried_again(
    second: Second, run_second: RunSecond, method: str, path: str, answer: dict[str, object]
) -> None:
    image = second.images.build(MB)
    second.registry.fault(user_agent=BY_ENGINE, method=method, path=path, answer=answer)
    finished = run_second(second, IMAGE_NAME=image.name, TAGS="refused", UPLOADER="engine")
    finished.expect(4)
    finished.expect_not("Attempt", "✔")
    assert digest_in(second.registry, "refused") is None
    assert second.client.images.get(image.id).tags == [image.name]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"method": "P*", "path": "*/blobs/*", "answer": UNAVAILABLE}, id="503 on a layer"),
        pytest.param({"method": "PUT", "path": "*/manifests/*", "answer": UNAVAILABLE}, id="503 on the manifest"),
        pytest.param({"method": "PUT", "path": "*/manifests/*", "answer": {"status": 500}}, id="500 on the manifest"),
        pytest.param({"method": "P*", "path": "*/blobs/*", "cut": "reset", "after": MB // 2}, id="reset"),
        pytest.param({"method": "POST", "path": "*/blobs/*", "answer": {"status": 429}}, id="429"),
    ],
)
def test_failure_that_passes_is_survived(second: Second, run_second: RunSecond, fault: dict[str, object]) -> None:
    image = second.images.build(MB)
    second.registry.fault(user_agent=BY_ENGINE, times=1, **fault)
    finished = run_second(second, IMAGE_NAME=image.name, TAGS="passed")
    finished.expect(0, "✔ Pushed ")
    assert digest_in(second.registry, "passed") == finished.result["digest"]


@pytest.mark.parametrize(
    ("answer", "exit_code", "words"),
    [
        pytest.param({"status": 413, "body": "<html>nginx</html>"}, 5, "A layer is too large", id="413"),
        pytest.param({"status": 429}, 6, "The registry failed", id="429 for ever"),
        pytest.param({"status": 504, "body": "<html>nginx</html>"}, 6, "The registry failed", id="504 for ever"),
    ],
)
def test_what_ends_the_upload_of_a_stored_layer_is_told(
    containerd: Second, run_second: RunSecond, answer: dict[str, object], exit_code: int, words: str
) -> None:
    image = containerd.images.build(MB)
    containerd.registry.fault(user_agent=BY_ENGINE, method="P*", path="*/blobs/uploads/*", answer=answer)
    finished = run_second(containerd, IMAGE_NAME=image.name, TAGS="ended", UPLOADER="engine", MAX_ATTEMPTS="2")
    finished.expect(exit_code, words, within=20)
    finished.expect_not("✔")
    assert digest_in(containerd.registry, "ended") is None
    assert containerd.client.images.get(image.id).tags == [image.name]


def test_manifest_refused_for_ever_with_500(second: Second, run_second: RunSecond) -> None:
    image = second.images.build(MB)
    second.registry.fault(method="PUT", path="*/manifests/*", answer={"status": 500})
    finished = run_second(second, IMAGE_NAME=image.name, UPLOADER="engine", MAX_ATTEMPTS="2", TAGS="never")
    finished.expect(6, "Attempt 1 of 2 failed", "The registry failed")
    assert len(second.registry.requests(method="PUT", path="*/manifests/*", user_agent=BY_ENGINE)) >= 2


def test_layers_saved_as_an_oci_layout_are_compressed_by_the_pipe(graphdriver: Second, run_second: RunSecond) -> None:
    zeros = archive_of({"zeros": bytes(2 * MB)})
    image = graphdriver.images.load(zeros, archive_of({"a file": b"content"}), zeros)
    saved = io.BytesIO(b"".join(graphdriver.client.images.get(image.name).save()))
    with tarfile.open(fileobj=saved) as archive:
        assert {"oci-layout", "index.json", "manifest.json"} <= set(archive.getnames()), "the form that is meant"
    finished = run_second(graphdriver, IMAGE_NAME=image.name, UPLOADER="pipe", TAGS="saved another", **LIMIT)
    finished.expect(0, "✔ Pushed")
    assert finished.result["uploader"] == "pipe"
    assert graphdriver.registry.requests(user_agent=BY_ENGINE) == []
    digest = digest_in(graphdriver.registry, "saved")
    assert digest_in(graphdriver.registry, "another") == digest == finished.result["digest"]
    graphdriver.images.remove()
    repository = f"{INSIDE}/{REPOSITORY}"
    auth = {"username": "reader", "password": "reader-token"}
    pulled = graphdriver.client.images.pull(repository, tag="saved", auth_config=auth)
    graphdriver.client.images.remove(f"{repository}:saved")
    assert pulled.id == image.id, "the Engine unpacks what it once packed"


@pytest.mark.parametrize("docker_types", [pytest.param(False, id="OCI"), pytest.param(True, id="Docker")])
def test_stored_blobs_are_pushed_by_the_pipe_as_they_are(
    containerd: Second, run_second: RunSecond, docker_types: bool
) -> None:
    index = containerd.layouts.load(TWO, attested=not docker_types, docker_types=docker_types)
    finished = run_second(containerd, IMAGE_NAME=index.name, UPLOADER="pipe", TAGS="stored another")
    finished.expect(0, "✔ Pushed")
    assert finished.result["uploader"] == "pipe"
    assert containerd.registry.requests(user_agent=BY_ENGINE) == []
    assert digest_in(containerd.registry, "stored") == digest_in(containerd.registry, "another") == index.digest
    assert [digest_in(containerd.registry, manifest) for manifest in index.manifests] == index.manifests
    assert containerd.client.images.get(index.name).tags == [index.name]


def test_stored_blobs_that_the_registry_has_are_asked_for_and_not_sent(
    containerd: Second, run_second: RunSecond
) -> None:
    first = containerd.images.build(MB, MB)
    run_second(containerd, IMAGE_NAME=first.name, UPLOADER="pipe", TAGS="asked").expect(0)
    containerd.registry.clear()
    changed = containerd.images.build(3 * MB, base=first.name)
    finished = run_second(containerd, IMAGE_NAME=changed.name, UPLOADER="pipe", TAGS="asked")
    finished.expect(0, "already there", "uploaded")
    questions = containerd.registry.requests(method="HEAD", path="*/blobs/*", user_agent=BY_PIPE)
    asked = {entry.path.rpartition("/")[2] for entry in questions}
    layers = finished.result["layers"]
    assert isinstance(layers, list)
    assert asked >= {layer["digest"] for layer in layers}
    assert [size > 3 * MB for size in blob_sizes(containerd) if size > MB // 2] == [True]


def test_size_of_a_stored_blob_is_held_to_the_limit_by_the_pipe(containerd: Second, run_second: RunSecond) -> None:
    image = containerd.images.build(MB, 2 * MB)
    finished = run_second(containerd, IMAGE_NAME=image.name, UPLOADER="pipe", TAGS="too-large-stored", **LIMIT)
    finished.expect(5, "MAX_LAYER_SIZE")
    assert blob_sizes(containerd) == []
    assert digest_in(containerd.registry, "too-large-stored") is None


def test_unchanged_image_is_known_to_the_pipe(second: Second, run_second: RunSecond) -> None:
    image = second.images.build(MB)
    run_second(second, IMAGE_NAME=image.name, UPLOADER="pipe", TAGS="by-pipe-twice").expect(0)
    second.registry.clear()
    run_second(second, IMAGE_NAME=image.name, UPLOADER="pipe", TAGS="by-pipe-twice").expect(0)
    assert second.registry.requests(method="P[AU]T*") == []


@pytest.mark.parametrize(
    ("kind", "prefixes"),
    [
        pytest.param("graphdriver", [1, 2], id="graphdriver"),
        pytest.param("containerd", [], id="containerd"),
        pytest.param("podman", [], id="podman"),
    ],
)
def test_first_layers_come_from_temporary_images_where_the_engine_takes_them(
    request: pytest.FixtureRequest, kind: str, prefixes: list[int]
) -> None:
    second: Second = request.getfixturevalue(kind)
    before = {image.id for image in second.client.images.list(all=True)}
    image = second.images.build(10 * MB, 20 * MB, 40 * MB)
    read = read_with_prefixes(second.engine.docker_host, image.name)
    assert read.prefixes == prefixes
    assert len(read.layers) == 3
    if kind != "containerd":
        assert read.layers == [layer.diff_id for layer in read.image.layers]
        assert f"sha256:{hashlib.sha256(read.config).hexdigest()}" == read.image.id
    second.images.remove()
    assert {image.id for image in second.client.images.list(all=True)} <= before


@pytest.mark.parametrize("kind", ["containerd", "podman"])
def test_engine_that_refuses_temporary_images_keeps_none(request: pytest.FixtureRequest, kind: str) -> None:
    second: Second = request.getfixturevalue(kind)
    engine = Engine({"DOCKER_HOST": second.engine.docker_host})
    image = engine.image(second.images.build(MB, MB).name)
    before = {image.id for image in second.client.images.list(all=True)}
    # As if it reported the sizes of layers, by which the pipe knows beforehand.
    sized = image._replace(layers=tuple(layer._replace(size=50 * MB) for layer in image.layers))
    with engine.prefixes(sized, pytest.fail) as prefixes:
        assert prefixes == ()
    assert {image.id for image in second.client.images.list(all=True)} == before


def test_image_without_a_history_is_pushed(second: Second, run_second: RunSecond) -> None:
    layer = archive_of({"a file": secrets.token_bytes(100)})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": ["without-history:latest"], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    [image] = second.client.images.load(archive_of(files | {"layer.tar": layer}))
    try:
        assert not second.client.api.history(image.id)
        finished = run_second(second, IMAGE_NAME="without-history", PACKAGE_NAME="my-container-app", TAGS="no-history")
        finished.expect(0, "✔ Pushed ")
    finally:
        second.client.images.remove(str(image.id), force=True)


@pytest.mark.parametrize("uploader", ["engine", "auto"])
def test_image_that_the_store_holds_in_part_is_the_images_fault(
    containerd: Second, run_second: RunSecond, uploader: str
) -> None:
    image = containerd.images.build(MB, MB)
    manifest = json.loads(containerd.content("get", image.id))
    containerd.content("rm", manifest["layers"][0]["digest"])
    finished = run_second(containerd, IMAGE_NAME=image.name, TAGS="in-part", UPLOADER=uploader)
    finished.expect(3, "Docker Engine's store lacks parts of this image: content digest", "Pull the image again")
    finished.expect_not("Attempt", "✔")
    assert containerd.client.images.get(image.name).tags == [image.name]
