"""Bodies of uploads, sent in slices between which the upload can be watched and cancelled."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from pipe.errors import PipeError, UploadLostError

SLICE = 256 * 1024
"""Bytes that are sent between two checks."""


class UploadWatch(Protocol):
    """Watches the upload of one blob: its clock, its progress and its end."""

    def check(self) -> None:
        """Raise what ends the upload: it was cancelled, exceeds a limit, or is too slow."""

    def wait(self, seconds: float, cause: PipeError) -> None:
        """Wait before a retry; raise `cause` at once if the wait does not fit in the time that remains."""

    def remaining(self) -> float:
        """Return the seconds that remain for this blob; no request lasts longer."""

    def began(self, at: float) -> None:
        """Receive the time of the client's clock at which an upload was opened; once more for each new upload."""

    def sent(self, total: int) -> None:
        """Receive the number of the blob's bytes that were sent so far; it falls if bytes are sent again."""


class ChunkBody:
    """A chunk as a body with `Content-Length`; it can be sent several times."""

    def __init__(self, chunk: memoryview, watch: UploadWatch, offset: int) -> None:
        self._chunk = chunk
        self._watch = watch
        self._offset = offset

    def __len__(self) -> int:
        """Return the size of the chunk."""
        return len(self._chunk)

    def __iter__(self) -> Iterator[memoryview]:
        """Yield the slices of the chunk."""
        for begin in range(0, len(self._chunk), SLICE):
            self._watch.check()
            yield self._chunk[begin : begin + SLICE]
            self._watch.sent(self._offset + min(begin + SLICE, len(self._chunk)))


class StreamBody:
    """A blob as a body of unknown length; it can be sent only once."""

    def __init__(self, chunks: Iterable[memoryview], watch: UploadWatch) -> None:
        self._chunks = iter(chunks)
        self._watch = watch
        self._started = False
        self.total = 0

    def __iter__(self) -> Iterator[memoryview]:
        """Yield the slices of the blob.

        Raises:
            UploadLostError: The blob was sent before, and the token was rejected then.
        """
        if self._started:
            raise UploadLostError("the token was rejected during an upload.", fix="Run the step again.")
        self._started = True
        for chunk in self._chunks:
            yield from ChunkBody(chunk, self._watch, self.total)
            self.total += len(chunk)


def joined(chunks: Iterable[memoryview], size: int) -> Iterator[memoryview]:
    """Yield the same bytes in chunks of `size`, the last one smaller; each is valid until the next is requested."""
    buffer, filled = bytearray(size), 0
    for chunk in chunks:
        taken = 0
        while taken < len(chunk):
            part = chunk[taken : taken + size - filled]
            buffer[filled : filled + len(part)] = part
            taken, filled = taken + len(part), filled + len(part)
            if filled == size:
                yield memoryview(buffer)
                filled = 0
    if filled:
        yield memoryview(buffer)[:filled]
