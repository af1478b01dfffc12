"""The file or directory that IMAGE_ARCHIVE names, opened and decompressed."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from pipe.errors import ArchiveError
from pipe.source import gunzip
from pipe.source.files import Archive, Files, Folder, OpenFile, Part, archive_error
from pipe.source.spool import folder, spooled

MAGIC_SIZE = 6
"""Bytes that identify a compression."""
BEGINNING = 64
"""Bytes that identify any file."""
_PROGRAMS = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2", b"\x04\x22\x4d\x18": "lz4"}
_OTHERS = {
    (32, b"SIF_MAGIC"): "a Singularity image (SIF)",
    (0, b"hsqs"): "a squashfs file system",
    (0, b"QFI\xfb"): "a disk image (qcow2)",
    (0, b"PK\x03\x04"): "a zip archive",
}
"""What people take for an archive of an image, by bytes at an offset."""
_SKIPPABLE = b"\x2a\x4d\x18"
"""What follows 0x50 to 0x5f in a skippable frame, with which pzstd starts; source: RFC 8878, section 3.1.2."""


def compression(beginning: bytes) -> str:
    """Return the program that compressed a file, from its first bytes; "" for gzip and none."""
    if beginning[1:4] == _SKIPPABLE and beginning[0] >> 4 == 5:  # noqa: PLR2004
        return "zstd"
    return next((program for magic, program in _PROGRAMS.items() if beginning.startswith(magic)), "")


def open_files(path: Path, log: Callable[[str], None]) -> Files:
    """Open an archive or a layout.

    Raises:
        ArchiveError: It cannot be read, or it is neither.
    """
    try:
        if path.name == "-" and not path.exists():
            raise _unseekable(path, "is standard input")
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return Folder(path)
        if not stat.S_ISREG(mode):
            raise _unseekable(path, "is a named pipe" if stat.S_ISFIFO(mode) else "is a device or a socket")
        file = OpenFile(os.open(path, os.O_RDONLY))
        beginning = os.pread(file.number, BEGINNING, 0)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except OSError as error:
        raise archive_error(path, f"it cannot be read ({error.strerror or error})") from error
    if not beginning:
        raise archive_error(path, "it is empty")
    program = compression(beginning)
    if program:
        raise ArchiveError(
            f"{path}: {program} compression is not supported for a whole archive (expected none or gzip).",
            fix=f"Decompress it in the step, before the pipe: {program} -d {path.name}",
        )
    other = next((what for (at, magic), what in _OTHERS.items() if beginning.startswith(magic, at)), "")
    if other:
        raise ArchiveError(
            f"{path} is {other}, which a container registry does not accept as an image.",
            fix="Write the image as an OCI or docker archive, and set IMAGE_ARCHIVE to that file.",
        )
    if not beginning.startswith(gunzip.MAGIC):
        return Archive(path, file)
    return Archive(path, _decompressed(path, file, log), os.fstat(file.number).st_size)


def _unseekable(path: Path, kind: str) -> ArchiveError:
    return ArchiveError(
        f"{path} {kind}, but the pipe reads the entries of an archive in any order.",
        fix="Write the archive to a regular file, and set IMAGE_ARCHIVE to that file.",
    )


def _missing(path: Path) -> ArchiveError:
    try:
        folder = os.getcwd()  # noqa: PTH109
    except OSError:
        folder = "the working directory, which was deleted"
    return ArchiveError(
        f"{path}: no such file or directory{'' if path.is_absolute() else f' in {folder}'}.",
        fix="If an earlier step wrote it, list it in that step's artifacts. Pipelines does not keep artifacts of more"
        " than 1 GB: push a larger image in the step that builds it.",
    )


def _decompressed(path: Path, file: OpenFile, log: Callable[[str], None]) -> OpenFile:
    """Decompress an archive to an unnamed file, since its entries are read in any order."""
    log(f"Decompressing {path} to {folder()}: it is gzipped as a whole.")

    def failed(target: str, error: OSError) -> ArchiveError:
        return ArchiveError(
            f"{path} cannot be decompressed to {target}: {error.strerror or error}.",
            fix="Set TMPDIR to a directory with more space, or decompress the archive in the step, before the pipe.",
        )

    try:
        return spooled(gunzip.decompressed(Part(path, file, 0, os.fstat(file.number).st_size)), failed)
    except gunzip.GunzipError as error:
        raise archive_error(path, f"it is truncated or damaged: {error}") from error
