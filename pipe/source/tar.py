"""The headers of a tar archive, one after the other; `tarfile` would copy each byte of a stream five times."""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BLOCK = 512
"""Bytes of a header, and of what everything is filled up to; source: POSIX.1, `pax`."""
HEADER_MAXIMUM = 1024 * 1024
"""Bytes of a long name or of extended headers that are still read."""
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class TarError(ValueError):
    """The bytes are no tar archive; the message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an archive.

    Attributes:
        name: As the archive has it.
        size: Bytes of its content, which follow its header.
        is_file: Whether it has content of its own.
        link: What it links to, "" where it is no link.
    """

    name: str
    size: int
    is_file: bool
    link: str = ""


def entries(read: Callable[[int], bytes]) -> Iterator[Entry]:
    """Read the headers of an archive; whoever iterates reads or skips each entry's content, filled up to whole blocks.

    Args:
        read: Returns exactly so many bytes that follow, or fewer at the end.

    Yields:
        Each entry, up to the end of the archive.

    Raises:
        TarError: It is none, or it ends in the middle.
    """
    extended: dict[str, str] = {}
    while True:
        block = read(BLOCK)
        if not any(block):
            if len(block) < BLOCK:
                raise TarError("it ends before its last entry")
            return
        header = _header(block)
        if header.size < 0:
            raise TarError(f"an entry has a size of {header.size} bytes")
        if header.type in (*_EXTENDED, *_LONG, tarfile.XGLTYPE):
            extended |= _extension(header, read)
            continue
        size = extended.get("size", str(header.size))
        if not size.isascii() or not size.isdecimal() or len(size) > len(str(2**63)):
            raise TarError("an entry's size is no number of bytes")
        if "GNU.sparse.major" in extended or header.type == tarfile.GNUTYPE_SPARSE:
            raise TarError("it has sparse entries")
        name = extended.get("path", header.name)
        link = extended.get("linkpath", header.linkname) if header.issym() or header.islnk() else ""
        is_file = header.type in tarfile.REGULAR_TYPES
        yield Entry(name, int(size) if is_file else 0, is_file, link)
        extended = {}


def padding(size: int) -> int:
    """Return the bytes that follow content of `size` bytes up to the next header."""
    return -size % BLOCK


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise TarError(f"it is no tar archive ({error})") from None


def _extension(header: tarfile.TarInfo, read: Callable[[int], bytes]) -> dict[str, str]:
    """Read a long name, or extended headers, of the entry that follows."""
    if header.size > HEADER_MAXIMUM:
        raise TarError("an entry's name is too long")
    data = read(header.size + padding(header.size))[: header.size]
    if header.type == tarfile.XGLTYPE:
        return {}
    if header.type in _LONG:
        key = "path" if header.type == tarfile.GNUTYPE_LONGNAME else "linkpath"
        return {key: data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    found: dict[str, str] = {}
    while data:
        length, space, rest = data.partition(b" ")
        if not space or not length.isdigit() or not len(length) < int(length[:9]) <= len(data):
            raise TarError("an entry's extended header is malformed")
        key_value, data = rest[: int(length) - len(length) - 1], data[int(length) :]
        name, _, value = key_value.rstrip(b"\n").partition(b"=")
        found[name.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
    return found
