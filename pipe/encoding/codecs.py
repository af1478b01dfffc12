"""The codecs that compress a layer, block by block, and what each of them costs.

A block becomes one gzip member, a group of blocks one zstd frame. Their bytes depend on the plain ones and the level
alone, but for ISA-L: those of level 1 depend on the address of the thread's stack, too, and those of level 3 on whether
the processor has AVX-512. RFC 1952 (2.2) and RFC 8878 (3.1) define the concatenation of members and of frames.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from types import ModuleType

import deflate
from isal import isal_zlib

from pipe.oci.manifest import DOCKER_LAYER, OCI_LAYER, OCI_ZSTD_LAYER

BLOCK = 1024 * 1024
"""Plain bytes of a block. Independent blocks of this size cost 0.2 % of a gzip layer's size."""
_LAST_SMALL_LIBDEFLATE = 9
"""libdeflate's highest level that needs 2 MB; those above need 8."""
_ZSTD_GROUP = 8
"""Blocks of a frame. The copies that zstd finds across blocks make layers of real files 2 to 12 % smaller than frames
of one block; with 16 blocks it is 0.5 % more, but no processor could begin before they are read."""
_ZSTD_WINDOW = 21
"""Binary logarithm of the window: 2 MB, which a reader allocates, too. With 8 MB, layers are up to 1.5 % smaller."""
_LARGE_ZSTD = 8
"""The level that needs 8 MB. Those above would need 11 to 30, but 7 with tables of 2^18 and 2^19 entries, which make
layers 1 to 2 % larger."""
_SLICES, _SLICE = 4, 16 * 1024
"""A block's sample, which ISA-L 1 compresses in a tenth of a millisecond."""
_HARD = 0.34
"""What remains of the sample of a block that is hard to compress. On such blocks ISA-L 3 is two to three times as fast
as libdeflate 2, and makes them 3 to 6 % larger; of the others it would save less time, and make them larger."""
_GZIP = isal_zlib.MAX_WBITS | 16
"""A window of 32 KiB in a gzip container without a name or a time."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One compressor at one level.

    Attributes:
        name: For logs.
        speed: MB of plain bytes a second on one processor, measured.
        docker_media_type: The layer's type in a Docker manifest; None if Docker defines none.
        oci_media_type: The layer's type in an OCI manifest.
        compress: Yields the bytes of each block of a group; safe to call in several threads, which run in parallel.
        large: Whether it needs 8 MB or more for each group of blocks that it compresses.
    """

    name: str
    speed: int
    docker_media_type: str | None
    oci_media_type: str
    compress: Callable[[Sequence[memoryview]], Iterator[bytes | bytearray]]
    large: bool = False


@dataclass(frozen=True, slots=True)
class Compression:
    """The codecs that one layer may mix, all of one format.

    Attributes:
        name: The value of COMPRESSION.
        codecs: From the fastest to the smallest.
        start: Index of the codec that is used until the link's speed is known.
        thrifty: Index of the fastest codec for a slow link, on which a layer must not become larger to save time.
        group: Blocks that are compressed together, one after the other.
    """

    name: str
    codecs: tuple[Codec, ...]
    start: int = 0
    thrifty: int = 0
    group: int = 1

    def fastest_first(self) -> "Compression":
        """Return the same codecs, of which the fastest is used until the link's speed is known."""
        return replace(self, start=0)

    @property
    def docker_media_type(self) -> str | None:
        """The layer's type in a Docker manifest; None if only an OCI manifest can name it."""
        return self.codecs[0].docker_media_type

    @property
    def oci_media_type(self) -> str:
        """The layer's type in an OCI manifest."""
        return self.codecs[0].oci_media_type


def _isal(level: int, block: memoryview) -> bytes:
    return isal_zlib.compress(block, level, _GZIP)


def _libdeflate(level: int, block: memoryview) -> bytearray:
    return deflate.gzip_compress(block, level)


def _by_sample(block: memoryview) -> bytes | bytearray:
    """Compress with ISA-L 3 what is hard to compress, and with libdeflate 2 the rest."""
    if len(block) < BLOCK:
        return _libdeflate(2, block)
    sample = b"".join(block[start : start + _SLICE] for start in range(0, BLOCK, BLOCK // _SLICES))
    hard = len(_isal(1, memoryview(sample))) >= _HARD * len(sample)
    return _isal(3, block) if hard else _libdeflate(2, block)


def _zstandard(level: int, blocks: Sequence[memoryview]) -> Iterator[bytes]:
    zstd = _zstd_module()
    parameters = zstd.CompressionParameter
    options = {parameters.compression_level: level, parameters.window_log: _ZSTD_WINDOW}
    if level > _LARGE_ZSTD:
        options |= {parameters.hash_log: 18, parameters.chain_log: 19}
    frame = zstd.ZstdCompressor(options=options)
    frame.set_pledged_input_size(sum(map(len, blocks)))  # some readers need it in the header
    for number, block in enumerate(blocks, 1):
        yield frame.compress(block, mode=frame.FLUSH_FRAME if number == len(blocks) else frame.FLUSH_BLOCK)


@cache
def _zstd_module() -> ModuleType:
    """Import zstd only if it is used: the import takes 4 ms."""
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def _isal_codec(level: int, speed: int) -> Codec:
    return Codec(f"ISA-L {level}", speed, DOCKER_LAYER, OCI_LAYER, partial(map, partial(_isal, level)))


def _libdeflate_codec(level: int, speed: int) -> Codec:
    large = level > _LAST_SMALL_LIBDEFLATE
    return Codec(
        f"libdeflate {level}", speed, DOCKER_LAYER, OCI_LAYER, partial(map, partial(_libdeflate, level)), large
    )


def _zstd_codec(level: int, speed: int) -> Codec:
    return Codec(f"zstd {level}", speed, None, OCI_ZSTD_LAYER, partial(_zstandard, level), level == _LARGE_ZSTD)


# Measured by test/bench/encoding.py on one processor (Intel Xeon, 2 cores) with 252 MB of files of /usr. An AMD EPYC is
# up to twice as fast, with much the same ratios. Sizes are relative to one stream of zlib 6, on which Go's level 6
# (`docker push`) is 1 to 2 % larger:
#   ISA-L       1: 1.129   3: 1.083 (AMD)   by sample ISA-L 3 or libdeflate 2: 1.074
#   libdeflate  1: 1.063 (AMD)   2: 1.028   4: 1.010   5: 0.993   6: 0.987   7: 0.983   9: 0.980   10: 0.956
#   zstd        1: 1.057   2: 1.009   3: 0.975   6: 0.920   8: 0.908   17: 0.867   18: 0.847
# ISA-L alone would let `auto` exceed the size of `docker push` by a tenth (level 1) or by more than 6 % (level 3).
# libdeflate 1 is slower than the mix by sample, and hardly smaller.
_ISAL_1 = _isal_codec(1, 499)
_BY_SAMPLE = Codec("ISA-L 3 or libdeflate 2", 205, DOCKER_LAYER, OCI_LAYER, partial(map, _by_sample))
_LIBDEFLATE = {
    level: _libdeflate_codec(level, speed)
    for level, speed in ((2, 133), (4, 110), (5, 101), (6, 84), (7, 63), (9, 29), (10, 9))
}
_ZSTD = tuple(
    _zstd_codec(level, speed) for level, speed in ((1, 383), (2, 306), (3, 211), (6, 92), (8, 65), (17, 9), (18, 6))
)

COMPRESSIONS = {
    compression.name: compression
    for compression in (
        Compression("auto", (_BY_SAMPLE, *_LIBDEFLATE.values()), start=1, thrifty=3),
        Compression("fast", (_ISAL_1,)),
        Compression("small", (_LIBDEFLATE[9],)),
        Compression("zstd", _ZSTD, start=2, thrifty=2, group=_ZSTD_GROUP),
    )
}
"""By the value of COMPRESSION."""
