"""The end of a gzip file: CRC-32 and length of what its last member holds. Source: RFC 1952, section 2.3.1.

A layer may be stored in one member, as Docker Engine writes it, or in many (eStargz, pgzip, bgzip, and the pipe's
own blocks). Either way the last member holds the last bytes of the layer, so a trailer that does not fit them proves
that the file is not that layer.
"""

import struct
from collections.abc import Callable

from pipe.source.blob import SourceBlob

TRAILER = 8
"""Bytes of the trailer of a gzip member."""
_PIECE = 256 * 1024
_MODULUS = 2**32
"""Lengths are stored modulo 2^32."""


def may_be(blob: SourceBlob, trailer: bytes) -> bool:
    """Return whether the length in a trailer can be that of the last member of a layer; no bytes are read."""
    _, length = _unpack(trailer)
    return length <= blob.size


def is_made_from(blob: SourceBlob, trailer: bytes, check: Callable[[], None]) -> bool:
    """Read all of a layer, and return whether a trailer fits its last bytes; `check` raises what ends the reading."""
    from isal import isal_zlib  # noqa: PLC0415 # needed only if a layer may be reused

    expected, length = _unpack(trailer)
    whole = blob.size % _MODULUS == length
    reader, buffer = blob.open(), memoryview(bytearray(_PIECE))
    position, of_all, of_last = 0, 0, 0
    while read := reader.readinto(buffer):
        check()
        piece = buffer[:read]
        if whole:
            of_all = isal_zlib.crc32(piece, of_all)
        before = max(0, blob.size - length - position)
        if before < read:
            of_last = isal_zlib.crc32(piece[before:], of_last)
        position += read
    return of_last == expected or (whole and of_all == expected)


def _unpack(trailer: bytes) -> tuple[int, int]:
    checksum, length = struct.unpack("<II", trailer)
    return int(checksum), int(length)
