"""The entries of a scanned layer, one by one."""

from typing import NamedTuple

from pipe.splitting.entries import EntryKind, Scan
from pipe.splitting.header import BLOCK


class ScannedEntry(NamedTuple):
    """One entry.

    Attributes:
        path: Normalized. Of a whiteout, the path that it hides; of an opaque whiteout, its directory; of a global
            header, the root.
        target: Of a hard link, the normalized path of its target, else b"".
        offset: Begin of its record, which includes the extended headers of this entry.
        length: Bytes of the record: extended headers, header, content, padding.
    """

    kind: EntryKind
    path: bytes
    target: bytes
    offset: int
    length: int


def entries_of(scan: Scan) -> list[ScannedEntry]:
    """Return all entries."""
    targets = dict(zip(scan.links, scan.link_nodes, strict=True))
    return [
        ScannedEntry(
            EntryKind(kind),
            scan.path(number),
            scan.names.path(targets[number]) if number in targets else b"",
            scan.blocks[number] * BLOCK,
            scan.length(number),
        )
        for number, kind in enumerate(scan.kinds)
    ]
