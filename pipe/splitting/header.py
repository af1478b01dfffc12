"""One header of a tar archive, read as Go's `archive/tar` reads it, since every engine does.

Sources: POSIX.1, `pax`; GNU tar's manual, "Tar Internals"; golang/go, `archive/tar/reader.go` and `strconv.go`. If two
of the common readers understand a header differently, it is rejected: the layer then stays whole.
"""

import stat
from dataclasses import dataclass

BLOCK = 512
"""Bytes of a header, and the unit that contents are padded to."""
EXTENSION_MAXIMUM = 1024 * 1024
"""Bytes of the largest extended header or long name; Go reads no larger ones (`maxSpecialFileSize`)."""
SIZE_MAXIMUM = 2**62
"""Bytes of the largest content, so that no sum of two overflows."""
FILE, HARD_LINK, SYMLINK, DIRECTORY, SPARSE = b"0", b"1", b"2", b"5", b"S"
EXTENDED, GLOBAL, LONG_NAME, LONG_LINK = b"x", b"g", b"L", b"K"
OLD_FILE, CONTIGUOUS = b"\0", b"7"
DEVICES = (b"3", b"4", b"6")
_EMPTY = bytes(BLOCK)
_USTAR, _GNU, _STAR = b"ustar\0", b"ustar  \0", b"tar\0"
_SPARSE_FLAG, _MORE_FLAG = 482, 504
_SPARSE_KEYS = b"GNU.sparse."
_SPARSE_VERSIONS = {(b"0", b"0"), (b"0", b"1"), (b"1", b"0")}
_OVERLAY = (b"SCHILY.xattr.trusted.overlay.", b"SCHILY.xattr.user.overlay.")
_DEFAULT_LISTS = b"posix_acl_default", b"acl.default"
_DIRECTORIES = DIRECTORY, OLD_FILE
_RENAMING = {b"path", b"linkpath", b"size", b"hdrcharset"}
_LENGTH_DIGITS = 7
_SIZE_DIGITS = 19


class UnclearError(ValueError):
    """Bytes are not a tar archive, or engines read them in different ways; the message says why."""


@dataclass(slots=True)
class Header:
    """The fields of a header that decide where its record ends and what it names.

    Attributes:
        type: The type flag.
        name: The name, with the prefix.
        link: The target of a link.
        size: Bytes that follow, without padding; Go ignores the field of a hard link.
        inherited: Whether what is created in this directory gets its group.
        more: Whether another block of an old GNU sparse header follows.
    """

    type: bytes
    name: bytes
    link: bytes
    size: int
    inherited: bool
    more: bool


@dataclass(slots=True)
class Extensions:
    """What extended headers say about the next entry; None if they do not.

    Attributes:
        inherited: Whether what is created in this directory gets an access control list.
    """

    name: bytes | None = None
    link: bytes | None = None
    size: int | None = None
    long_name: bytes | None = None
    long_link: bytes | None = None
    sparse: bool = False
    inherited: bool = False
    extended: bool = False


def is_end(block: bytes) -> bool:
    """Return whether a block is one of the zeros that end an archive."""
    return block == _EMPTY


def parse(block: bytes) -> Header:
    """Parse a header.

    Raises:
        UnclearError: It is none, or its meaning is unclear.
    """
    _check_sum(block)
    kind, magic = block[156:157], block[257:265]
    name, link = _text(block[:100]), _text(block[157:257])
    if magic[:6] == _USTAR:
        prefix = _text(block[345:476] if block[508:] == _STAR else block[345:500])
        name = prefix + b"/" + name if prefix else name
    elif magic == _GNU:
        # An old version of Go's writer stored a prefix here, which only Go reads.
        for field in (block[345:357], block[357:369]):
            _number(field, "time")
    size = _number(block[124:136], "size")
    if not 0 <= size <= SIZE_MAXIMUM:
        raise UnclearError(f"an entry has a size of {size} bytes")
    if kind == SPARSE and magic != _GNU:
        raise UnclearError("a sparse file has a header that is not GNU tar's")
    inherited = kind in _DIRECTORIES and _number(block[100:108], "mode") & stat.S_ISGID != 0
    more = kind == SPARSE and block[_SPARSE_FLAG] != 0
    return Header(kind, name, link, 0 if kind == HARD_LINK else size, inherited, more)


def has_more(block: bytes) -> bool:
    """Return whether another block follows one of an old GNU sparse header."""
    return block[_MORE_FLAG] != 0


def extend(extensions: Extensions, kind: bytes, data: bytes) -> None:
    """Add an extended header or a long name.

    Raises:
        UnclearError: It is malformed, or readers disagree about it.
    """
    if kind == EXTENDED:
        _once(extensions.extended)
        extensions.extended = True
        _add_records(extensions, records(data))
    elif kind == LONG_NAME:
        _once(extensions.long_name is not None)
        extensions.long_name = _text(data)
    else:
        _once(extensions.long_link is not None)
        extensions.long_link = _text(data)
    if _differ(extensions.name, extensions.long_name) or _differ(extensions.link, extensions.long_link):
        raise UnclearError("an entry has two different long names")


def check_global(data: bytes) -> None:
    """Check that a global extended header does not change how the following entries are read.

    Raises:
        UnclearError: It does, and Go ignores it.
    """
    for key in records(data):
        if key in _RENAMING or key.startswith(_SPARSE_KEYS):
            raise UnclearError(f"a global extended header sets {key.decode()}")


def records(data: bytes) -> dict[bytes, bytes]:
    """Return the records of an extended header; of equal keys, the last counts.

    Raises:
        UnclearError: It is malformed.
    """
    found: dict[bytes, bytes] = {}
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + _LENGTH_DIGITS + 1)
        digits = data[position:space] if space > 0 else b""
        end = position + int(digits) if digits.isdigit() else 0
        equals = data.find(b"=", space, end)
        if not position < space < equals < end <= len(data) or data[end - 1] != ord("\n") or equals == space + 1:
            raise UnclearError("an extended header is malformed")
        found[data[space + 1 : equals]] = data[equals + 1 : end - 1]
        position = end
    return found


def _add_records(extensions: Extensions, found: dict[bytes, bytes]) -> None:
    if any(key.startswith(_OVERLAY) for key in found):
        raise UnclearError("an entry has extended attributes that belong to overlayfs")
    extensions.inherited = any(key.endswith(_DEFAULT_LISTS) for key in found)
    # Go ignores an empty value.
    extensions.name = found.get(b"path") or None
    extensions.link = found.get(b"linkpath") or None
    if size := found.get(b"size"):
        if not size.isdigit() or len(size) > _SIZE_DIGITS or int(size) > SIZE_MAXIMUM:
            raise UnclearError("an entry's size is not a number of bytes")
        extensions.size = int(size)
    if any(key.startswith(_SPARSE_KEYS) for key in found):
        version = found.get(b"GNU.sparse.major", b""), found.get(b"GNU.sparse.minor", b"")
        listed = b"GNU.sparse.map" in found or b"GNU.sparse.offset" in found
        if version not in _SPARSE_VERSIONS and not (listed and version == (b"", b"")):
            raise UnclearError("a sparse file has an unknown format")
        extensions.sparse = True
        extensions.name = found.get(b"GNU.sparse.name") or extensions.name
    if any(value is not None and b"\0" in value for value in (extensions.name, extensions.link)):
        raise UnclearError("a name contains a zero byte")


def _once(seen: bool) -> None:  # noqa: FBT001
    if seen:
        raise UnclearError("an entry has two extended headers of one kind")


def _differ(one: bytes | None, other: bytes | None) -> bool:
    return one is not None and other is not None and one != other


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _check_sum(block: bytes) -> None:
    stored = _number(block[148:156], "checksum")
    spaces = 8 * ord(" ")
    unsigned = sum(block) - sum(block[148:156]) + spaces
    if stored == unsigned:
        return
    # Old tars added the bytes up as signed ones.
    high = sum(byte > 127 for byte in block[:148] + block[156:])  # noqa: PLR2004
    if stored != unsigned - 256 * high:
        raise UnclearError("it is not a tar archive: a header has a wrong checksum")


def _number(field: bytes, name: str) -> int:
    """Parse an octal number, or a binary one of GNU tar and star."""
    if field[0] & 0x80:
        negative = field[0] & 0x40
        value = int.from_bytes(field, "big", signed=False) - (1 << (8 * len(field) - 1))
        return value - (1 << (8 * len(field) - 1)) if negative else value
    digits = _text(field).strip(b" ")
    if digits.strip(b"01234567") or (not digits and field.strip(b" \0")):
        raise UnclearError(f"it is not a tar archive: a header's {name} is not a number")
    return int(digits or b"0", 8)
