"""What is known of an archive's image before anything of it is sent."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from unit.fakes import FakeRegistry, Told
from unit.push.test_run import SETTINGS
from unit.source.archives import IMAGE_ID, docker_archive, layout, opened, tar

from pipe.errors import LayerTooLargeError
from pipe.push.archive_uploader import ArchiveUploader
from pipe.push.report import Timing
from pipe.source.blob import StoredImage

TIMING = Timing(time.monotonic, time.sleep, float)


def uploader(held: StoredImage, limit: int = 10**9) -> ArchiveUploader:
    """Make an uploader of an archive."""
    settings = replace(SETTINGS, max_layer_size=limit)
    return ArchiveUploader(settings, lambda: held, FakeRegistry(), Told(), TIMING)


def test_the_image_of_a_docker_archive(tmp_path: Path) -> None:
    image = uploader(opened(tmp_path, tar(docker_archive()))).image()
    assert image.id == IMAGE_ID, "the digest of the configuration"
    assert [layer.label for layer in image.layers] == ["layer 1 (base image)", "layer 2 (COPY top /)"]
    assert (str(image.platform), image.platforms) == ("linux/amd64", ())
    assert image.size == sum(layer.size or 0 for layer in image.layers), "unpacked"


def test_the_image_of_an_index(tmp_path: Path) -> None:
    held = opened(tmp_path, layout(("amd64", "arm64"), attested=True, own_layers=True))
    image = uploader(held).image()
    assert image.id == held.manifests[-1].digest
    assert [layer.label for layer in image.layers] == [
        *("linux/amd64 layer 1 (base image)", "linux/amd64 layer 2 (COPY top /)"),
        *("linux/arm64 layer 1 (base image)", "linux/arm64 layer 2 (COPY top /)"),
    ]
    assert [str(each.platform) for each in image.platforms] == ["linux/amd64", "linux/arm64"]
    assert tuple(layer for each in image.platforms for layer in each.layers) == image.layers


@pytest.mark.parametrize("attested", [False, True], ids=["layers", "attestations-too"])
def test_what_is_stored_and_too_large_is_refused_before_the_first_byte(tmp_path: Path, attested: bool) -> None:
    held = opened(tmp_path, layout(("amd64", "arm64"), attested=attested, own_layers=True))
    largest = max(blob.size for blob in held.blobs if blob.descriptor and "tar" in blob.descriptor.media_type)
    ready = uploader(held, largest - 1)
    with pytest.raises(LayerTooLargeError, match=r"layer \d \(|blobs/sha256/") as raised:
        ready.check(ready.image())
    assert raised.value.exit_code == 5


def test_a_plain_layer_above_the_limit_may_fit_once_it_is_compressed(tmp_path: Path) -> None:
    ready = uploader(opened(tmp_path, tar(docker_archive())), 1000)
    ready.check(ready.image())
