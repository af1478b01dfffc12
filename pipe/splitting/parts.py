"""The bytes of a layer's parts, copied from the original."""

from collections.abc import Callable, Iterator, Sequence

from pipe.errors import CannotSplitError
from pipe.splitting.blocks import TarStream
from pipe.splitting.header import BLOCK

END = 2 * BLOCK
"""Bytes of zeros that end an archive."""


class LayerPart:
    """One part of a layer: records of the original, and the end of an archive.

    Attributes:
        number: 1 for the first part, which is applied first.
        count: The number of parts.
        size: Bytes, the end included.
    """

    def __init__(self, number: int, count: int, bounds: Sequence[int]) -> None:
        """Initialize the part; `bounds` has the begin and the end of each range."""
        self.number = number
        self.count = count
        self._bounds = bounds
        self.size = sum(bounds[1::2]) - sum(bounds[::2]) + END

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the begin and the end of each range of the original."""
        return zip(self._bounds[::2], self._bounds[1::2], strict=True)

    def read(self, open_original: Callable[[int], TarStream]) -> TarStream:
        """Open the part; `open_original` opens the layer's uncompressed bytes at an offset.

        Raises:
            CannotSplitError: On reading: the original is shorter than before.
        """
        return _PartReader(self.ranges(), open_original)


class _PartReader:
    """Reads one part."""

    def __init__(self, ranges: Iterator[tuple[int, int]], open_original: Callable[[int], TarStream]) -> None:
        self._ranges = ranges
        self._open = open_original
        self._stream: TarStream | None = None
        self._left = 0
        self._end = END

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes into the buffer."""
        if not self._left:
            begin, end = next(self._ranges, (0, 0))
            self._left = end - begin
            self._stream = self._open(begin) if self._left else None
        if self._stream is None:
            length = min(self._end, len(buffer))
            buffer[:length] = bytes(length)
            self._end -= length
            return length
        length = self._stream.readinto(buffer[: self._left])
        if not length:
            raise CannotSplitError("the layer ends before its last entry, although it was longer when it was examined.")
        self._left -= length
        return length
