"""The bytes of a layer, read in pieces or skipped."""

from collections.abc import Callable
from typing import Protocol

from pipe.splitting.header import UnclearError

_BUFFER = 256 * 1024
_SKIP = 1024 * 1024
"""Bytes of the smallest content that is skipped instead of read."""


class TarStream(Protocol):
    """A stream of a layer's uncompressed bytes."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes into the buffer, and return their number; 0 only at the end."""


class Blocks:
    """The bytes of a stream in pieces of any size."""

    def __init__(self, stream: TarStream, reopen: Callable[[int], TarStream] | None, size: int) -> None:
        """Start at the beginning; `reopen` opens the same bytes, `size` of them, at an offset."""
        self.position = 0
        self._stream = stream
        self._reopen = reopen
        self._size = size
        self._buffer = memoryview(bytearray(_BUFFER))
        self._start = self._end = 0

    def read(self, count: int) -> bytes:
        """Return bytes, fewer than requested only at the end."""
        found = bytes(self._buffer[self._start : min(self._end, self._start + count)])
        self._start += len(found)
        while len(found) < count and self._fill():
            piece = self._buffer[: min(self._end, count - len(found))]
            self._start = len(piece)
            found += piece
        self.position += len(found)
        return found

    def skip(self, count: int) -> None:
        """Pass over bytes.

        Raises:
            UnclearError: The stream ends before.
        """
        target = self.position + count
        if self._reopen and count - (self._end - self._start) >= _SKIP:
            if target > self._size:
                raise UnclearError("it is truncated")
            self._stream, self._start, self._end = self._reopen(target), 0, 0
            self.position = target
            return
        while self.position < target:
            if self._start == self._end and not self._fill():
                raise UnclearError("it is truncated")
            step = min(self._end - self._start, target - self.position)
            self._start += step
            self.position += step

    def _fill(self) -> int:
        self._start, self._end = 0, self._stream.readinto(self._buffer)
        return self._end
