"""Each codec's block is read by independent readers, and depends on the block and the level alone."""

import gzip
import random
import subprocess
import threading
import zlib

import pytest
from backports import zstd
from unit.encoding.encoding import MIB, digest

from pipe.encoding.codecs import BLOCK, COMPRESSIONS, Codec
from pipe.encoding.pool import SLACK

CODECS = {codec.name: codec for compression in COMPRESSIONS.values() for codec in compression.codecs}
GZIP = {name: codec for name, codec in CODECS.items() if codec.oci_media_type.endswith("+gzip")}
WORDS = " ".join(random.Random(2).choices(["to", "be", "or", "not", "that", "is", "the", "question"], k=MIB)).encode()
BLOCKS = {
    "empty": b"",
    "zeros": bytes(BLOCK),
    "words": WORDS[:BLOCK],
    "incompressible": random.Random(3).randbytes(BLOCK),
}
each_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
each_gzip = pytest.mark.parametrize("codec", GZIP.values(), ids=GZIP.keys())
each_block = pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())


def unpacked(codec: Codec, packed: bytes) -> bytes:
    """Return the plain bytes as Python's own or the reference library reads them."""
    return gzip.decompress(packed) if codec.name in GZIP else zstd.decompress(packed)


@each_codec
@each_block
def test_a_block_is_read_back_alone_and_behind_another(codec: Codec, block: bytes) -> None:
    packed = bytes(codec.compress(memoryview(bytearray(block))))
    assert unpacked(codec, packed) == block
    assert unpacked(codec, packed + packed) == block + block


@each_codec
@each_block
def test_a_block_fits_its_buffer(codec: Codec, block: bytes) -> None:
    assert len(codec.compress(memoryview(block))) <= BLOCK + SLACK


@each_gzip
@each_block
def test_gzip_itself_and_zlib_accept_several_members(codec: Codec, block: bytes) -> None:
    packed = bytes(codec.compress(memoryview(block)))
    assert subprocess.run(["gzip", "-t"], input=packed + packed, capture_output=True, check=False).stderr == b""
    reader = zlib.decompressobj(31)
    assert (reader.decompress(packed + packed), reader.unused_data) == (block, packed)


@each_gzip
def test_no_header_names_a_file_a_time_or_a_system(codec: Codec) -> None:
    """RFC 1952, 2.3.1: flags, MTIME and OS (255 is "unknown") are the same at any time and on any machine."""
    header = bytes(codec.compress(memoryview(WORDS)))[:10]
    assert (header[:8], header[9]) == (bytes.fromhex("1f8b080000000000"), 255)


@each_codec
def test_a_block_has_the_same_bytes_in_every_thread(codec: Codec) -> None:
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(digest(codec.compress(memoryview(WORDS[:BLOCK])))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [digest(codec.compress(memoryview(WORDS[:BLOCK])))] * 4


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
    ("name", "start"), [("auto", "libdeflate 6"), ("fast", "ISA-L 1"), ("small", "libdeflate 9"), ("zstd", "zstd 3")]
)
def test_a_compression_starts_in_the_middle_and_goes_from_fast_to_slow(name: str, start: str) -> None:
    compression = COMPRESSIONS[name]
    speeds = [codec.speed for codec in compression.codecs]
    assert compression.codecs[compression.start].name == start
    assert speeds == sorted(speeds, reverse=True)
