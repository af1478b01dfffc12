"""The bytes of a layer's parts, copied from the original."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from pipe.errors import CannotSplitError
from pipe.splitting.blocks import TarStream
from pipe.splitting.header import BLOCK

END = 2 * BLOCK
"""Bytes of zeros that end an archive."""
KEPT_MAXIMUM = 16 * 1024 * 1024
"""Bytes that a `Splitter` keeps for later parts."""
_SCRATCH = 256 * 1024


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
        """Open the part.

        Args:
            open_original: Opens the layer's uncompressed bytes at an offset.

        Raises:
            CannotSplitError: On reading: the original is shorter than before.
        """
        return _PartReader(self, _Reopened(open_original))


class Splitter:
    """The parts of a layer whose bytes come only once.

    Iterate, and read each part to its end before the next one is requested.
    """

    def __init__(self, stream: TarStream, parts: Sequence[LayerPart]) -> None:
        """Store the stream.

        Args:
            stream: The layer's uncompressed bytes, from the first on.
            parts: Those of a sequential `Cut`.
        """
        self._stream = stream
        self._parts = parts

    def __iter__(self) -> Iterator[tuple[LayerPart, TarStream]]:
        """Yield each part and its reader.

        Raises:
            CannotSplitError: On reading: the stream ends early.
        """
        window = _Window(self._stream, _merged(repeated(self._parts)))
        for part in self._parts:
            yield part, _PartReader(part, window)


def repeated(parts: Sequence[LayerPart]) -> Iterator[tuple[int, int]]:
    """Yield the ranges that a single pass has passed by when their turn comes."""
    reached = 0
    for part in parts:
        for begin, stop in part.ranges():
            if begin < reached:
                yield begin, min(stop, reached)
            reached = max(reached, stop)


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges in ascending order, without overlaps."""
    merged: list[tuple[int, int]] = []
    for begin, stop in sorted(ranges):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((begin, stop))
    return merged


class _Original(Protocol):
    """The original's bytes by position."""

    def read(self, position: int, buffer: memoryview) -> int:
        """Read bytes at a position; return their number, at least 1."""


class _Reopened:
    """Opens the original anew for each range."""

    def __init__(self, open_original: Callable[[int], TarStream]) -> None:
        self._open = open_original
        self._stream: TarStream | None = None
        self._position = 0

    def read(self, position: int, buffer: memoryview) -> int:
        """Read bytes at a position."""
        if self._stream is None or position != self._position:
            self._stream, self._position = self._open(position), position
        length = _some(self._stream, buffer)
        self._position += length
        return length


class _Window:
    """Passes over the original once, and keeps what later parts need."""

    def __init__(self, stream: TarStream, ranges: list[tuple[int, int]]) -> None:
        self._stream = stream
        self._position = 0
        self._ranges = ranges
        self._kept = [bytearray() for _ in ranges]
        self._next = 0
        self._scratch = memoryview(bytearray(_SCRATCH))

    def read(self, position: int, buffer: memoryview) -> int:
        """Read bytes at a position."""
        if position < self._position:
            return self._again(position, buffer)
        while self._position < position:
            self._advance(self._scratch[: position - self._position])
        return self._advance(buffer)

    def _again(self, position: int, buffer: memoryview) -> int:
        number = bisect_right(self._ranges, position, key=lambda each: each[0]) - 1
        begin = position - self._ranges[number][0]
        data = self._kept[number][begin : begin + len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    def _advance(self, buffer: memoryview) -> int:
        length = _some(self._stream, buffer)
        start, self._position = self._position, self._position + length
        while self._next < len(self._ranges) and self._ranges[self._next][0] < self._position:
            begin, end = self._ranges[self._next]
            self._kept[self._next] += buffer[max(begin - start, 0) : min(end, self._position) - start]
            if end > self._position:
                break
            self._next += 1
        return length


class _PartReader:
    """Reads one part."""

    def __init__(self, part: LayerPart, original: _Original) -> None:
        self._original = original
        self._ranges = part.ranges()
        self._position = self._stop = 0
        self._end = END

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes into the buffer."""
        if self._position == self._stop:
            self._position, self._stop = next(self._ranges, (0, 0))
        if self._position < self._stop:
            length = self._original.read(self._position, buffer[: self._stop - self._position])
            self._position += length
            return length
        length = min(self._end, len(buffer))
        buffer[:length] = bytes(length)
        self._end -= length
        return length


def _some(stream: TarStream, buffer: memoryview) -> int:
    length = stream.readinto(buffer)
    if not length:
        raise CannotSplitError("the layer ends before its last entry, although it was longer when it was examined")
    return length
