"""The pipe with Docker Engine 26.1, with the containerd image store and with a graphdriver."""

import pytest
from integration.images import MB
from integration.registries import digest_in
from integration.second_engine import RunSecond, Second

pytestmark = [pytest.mark.root]


def test_fresh_image_arrives(second: Second, run_second: RunSecond) -> None:
    image = second.images.build(MB, MB)
    finished = run_second(second, IMAGE_NAME=image.name)
    finished.expect(0, "✔ Pushed:", "2 layers", "uploaded")
    assert finished.result["digest"] == digest_in(second.registry, "latest")
