"""Which manifests are those of an image."""

import pytest

from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image
from pipe.oci.manifest import DOCKER_CONFIG, Manifest
from pipe.push.verify import holds

CONFIG, INDEX, OTHER = (f"sha256:{letter * 64}" for letter in "123")
MANIFEST = Manifest.of_docker(Descriptor(DOCKER_CONFIG, CONFIG, 2), ())


@pytest.mark.parametrize(
    ("image", "held"),
    [
        pytest.param(Image(CONFIG, 0, ()), True, id="the-same-configuration"),
        pytest.param(Image(MANIFEST.digest, 0, ()), True, id="the-same-manifest"),
        pytest.param(Image(INDEX, 0, (), frozenset((MANIFEST.digest, OTHER))), True, id="pushed-instead-of-the-index"),
        pytest.param(Image(INDEX, 0, (), frozenset((OTHER,))), False, id="of-another-index"),
        pytest.param(Image(INDEX, 0, ()), False, id="the-index-is-to-be-pushed"),
        pytest.param(Image("", 0, ()), False, id="an-unknown-image"),
    ],
)
def test_a_manifest_is_that_of_an_image(image: Image, held: bool) -> None:
    assert holds(MANIFEST, image) is held
