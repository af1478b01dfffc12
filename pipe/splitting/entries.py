"""The entries of a layer's tar: one pass over its headers."""

from array import array
from collections.abc import Callable
from enum import IntEnum

from pipe.errors import CannotSplitError
from pipe.splitting import header as tar
from pipe.splitting.blocks import Blocks, TarStream
from pipe.splitting.header import BLOCK, Extensions, Header, UnclearError
from pipe.splitting.names import ROOT, Names

ENTRIES_MAXIMUM = 1_000_000
"""Entries of the largest layer that is split; the limit bounds the memory."""
SIZE_MAXIMUM = (2**32 - 1) * BLOCK
"""Bytes of the largest layer that is split, so that 32 bits count its blocks."""
GLOBAL_MAXIMUM = 1024 * 1024
"""Bytes of all global headers, which are repeated in every part."""
_OPAQUE, _WHITEOUT, _AUFS = b".wh..wh..opq", b".wh.", b".wh..wh."


class EntryKind(IntEnum):
    """What an entry is."""

    FILE = 1
    HARD_LINK = 2
    SYMLINK = 3
    DEVICE = 4
    DIRECTORY = 5
    WHITEOUT = 6
    OPAQUE = 7
    GLOBAL = 8


class Scan:
    """All entries of a layer. The record of one is its extended headers, header, content and padding.

    Attributes:
        names: The paths.
        kinds: The `EntryKind` of each entry.
        nodes: The node of its normalized path: of a whiteout, the path that it hides; of an opaque whiteout, its
            directory; of a global header, the root.
        blocks: The block with which its record begins; one item more, for the end of the last record.
        links: The entries that are hard links, in order.
        link_nodes: The nodes of their targets.
        inherited: The directory entries with a setgid bit or a default access control list, which Linux passes on.
    """

    def __init__(self) -> None:
        """Start without entries."""
        self.names = Names()
        self.kinds = bytearray()
        self.nodes = array("I")
        self.blocks = array("I", [0])
        self.links = array("I")
        self.link_nodes = array("I")
        self.inherited = array("I")

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.kinds)

    @property
    def size(self) -> int:
        """Bytes up to the end of the last record."""
        return self.blocks[-1] * BLOCK

    def length(self, entry: int) -> int:
        """Return the bytes of an entry's record."""
        return (self.blocks[entry + 1] - self.blocks[entry]) * BLOCK

    def path(self, entry: int) -> bytes:
        """Return the path of an entry."""
        return self.names.path(self.nodes[entry])


def scan(stream: TarStream, *, reopen: Callable[[int], TarStream] | None = None, size: int | None = None) -> Scan:
    """Read all headers of a layer.

    Args:
        stream: The layer's uncompressed bytes.
        reopen: Opens the same bytes at an offset, so that large contents can be skipped.
        size: Their number; required for `reopen`.

    Raises:
        CannotSplitError: It is not a tar archive, it is truncated, or its meaning is not clear.
    """
    blocks = Blocks(stream, reopen if size is not None else None, size or 0)
    found = Scan()
    scanner = _Scanner(blocks, found)
    try:
        while scanner.next():
            pass
    except UnclearError as error:
        raise CannotSplitError(f"{error}, at byte {found.size} of the layer") from None
    found.names.close()
    return found


class _Scanner:
    """Reads one entry after the other."""

    def __init__(self, blocks: Blocks, found: Scan) -> None:
        self._blocks = blocks
        self._found = found
        self._globals = 0

    def next(self) -> bool:
        """Read an entry with its extended headers; return whether there was one."""
        extensions: Extensions | None = None
        while True:
            block = self._blocks.read(BLOCK)
            if not block or tar.is_end(block):
                self._check_end(block, extensions)
                return False
            header = tar.parse(_whole(block, BLOCK))
            if header.type == tar.GLOBAL:
                if extensions:
                    raise UnclearError("an extended header is followed by a global one")
                self._add_global(header)
                return True
            if header.type not in {tar.EXTENDED, tar.LONG_NAME, tar.LONG_LINK}:
                self._add(header, extensions or Extensions())
                return True
            extensions = extensions or Extensions()
            tar.extend(extensions, header.type, self._extension(header))

    def _check_end(self, block: bytes, extensions: Extensions | None) -> None:
        """Check the end of the archive; like Go, accept none, and one block of zeros at the very end."""
        if extensions:
            raise UnclearError("it is truncated")
        following = self._blocks.read(BLOCK) if block else b""
        if following and not tar.is_end(following):
            raise UnclearError("entries follow the end of the archive")

    def _extension(self, header: Header) -> bytes:
        if header.size > tar.EXTENSION_MAXIMUM:
            raise UnclearError("an extended header is too large")
        padded = header.size + -header.size % BLOCK
        return _whole(self._blocks.read(padded), padded)[: header.size]

    def _add_global(self, header: Header) -> None:
        tar.check_global(self._extension(header))
        self._globals += self._blocks.position - self._found.size
        if self._globals > GLOBAL_MAXIMUM:
            raise UnclearError("its global extended headers are too large")
        if self._found.names.node(header.name.rpartition(b"/")[0]) != ROOT:
            raise UnclearError("a global extended header has a path, whose directory some engines create")
        self._append(EntryKind.GLOBAL, ROOT)

    def _add(self, header: Header, extensions: Extensions) -> None:
        more = header.more
        while more:
            more = tar.has_more(_whole(self._blocks.read(BLOCK), BLOCK))
        name = _first(extensions.long_name, extensions.name, header.name)
        size = header.size if extensions.size is None or header.type == tar.HARD_LINK else extensions.size
        kind = _kind(header.type, name)
        if extensions.sparse and kind != EntryKind.FILE:
            raise UnclearError("an entry without content is sparse")
        if kind == EntryKind.DIRECTORY and header.type == tar.OLD_FILE:
            size = 0
        if size and kind not in {EntryKind.FILE, EntryKind.HARD_LINK}:
            raise UnclearError("an entry that is not a file has content")
        self._blocks.skip(size + -size % BLOCK)
        if kind == EntryKind.DIRECTORY and (header.inherited or extensions.inherited):
            self._found.inherited.append(len(self._found))
        self._append_named(kind, name, _first(extensions.long_link, extensions.link, header.link))

    def _append_named(self, kind: EntryKind, path: bytes, target: bytes) -> None:
        names = self._found.names
        if _WHITEOUT in path:
            kind, path = _whiteout(kind, path)
        node = names.node(path)
        if not path or (not node and kind not in {EntryKind.DIRECTORY, EntryKind.OPAQUE}):
            raise UnclearError("an entry has no name")
        if kind == EntryKind.HARD_LINK:
            linked = names.node(target)
            if not linked or any(name.startswith(_WHITEOUT) for name in target.split(b"/")):
                raise UnclearError("a hard link has no target")
            self._found.links.append(len(self._found))
            self._found.link_nodes.append(linked)
        self._append(kind, node)

    def _append(self, kind: EntryKind, node: int) -> None:
        found = self._found
        if len(found) == ENTRIES_MAXIMUM:
            raise UnclearError(f"it has more than {ENTRIES_MAXIMUM:,} entries")
        if self._blocks.position > SIZE_MAXIMUM:
            raise UnclearError("it is larger than two terabytes")
        found.kinds.append(kind)
        found.nodes.append(node)
        found.blocks.append(self._blocks.position // BLOCK)


_KINDS = {
    tar.OLD_FILE: EntryKind.FILE,
    tar.FILE: EntryKind.FILE,
    tar.CONTIGUOUS: EntryKind.FILE,
    tar.SPARSE: EntryKind.FILE,
    tar.HARD_LINK: EntryKind.HARD_LINK,
    tar.SYMLINK: EntryKind.SYMLINK,
    tar.DIRECTORY: EntryKind.DIRECTORY,
    **dict.fromkeys(tar.DEVICES, EntryKind.DEVICE),
}


def _kind(flag: bytes, name: bytes) -> EntryKind:
    kind = _KINDS.get(flag)
    if kind is None:
        raise UnclearError(f"an entry has the unknown type {flag!r:.10}")
    if kind == EntryKind.FILE and name.endswith(b"/"):
        if flag != tar.OLD_FILE:
            raise UnclearError("a file's name ends with a slash")
        return EntryKind.DIRECTORY
    return kind


def _whiteout(kind: EntryKind, path: bytes) -> tuple[EntryKind, bytes]:
    """Return the kind of an entry whose path contains `.wh.`, and the path that it hides."""
    names = [name for name in path.split(b"/") if name not in {b"", b"."}]
    if any(name.startswith(_WHITEOUT) for name in names[:-1]) or b".." in names:
        raise UnclearError("an entry lies below a whiteout")
    last = names[-1]
    if not last.startswith(_WHITEOUT):
        return kind, path
    if last == _OPAQUE:
        return EntryKind.OPAQUE, b"/".join(names[:-1]) or b"."
    if last.startswith(_AUFS) or last[len(_WHITEOUT) :] in {b"", b".", b".."}:
        raise UnclearError("an entry is metadata of AUFS")
    return EntryKind.WHITEOUT, b"/".join([*names[:-1], last[len(_WHITEOUT) :]])


def _first(*values: bytes | None) -> bytes:
    return next((value for value in values if value), b"")


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise UnclearError("it is truncated")
    return data
