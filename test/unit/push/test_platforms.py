"""What is told of each platform of an index."""

import json
from dataclasses import dataclass

import pytest
from unit.source.archives import digest, layout

from pipe.errors import RegistryFailedError
from pipe.oci.image import LayerStatus, shorten
from pipe.oci.manifest import OCI_INDEX, Manifest
from pipe.push.platforms import platform_images, platform_results
from pipe.push.progress import Progress

FILES = {name: data for name, data in layout(("amd64", "arm64")).items() if isinstance(data, bytes)}
ROOT = json.loads(FILES["index.json"])["manifests"][0]["digest"]
INDEX = Manifest.parse(OCI_INDEX, FILES[f"blobs/sha256/{ROOT[7:]}"])


@dataclass
class FakeRegistry:
    """Has the blobs and manifests of a layout."""

    missing: str = ""
    fails: bool = False

    def manifest(self, reference: str) -> Manifest | None:
        if self.fails:
            raise RegistryFailedError("out of order")
        return Manifest.parse("", self.read_blob(reference, 0) or b"") if reference != self.missing else None

    def read_blob(self, name: str, maximum: int) -> bytes | None:
        assert digest(FILES[f"blobs/sha256/{name[7:]}"]) == name
        return FILES[f"blobs/sha256/{name[7:]}"] if name != self.missing else None


def test_an_index_in_the_registry_tells_its_platforms() -> None:
    images = platform_images(FakeRegistry(), INDEX, pytest.fail)
    assert [(image.id, str(image.platform)) for image in images] == [
        (INDEX.images[0], "linux/amd64"),
        (INDEX.images[1], "linux/arm64"),
    ]
    progress = Progress(images[0])
    first = progress.image_layers[0]
    progress.layers[shorten(first.descriptor.digest if first.descriptor else "")] = first
    progress.begin(first, 1.0)
    progress.finish(first, LayerStatus.UPLOADED, 3.5)
    told = [
        [
            (layer.label, layer.platform, layer.status, layer.seconds, layer.descriptor is not None)
            for layer in result.layers
        ]
        for result in platform_results(images, (), progress)
    ]
    # Both platforms have the same layers here, and the Engine names a blob once.
    assert told == [
        [
            (f"{platform} layer 1 (base image)", platform, LayerStatus.UPLOADED, 2.5, True),
            (f"{platform} layer 2 (COPY top /)", platform, LayerStatus.ALREADY_THERE, None, True),
        ]
        for platform in ("linux/amd64", "linux/arm64")
    ]


def test_the_layers_of_an_archive_are_those_of_its_platforms() -> None:
    images = platform_images(FakeRegistry(), INDEX, pytest.fail)
    layers = [layer for image in images for layer in image.layers]
    results = platform_results(images, layers, None)
    assert [(each.platform, each.digest) for each in results] == [
        ("linux/amd64", INDEX.images[0]),
        ("linux/arm64", INDEX.images[1]),
    ]
    assert [layer for each in results for layer in each.layers] == layers


@pytest.mark.parametrize(
    "registry",
    [
        pytest.param(FakeRegistry(missing=INDEX.images[1]), id="a-manifest-is-missing"),
        pytest.param(FakeRegistry(fails=True), id="the-registry-fails"),
    ],
)
def test_what_cannot_be_read_is_not_told(registry: FakeRegistry) -> None:
    lines: list[str] = []
    assert platform_images(registry, INDEX, lines.append) == ()
    assert len(lines) == 1
    assert lines[0].startswith(f"The platforms of {ROOT} could not be read: ")
