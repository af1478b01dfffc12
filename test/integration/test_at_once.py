"""Two pipes at once on one Engine, with the same tag: each says only of its own image that it arrived."""

import docker
import pytest
from integration.images import Images
from integration.running import Start
from integration.transfers import config_of
from registry.client import LocalRegistry

TWENTY = 20
"""Times that two pipes share an Engine: one in three took the other's image while nothing kept them apart."""


@pytest.mark.parametrize("uploader", ["engine", "pipe"])
def test_two_pipes_at_once_never_take_one_image_for_the_other(
    registry: LocalRegistry, images: Images, engine: docker.DockerClient, start: Start, uploader: str
) -> None:
    arrived = 0
    for _ in range(TWENTY if uploader == "engine" else 5):
        ours = [images.build(20_000), images.build(20_000)]
        pipes = [start(registry, IMAGE_NAME=image.name, UPLOADER=uploader, TAGS="shared") for image in ours]
        for finished, image in zip([pipe.finish() for pipe in pipes], ours, strict=True):
            assert finished.exit_code in {0, 6}, finished.shown("an end in order")
            for reference in finished.references:
                digest = reference.partition("@")[2]
                assert config_of(registry, digest) == image.id, finished.shown(f"the image {image.id}")
                arrived += 1
            assert engine.images.get(image.id).tags == [image.name], finished.shown("the Engine's tags as found")
        assert config_of(registry, "shared") in {image.id for image in ours}, "one of the two arrived"
    assert arrived, "some arrived"
