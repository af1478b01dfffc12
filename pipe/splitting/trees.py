"""What a layer holds below its whiteouts."""

from array import array

from pipe.splitting.entries import EntryKind, Scan
from pipe.splitting.names import ROOT

NONE = 2**32 - 1
"""No entry, no node."""
DIRECTORY, OTHER, LINK, HIDDEN, OPAQUE, TARGET, PARENT, IMPLIED = 1, 2, 4, 8, 16, 32, 64, 128
"""What a path is in a layer: a directory; something else; a link; hidden by a whiteout; opaque; the target of a hard
link; the parent of another path; the parent of an entry before its own entry."""
LATE = DIRECTORY | IMPLIED
FLAGS: dict[int, int] = {
    EntryKind.FILE: OTHER,
    EntryKind.HARD_LINK: OTHER | LINK,
    EntryKind.SYMLINK: OTHER | LINK,
    EntryKind.DEVICE: OTHER,
    EntryKind.DIRECTORY: DIRECTORY,
    EntryKind.WHITEOUT: HIDDEN,
    EntryKind.OPAQUE: OPAQUE | PARENT,
    EntryKind.GLOBAL: 0,
}
"""The flags that an entry gives its path."""


class Trees:
    """The order of the entries in each tree."""

    def __init__(self, scan: Scan, flags: bytearray) -> None:
        """Summarize all trees; the flags of each node must be complete."""
        self._flags = flags
        nodes = len(flags)
        self._whiteouts = array("i", [-1]) * nodes
        self._opaques = array("i", [-1]) * nodes
        self._first = array("I", [NONE]) * nodes
        self._below = array("I", [NONE]) * nodes
        self._targets = bytearray(nodes)
        self._implied = bytearray(nodes)
        for entry, (kind, node) in enumerate(zip(scan.kinds, scan.nodes, strict=True)):
            if kind == EntryKind.WHITEOUT:
                self._whiteouts[node] = entry
            elif kind == EntryKind.OPAQUE:
                self._opaques[node] = entry
            if kind not in {EntryKind.WHITEOUT, EntryKind.GLOBAL}:
                self._first[node] = min(self._first[node], entry)
        self._sum_up(scan.names.parents)

    def _sum_up(self, parents: "array[int]") -> None:
        for node in range(len(parents) - 1, ROOT, -1):
            parent, flags = parents[node], self._flags[node]
            whiteout = self._whiteouts[node]
            for entry in (self._first[node], self._below[node], NONE if whiteout < 0 else whiteout):
                self._below[parent] = min(self._below[parent], entry)
            if flags & TARGET and not flags & OTHER:
                self._targets[node] = 1
            self._targets[parent] |= self._targets[node]
            self._implied[parent] |= self._implied[node] or flags & IMPLIED != 0

    def can_lead(self, node: int) -> bool:
        """Return whether a node's whiteouts have the same effect if the part with the first entry of its tree has them.

        Not if an entry before a whiteout is of the tree that it removes; not if a hard link leads into that tree of
        lower layers. An opaque whiteout removes nothing of the same layer, unless the entry of a directory is
        missing or comes later: Docker's vfs driver then removes what is in there.
        """
        flags = self._flags[node]
        if self._targets[node]:
            return False
        if flags & OPAQUE:
            if node != ROOT and not flags & DIRECTORY:
                return False
            if self._implied[node] and self._opaques[node] > self._below[node]:
                return False
        return not flags & HIDDEN or self._whiteouts[node] < min(self._first[node], self._below[node])
