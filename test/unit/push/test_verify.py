"""The proof: the manifest that was pushed, under its tag, with every blob."""

import json

import pytest
from unit.fakes import Clock, Messages
from unit.http import FakeRegistryServer, Reply
from unit.runs import BLOBS, IMAGE, IMAGE_ID, MANIFEST, OTHER, connected, image_manifest, store

from pipe.errors import BlobMissingError, DigestMismatchError, NotInRegistryError
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image, Layer
from pipe.oci.manifest import DOCKER_CONFIG, OCI_INDEX, Manifest
from pipe.oci.reference import Reference
from pipe.push.pusher import Pushed
from pipe.push.verify import holds, is_pushed, may_stand_for, missing_parts, proven
from pipe.registry.repository import Repository

CONFIG, INDEX, ANOTHER = (f"sha256:{letter * 64}" for letter in "123")
EMPTY = Manifest.of_docker(Descriptor(DOCKER_CONFIG, CONFIG, 2), ())
TARGET = Reference("crg.apkg.io", "acme/app", "1.0")


@pytest.mark.parametrize(
    ("image", "held"),
    [
        pytest.param(Image(CONFIG, 0, ()), True, id="the-same-config"),
        pytest.param(Image(CONFIG, 0, (Layer(1, CONFIG),)), False, id="the-same-config-without-its-layers"),
        pytest.param(Image(EMPTY.digest, 0, ()), True, id="the-same-manifest"),
        pytest.param(Image(INDEX, 0, (), frozenset((EMPTY.digest, ANOTHER))), True, id="pushed-in-place-of-the-index"),
        pytest.param(Image(INDEX, 0, (), frozenset((ANOTHER,))), False, id="of-another-index"),
        pytest.param(Image(INDEX, 0, ()), False, id="not-the-index"),
        pytest.param(Image("", 0, ()), False, id="an-unknown-image"),
    ],
)
def test_a_manifest_is_that_of_an_image(image: Image, held: bool) -> None:
    assert holds(EMPTY, image) is held


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(Image(CONFIG, 0, ()), True, id="the-same-config"),
        pytest.param(Image(EMPTY.digest, 0, ()), True, id="the-same-manifest"),
        pytest.param(Image(EMPTY.digest, 0, (), frozenset((ANOTHER, INDEX))), True, id="the-index-itself"),
        pytest.param(Image(INDEX, 0, (), frozenset((EMPTY.digest,))), True, id="the-one-platform-of-the-index"),
        pytest.param(Image(INDEX, 0, (), frozenset((EMPTY.digest, ANOTHER))), False, id="one-of-two-platforms"),
        pytest.param(Image(INDEX, 0, ()), False, id="another-image"),
    ],
)
def test_which_manifest_may_stand_for_that_of_a_push(image: Image, expected: bool) -> None:
    assert may_stand_for(EMPTY, image, frozenset()) is expected


SAME = list(zip(BLOBS, (500, 50), strict=True))
REFORMATTED = Manifest.parse(MANIFEST.media_type, MANIFEST.body + b" ")


@pytest.mark.parametrize(
    ("manifest", "pushed", "expected"),
    [
        pytest.param(MANIFEST, Pushed(MANIFEST.digest), True, id="by-the-engine"),
        pytest.param(REFORMATTED, Pushed(MANIFEST.digest), False, id="another-digest-than-the-engine-named"),
        pytest.param(OTHER, Pushed(OTHER.digest), False, id="another-image-by-the-same-engine"),
        pytest.param(MANIFEST, Pushed(MANIFEST.digest, MANIFEST), True, id="by-the-pipe"),
        pytest.param(REFORMATTED, Pushed(MANIFEST.digest, MANIFEST), True, id="config-and-layers-are-the-same"),
        pytest.param(image_manifest(IMAGE_ID, 7, []), Pushed(MANIFEST.digest, MANIFEST), False, id="without-layers"),
        pytest.param(
            image_manifest(IMAGE_ID, 7, SAME[:1]), Pushed(MANIFEST.digest, MANIFEST), False, id="with-one-of-two-layers"
        ),
        pytest.param(
            image_manifest(IMAGE_ID, 7, [SAME[0], (BLOBS[1], 51)]),
            Pushed(MANIFEST.digest, MANIFEST),
            False,
            id="with-a-layer-of-another-size",
        ),
        pytest.param(
            image_manifest(IMAGE_ID, 7, [SAME[0], (ANOTHER, 50)]),
            Pushed(MANIFEST.digest, MANIFEST),
            False,
            id="with-another-layer",
        ),
        pytest.param(OTHER, Pushed(MANIFEST.digest, MANIFEST), False, id="another-image"),
        pytest.param(
            Manifest.parse("", b"{}"), Pushed("sha256:0", Manifest.parse("", b"[]")), False, id="neither-is-an-image"
        ),
    ],
)
def test_a_manifest_is_the_one_that_was_pushed(manifest: Manifest, pushed: Pushed, expected: bool) -> None:
    assert is_pushed(manifest, pushed, IMAGE) is expected


def registry(manifest: Manifest | None = MANIFEST) -> tuple[FakeRegistryServer, Repository]:
    """Make a registry with a manifest and its blobs under the tag."""
    server = FakeRegistryServer()
    if manifest is not None:
        store(server, manifest, "1.0")
    return server, connected(Clock(), Messages(), server).repository("acme/app")


def test_what_was_pushed_is_proven_by_its_blobs() -> None:
    server, repository = registry()
    assert proven(repository, TARGET, Pushed(MANIFEST.digest), IMAGE) == MANIFEST
    assert len(server.matching("HEAD", "*/blobs/*")) == 3


def test_a_tag_that_is_not_there() -> None:
    with pytest.raises(NotInRegistryError):
        proven(registry(None)[1], TARGET, Pushed(MANIFEST.digest), IMAGE)


@pytest.mark.parametrize("layers", [[], SAME[:1]], ids=["no-layers", "one-of-two-layers"])
def test_the_right_config_with_other_layers_is_no_success(layers: list[tuple[str, int]]) -> None:
    _, repository = registry(image_manifest(IMAGE_ID, 7, layers))
    with pytest.raises(DigestMismatchError):
        proven(repository, TARGET, Pushed(MANIFEST.digest, MANIFEST), IMAGE)
    with pytest.raises(DigestMismatchError):
        proven(repository, TARGET, Pushed(MANIFEST.digest), IMAGE)


def test_head_is_not_believed_for_a_tag() -> None:
    server, repository = registry(OTHER)
    server.on("HEAD", "*/manifests/*", Reply(200, headers={"Docker-Content-Digest": MANIFEST.digest}))
    with pytest.raises(DigestMismatchError):
        proven(repository, TARGET, Pushed(MANIFEST.digest, MANIFEST), IMAGE)


@pytest.mark.parametrize("digest", [IMAGE_ID, *BLOBS], ids=["config", "first-layer", "second-layer"])
@pytest.mark.parametrize("left", [None, b"x"], ids=["absent", "of-another-size"])
def test_a_blob_that_is_missing_is_no_success(digest: str, left: bytes | None) -> None:
    server, repository = registry()
    server.blobs.pop(digest)
    if left is not None:
        server.blobs[digest] = left
    with pytest.raises(BlobMissingError, match=digest) as raised:
        proven(repository, TARGET, Pushed(MANIFEST.digest), IMAGE)
    assert (raised.value.temporary, raised.value.exit_code) == (True, 6)


def test_a_size_that_the_registry_does_not_report_counts_as_right() -> None:
    server, repository = registry()
    server.on("HEAD", "*/blobs/*", Reply(307, headers={"Location": "https://elsewhere.example/blob"}))
    assert missing_parts(repository, MANIFEST) == []


def test_blobs_that_are_distributed_from_elsewhere_are_not_asked_for() -> None:
    foreign = MANIFEST.layers[0]._replace(urls=("https://example.com/layer",))
    server, repository = registry()
    server.blobs.pop(foreign.digest)
    assert missing_parts(repository, MANIFEST._replace(layers=(foreign, MANIFEST.layers[1]))) == []


def test_an_image_that_is_an_index_as_well_is_none() -> None:
    """It could name thousands of manifests, each of which would be read."""
    child = Descriptor(OCI_INDEX, ANOTHER, 2)
    assert not holds(EMPTY._replace(manifests=(child,)), Image(CONFIG, 0, ()))
    assert not is_pushed(REFORMATTED._replace(manifests=(child,)), Pushed(MANIFEST.digest, MANIFEST), IMAGE)


def test_other_content_under_the_digest_of_a_child_is_missing_and_not_followed() -> None:
    named = [{"digest": MANIFEST.digest, "size": len(MANIFEST.body)}]
    index = Manifest.parse(OCI_INDEX, json.dumps({"manifests": named}).encode())
    server, repository = registry()
    endless = json.dumps({"manifests": [{"digest": ANOTHER, "size": 2}]}).encode()
    server.on("GET", f"*/manifests/{MANIFEST.digest}", Reply(200, endless, {"Content-Type": OCI_INDEX}))
    assert missing_parts(repository, index) == [MANIFEST.digest]
    assert len(server.matching("GET", "*/manifests/*")) == 1


def test_the_parts_of_an_index_are_its_manifests_and_their_blobs() -> None:
    named = [{"digest": each.digest, "size": len(each.body)} for each in (MANIFEST, OTHER)]
    index = Manifest.parse(OCI_INDEX, json.dumps({"manifests": named}).encode())
    server, repository = registry(index)
    assert missing_parts(repository, index) == [MANIFEST.digest, OTHER.digest]
    store(server, MANIFEST)
    assert missing_parts(repository, index) == [OTHER.digest]
    store(server, OTHER)
    assert missing_parts(repository, index) == []
    server.blobs.pop(BLOBS[0])
    assert missing_parts(repository, index) == [BLOBS[0]]
