"""Temporary files for bytes that pass once, so that they can be read in any order."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pipe.errors import PipeError, SpoolError
from pipe.source.blob import Reader
from pipe.source.files import OpenFile, Part
from pipe.units import format_size

PIECE = 1024 * 1024
"""Bytes that are copied at a time."""
_HOLE = 64 * 1024
_ZEROS = bytes(_HOLE)


class Spool:
    """A copy in an unnamed temporary file, which is gone when its last reader is.

    Attributes:
        size: Bytes.
    """

    def __init__(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        """Copy everything; the name is for messages.

        Raises:
            SpoolError: The disk is full.
        """
        self._path = Path(name)
        self.file = spooled(pieces, lambda folder, error: _full(name, folder, error))
        self.size = os.fstat(self.file.number).st_size

    def open(self) -> Reader:
        """Open the copy at its beginning."""
        return Part(self._path, self.file, 0, self.size)


def spooled(pieces: Iterable[bytes | memoryview], failed: Callable[[str, OSError], PipeError]) -> OpenFile:
    """Write pieces to an unnamed temporary file; `failed` returns the error to raise if a folder cannot take them."""
    try:
        with tempfile.TemporaryFile() as file:
            for piece in pieces:
                _write(file.fileno(), memoryview(piece))
            os.ftruncate(file.fileno(), os.lseek(file.fileno(), 0, os.SEEK_CUR))
            return OpenFile(os.dup(file.fileno()))
    except OSError as error:
        raise failed(folder(), error) from error


def check_space(name: str, size: int) -> None:
    """Make sure that a copy of `size` bytes fits on the disk.

    Raises:
        SpoolError: It does not.
    """
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < size:
        raise SpoolError(
            f"{name} needs {format_size(size)} in {folder()}, which has {format_size(free)} free.", fix=_MORE_SPACE
        )


def folder() -> str:
    """Return the directory of temporary files, for messages."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return "a temporary directory"


def pieces_of(reader: Reader) -> Iterator[memoryview]:
    """Yield all bytes of a reader; each piece is valid until the next is requested."""
    buffer = memoryview(bytearray(PIECE))
    while length := reader.readinto(buffer):
        yield buffer[:length]


_MORE_SPACE = "Set TMPDIR to a directory with more space."


def _full(name: str, folder: str, error: OSError) -> SpoolError:
    return SpoolError(f"{name} cannot be copied to {folder}: {error.strerror or error}.", fix=_MORE_SPACE)


def _write(file: int, piece: memoryview) -> None:
    """Write a piece; zeros stay a hole, which needs neither time nor space."""
    while piece:
        part = piece[:_HOLE]
        if not part[0] and bytes(part) == _ZEROS[: len(part)]:
            os.lseek(file, len(part), os.SEEK_CUR)
            written = len(part)
        else:
            written = os.write(file, part)
        piece = piece[written:]
