"""The results of each platform of an index."""

import json

import pytest
from unit.fakes import Clock, Messages
from unit.http import FakeRegistryServer, meeting
from unit.runs import connected
from unit.source.archives import layout

from pipe.oci.image import shorten
from pipe.oci.manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from pipe.push.platforms import platform_images, registry_results, split_results
from pipe.push.progress import ProgressTracker
from pipe.push.result import LayerResult, LayerStatus
from pipe.registry.repository import Repository

FILES = {name: data for name, data in layout(("amd64", "arm64")).items() if isinstance(data, bytes)}
ROOT = json.loads(FILES["index.json"])["manifests"][0]["digest"]
INDEX = Manifest.parse(OCI_INDEX, FILES[f"blobs/sha256/{ROOT[7:]}"])


def registry(missing: str = "") -> tuple[FakeRegistryServer, Repository]:
    """Make a registry with the blobs and manifests of a layout."""
    server = FakeRegistryServer()
    for name, data in FILES.items():
        digest = f"sha256:{name.rpartition('/')[2]}"
        if name.startswith("blobs/") and digest != missing:
            server.blobs[digest] = data
            server.manifests[digest] = OCI_MANIFEST, data
    return server, connected(Clock(), Messages(), server).repository("acme/app")


def test_the_images_of_an_index_are_read_at_the_same_time() -> None:
    server, repository = registry()
    together = meeting(2)
    for digest in INDEX.images:
        server.on("GET", f"*/manifests/{digest}", together)
    assert len(platform_images(repository, INDEX, pytest.fail)) == 2


def test_an_index_in_the_registry_has_its_platforms() -> None:
    images = platform_images(registry()[1], INDEX, pytest.fail)
    assert [(image.id, str(image.platform)) for image in images] == [
        (INDEX.images[0], "linux/amd64"),
        (INDEX.images[1], "linux/arm64"),
    ]
    tracker = ProgressTracker(images[0])
    first = images[0].layers[0]
    name = shorten(first.descriptor.digest if first.descriptor else "")
    tracker.begin(name, 1.0)
    tracker.finish(name, LayerStatus.UPLOADED, 3.5)
    results = [
        [
            (layer.layer.label, layer.layer.platform, layer.status, layer.seconds, layer.descriptor is not None)
            for layer in result.layers
        ]
        for result in registry_results(images, tracker.snapshot())
    ]
    # Both platforms have the same layers here, and the Engine names a blob once.
    assert results == [
        [
            (f"{platform} layer 1 (base image)", platform, LayerStatus.UPLOADED, 2.5, True),
            (f"{platform} layer 2 (COPY top /)", platform, LayerStatus.ALREADY_THERE, None, True),
        ]
        for platform in ("linux/amd64", "linux/arm64")
    ]


def test_the_layers_of_an_archive_are_those_of_its_platforms() -> None:
    images = platform_images(registry()[1], INDEX, pytest.fail)
    layers = [LayerResult(layer) for image in images for layer in image.layers]
    results = split_results(images, layers)
    assert [(each.platform, each.digest) for each in results] == [
        ("linux/amd64", INDEX.images[0]),
        ("linux/arm64", INDEX.images[1]),
    ]
    assert [layer for each in results for layer in each.layers] == layers


@pytest.mark.parametrize(
    ("missing", "status"),
    [
        pytest.param(INDEX.images[1], None, id="a-manifest-is-missing"),
        pytest.param("", 403, id="the-registry-rejects-the-question"),
    ],
)
def test_what_cannot_be_read_is_left_out(missing: str, status: int | None) -> None:
    server, repository = registry(missing)
    if status:
        server.on("GET", "*/manifests/*", status)
    lines: list[str] = []
    assert platform_images(repository, INDEX, lines.append) == ()
    assert len(lines) == 1
    assert lines[0].startswith(f"The platforms of {ROOT} could not be read: ")
