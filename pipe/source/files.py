"""Files of an archive or a layout, found by their names and read in place, by several threads at once."""

import os
import tempfile
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from isal import igzip

from pipe.errors import ArchiveError
from pipe.source.blob import Reader
from pipe.source.tar import TarError, entries, padding

ENTRIES = 100_000
"""Entries of an archive that are still looked at; an image has a few for each layer."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_COPY = 1024 * 1024


class Files(Protocol):
    """Files by their names."""

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None where there is none of that name."""

    def open(self, name: str) -> Reader:
        """Open a file."""


class Part:
    """A part of a file, from its beginning to its end."""

    def __init__(self, path: Path, file: "_File", start: int, size: int) -> None:
        """Read from the beginning on.

        Args:
            path: For messages.
            file: The open file, which may be shared: its position is not used.
            start: Where the part begins.
            size: Its bytes.
        """
        self._path = path
        self._file = file
        self._position = start
        self._left = size

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as there are bytes."""
        length = os.preadv(self._file.number, [buffer[: self._left]], self._position) if self._left else 0
        if self._left and not length:
            raise ArchiveError(f"{self._path} ends before its last entry: it is not complete.", fix=AGAIN)
        self._position += length
        self._left -= length
        return length


class _File:
    """An open file, closed when nobody reads it any more."""

    def __init__(self, number: int) -> None:
        self.number = number
        weakref.finalize(self, os.close, number)


class Folder:
    """The files of a directory."""

    def __init__(self, path: Path) -> None:
        """Look at nothing yet."""
        self._path = path

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None where there is none of that name."""
        path = self._path / name
        return path.stat().st_size if path.is_file() else None

    def open(self, name: str) -> Reader:
        """Open a file."""
        path = self._path / name
        try:
            file = _File(os.open(path, os.O_RDONLY))
        except OSError as error:
            raise ArchiveError(f"{path} cannot be read: {error.strerror}.", fix=AGAIN) from error
        return Part(path, file, 0, os.fstat(file.number).st_size)


class Archive:
    """The files of a tar archive."""

    def __init__(self, path: Path, file: _File) -> None:
        """Find every entry.

        Args:
            path: For messages.
            file: The archive, plain; stays open.

        Raises:
            ArchiveError: It is no tar archive, or not complete.
        """
        self._path = path
        self._file = file
        self._parts: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        self._length = os.fstat(file.number).st_size
        try:
            self._index()
        except TarError as error:
            raise ArchiveError(f"{path}: {error}.", fix=AGAIN) from error

    def _index(self) -> None:
        position = 0

        def read(size: int) -> bytes:
            nonlocal position
            data = os.pread(self._file.number, size, position)
            position += len(data)
            return data

        for number, entry in enumerate(entries(read)):
            if number >= ENTRIES:
                raise TarError(f"it has more than {ENTRIES} entries")
            name = _inside(entry.name)
            if entry.is_file:
                if name in self._parts:
                    raise TarError(f"it has two entries named {name}")
                self._parts[name] = (position, entry.size)
                position += entry.size + padding(entry.size)
                if position > self._length:
                    raise TarError(f"it ends in the middle of {name}: it is not complete")
            elif entry.link:
                # `docker save` writes them relative to the entry's folder.
                target = os.path.normpath(os.path.join(os.path.dirname(name), entry.link))  # noqa: PTH118, PTH120
                self._links[name] = _inside(target)

    def _part(self, name: str) -> tuple[int, int] | None:
        for _ in range(len(self._links) + 1):
            if name in self._parts:
                return self._parts[name]
            if name not in self._links:
                return None
            name = self._links[name]
        raise ArchiveError(f"{self._path}: its links go in circles.", fix=AGAIN)

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None where there is none of that name."""
        part = self._part(name)
        return part[1] if part else None

    def open(self, name: str) -> Reader:
        """Open a file."""
        part = self._part(name)
        if part is None:
            raise ArchiveError(f"{self._path} has no entry {name}.", fix=AGAIN)
        return Part(self._path, self._file, *part)


AGAIN = "Make it again, or name another file in IMAGE_ARCHIVE."


def open_files(path: Path, tell: Callable[[str], None]) -> Files:
    """Open an archive or a layout.

    Args:
        path: A tar archive, which may be gzipped as a whole, or a directory.
        tell: Is told what takes a while.

    Returns:
        Its files.

    Raises:
        ArchiveError: It cannot be read, or is neither.
    """
    try:
        if path.is_dir():
            return Folder(path)
        file = _File(os.open(path, os.O_RDONLY))
        beginning = os.pread(file.number, 4, 0)
        if not beginning:
            raise ArchiveError(f"{path} is empty.", fix=AGAIN)
        if beginning.startswith(_ZSTD):
            raise ArchiveError(f"{path} is compressed with zstd.", fix=f"Unpack it first: zstd -d {path.name}")
        if beginning.startswith(_GZIP):
            file = _unpacked(path, tell)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror or error}.", fix=AGAIN) from error
    return Archive(path, file)


def _unpacked(path: Path, tell: Callable[[str], None]) -> _File:
    """Unpack a gzipped archive into a file that nobody else sees, since its entries are read in any order."""
    tell(f"Unpacking {path} to {tempfile.gettempdir()}, since it is gzipped as a whole.")
    try:
        with (
            tempfile.TemporaryFile(buffering=0) as spool,
            igzip.IGzipFile(path, "rb") as packed,  # type: ignore[no-untyped-call]
        ):
            while piece := packed.read(_COPY):
                spool.write(piece)
            return _File(os.dup(spool.fileno()))
    except (EOFError, zlib.error, igzip.BadGzipFile, ValueError) as error:
        raise ArchiveError(f"{path} is not complete, or damaged: {error}.", fix=AGAIN) from error
    except OSError as error:
        raise ArchiveError(
            f"{path} cannot be unpacked to {tempfile.gettempdir()}: {error.strerror or error}.",
            fix="Set TMPDIR to a folder with room for the unpacked archive, or unpack it before.",
        ) from error


def _inside(name: str) -> str:
    """Return an entry's name without its `./`, and refuse one that leads out of the archive."""
    plain = os.path.normpath(name)
    if name.startswith("/") or plain.startswith(".."):
        raise TarError(f"the entry {name} leads out of it")
    return plain
