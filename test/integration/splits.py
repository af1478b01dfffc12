"""The parts that the pipe makes of a layer."""

import io

from pipe.errors import CannotSplitError
from pipe.splitting.cut import cut
from pipe.splitting.entries import scan
from pipe.splitting.parts import LayerPart


def splits(layer: bytes) -> list[tuple[bytes, ...]]:
    """Return every split of a layer, from few large parts to many small ones."""
    found: dict[tuple[bytes, ...], None] = {}
    for size in range(2 * len(layer), 1024, -512):
        try:
            found[split(layer, size)] = None
        except CannotSplitError:
            break
    return [parts for parts in found if len(parts) > 1]


def split(layer: bytes, size: int) -> tuple[bytes, ...]:
    """Return the parts of a layer."""
    return tuple(read(part, layer) for part in cut(scan(io.BytesIO(layer)), size))


def read(part: LayerPart, layer: bytes) -> bytes:
    """Return a part's bytes."""
    content = bytearray(part.size + 1)
    stream, length = part.read(lambda offset: io.BytesIO(layer[offset:])), 0
    while count := stream.readinto(memoryview(content)[length:]):
        length += count
    return bytes(content[:length])
