"""Which images of a release one export has."""

from collections.abc import Sequence

import pytest

from pipe.engine.staging import MOST_TOGETHER, WORTH_PREFIX, exported_together
from pipe.oci.image import Image, Layer

MB = 1_000_000


def image(*layers: tuple[str, int | None]) -> Image:
    """Return an image of layers with these diffIDs and sizes."""
    made = tuple(Layer(number, diff_id, size) for number, (diff_id, size) in enumerate(layers, 1))
    return Image(f"sha256:{layers}", sum(size or 0 for _, size in layers), made)


def on(base: int | None, *own: int | None) -> Sequence[Image]:
    """Return images with one base, each with a layer of its own."""
    return [image(("base", base), (f"own-{number}", size)) for number, size in enumerate(own)]


@pytest.mark.parametrize(
    ("images", "together"),
    [
        pytest.param([], (), id="none"),
        pytest.param(on(20 * MB, 5 * MB), (), id="one"),
        pytest.param(on(20 * MB, 5 * MB, 5 * MB), (), id="two-on-one-base"),
        pytest.param(on(20 * MB, 5 * MB, 5 * MB, 5 * MB), (1, 2), id="three-on-one-base"),
        pytest.param(on(20 * MB, 50 * MB, 5 * MB, 20 * MB), (1, 2), id="the-second-waits-for-as-much-as-is-saved"),
        pytest.param(on(20 * MB, 0, 5 * MB, 20 * MB + 1), (), id="the-second-waits-for-more"),
        pytest.param(on(20 * MB, 0, 5 * MB, 30 * MB, 5 * MB), (1, 2, 3), id="the-fourth-makes-up-for-the-third"),
        pytest.param(on(20 * MB, 0, 5 * MB, 5 * MB, 90 * MB), (1, 2), id="without-the-fourth"),
        pytest.param(on(WORTH_PREFIX, 0, 1, 1), (1, 2), id="a-base-that-is-worth-it"),
        pytest.param(on(WORTH_PREFIX - 1, 0, 1, 1), (), id="a-small-base"),
        pytest.param(on(MOST_TOGETHER - 2, 0, 1, 1), (1, 2), id="as-much-as-is-staged-in-a-second"),
        pytest.param(on(MOST_TOGETHER - 1, 0, 1, 1), (), id="more-than-is-staged-in-a-second"),
        pytest.param(on(None, 0, 5 * MB, 5 * MB), (), id="sizes-unknown"),
        pytest.param([*on(20 * MB, 0, 5 * MB, 5 * MB), *on(20 * MB, None)], (1, 2), id="one-size-unknown"),
        pytest.param([image(("a", 20 * MB)), image(("b", 20 * MB)), image(("c", MB))], (), id="nothing-shared"),
        pytest.param([*on(20 * MB, 5 * MB)] * 2, (0, 1), id="one-image-twice"),
        pytest.param([*on(20 * MB, 5 * MB)] * 3, (0, 1, 2), id="one-image-three-times"),
    ],
)
def test_images_share_an_export_if_that_saves_more_than_the_first_of_them_waits(
    images: Sequence[Image], together: Sequence[int]
) -> None:
    assert tuple(range(len(images)))[exported_together(images)] == together
