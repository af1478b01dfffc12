"""Each codec's block is read by independent readers, and depends on the block and the level alone, but for ISA-L."""

import functools
import gzip
import random
import subprocess
import threading
import zlib

import deflate
import pytest
from backports import zstd
from isal import isal_zlib
from unit.encoding.encoding import digest

from pipe.encoding.codecs import BLOCK, COMPRESSIONS, Codec, Compression
from pipe.encoding.pool import SLACK

CODECS = {codec.name: codec for compression in COMPRESSIONS.values() for codec in compression.codecs}
GZIP = {name: codec for name, codec in CODECS.items() if codec.oci_media_type.endswith("+gzip")}
SAME = {name: codec for name, codec in CODECS.items() if name != "ISA-L 1"}
"""ISA-L 1 puts some of the address of a thread's stack into its table of hashes: findings/isal-stack-address.sh."""
WORDS = " ".join(
    random.Random(2).choices(["to", "be", "or", "not", "that", "is", "the", "question"], k=BLOCK // 3)
).encode()
BLOCKS = {
    "empty": b"",
    "zeros": bytes(BLOCK),
    "words": WORDS[:BLOCK],
    "incompressible": random.Random(3).randbytes(BLOCK),
}
each_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
each_gzip = pytest.mark.parametrize("codec", GZIP.values(), ids=GZIP.keys())
each_block = pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())


@functools.cache
def packed(codec: Codec, block: bytes) -> bytes:
    """Return a compressed block, once for all tests."""
    return b"".join(codec.compress([memoryview(bytearray(block))]))


def unpacked(codec: Codec, data: bytes) -> bytes:
    """Return the plain bytes as Python's own or the reference library reads them."""
    return gzip.decompress(data) if codec.name in GZIP else zstd.decompress(data)


def in_threads(codec: Codec, block: bytes) -> list[bytes]:
    """Return a block as each of four threads compresses it at the same time."""
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(b"".join(codec.compress([memoryview(block)])))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@each_codec
@each_block
def test_a_block_is_read_back_alone_and_behind_another(codec: Codec, block: bytes) -> None:
    assert unpacked(codec, packed(codec, block)) == block
    assert unpacked(codec, packed(codec, block) * 2) == block + block


@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS.keys())
def test_a_layer_whose_level_changes_with_each_block_is_read_back(compression: Compression) -> None:
    layer = b"".join(packed(codec, BLOCKS["words"]) for codec in compression.codecs)
    assert unpacked(compression.codecs[0], layer) == BLOCKS["words"] * len(compression.codecs)


@each_codec
@each_block
def test_a_block_fits_its_buffer(codec: Codec, block: bytes) -> None:
    group = [memoryview(bytearray(block))] * 3
    assert all(len(each) <= BLOCK + SLACK for each in codec.compress(group))


@each_gzip
@each_block
def test_gzip_itself_and_zlib_accept_several_members(codec: Codec, block: bytes) -> None:
    member = packed(codec, block)
    assert subprocess.run(["gzip", "-t"], input=member * 2, capture_output=True, check=False).stderr == b""
    reader = zlib.decompressobj(31)
    assert (reader.decompress(member * 2), reader.unused_data) == (block, member)


@each_gzip
def test_no_header_names_a_file_a_time_or_a_system(codec: Codec) -> None:
    """RFC 1952, 2.3.1: flags, MTIME and OS (255 is "unknown") are the same at any time and on any machine."""
    header = packed(codec, WORDS[:BLOCK])[:10]
    assert (header[:8], header[9]) == (bytes.fromhex("1f8b080000000000"), 255)


@pytest.mark.parametrize("codec", SAME.values(), ids=SAME.keys())
def test_a_block_has_the_same_bytes_in_every_thread(codec: Codec) -> None:
    block = WORDS[: BLOCK // 4]
    found = in_threads(codec, block)
    assert [digest(each) for each in found] == [digest(packed(codec, block))] * 4


@each_codec
def test_a_block_is_read_back_from_every_thread(codec: Codec) -> None:
    found = in_threads(codec, WORDS[: BLOCK // 4])
    assert [digest(unpacked(codec, each)) for each in found] == [digest(WORDS[: BLOCK // 4])] * 4


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param(BLOCKS["zeros"], "libdeflate 2", id="easy-to-compress"),
        pytest.param(bytes(BLOCK // 2) + BLOCKS["incompressible"][: BLOCK // 2], "ISA-L 3", id="half-of-it-hard"),
        pytest.param(BLOCKS["incompressible"], "ISA-L 3", id="hard-to-compress"),
        pytest.param(BLOCKS["incompressible"][:-1], "libdeflate 2", id="shorter-than-a-block"),
        pytest.param(b"", "libdeflate 2", id="empty"),
    ],
)
def test_a_sample_selects_the_codec_of_a_block(block: bytes, expected: str) -> None:
    by = {"ISA-L 3": isal_zlib.compress(block, 3, 31), "libdeflate 2": bytes(deflate.gzip_compress(block, 2))}
    assert by["ISA-L 3"] != by["libdeflate 2"]
    assert packed(CODECS["ISA-L 3 or libdeflate 2"], block) == by[expected]


@pytest.mark.parametrize(
    ("name", "docker", "oci"),
    [
        ("auto", "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("fast", "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("small", "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("zstd", None, "application/vnd.oci.image.layer.v1.tar+zstd"),
    ],
)
def test_a_compression_has_one_media_type(name: str, docker: str | None, oci: str) -> None:
    compression = COMPRESSIONS[name]
    assert (compression.docker_media_type, compression.oci_media_type) == (docker, oci)
    assert {(codec.docker_media_type, codec.oci_media_type) for codec in compression.codecs} == {(docker, oci)}


@pytest.mark.parametrize(
    ("name", "start"), [("auto", "libdeflate 2"), ("fast", "ISA-L 1"), ("small", "libdeflate 9"), ("zstd", "zstd 3")]
)
def test_a_compression_starts_in_the_middle_and_goes_from_fast_to_slow(name: str, start: str) -> None:
    compression = COMPRESSIONS[name]
    speeds = [codec.speed for codec in compression.codecs]
    assert compression.codecs[compression.start].name == start
    assert speeds == sorted(speeds, reverse=True)
    fast = compression.fastest_first()
    assert (fast.codecs[fast.start], fast.codecs) == (compression.codecs[0], compression.codecs)
