"""What comes out of the threads that read, compress and hash is what went in, whatever their number and order."""

import gzip
import threading

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st
from unit.encoding.encoding import (
    DATA,
    MIB,
    RANDOM,
    Bytes,
    compression,
    digest,
    encoded,
    joined,
    make_pool,
)

from pipe.encoding.codecs import COMPRESSIONS
from pipe.encoding.lane import ClosedError
from pipe.errors import EngineSaveError
from pipe.threads import Cancel, CancelledError

each_data = pytest.mark.parametrize("data", DATA.values(), ids=DATA.keys())


@each_data
@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_plain_layer_is_compressed(name: str, data: bytes) -> None:
    blob = encoded(data, pool=make_pool(COMPRESSIONS[name], threads=2))
    pieces = [bytes(chunk) for chunk in blob]
    packed = b"".join(pieces)
    assert (zstd.decompress(packed) if name == "zstd" else gzip.decompress(packed)) == data
    assert (blob.diff_id, blob.digest) == (digest(data), digest(packed))
    assert (blob.taken, blob.made) == (len(data), len(packed))
    assert {len(piece) for piece in pieces[:-1]} <= {4096}
    assert 0 < len(pieces[-1]) <= 4096


@each_data
def test_a_stored_blob_stays_as_it_is(data: bytes) -> None:
    blob = encoded(data, stored=True)
    assert joined(blob) == data
    assert (blob.diff_id, blob.digest) == ("", digest(data))
    assert (blob.taken, blob.made) == (len(data), len(data))


@pytest.mark.parametrize("name", ["nothing", "one-block", "two-blocks", "one-byte-more"])
def test_there_is_no_empty_member_behind_the_last(name: str) -> None:
    blocks: list[int] = []

    def compress(block: memoryview) -> bytes:
        blocks.append(len(block))
        return bytes(block)

    assert joined(encoded(DATA[name], pool=make_pool(compression(compress), threads=1))) == DATA[name]
    expected = {"nothing": [0], "one-block": [MIB], "two-blocks": [MIB, MIB], "one-byte-more": [MIB, 1]}
    assert blocks == expected[name]


@pytest.mark.parametrize("stored", [False, True], ids=["compressed", "as-it-is"])
@pytest.mark.parametrize("data", [b"", b"x"], ids=["empty", "one-byte"])
def test_a_small_blob_is_one_chunk_whose_digest_is_known(data: bytes, stored: bool) -> None:
    blob = encoded(data, stored=stored)
    chunks = iter(blob)
    first = bytes(next(chunks))
    assert blob.digest == digest(first)
    assert next(chunks, None) is None


@pytest.mark.parametrize("stored", [False, True], ids=["compressed", "as-it-is"])
def test_the_digest_is_known_with_the_last_chunk(stored: bool) -> None:
    blob = encoded(DATA["incompressible"], stored=stored, chunk=65536)
    known = [(bool(blob.digest), blob.diff_id != "" or stored or not blob.digest) for _ in blob]
    assert known == [(False, True)] * (len(known) - 1) + [(True, True)]


def test_what_was_taken_grows_with_the_chunks() -> None:
    blob = encoded(bytes(MIB) + RANDOM, chunk=MIB)
    seen = [(blob.taken, blob.made) for _ in blob]
    assert [made for _, made in seen] == [MIB, 2 * MIB, 3 * MIB, blob.made]
    assert [taken // MIB for taken, _ in seen] == [1, 2, 3, 4]


@pytest.mark.parametrize("threads", [1, 2, 7, 16])
@pytest.mark.parametrize("piece", [65537, 5 * MIB], ids=["small-reads", "large-reads"])
@pytest.mark.parametrize("name", ["auto", "small", "zstd"])
def test_the_same_bytes_have_the_same_digest(name: str, threads: int, piece: int) -> None:
    """For one level: `auto` and `zstd` stay at theirs, since the clock stands still. ISA-L promises no such thing."""
    data = DATA["text"] + RANDOM[: MIB // 2]
    expected = encoded(data, pool=make_pool(COMPRESSIONS[name], threads=1, clock=lambda: 0))
    pool = make_pool(COMPRESSIONS[name], threads=threads, clock=lambda: 0)
    blob = encoded(data, pool=pool, reader=Bytes(data, piece), chunk=10_007)
    assert joined(blob) == joined(expected)
    assert blob.digest == expected.digest


@pytest.mark.parametrize("blocks", [1, 2, 8, 9, 16, 20])
def test_eight_blocks_are_one_zstd_frame(blocks: int) -> None:
    """In which a block that was there before takes next to no space."""
    data = RANDOM[:MIB] * blocks
    rest, frames = joined(encoded(data, pool=make_pool(COMPRESSIONS["zstd"], threads=2))), 0
    assert len(rest) < 1.01 * MIB * -(-blocks // 8)
    while rest:
        reader = zstd.ZstdDecompressor()
        read = reader.decompress(rest)
        assert zstd.get_frame_info(rest).decompressed_size == len(read)
        assert read == RANDOM[:MIB] * min(8, blocks - 8 * frames)
        rest, frames = reader.unused_data, frames + 1
    assert frames == -(-blocks // 8)


def test_blocks_stay_in_order_if_the_first_is_the_last_to_be_done() -> None:
    others = threading.Semaphore(0)

    def compress(block: memoryview) -> bytes:
        if block[0] == 0:
            for _ in range(5):
                assert others.acquire(timeout=60)
        others.release()
        return bytes(block[:1])

    data = b"".join(bytes([number]) * MIB for number in range(6))
    assert joined(encoded(data, pool=make_pool(compression(compress), threads=2))) == bytes(range(6))


@given(st.binary(max_size=3000), st.integers(1, 500), st.integers(1, 500))
def test_any_bytes_in_any_pieces(data: bytes, piece: int, size: int) -> None:
    pool = make_pool(COMPRESSIONS["fast"], threads=1)
    assert gzip.decompress(joined(encoded(data, pool=pool, chunk=size, reader=Bytes(data, piece)))) == data


@pytest.mark.parametrize("form", ["auto", "zstd", "as-it-is"])
@pytest.mark.parametrize("length", [0, 5000, MIB, 2_000_000], ids=["at-once", "early", "after-a-block", "late"])
def test_a_source_that_fails_reaches_the_sender(length: int, form: str) -> None:
    broken = EngineSaveError("gone")
    pool = make_pool(COMPRESSIONS[form], threads=2) if form in COMPRESSIONS else None
    blob = encoded(RANDOM, stored=pool is None, reader=Bytes(RANDOM[:length], error=broken), pool=pool)
    with pytest.raises(EngineSaveError) as raised:
        joined(blob)
    assert raised.value is broken
    assert blob.source_read.wait(60)
    assert blob.digest == ""


@pytest.mark.parametrize("good", [0, 1, 40], ids=["first-block", "second-block", "late"])
def test_a_codec_that_fails_reaches_the_sender(good: int) -> None:
    calls = iter(range(100))

    def compress(block: memoryview) -> bytes:
        if next(calls) >= good:
            raise MemoryError
        return bytes(block)

    pool = make_pool(compression(compress), threads=3)
    blob = encoded(b"", pool=pool, reader=Bytes(RANDOM * 20))
    with pytest.raises(MemoryError):
        joined(blob)
    assert blob.digest == ""


def test_a_block_may_grow_beyond_its_buffer() -> None:
    pool = make_pool(compression(lambda block: bytes(block) * 2), threads=2)
    assert joined(encoded(RANDOM, pool=pool, chunk=MIB)) == b"".join(
        RANDOM[start : start + MIB] * 2 for start in range(0, len(RANDOM), MIB)
    )


@pytest.mark.parametrize("form", ["auto", "zstd", "as-it-is"])
@pytest.mark.parametrize("chunks", [0, 1, 30], ids=["before-the-first-chunk", "after-the-first", "in-the-middle"])
def test_closing_ends_the_threads(chunks: int, form: str) -> None:
    pool = make_pool(COMPRESSIONS[form], threads=2) if form in COMPRESSIONS else None
    blob = encoded(RANDOM * 20, stored=pool is None, chunk=65536, pool=pool)
    taken = iter(blob)
    for _ in range(chunks):
        next(taken)
    blob.close()
    assert blob.source_read.wait(60)
    if chunks:
        with pytest.raises(ClosedError):
            for _ in taken:
                pass


def test_dropping_the_iteration_closes() -> None:
    blob = encoded(RANDOM * 20, chunk=65536)
    for _ in blob:
        break
    assert blob.source_read.wait(60)


@pytest.mark.parametrize("stored", [False, True], ids=["compressed", "as-it-is"])
def test_a_cancelled_run_ends_the_sender_and_the_reader(stored: bool) -> None:
    cancel = Cancel()
    blob = encoded(RANDOM * 50, stored=stored, chunk=65536, cancel=cancel)
    chunks = iter(blob)
    next(chunks)
    cancel.cancel()
    assert blob.source_read.wait(60), "the reader goes on, though the sender is busy"
    with pytest.raises(CancelledError):
        for _ in chunks:
            pass


def test_a_cancelled_run_ends_a_sender_that_waits_for_the_source() -> None:
    """The reader itself is in the source, and ends when that does."""
    cancel, going_on = Cancel(), threading.Event()

    class Slow(Bytes):
        def readinto(self, buffer: memoryview, /) -> int:
            cancel.cancel()
            assert going_on.wait(60)
            return super().readinto(buffer)

    blob = encoded(RANDOM, reader=Slow(RANDOM), cancel=cancel)
    with pytest.raises(CancelledError):
        joined(blob)
    assert not blob.source_read.is_set()
    going_on.set()
