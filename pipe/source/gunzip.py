"""Gzip files of any number of members, decompressed with bounded work and memory."""

import zlib
from collections.abc import Iterator
from typing import Any

from isal import isal_zlib

from pipe.source.blob import Reader

MAGIC = b"\x1f\x8b"
EXPANSION = 1032
"""The largest ratio of one compression; source: zlib's "Technical Details", "Maximum Compression Factor"."""
READ = 256 * 1024
"""Bytes read at a time."""
OUTPUT = 128 * 1024
"""Bytes that one call returns at most."""
_FIRST = 512
"""Bytes of input that a new member is given first. What follows a member is copied: with much more, a file of
thousands of tiny members would be copied thousands of times."""
_GZIP = isal_zlib.MAX_WBITS | 16


class GunzipError(ValueError):
    """The file cannot be decompressed; the message says why."""


class Gunzip:
    """Decompresses a file that is given in pieces."""

    def __init__(self, allowed: int | None = None) -> None:
        """Prepare; a file must not decompress to more than `allowed` bytes."""
        self._allowed = allowed
        self._member: Any = isal_zlib.decompressobj(_GZIP)
        self._window = _FIRST
        self.size = 0

    @property
    def complete(self) -> bool:
        """Whether the last member has ended."""
        return bool(self._member.eof)

    def feed(self, piece: memoryview) -> Iterator[bytes]:
        """Yield what a piece decompresses to.

        Raises:
            GunzipError: It is not gzip, or larger than allowed.
        """
        position = 0
        while position < len(piece):
            if self._member.eof:
                self._member, self._window = isal_zlib.decompressobj(_GZIP), _FIRST
            window = piece[position : position + self._window]
            for plain in self._decompressed(window):
                self.size += len(plain)
                if self._allowed is not None and self.size > self._allowed:
                    raise GunzipError(f"it decompresses to more than {self._allowed} bytes")
                yield plain
            position += len(window) - (len(self._member.unused_data) if self._member.eof else 0)
            self._window = min(2 * self._window, READ)

    def _decompressed(self, window: memoryview) -> Iterator[bytes]:
        rest: memoryview | bytes = window
        while True:
            try:
                plain = self._member.decompress(rest, OUTPUT)
            except (isal_zlib.IsalError, zlib.error) as error:  # type: ignore[misc] # its stubs call it an object
                raise GunzipError(str(error)) from None
            yield plain
            rest = self._member.unconsumed_tail
            if self._member.eof or (not rest and len(plain) < OUTPUT):
                return


def decompressed(reader: Reader, allowed: int | None = None) -> Iterator[bytes]:
    """Yield what a whole file decompresses to.

    Raises:
        GunzipError: It is not gzip, larger than allowed, or truncated.
    """
    gunzip, buffer = Gunzip(allowed), memoryview(bytearray(READ))
    while length := reader.readinto(buffer):
        yield from gunzip.feed(buffer[:length])
    if not gunzip.complete:
        raise GunzipError("its gzip stream is truncated")
