"""Files of an archive or a directory, found by name and read in place by several threads."""

import os
import posixpath
import stat
import weakref
from pathlib import Path
from typing import Protocol

from pipe.errors import ArchiveError
from pipe.source.blob import Reader
from pipe.source.tar import TarError, entries, padding
from pipe.text import clean

ENTRIES = 100_000
"""Entries of the largest archive that is read; an image has a few for each layer."""
LINKS = 40
"""Links that are followed from one to the next, as many as Linux follows."""
_SHOWN = 500
"""Characters of a name that are shown."""


class Files(Protocol):
    """Files by name.

    Attributes:
        compressed_size: Bytes of an archive that is gzipped as a whole.
    """

    compressed_size: int | None

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None if it does not exist."""

    def open(self, name: str) -> Reader:
        """Open a file."""


class OpenFile:
    """An open file, closed when its last reader is gone."""

    def __init__(self, number: int) -> None:
        self.number = number
        weakref.finalize(self, os.close, number)


class Part:
    """A reader of one part of a file."""

    def __init__(self, path: Path, file: OpenFile, start: int, size: int) -> None:
        """Start at the beginning; the position of a shared file is not used."""
        self._path = path
        self._file = file
        self._position = start
        self._left = size

    @property
    def modified(self) -> int:
        """When the file was last modified, in nanoseconds."""
        return os.fstat(self._file.number).st_mtime_ns

    def skip(self, length: int) -> None:
        """Go on `length` bytes further."""
        length = min(length, self._left)
        self._position += length
        self._left -= length

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as possible; return 0 at the end."""
        try:
            length = os.preadv(self._file.number, [buffer[: self._left]], self._position) if self._left else 0
        except OSError as error:
            raise archive_error(self._path, f"it cannot be read ({error.strerror})") from error
        if self._left and not length:
            raise archive_error(self._path, "it is truncated")
        self._position += length
        self._left -= length
        return length


class Folder:
    """The files of a directory."""

    def __init__(self, path: Path) -> None:
        self.compressed_size: int | None = None
        self._path = path

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None if it does not exist."""
        try:
            status = os.stat(self._path / inside(self._path, name))  # noqa: PTH116
        except (OSError, ValueError):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def open(self, name: str) -> Reader:
        """Open a file."""
        path = self._path / inside(self._path, name)
        try:
            file = OpenFile(os.open(path, os.O_RDONLY))
        except OSError as error:
            raise archive_error(path, f"it cannot be read ({error.strerror})") from error
        return Part(path, file, 0, os.fstat(file.number).st_size)


class Archive:
    """The files of a tar archive; of equal names, the last entry counts."""

    def __init__(self, path: Path, file: OpenFile, compressed_size: int | None = None) -> None:
        """Read every header.

        Raises:
            ArchiveError: It is not a tar archive, or it is truncated.
        """
        self.compressed_size = compressed_size
        self._path = path
        self._file = file
        self._parts: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        self._sparse: set[str] = set()
        try:
            self._index(os.fstat(file.number).st_size)
        except TarError as error:
            raise archive_error(path, str(error)) from error
        except OSError as error:
            raise archive_error(path, f"it cannot be read ({error.strerror})") from error

    def _index(self, length: int) -> None:
        position = 0

        def read(size: int) -> bytes:
            nonlocal position
            data = os.pread(self._file.number, size, position)
            position += len(data)
            return data

        for number, entry in enumerate(entries(read, marked_end=False)):
            if number >= ENTRIES:
                raise TarError(f"it has more than {ENTRIES} entries; if `docker export` wrote it, use `docker save`")
            name = posixpath.normpath(entry.name)
            if entry.link or entry.is_file or entry.sparse:
                self._forget(name)
            if entry.link:
                self._links[name] = entry.link
            elif entry.is_file:
                self._parts[name] = (position, entry.size)
            elif entry.sparse:
                self._sparse.add(name)
            position += entry.size + padding(entry.size)
            if position > length:
                raise TarError(f"it is truncated: it ends in the middle of {name}")

    def _forget(self, name: str) -> None:
        self._parts.pop(name, None)
        self._links.pop(name, None)
        self._sparse.discard(name)

    def _part(self, name: str) -> tuple[int, int] | None:
        name = inside(self._path, name)
        for _ in range(LINKS):
            if name in self._sparse:
                raise archive_error(self._path, f"the entry {name} is sparse, which is not supported")
            if name not in self._links:
                return self._parts.get(name)
            name = inside(self._path, self._links[name])
        raise archive_error(self._path, f"the links that start at {name} form a loop")

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None if it does not exist."""
        part = self._part(name)
        return part[1] if part else None

    def open(self, name: str) -> Reader:
        """Open a file."""
        part = self._part(name)
        if part is None:
            raise archive_error(self._path, f"it has no {name}")
        return Part(self._path, self._file, *part)


def inside(path: Path, name: str) -> str:
    """Return a name in its shortest form.

    Raises:
        ArchiveError: It points outside the archive.
    """
    plain = posixpath.normpath(name)
    if plain.startswith("/") or plain.split("/", 1)[0] == "..":
        raise archive_error(path, f"the path {name} escapes the archive")
    return plain


def shown(words: str) -> str:
    """Return text with foreign names as one line for the log."""
    return clean(" ".join(words.split()), width=_SHOWN)


def archive_error(path: Path, problem: str, fix: str = "") -> ArchiveError:
    """Return the error for an archive that cannot be used."""
    return ArchiveError(f"{path}: {shown(problem)}.", fix=fix or "Re-create it, or set IMAGE_ARCHIVE to another file.")
