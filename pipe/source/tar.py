"""The headers of a tar archive, in order; `tarfile` would copy each byte of a stream five times."""

import posixpath
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BLOCK = 512
"""Bytes of a header, and the unit that contents are padded to; source: POSIX.1, `pax`."""
HEADER_MAXIMUM = 1024 * 1024
"""Bytes of the largest long name or extended header that is read."""
HEADERS_MAXIMUM = 4 * 1024 * 1024
"""Bytes of all these; an archive of an image has hundreds of entries at most, with a hundred bytes or so each."""
_LEAST = 32
"""Bytes that each of these counts at least."""
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_LENGTH_DIGITS = len(str(HEADER_MAXIMUM))
_SPARSE, _SPARSE_NAME = "GNU.sparse.", "GNU.sparse.name"
_SPARSE_FLAGS = 482, 504
"""Offsets of the byte that announces one more block of a sparse header, in the header and in such a block."""


class TarError(ValueError):
    """The bytes are not a tar archive; the message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an archive.

    Attributes:
        size: Bytes of content that follow the header.
        is_file: Whether these are a file's content.
        link: The target of a link, else "".
        sparse: Whether it is a file without its holes.
    """

    name: str
    size: int
    is_file: bool
    link: str = ""
    sparse: bool = False


def entries(read: Callable[[int], bytes], *, marked_end: bool = True) -> Iterator[Entry]:
    """Yield the entries; the caller must read or skip each content and its padding.

    Args:
        read: Returns the given number of bytes, or fewer at the end.
        marked_end: Whether the blocks of zeros at the end are required.

    Raises:
        TarError: It is not a tar archive, or it is truncated.
    """
    extended: dict[str, str] = {}
    allowed = HEADERS_MAXIMUM
    while True:
        block = read(BLOCK)
        if not any(block):
            if len(block) < BLOCK and (marked_end or block or extended):
                raise TarError("it is truncated: the end of the archive is missing")
            return
        header = _header(block)
        if header.size < 0:
            raise TarError(f"an entry has a size of {header.size} bytes")
        if header.type in (*_EXTENDED, *_LONG, tarfile.XGLTYPE):
            allowed -= max(header.size, _LEAST)
            if header.size > HEADER_MAXIMUM or allowed < 0:
                raise TarError("its extended headers are too large")
            extended |= _extension(header, read)
            continue
        yield _entry(
            header, extended, read if header.type == tarfile.GNUTYPE_SPARSE and block[_SPARSE_FLAGS[0]] else None
        )
        extended = {}


def padding(size: int) -> int:
    """Return the bytes between content of `size` bytes and the next header."""
    return -size % BLOCK


def _entry(header: tarfile.TarInfo, extended: dict[str, str], more: Callable[[int], bytes] | None) -> Entry:
    while more is not None:
        block = more(BLOCK)
        if len(block) < BLOCK:
            raise TarError("it is truncated: the end of a sparse entry's header is missing")
        more = more if block[_SPARSE_FLAGS[1]] else None
    size = extended.get("size", str(header.size))
    if not size.isascii() or not size.isdecimal() or len(size) > len(str(2**63)):
        raise TarError("an entry's size is not a number")
    sparse = _SPARSE in extended or header.type == tarfile.GNUTYPE_SPARSE
    name = extended.get(_SPARSE_NAME) or extended.get("path", header.name)
    # Unknown types have the content of a file; source: POSIX.1, `pax`, "typeflag".
    has_content = header.type in tarfile.REGULAR_TYPES or header.type not in tarfile.SUPPORTED_TYPES
    is_file = header.type in tarfile.REGULAR_TYPES and not sparse
    link = _target(header, name, extended)
    return Entry(name, int(size) if has_content or sparse else 0, is_file, link, sparse)


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise TarError(f"it is not a tar archive ({error})") from None


def _extension(header: tarfile.TarInfo, read: Callable[[int], bytes]) -> dict[str, str]:
    """Read a long name or an extended header."""
    data = read(header.size + padding(header.size))[: header.size]
    if header.type == tarfile.XGLTYPE:
        return {}
    if header.type in _LONG:
        key = "path" if header.type == tarfile.GNUTYPE_LONGNAME else "linkpath"
        return {key: data.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
    return records(data)


def records(data: bytes) -> dict[str, str]:
    """Return the relevant ones of up to a million records."""
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
        if key in {"path", "linkpath", "size", _SPARSE_NAME}:
            found[key] = data[equals + 1 : end].rstrip(b"\n").decode("utf-8", "surrogateescape")
        if key.startswith(_SPARSE):
            found[_SPARSE] = ""
        position = end
    return found


def _target(header: tarfile.TarInfo, name: str, extended: dict[str, str]) -> str:
    """Return a link's target; only symbolic ones are relative."""
    link = extended.get("linkpath", header.linkname)
    if header.issym():
        # `docker save` writes `../<id>/layer.tar`.
        return posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
    return link if header.islnk() else ""
