"""Files of an archive or a layout, found by their names and read in place, by several threads at once."""

import os
import posixpath
import stat
import tempfile
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from isal import igzip, isal_zlib

from pipe.errors import ArchiveError
from pipe.source.blob import Reader
from pipe.source.tar import TarError, entries, padding
from pipe.text import clean

ENTRIES = 100_000
"""Entries of an archive that are still looked at; an image has a few for each layer."""
LINKS = 40
"""Links from one to the next that are followed, as many as Linux follows; more are a circle, or malice."""
GZIP = b"\x1f\x8b"
PACKED = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2"}
"""How files begin that are compressed otherwise, and the programs that unpack them (`-d`)."""
_COPY = 1024 * 1024
_SHOWN = 500
"""Characters that are shown; a name may have a million."""


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
            raise archive_error(self._path, "it ends before its last entry: it is not complete")
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
        try:
            status = os.stat(self._path / _named(self._path, name))  # noqa: PTH116
        except (OSError, ValueError):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def open(self, name: str) -> Reader:
        """Open a file."""
        path = self._path / _named(self._path, name)
        try:
            file = _File(os.open(path, os.O_RDONLY))
        except OSError as error:
            raise archive_error(path, f"it cannot be read ({error.strerror})") from error
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
            raise archive_error(path, str(error)) from error

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
            if (entry.link or entry.is_file) and (name in self._parts or name in self._links):
                raise TarError(f"it has two entries named {name}")
            if entry.link:
                self._links[name] = _inside(entry.link)
            elif entry.is_file:
                self._parts[name] = (position, entry.size)
            position += entry.size + padding(entry.size)
            if position > self._length:
                raise TarError(f"it ends in the middle of {name}: it is not complete")

    def _part(self, name: str) -> tuple[int, int] | None:
        name = _named(self._path, name)
        for _ in range(LINKS):
            if name in self._parts:
                return self._parts[name]
            if name not in self._links:
                return None
            name = self._links[name]
        raise archive_error(self._path, "its links go in circles")

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None where there is none of that name."""
        part = self._part(name)
        return part[1] if part else None

    def open(self, name: str) -> Reader:
        """Open a file."""
        part = self._part(name)
        if part is None:
            raise archive_error(self._path, f"it has no {name}")
        return Part(self._path, self._file, *part)


AGAIN = "Make it again, or name another file in IMAGE_ARCHIVE."


def located(path: Path, clone_directory: Path | None) -> Path:
    """Find an archive by a relative path: in the working directory, or else in the clone directory.

    Args:
        path: As the user wrote it.
        clone_directory: Where a step begins; the working directory is another one after a `cd`.

    Returns:
        The path of what exists; the user's own where nothing does.
    """
    if clone_directory is None or path.exists():
        return path
    in_clone = clone_directory / path
    return in_clone if in_clone.exists() else path


def shown(text: str) -> str:
    """Return text with names out of an archive, which may hold anything, as one line for the log."""
    return clean(" ".join(text.split()), width=_SHOWN)


def archive_error(path: Path, problem: str) -> ArchiveError:
    """Make the error for a damaged archive."""
    return ArchiveError(f"{path}: {shown(problem)}.", fix=AGAIN)


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
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return Folder(path)
        if not stat.S_ISREG(mode):
            raise archive_error(path, "it is neither a file nor a directory")
        file = _File(os.open(path, os.O_RDONLY))
        beginning = os.pread(file.number, max(map(len, PACKED)), 0)
    except FileNotFoundError as error:
        folder = "" if path.is_absolute() else f" in {_working_directory()}"
        raise ArchiveError(
            f"{path}: there is no such file or directory{folder}.",
            fix="In a pipeline, the path is relative to the clone directory, and what an earlier step made has to be"
            " one of that step's artifacts.",
        ) from error
    except OSError as error:
        raise archive_error(path, f"it cannot be read ({error.strerror or error})") from error
    if not beginning:
        raise archive_error(path, "it is empty")
    for magic, program in PACKED.items():
        if beginning.startswith(magic):
            raise ArchiveError(
                f"{path}: it is compressed with {program}, which the pipe does not read.",
                fix=f"Unpack it in the step, before the pipe: {program} -d {path.name}",
            )
    return Archive(path, _unpacked(path, tell) if beginning.startswith(GZIP) else file)


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:
        return "the working directory, which does not exist any more"


_DAMAGED = (EOFError, zlib.error, isal_zlib.IsalError, igzip.BadGzipFile, ValueError)


def _unpacked(path: Path, tell: Callable[[str], None]) -> _File:
    """Unpack a gzipped archive into a file that nobody else sees, since its entries are read in any order."""
    folder = "a temporary directory"
    try:
        folder = tempfile.gettempdir()
        tell(f"Unpacking {path} to {folder}: it is gzipped as a whole.")
        with (
            tempfile.TemporaryFile() as spool,
            igzip.IGzipFile(path, "rb") as packed,  # type: ignore[no-untyped-call]
        ):
            while piece := packed.read(_COPY):
                spool.write(piece)
            spool.flush()
            return _File(os.dup(spool.fileno()))
    except _DAMAGED as error:  # type: ignore[misc] # isal says that its error is an object
        raise archive_error(path, f"it is not complete, or damaged: {error}") from error
    except OSError as error:
        raise ArchiveError(
            f"{path} cannot be unpacked to {folder}: {error.strerror or error}.",
            fix="Set TMPDIR to a directory with more room, or unpack the archive in the step, before the pipe.",
        ) from error


def _named(path: Path, name: str) -> str:
    """Return the name of what a document names, and refuse one outside."""
    try:
        return _inside(name)
    except TarError as error:
        raise archive_error(path, str(error)) from None


def _inside(name: str) -> str:
    """Return an entry's name without its `./`, and refuse one that leads out of the archive."""
    plain = posixpath.normpath(name)
    if plain.startswith("/") or plain.split("/", 1)[0] == "..":
        raise TarError(f"the entry {name} leads out of it")
    return plain
