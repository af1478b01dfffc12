"""How an Engine with a graphdriver stages an image for its export: rates, and the prefixes that come earlier."""

from collections.abc import Sequence
from itertools import accumulate

from pipe.oci.image import Image

STAGING = 130e6
"""Bytes a second at which an Engine stages an image for `GET /images/{name}/get`: 130 to 310 MB measured."""
WORTH_IMAGE = 50_000_000
"""Unpacked bytes of an image below which the Engine stages it within half a second (75 to 130 MB/s on 20.10)."""
WORTH_PREFIX = 8_000_000
"""Unpacked bytes of a prefix below which it brings nothing worth a request."""
MOST_TOGETHER = 130_000_000
"""Unpacked bytes of the images that one export has at most: the Engine stages them in a second."""
MOST = 5
"""Prefixes of one image, all of which the Engine stages at the same time."""


def prefix_lengths(sizes: Sequence[int | None], known: Sequence[bool] = ()) -> tuple[int, ...]:
    """Choose prefixes of an image, each with at most half the bytes of the next one and of the whole image.

    Args:
        sizes: Unpacked bytes of the image's layers, from the base up.
        known: Whether the registry has each of them, so that it need not come early; empty if it has none.

    Returns:
        Numbers of layers, ascending; none for a small image, one whose bytes are almost all in the first layers, and
        one whose sizes are unknown, as in a containerd store, which stages nothing.
    """
    unpacked = [size for size in sizes if size is not None]
    sums = list(accumulate(unpacked))
    new = [not each for each in known] or [True] * len(sizes)
    to_send = list(accumulate(size * is_new for size, is_new in zip(unpacked, new, strict=False)))
    if len(unpacked) < len(sizes) or not sums or sums[-1] < WORTH_IMAGE:
        return ()
    lengths: list[int] = []
    limit = sums[-1] / 2
    for length in range(len(sums) - 1, 0, -1):
        size = sums[length - 1]
        # A prefix that ends with a known layer brings no more than the one before.
        is_of_use = new[length - 1] and to_send[length - 1] >= WORTH_PREFIX
        if is_of_use and size <= limit and len(lengths) < MOST:
            lengths.append(length)
            limit = size / 2
    return tuple(reversed(lengths))


def first_byte(sizes: Sequence[int | None]) -> float:
    """Estimate the seconds until the first byte of a layer flows: the shortest prefix, or else the image, is staged."""
    lengths = prefix_lengths(sizes)
    return sum(size or 0 for size in sizes[: lengths[0] if lengths else len(sizes)]) / STAGING


def prefix_bytes(sizes: Sequence[int | None]) -> int:
    """Return the bytes of the longest prefix, which flow before the whole image is staged."""
    lengths = prefix_lengths(sizes)
    return sum(size or 0 for size in sizes[: lengths[-1] if lengths else 0])


def exported_together(images: Sequence[Image]) -> slice:
    """Choose which images one export should have; none of them if each should have its own.

    The Engine stages the layers that they share once, but the first of them waits for the layers of all. It stages two
    exports on two processors, so the first image of all has a separate one: three images of 25 MB on a base of 20 MB
    took 0.39 s in one export, and 0.31 s in two, of which the first one began after 0.18 s (20.10).

    Args:
        images: In the order of the pushes.
    """
    start = 0 if images[1:] and images[1].id == images[0].id else 1
    end, distinct, every = start, dict[str, int](), 0
    first = 0
    for number, image in enumerate(images[start:], start + 1):
        sizes = {layer.diff_id: layer.size for layer in image.layers if layer.size is not None}
        distinct |= sizes
        every += sum(sizes.values())
        union = sum(distinct.values())
        if union > MOST_TOGETHER or any(layer.size is None for layer in image.layers):
            break
        first = first or union
        saved, waited = every - union, union - first
        if saved >= max(waited, WORTH_PREFIX):
            end = number
    return slice(start, end)
