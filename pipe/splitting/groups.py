"""Which entries of a layer must stay in one part, because engines treat them differently apart.

Entries are joined by their paths, the nodes of `Names`. Directory entries are not joined: they are repeated in each
part that needs them.
"""

from array import array

from pipe.splitting.entries import EntryKind, Scan
from pipe.splitting.header import UnclearError
from pipe.splitting.names import ROOT
from pipe.splitting.trees import (
    DIRECTORY,
    FLAGS,
    HIDDEN,
    IMPLIED,
    LATE,
    LINK,
    NONE,
    OPAQUE,
    OTHER,
    PARENT,
    TARGET,
    Trees,
)
from pipe.text import clean

_UNJOINED: frozenset[int] = frozenset({EntryKind.DIRECTORY, EntryKind.GLOBAL})


class Groups:
    """The entries that stay together.

    Attributes:
        items: One node of each group, in the order in which the groups are placed in parts.
        firsts: The first entry of each of `items`.
        ring: The next node of the same group; the last one leads to the first.
        sizes: By node in `items`, blocks of the group's records, without those of directories.
        directories: The last directory entry of a node, NONE if it has none.
        earlier: By directory entry, the entry of the same path before it, NONE if there is none; empty if no path has
            two.
    """

    def __init__(self, scan: Scan) -> None:
        """Join what belongs together.

        Raises:
            UnclearError: Engines differ in what the layer means.
        """
        nodes = len(scan.names)
        self._scan = scan
        self._flags = bytearray(nodes)
        self._roots = array("I", range(nodes))
        self.ring = array("I", range(nodes))
        self.directories = array("I", [NONE]) * nodes
        self.earlier = array("I")
        self._mark()
        self._join_links()
        places = self._places(self._join_trees())
        self.items = array("I")
        self.firsts = array("I")
        self.sizes = array("I", [0]) * nodes
        for entry, (kind, node) in enumerate(zip(scan.kinds, scan.nodes, strict=True)):
            root = self.root(node)
            if kind not in _UNJOINED:
                self.sizes[root] += scan.blocks[entry + 1] - scan.blocks[entry]
            if places[root] == entry:
                self.items.append(root)
                self.firsts.append(entry)

    def root(self, node: int) -> int:
        """Return the node that stands for the group of a node."""
        roots = self._roots
        while roots[node] != node:
            roots[node] = roots[roots[node]]
            node = roots[node]
        return node

    def is_late(self, node: int) -> bool:
        """Return whether a directory's first entry comes after entries below it."""
        return self._flags[node] & LATE == LATE

    def _join(self, one: int, other: int) -> None:
        one, other = sorted((self.root(one), self.root(other)))
        if one != other:
            self._roots[other] = one
            self.ring[one], self.ring[other] = self.ring[other], self.ring[one]

    def _mark(self) -> None:
        flags, directories, parents = self._flags, self.directories, self._scan.names.parents
        for entry, (kind, node) in enumerate(zip(self._scan.kinds, self._scan.nodes, strict=True)):
            flags[node] |= FLAGS[kind]
            above = node if kind == EntryKind.OPAQUE else parents[node]
            while not flags[above] & LATE and above != ROOT:
                flags[above] |= IMPLIED
                above = parents[above]
            if kind == EntryKind.DIRECTORY:
                if directories[node] != NONE:
                    self.earlier = self.earlier or array("I", [NONE]) * len(self._scan)
                    self.earlier[entry] = directories[node]
                directories[node] = entry
        for node in range(1, len(parents)):
            flags[parents[node]] |= PARENT

    def _join_links(self) -> None:
        """Join all names of each inode."""
        for entry, target in zip(self._scan.links, self._scan.link_nodes, strict=True):
            if self._flags[target] & DIRECTORY:
                raise UnclearError(f"a hard link leads to the directory {self._shown(target)}")
            self._flags[target] |= TARGET
            self._join(self._scan.nodes[entry], target)

    def _join_trees(self) -> set[int]:
        """Join trees whose order matters; return the nodes whose whiteouts need only come first in their trees."""
        whole = self._inherited()
        leading: set[int] = set()
        trees: Trees | None = None
        for node, flags in enumerate(self._flags):
            if flags & OTHER and flags & PARENT:
                if flags & LINK:
                    raise UnclearError(f"entries lie below the link {self._shown(node)}")
                whole.add(node)
            elif flags & OPAQUE or (flags & HIDDEN and flags & (DIRECTORY | PARENT)):
                trees = trees or Trees(self._scan, self._flags)
                (leading if trees.can_lead(node) else whole).add(node)
        if whole:
            above = array("I", [NONE]) * len(self._flags)
            for node, parent in enumerate(self._scan.names.parents):
                above[node] = node if node in whole and above[parent] == NONE else above[parent]
                if above[node] != NONE:
                    self._join(node, above[node])
                    # All of the tree is in one part, in its order.
                    self._flags[node] &= ~IMPLIED
                    leading.discard(node)
        return leading

    def _inherited(self) -> set[int]:
        """Return the late directories that pass something on to what is created in them.

        What a lower layer's directory of the same path may pass on matters to directories without an entry.
        """
        parents = self._scan.names.parents
        found = {self._scan.nodes[entry] for entry in self._scan.inherited}
        found |= {parents[node] for node, flags in enumerate(self._flags) if flags & LATE == IMPLIED}
        return {node for node in found if self.is_late(node)}

    def _places(self, leading: set[int]) -> "array[int]":
        """Return the entry in whose place each group is put, by root; join leading whiteouts with what they lead."""
        scan, parents = self._scan, self._scan.names.parents
        places = array("I", [NONE]) * len(parents)
        own = dict.fromkeys(leading, NONE)
        touched = bytearray(len(parents))
        for entry, (kind, node) in enumerate(zip(scan.kinds, scan.nodes, strict=True)):
            if kind != EntryKind.DIRECTORY:
                self._touch(touched, node)
                if node in own:
                    own[node] = min(own[node], entry)
                elif kind != EntryKind.GLOBAL:
                    root = self.root(node)
                    places[root] = min(places[root], entry)
        for node in reversed(range(len(parents))):
            if self.directories[node] != NONE and not touched[node]:
                # Nothing else brings this directory into a part.
                self._touch(touched, node)
                root = self.root(node)
                places[root] = min(places[root], self.directories[node])
        if leading:
            self._lead(places, own)
        return places

    def _touch(self, touched: bytearray, node: int) -> None:
        if self.directories[node] == NONE:
            node = self._scan.names.parents[node]
        while not touched[node]:
            touched[node] = 1
            node = self._scan.names.parents[node]

    def _lead(self, places: "array[int]", own: dict[int, int]) -> None:
        """Join each leading whiteout with the first group in its tree."""
        parents = self._scan.names.parents
        lowest = array("I", [NONE]) * len(parents)
        for node in reversed(range(len(parents))):
            if node in own:
                place = lowest[node]
                if place == NONE:
                    # The tree is empty, so its whiteouts are a separate group, which may be the first of an outer tree.
                    place = own[node]
                else:
                    self._join(node, self._scan.nodes[place])
                places[self.root(node)] = place
            lowest[node] = min(lowest[node], places[self.root(node)])
            lowest[parents[node]] = min(lowest[parents[node]], lowest[node])

    def _shown(self, node: int) -> str:
        return shown(self._scan.names.path(node))


def shown(path: bytes) -> str:
    """Return a path for messages."""
    return clean(path.decode("utf-8", "replace"), lines=1) or "/"
