"""The paths of a layer as a tree in arrays: a million of them take some 50 megabytes."""

from array import array

from pipe.splitting.header import UnclearError

ROOT = 0
"""The node of the root directory."""
PATH_MAXIMUM = 4096
"""Bytes of the longest path; source: Linux, `PATH_MAX`."""
NODES_MAXIMUM = 2_000_000
"""Paths of the largest layer that is split, those of parents included."""
NAMES_MAXIMUM = 64 * 1024 * 1024
"""Bytes of their names, without their parents'."""


class Names:
    """A tree of names. Every node has a larger number than its parent; equal layers get equal numbers."""

    def __init__(self) -> None:
        self.parents = array("I", [ROOT])
        self._starts = array("I", [0, 0])
        self._bytes = bytearray()
        self._slots = array("I", bytes(4 * 1024))
        self._last: tuple[bytes, int] = b"", ROOT

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.parents)

    def node(self, path: bytes) -> int:
        """Return the node of a path, new if necessary; `.`, `//` and `x/..` are dropped, as engines do.

        Raises:
            UnclearError: The path leads out of the layer, is too long, or is one too many.
        """
        if len(path) > PATH_MAXIMUM:
            raise UnclearError("a path is longer than Linux allows")
        folder, _, name = path.rpartition(b"/")
        if name in {b"", b".", b".."}:
            return self._walk(path)
        if folder != self._last[0]:
            self._last = folder, self._walk(folder)
        return self.child(self._last[1], name)

    def path(self, node: int) -> bytes:
        """Return the path of a node, without a leading slash; b"" of the root."""
        names: list[bytes] = []
        while node != ROOT:
            names.append(self.name(node))
            node = self.parents[node]
        return b"/".join(reversed(names))

    def name(self, node: int) -> bytes:
        """Return the last component of a node's path."""
        return bytes(self._bytes[self._starts[node] : self._starts[node + 1]])

    def child(self, parent: int, name: bytes) -> int:
        """Return the node of a name in a directory, new if necessary."""
        parents, starts, slots = self.parents, self._starts, self._slots
        mask = len(slots) - 1
        slot = hash((parent, name)) & mask
        while node := slots[slot]:
            if parents[node] == parent and self._bytes[starts[node] : starts[node + 1]] == name:
                return node
            slot = slot + 1 & mask
        node = len(parents)
        if node >= NODES_MAXIMUM or len(self._bytes) + len(name) > NAMES_MAXIMUM:
            raise UnclearError("it has too many entries")
        parents.append(parent)
        self._bytes += name
        starts.append(len(self._bytes))
        slots[slot] = node
        if 3 * node > 2 * len(slots):
            self._grow()
        return node

    def close(self) -> None:
        """Free the memory that only new paths need."""
        self._slots = array("I")

    def _walk(self, path: bytes) -> int:
        names: list[bytes] = []
        for name in path.split(b"/"):
            if name == b"..":
                if not names:
                    raise UnclearError("a path leads out of the layer")
                names.pop()
            elif name not in {b"", b"."}:
                names.append(name)
        node = ROOT
        for name in names:
            node = self.child(node, name)
        return node

    def _grow(self) -> None:
        slots = array("I", bytes(8 * len(self._slots)))
        mask = len(slots) - 1
        for node in range(1, len(self.parents)):
            slot = hash((self.parents[node], self.name(node))) & mask
            while slots[slot]:
                slot = slot + 1 & mask
            slots[slot] = node
        self._slots = slots
