"""The headers of a tar archive, one after the other; `tarfile` would copy each byte of a stream five times."""

import posixpath
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BLOCK = 512
"""Bytes of a header, and of what everything is filled up to; source: POSIX.1, `pax`."""
HEADER_MAXIMUM = 1024 * 1024
"""Bytes of a long name or of extended headers that are still read."""
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_LENGTH_DIGITS = len(str(HEADER_MAXIMUM))
_SPARSE = "GNU.sparse."


class TarError(ValueError):
    """The bytes are no tar archive; the message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an archive.

    Attributes:
        name: As the archive has it.
        size: Bytes of its content, which follow its header.
        is_file: Whether it is a file with content of its own.
        link: The name of the entry that it links to, "" where it is no link.
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
            raise TarError("an entry's size is not a number")
        if _SPARSE in extended or header.type == tarfile.GNUTYPE_SPARSE:
            raise TarError("it has sparse entries")
        name = extended.get("path", header.name)
        # A type that nobody knows is to be read as a file; source: POSIX.1, `pax`, "typeflag".
        has_content = header.type in tarfile.REGULAR_TYPES or header.type not in tarfile.SUPPORTED_TYPES
        is_file = header.type in tarfile.REGULAR_TYPES
        yield Entry(name, int(size) if has_content else 0, is_file, _target(header, name, extended))
        extended = {}


def padding(size: int) -> int:
    """Return the bytes that follow content of `size` bytes up to the next header."""
    return -size % BLOCK


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise TarError(f"it is not a tar archive ({error})") from None


def _extension(header: tarfile.TarInfo, read: Callable[[int], bytes]) -> dict[str, str]:
    """Read a long name, or extended headers, of the entry that follows."""
    if header.size > HEADER_MAXIMUM:
        raise TarError("an entry's extended header is too large")
    data = read(header.size + padding(header.size))[: header.size]
    if header.type == tarfile.XGLTYPE:
        return {}
    if header.type in _LONG:
        key = "path" if header.type == tarfile.GNUTYPE_LONGNAME else "linkpath"
        return {key: data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    return _records(data)


def _records(data: bytes) -> dict[str, str]:
    """Read the records of an extended header that matter here; an enemy's header has a million others."""
    found: dict[str, str] = {}
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + _LENGTH_DIGITS + 1)
        digits = data[position:space] if space > 0 else b""
        end = position + int(digits) if digits.isdigit() else 0
        if not position < space < end <= len(data):
            raise TarError("an entry's extended header is malformed")
        equals = data.find(b"=", space, end)
        key = data[space + 1 : equals].decode("utf-8", "replace")
        if key in {"path", "linkpath", "size"}:
            found[key] = data[equals + 1 : end].rstrip(b"\n").decode("utf-8", "surrogateescape")
        elif key.startswith(_SPARSE):
            found[_SPARSE] = ""
        position = end
    return found


def _target(header: tarfile.TarInfo, name: str, extended: dict[str, str]) -> str:
    """Return the name of the entry that another links to: only a symbolic link is relative to its folder."""
    link = extended.get("linkpath", header.linkname)
    if header.issym():
        # `docker save` writes `../<id>/layer.tar`.
        return posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
    return link if header.islnk() else ""
