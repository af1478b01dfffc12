"""What comes out of the threads that read, compress and hash is what went in."""

import gzip
import hashlib
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.errors import EngineSaveError
from pipe.oci.descriptor import Descriptor
from pipe.source.blob import Reader, SourceBlob
from pipe.source.layer import READ, Chunks


class Bytes:
    """Gives bytes in pieces of any size, then ends or breaks."""

    def __init__(self, data: bytes, piece: int = READ, error: Exception | None = None) -> None:
        self._data = data
        self._piece = piece
        self._error = error

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer in part."""
        length = min(len(buffer), self._piece, len(self._data))
        if not length and self._error:
            raise self._error
        buffer[:length], self._data = self._data[:length], self._data[length:]
        return length


def opened(data: bytes, *, stored: bool = False, size: int = 4096, reader: Reader | None = None) -> Chunks:
    """Make the chunks of some bytes."""
    descriptor = Descriptor("", digest(data), len(data)) if stored else None
    blob = SourceBlob("a layer", len(data), None, descriptor, lambda: reader or Bytes(data))
    return Chunks(blob, size, threading.Event(), threading.Event())


def digest(data: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


DATA = {
    "nothing": b"",
    "one-byte": b"x",
    "zeros": bytes(5_000_000),
    "random": random.Random(1).randbytes(3_000_000),
    "text": b"to be or not to be " * 100_000,
}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA.keys())
def test_a_plain_layer_is_compressed(data: bytes) -> None:
    chunks = opened(data)
    pieces = [bytes(chunk) for chunk in chunks]
    packed = b"".join(pieces)
    assert gzip.decompress(packed) == data
    assert (chunks.diff_id, chunks.digest) == (digest(data), digest(packed))
    assert (chunks.taken, chunks.made) == (len(data), len(packed))
    assert {len(piece) for piece in pieces[:-1]} <= {4096}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA.keys())
def test_a_stored_blob_stays_as_it_is(data: bytes) -> None:
    chunks = opened(data, stored=True)
    assert b"".join(bytes(chunk) for chunk in chunks) == data
    assert (chunks.diff_id, chunks.digest, chunks.made) == ("", digest(data), len(data))


def test_the_digest_is_known_with_the_last_chunk() -> None:
    chunks = opened(DATA["random"])
    known = [bool(chunks.digest and chunks.diff_id) for _ in chunks]
    assert (known[:-1], known[-1]) == ([False] * (len(known) - 1), True)


def test_the_same_bytes_have_the_same_digest() -> None:
    first, second = opened(DATA["text"]), opened(DATA["text"], reader=Bytes(DATA["text"], 777))
    for chunks in (first, second):
        for _ in chunks:
            pass
    assert first.digest == second.digest


@given(st.binary(max_size=3000), st.integers(1, 500), st.integers(1, 500))
def test_any_bytes_in_any_pieces(data: bytes, piece: int, size: int) -> None:
    chunks = opened(data, size=size, reader=Bytes(data, piece))
    assert gzip.decompress(b"".join(bytes(chunk) for chunk in chunks)) == data


@pytest.mark.parametrize("stored", [False, True], ids=["compressed", "as-it-is"])
@pytest.mark.parametrize("length", [0, 5000, 2_000_000], ids=["at-once", "in-the-middle", "late"])
def test_what_breaks_while_reading_reaches_who_sends(length: int, stored: bool) -> None:
    broken = EngineSaveError("gone")
    chunks = opened(DATA["random"], stored=stored, reader=Bytes(DATA["random"][:length], error=broken))
    with pytest.raises(EngineSaveError) as raised:
        for _ in chunks:
            pass
    assert raised.value is broken


def test_reading_ends_where_nobody_wants_the_rest() -> None:
    stop, read = threading.Event(), threading.Event()
    chunks = Chunks(SourceBlob("", 10**7, None, None, lambda: Bytes(bytes(10**7))), 100, stop, read)
    next(iter(chunks))
    stop.set()
    assert read.wait(10), "the reading thread goes on"
