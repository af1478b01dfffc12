"""What the tests of the encoding share: sources, codecs, and blobs of them."""

import hashlib
import random
import time
from collections.abc import Callable
from functools import partial

from pipe.encoding.blob import EncodedBlob
from pipe.encoding.codecs import COMPRESSIONS, Codec, Compression
from pipe.encoding.pool import BlockPool
from pipe.oci.descriptor import Descriptor
from pipe.source.blob import Reader, SourceBlob
from pipe.threads import Cancel

MIB = 1024 * 1024
RANDOM = random.Random(1).randbytes(3 * MIB)
DATA = {
    "nothing": b"",
    "one-byte": b"x",
    "one-block": RANDOM[:MIB],
    "two-blocks": RANDOM[: 2 * MIB],
    "one-byte-more": RANDOM[: MIB + 1],
    "zeros": bytes(5_000_000),
    "incompressible": RANDOM,
    "text": b"to be or not to be " * 150_000,
}
POOLS: list[BlockPool] = []
"""Those of the test that runs."""


class Bytes:
    """Delivers bytes in pieces of any size, then ends or fails."""

    def __init__(self, data: bytes, piece: int = MIB, error: Exception | None = None) -> None:
        self._rest = memoryview(data)
        self._piece = piece
        self._error = error

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer in part."""
        length = min(len(buffer), self._piece, len(self._rest))
        if not length and self._error:
            raise self._error
        buffer[:length], self._rest = self._rest[:length], self._rest[length:]
        return length


def compression(compress: Callable[[memoryview], bytes | bytearray], group: int = 1) -> Compression:
    """Return the compression of a single codec, which compresses each block alone."""
    return Compression("test", (Codec("test", 1, None, "", partial(map, compress)),), group=group)


def make_pool(
    compression: Compression, *, threads: int | None = None, clock: Callable[[], float] = time.monotonic
) -> BlockPool:
    """Return a pool that is closed at the end of the test."""
    POOLS.append(BlockPool(compression, threads=threads, clock=clock))
    return POOLS[-1]


def encoded(
    data: bytes,
    *,
    pool: BlockPool | None = None,
    stored: bool = False,
    chunk: int = 4096,
    reader: Reader | None = None,
    cancel: Cancel | None = None,
) -> EncodedBlob:
    """Return the encoded blob of some bytes."""
    descriptor = Descriptor("", digest(data), len(data)) if stored else None
    blob = SourceBlob("a layer", len(data), None, descriptor, lambda: reader or Bytes(data))
    return EncodedBlob(blob, chunk, cancel or Cancel(), pool or make_pool(COMPRESSIONS["auto"], threads=2))


def joined(blob: EncodedBlob) -> bytes:
    """Return all bytes of an encoded blob."""
    return b"".join(bytes(chunk) for chunk in blob)


def digest(data: bytes | bytearray) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
