"""All blobs of a run share the processors and a bounded number of buffers, and none can stop another."""

import gzip
import os
import threading
from dataclasses import replace
from functools import partial

import pytest
from unit.encoding.encoding import RANDOM as NOISE
from unit.encoding.encoding import Bytes, compression, digest, encoded, joined, make_pool

from pipe.encoding import blob as blobs
from pipe.encoding import pool as pools
from pipe.encoding.codecs import COMPRESSIONS, Codec, Compression
from pipe.encoding.pace import Load
from pipe.encoding.pool import MOST_PROCESSORS, OWN_BUFFERS, processors

BLOCK = 2**15
"""Bytes of a block in these tests, which count blocks; what is done with one does not depend on its size."""
RANDOM = NOISE[: 3 * BLOCK]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (blobs, pools):
        monkeypatch.setattr(module, "BLOCK", BLOCK)


def bound(threads: int, blobs: int) -> int:
    """Return the most buffers that a pool may make."""
    return 24 + 4 * threads + OWN_BUFFERS * blobs


@pytest.mark.parametrize(("available", "used"), [(1, 1), (2, 2), (16, 16), (64, 16)])
def test_processors(monkeypatch: pytest.MonkeyPatch, available: int, used: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(available)))
    assert processors() == used


@pytest.mark.parametrize("available", [1, 2, 64])
def test_threads_and_buffers_are_bounded(monkeypatch: pytest.MonkeyPatch, available: int) -> None:
    """With a sender that takes nothing until nothing more can be read."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(available)))
    gate, lock, at_once = threading.Event(), threading.Lock(), [0, 0]

    def compress(block: memoryview) -> bytes:
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
            if at_once[0] == min(available, MOST_PROCESSORS):
                gate.set()
        assert gate.wait(60), "fewer threads than processors"
        with lock:
            at_once[0] -= 1
        return bytes(block)

    pool = make_pool(compression(compress))
    size = 150 * BLOCK
    reader = Bytes(bytes(size))
    assert len(joined(encoded(bytes(1), pool=pool, reader=reader, chunk=BLOCK))) == size
    assert at_once[1] == min(available, MOST_PROCESSORS)
    assert pool.buffers <= bound(min(available, MOST_PROCESSORS), 1)


def test_a_stalled_sender_stops_its_reader_at_the_bound() -> None:
    """One block is in the chunk that is being sent, and one more than the buffers were ever read."""
    pool, all_read = make_pool(compression(bytes), threads=2), threading.Event()

    class Counted(Bytes):
        blocks = 0

        def readinto(self, buffer: memoryview, /) -> int:
            self.blocks += 1
            if self.blocks == 1 + bound(2, 1):
                all_read.set()
            return super().readinto(buffer)

    reader = Counted(bytes(100 * BLOCK))
    blob = encoded(bytes(2 * BLOCK), pool=pool, reader=reader, chunk=BLOCK)
    chunks = iter(blob)
    next(chunks)
    assert all_read.wait(60)
    blob.close()
    assert blob.source_read.wait(60)
    assert (reader.blocks, pool.buffers) == (1 + bound(2, 1), bound(2, 1))


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_several_blobs_at_once(threads: int) -> None:
    """More of them than a pool has buffers for the first chunk of each."""
    pool = make_pool(COMPRESSIONS["fast"], threads=threads)
    contents = [bytes([number]) * BLOCK + RANDOM * 4 for number in range(6)]
    found: dict[int, bytes] = {}

    def send(number: int) -> None:
        found[number] = joined(encoded(contents[number], pool=pool, stored=number % 3 == 2, chunk=8 * BLOCK))

    senders = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    for number, content in enumerate(contents):
        assert digest(found[number] if number % 3 == 2 else gzip.decompress(found[number])) == digest(content)
    assert pool.buffers <= bound(threads, 6)
    assert pool.free == pool.buffers


@pytest.mark.parametrize("group", [1, 8, 100])
def test_a_blob_whose_link_stalls_does_not_stop_the_others(group: int) -> None:
    """Though the others never have the buffers for a group."""
    pool = make_pool(replace(COMPRESSIONS["fast"], group=group), threads=2)
    stalled = [encoded(b"", pool=pool, reader=Bytes(RANDOM * 30), chunk=BLOCK) for _ in range(3)]
    held = [iter(blob) for blob in stalled]
    for chunks in held:
        next(chunks)
    assert gzip.decompress(joined(encoded(RANDOM * 10, pool=pool, chunk=8 * BLOCK))) == RANDOM * 10
    for blob in stalled:
        blob.close()
        assert blob.source_read.wait(60)


def test_a_blob_that_fails_leaves_the_others_alone() -> None:
    """Though all blocks of the good one are in work until the other has failed."""
    failing = threading.Event()

    def compress(block: memoryview) -> bytes:
        if block[0] == 1:
            failing.set()
            raise MemoryError
        assert failing.wait(60)
        return bytes(block)

    pool = make_pool(compression(compress), threads=6)
    good, bad = encoded(bytes(5 * BLOCK), pool=pool), encoded(bytes([1]) * 5 * BLOCK, pool=pool)
    first: list[bytes] = []
    sender = threading.Thread(target=lambda: first.append(joined(good)))
    sender.start()
    with pytest.raises(MemoryError):
        joined(bad)
    sender.join(60)
    assert first == [bytes(5 * BLOCK)]


def test_blocks_without_a_thread_are_not_compressed_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else their buffers would be free twice, and the next blocks share them."""
    under_way, failed, start = threading.Event(), threading.Event(), threading.Thread.start

    def compress(block: memoryview) -> bytes:
        under_way.set()
        assert failed.wait(60)
        return bytes(block)

    def fail(thread: threading.Thread) -> None:
        if thread.name == "compress" and under_way.is_set():
            raise RuntimeError
        start(thread)

    class Later(Bytes):
        def readinto(self, buffer: memoryview, /) -> int:
            if len(self._rest) == BLOCK:
                assert under_way.wait(60)
            return super().readinto(buffer)

    monkeypatch.setattr(threading.Thread, "start", fail)
    data = bytes(2 * BLOCK)
    pool = make_pool(compression(compress), threads=2)
    with pytest.raises(RuntimeError):
        joined(encoded(data, pool=pool, reader=Later(data)))
    failed.set()


def test_buffers_are_used_again_by_the_next_blob() -> None:
    pool = make_pool(COMPRESSIONS["fast"], threads=1)
    for _ in range(5):
        joined(encoded(RANDOM * 30, pool=pool, chunk=BLOCK))
    assert pool.buffers <= bound(1, 1)


class Watch:
    """Stands in for the pace: notes what it sees, and changes the codec with every block."""

    def __init__(self) -> None:
        self.starved, self.full = threading.Event(), threading.Event()
        self.bytes = self.blocks = 0

    def codec(self, *, large: bool) -> Codec:
        assert large
        return Codec("", 1, None, "", partial(map, self.compress))

    def compress(self, block: memoryview) -> bytes:
        assert self.starved.wait(60), "no sender waits while blocks are queued"
        return bytes([self.blocks]) + bytes(block[1:])

    def observe(self, load: Load) -> None:
        if load.is_starved and load.idle == 0:
            self.starved.set()
        if load.spare == 1:
            self.full.set()

    def sent(self, size: int) -> None:
        self.bytes += size

    def compressed(self, blocks: int, under_way: int) -> None:
        assert under_way == 0
        self.blocks += blocks


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Have the next pool use such a pace."""
    made = Watch()
    monkeypatch.setattr(pools, "Pace", lambda _compression, _clock: made)
    return made


def test_the_pace_sees_who_waits_and_chooses_the_codec_of_each_block(watch: Watch) -> None:
    blob = encoded(bytes(40 * BLOCK), pool=make_pool(compression(bytes), threads=1), chunk=BLOCK)
    numbers = []
    for chunk in blob:
        assert watch.full.wait(60), "no reader waits while the sender is busy"
        numbers.append(chunk[0])
    assert numbers == [*range(40)]
    assert (watch.bytes, blob.made) == (40 * BLOCK, 40 * BLOCK)


def test_a_chunk_that_is_not_sent_does_not_count(watch: Watch) -> None:
    blob = encoded(bytes(40 * BLOCK), pool=make_pool(compression(bytes), threads=1), chunk=BLOCK)
    for number, _ in enumerate(blob):
        if number == 3:
            break
    assert blob.source_read.wait(60)
    assert watch.bytes == 3 * BLOCK


def test_two_blocks_at_a_time_are_compressed_by_a_large_codec() -> None:
    """On many processors, each further block gets the smallest of the other codecs."""
    all_at_once = threading.Barrier(6)

    def named(name: bytes, _block: memoryview) -> bytes:
        all_at_once.wait(60)
        return name

    codecs = (
        Codec("", 3, None, "", partial(map, bytes)),
        Codec("", 2, None, "", partial(map, partial(named, b"other"))),
        Codec("", 1, None, "", partial(map, partial(named, b"large")), large=True),
    )
    packed = joined(encoded(bytes(6 * BLOCK), pool=make_pool(Compression("", codecs, start=2), threads=6)))
    assert (packed.count(b"large"), packed.count(b"other")) == (2, 4)
