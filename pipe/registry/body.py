"""Bodies of requests that are sent piece by piece, so that an upload can be watched and ended between."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from pipe.errors import UploadForgottenError

SLICE = 256 * 1024
"""Bytes handed to the connection at once: each has to be taken within the connection's timeout."""


class Watch(Protocol):
    """Who watches an upload: its clock, its progress and its end."""

    def check(self) -> None:
        """Return where the upload is to go on, else raise what ends it."""

    def wait(self, seconds: float) -> None:
        """Wait, unless the upload is to end meanwhile."""

    def sent(self, total: int) -> None:
        """Take note of how many of the blob's bytes went out."""


class Slices:
    """A chunk as a body of known length, in pieces between which the upload may be ended."""

    def __init__(self, chunk: memoryview, watch: Watch, offset: int) -> None:
        self._chunk = chunk
        self._watch = watch
        self._offset = offset

    def __len__(self) -> int:
        """Return the bytes of the chunk, for the header `Content-Length`."""
        return len(self._chunk)

    def __iter__(self) -> Iterator[memoryview]:
        """Give the chunk's bytes, once more with each call."""
        for begin in range(0, len(self._chunk), SLICE):
            self._watch.check()
            yield self._chunk[begin : begin + SLICE]
            self._watch.sent(self._offset + min(begin + SLICE, len(self._chunk)))


class Stream:
    """A blob of unknown length as a body; it can be sent only once."""

    def __init__(self, pieces: Iterable[memoryview], watch: Watch) -> None:
        self._pieces = iter(pieces)
        self._watch = watch
        self._given = False
        self.total = 0

    def __iter__(self) -> Iterator[memoryview]:
        """Give the bytes as they come, once.

        Raises:
            UploadForgottenError: They are wanted once more, as after a token that was refused.
        """
        if self._given:
            raise UploadForgottenError("it refused the token in the middle of an upload.", fix="Run the step again.")
        self._given = True
        for piece in self._pieces:
            yield from Slices(piece, self._watch, self.total)
            self.total += len(piece)
