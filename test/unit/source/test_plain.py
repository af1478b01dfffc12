"""The plain bytes of layers that are compressed in any way."""

import bz2
import gzip
import random

import pytest
from backports import zstd

from pipe.errors import ContentMismatchError
from pipe.source.blob import Reader, SourceBlob
from pipe.source.plain import OUTPUT, opened_at, plain_pieces

CONTENT = random.Random(1).randbytes(300_000) + bytes(3 * OUTPUT) + b"end"
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


class Pieces:
    """Reads bytes, a few at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        self._data = data
        self._most = most

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes into the buffer."""
        length = min(len(buffer), self._most, len(self._data))
        buffer[:length], self._data = self._data[:length], self._data[length:]
        return length


def blob(data: bytes, most: int = 10**9) -> SourceBlob:
    """Return a layer of these bytes."""

    def open_bytes() -> Reader:
        return Pieces(data, most)

    return SourceBlob("layer.tar", len(data), None, None, open_bytes)


FORMS = {
    "plain": CONTENT,
    "gzip": gzip.compress(CONTENT, 1),
    "gzip-of-members": gzip.compress(CONTENT[:1000]) + gzip.compress(CONTENT[1000:], 1),
    "zstd": zstd.compress(CONTENT),
    "zstd-of-frames": zstd.compress(CONTENT[:1000]) + SKIPPABLE + zstd.compress(CONTENT[1000:]) + zstd.compress(b""),
}


@pytest.mark.parametrize("most", [997, 10**9], ids=["in-pieces", "at-once"])
@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS.keys())
def test_what_a_layer_holds(data: bytes, most: int) -> None:
    pieces = [bytes(piece) for piece in plain_pieces(blob(data, most))]
    assert b"".join(pieces) == CONTENT
    assert max(map(len, pieces)) <= OUTPUT


DAMAGED = {
    "gzip": (FORMS["gzip"][:-9], "truncated"),
    "zstd": (FORMS["zstd"][:-9], "truncated"),
    "zstd-in-the-middle": (FORMS["zstd"][:8] + b"\xff" * 1000, "Zstandard"),
    "bzip2": (bz2.compress(CONTENT), "compressed with bzip2, which is not supported"),
}


@pytest.mark.parametrize(("data", "words"), DAMAGED.values(), ids=DAMAGED.keys())
def test_what_cannot_be_decompressed(data: bytes, words: str) -> None:
    with pytest.raises(ContentMismatchError, match=words):
        list(plain_pieces(blob(data)))


@pytest.mark.parametrize("offset", [0, 5, OUTPUT + 5, len(CONTENT), len(CONTENT) + 5])
def test_an_offset(offset: int) -> None:
    """What cannot be skipped is read."""
    reader = opened_at(blob(CONTENT).open, offset)
    buffer = memoryview(bytearray(len(CONTENT) + 1))
    assert bytes(buffer[: reader.readinto(buffer)]) == CONTENT[offset:]
