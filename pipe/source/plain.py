"""The plain bytes of a stored layer, whatever it is compressed with."""

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from pipe.errors import ContentMismatchError
from pipe.source.blob import Reader, SourceBlob, read_up_to
from pipe.source.files import Part
from pipe.source.gunzip import MAGIC, GunzipError, decompressed
from pipe.source.opening import MAGIC_SIZE, compression
from pipe.source.spool import pieces_of

OUTPUT = 1024 * 1024
"""Bytes that one call of the zstd decompressor returns at most."""


def plain_pieces(blob: SourceBlob) -> Iterator[bytes | memoryview]:
    """Yield the plain bytes of a layer.

    Raises:
        ContentMismatchError: It is damaged, or compressed with something else than gzip or zstd.
    """
    beginning = read_up_to(blob.open(), MAGIC_SIZE)
    program = compression(beginning)
    try:
        if beginning.startswith(MAGIC):
            yield from decompressed(blob.open())
        elif program == "zstd":
            yield from _from_zstd(blob.open())
        elif program:
            raise _damaged(blob, f"it is compressed with {program}, which is not supported")
        else:
            yield from pieces_of(blob.open())
    except GunzipError as error:
        raise _damaged(blob, str(error)) from None


def opened_at(open_bytes: Callable[[], Reader], offset: int) -> Reader:
    """Open bytes at an offset."""
    reader = open_bytes()
    if isinstance(reader, Part):
        reader.skip(offset)
        return reader
    buffer = memoryview(bytearray(min(offset, OUTPUT)))
    while offset and (length := reader.readinto(buffer[:offset])):
        offset -= length
    return reader


def _from_zstd(reader: Reader) -> Iterator[bytes]:
    module: Any = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    frame, complete = module.ZstdDecompressor(), True
    try:
        for piece in pieces_of(reader):
            rest = bytes(piece)
            while rest or not frame.needs_input:
                if frame.eof:
                    frame = module.ZstdDecompressor()
                yield frame.decompress(rest, OUTPUT)
                rest = frame.unused_data if frame.eof else b""
                complete = frame.eof
                if frame.eof and not rest:
                    break
    except module.ZstdError as error:
        raise GunzipError(str(error)) from None
    if not complete:
        raise GunzipError("its zstd stream is truncated")


def _damaged(blob: SourceBlob, why: str) -> ContentMismatchError:
    return ContentMismatchError(f"{blob.name} cannot be decompressed: {why}.", fix="Build the image again.")
