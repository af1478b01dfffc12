"""The end of a gzip stream, which tells what was compressed: its CRC-32 and its length. Source: RFC 1952, 2.3.1."""

import struct
from collections.abc import Callable

from isal import isal_zlib

from pipe.source.blob import SourceBlob

TRAILER = 8
"""Bytes that a gzip stream ends with."""
_PIECE = 256 * 1024


def may_be(blob: SourceBlob, trailer: bytes) -> bool:
    """Tell by its length whether a gzip stream can be made from a blob.

    Args:
        blob: The blob; its bytes are not read.
        trailer: The last bytes of the stream.

    Returns:
        Whether the lengths agree. Those of a stream of several members never do, unless by chance.
    """
    size: int = struct.unpack("<II", trailer)[1]
    return size == blob.size % 2**32


def is_made_from(blob: SourceBlob, trailer: bytes, go_on: Callable[[], None]) -> bool:
    """Tell by its checksum whether a gzip stream was made from a blob.

    Args:
        blob: The blob; all of its bytes are read.
        trailer: The last bytes of the stream.
        go_on: Called now and then; raises what ends the reading.

    Returns:
        Whether the checksums agree.
    """
    reader, buffer, checksum = blob.open(), memoryview(bytearray(_PIECE)), 0
    while length := reader.readinto(buffer):
        go_on()
        checksum = isal_zlib.crc32(buffer[:length], checksum)
    expected: int = struct.unpack("<II", trailer)[0]
    return checksum == expected
