"""How large the parts of a layer may be, so that the registry takes each in time: decisions on facts only."""

import math

from pipe.oci.image import Image, Layer
from pipe.push.progress import LayerProgress, Snapshot, uploading

AT_ONCE = 2
"""Large blobs that the pipe uploads at the same time, which share the link; see `pipe.push.transfer`."""
SHARE = 0.5
"""Share of the time limit that a part may need: the link may become slower."""
_STEPS = (5, 2, 1)
SMALLEST = 1000
"""Bytes of the smallest part: an upload that has sent nothing gives no speed."""


def rounded_down(size: float) -> int:
    """Return the largest size of the series 1, 2, 5, 10, 20 … that is not larger.

    Two runs seldom measure the same speed; rounded, they still cut a layer alike, and the second finds its parts.
    """
    if size < SMALLEST:
        return SMALLEST
    power = int(10 ** int(math.log10(size)))
    return next((step * power for step in _STEPS if step * power <= size), power)


def exceeding(image: Image, limit: int, part: int, *, stored: bool = False) -> dict[str, int]:
    """Return the layers that are larger than a limit: `part` by their diffIDs.

    If `stored`, only a stored size counts: what the pipe compresses may fit. Otherwise, `size_of` a layer does.
    """
    return {
        layer.diff_id: part
        for layer in image.layers
        if size_of(layer) > limit and (layer.descriptor is not None or not stored)
    }


def size_of(layer: Layer) -> int:
    """Return a layer's stored size, or its uncompressed size if the stored one is not known."""
    return layer.descriptor.size if layer.descriptor else layer.size or 0


def size_that_fits(layers: Snapshot, now: float, timeout: float, largest: int) -> int:
    """Return the bytes of a part, at most `largest`, that needs at most half of the timeout at the measured speed."""
    speed = _speed(layers, now)
    return rounded_down(largest if not speed else min(largest, speed * timeout * SHARE / AT_ONCE))


def longest(image: Image, layers: Snapshot, now: float, timeout: float, part: int) -> dict[str, int]:
    """Return the layers that would exceed the time limit even if each was sent alone: `part` by their diffIDs."""
    speed, ratio = _speed(layers, now), _ratio(layers)
    found = {}
    for layer in image.layers:
        size = layer.descriptor.size if layer.descriptor else (layer.size or 0) * ratio
        if speed and size / speed > timeout:
            found[layer.diff_id] = part
    return found


def _speed(layers: Snapshot, now: float) -> float:
    """Return the bytes a second that all uploads under way have sent together; 0 if unknown."""
    return sum(one.sent / one.elapsed(now) for one in uploading(layers).values() if one.elapsed(now) > 0)


def _ratio(layers: Snapshot) -> float:
    """Return how much smaller layers became that are compressed on the way."""
    known = [one for one in uploading(layers).values() if _is_compressed(one)]
    plain = sum(one.layer.size or 0 for one in known)
    return min(1.0, sum(one.total for one in known) / plain) if plain else 1.0


def _is_compressed(one: LayerProgress) -> bool:
    return bool(one.layer.size and one.total and one.layer.descriptor is None)
