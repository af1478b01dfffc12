"""How large the parts of a layer are, from sizes and what was measured."""

import pytest

from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image, Layer
from pipe.push.part_size import exceeding, longest, size_that_fits
from pipe.push.progress import LayerProgress
from pipe.push.result import LayerStatus

GB = 10**9
NOW, LIMIT = 1000.0, 420.0
LARGE, SMALL, STORED = "sha256:" + "a" * 64, "sha256:" + "b" * 64, "sha256:" + "c" * 64
IMAGE = Image(
    "sha256:" + "e" * 64,
    40 * GB,
    (
        Layer(1, LARGE, 20 * GB),
        Layer(2, SMALL, GB),
        Layer(3, STORED, 30 * GB, descriptor=Descriptor("", "sha256:" + "d" * 64, 10 * GB)),
    ),
)


def sending(layer: Layer, sent: float, total: float, seconds: float = 100) -> LayerProgress:
    """Return an upload that is under way."""
    return LayerProgress(layer, LayerStatus.UPLOADING, int(sent), int(total), started=NOW - seconds)


@pytest.mark.parametrize(
    ("limit", "stored", "found"),
    [
        pytest.param(32 * GB, False, set(), id="none"),
        pytest.param(15 * GB, False, {LARGE}, id="by-its-plain-size"),
        pytest.param(5 * GB, False, {LARGE, STORED}, id="by-either"),
        pytest.param(5 * GB, True, {STORED}, id="only-stored-sizes"),
        pytest.param(10 * GB, True, set(), id="exactly"),
    ],
)
def test_layers_that_exceed_a_size(limit: int, stored: bool, found: set[str]) -> None:
    assert exceeding(IMAGE, limit, GB, stored=stored) == dict.fromkeys(found, GB)


@pytest.mark.parametrize(
    ("layers", "largest", "size"),
    [
        pytest.param([], 32 * GB, 20 * GB, id="nothing-measured"),
        pytest.param([sending(IMAGE.layers[0], 2 * GB, 10 * GB)], 32 * GB, 2 * GB, id="20-MB-a-second"),
        pytest.param([sending(IMAGE.layers[0], GB, 10 * GB)] * 2, 32 * GB, 2 * GB, id="two-share-the-link"),
        pytest.param([sending(IMAGE.layers[0], 200 * GB, 300 * GB)], 4 * GB, 2 * GB, id="the-largest"),
    ],
)
def test_a_part_needs_half_the_time_beside_another(layers: list[LayerProgress], largest: int, size: int) -> None:
    named = {str(number): one for number, one in enumerate(layers)}
    assert size_that_fits(named, NOW, LIMIT, largest) == size


def test_layers_that_would_exceed_the_time_limit() -> None:
    """The first compresses to a half; the third has a known size; at 20 MB a second, 8.4 GB are in time."""
    layers = {"a": sending(IMAGE.layers[0], 2 * GB, 10 * GB)}
    assert longest(IMAGE, layers, NOW, LIMIT, GB) == {LARGE: GB, STORED: GB}
    fast = {"a": sending(IMAGE.layers[0], 2.45 * GB, 10 * GB)}
    assert longest(IMAGE, fast, NOW, LIMIT, GB) == {}
    stored = IMAGE._replace(layers=IMAGE.layers[1:])
    assert longest(stored, {"c": sending(IMAGE.layers[2], 2 * GB, 10 * GB)}, NOW, LIMIT, GB) == {STORED: GB}
