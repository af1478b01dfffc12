"""The cut of a layer: the same layer and size always give the same parts."""

import heapq
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from pipe.errors import CannotSplitError
from pipe.splitting.entries import EntryKind, Scan
from pipe.splitting.groups import Groups, shown
from pipe.splitting.header import BLOCK, UnclearError
from pipe.splitting.parts import END, LayerPart
from pipe.splitting.trees import NONE
from pipe.units import format_size

_RESERVE = 100
"""One hundredth of a part is reserved: what cannot be compressed grows by less than that."""
_SLACK = (256, 32)
"""Fractions by which equal shares are exceeded, for repeated directories and groups that do not fit."""


def cut(scan: Scan, part_size: int) -> list[LayerPart]:
    """Cut a layer into as few parts as possible, of similar sizes.

    Args:
        scan: The layer's entries.
        part_size: Bytes of the largest part, as the registry counts them, compressed or not.

    Returns:
        The parts, in the order in which they are applied; one if the layer fits in a part.

    Raises:
        CannotSplitError: A file or a group that must stay together is larger than a part, or engines differ in what
            the layer means.
    """
    limit = part_size - -(-part_size // _RESERVE)
    if scan.size + END <= limit:
        return [LayerPart(1, 1, array("Q", [0, scan.size]))]
    try:
        groups = Groups(scan)
    except UnclearError as error:
        raise CannotSplitError(str(error)) from None
    if not groups.items:
        raise CannotSplitError("it has no files")
    return _Cutter(scan, groups, limit).parts()


@dataclass(slots=True)
class _Needed:
    """The directories that a part needs.

    Attributes:
        early: Those whose entries stay in their order.
        late: Those whose entries come at the end of the part, because in the layer they come after entries below the
            directory: containerd has then created it already, with the extended attributes that it has in lower layers.
        first: The first entry of the group at hand; NONE if it has several paths.
    """

    early: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    first: int = NONE


class _Cutter:
    """Places groups in parts."""

    def __init__(self, scan: Scan, groups: Groups, limit: int) -> None:
        self._scan = scan
        self._groups = groups
        self._limit = limit
        self._globals = [entry for entry, kind in enumerate(scan.kinds) if kind == EntryKind.GLOBAL]
        self._stamps = array("I", [0]) * len(scan.names)
        self._stamp = 0
        # Global headers are in each part that has entries after them.
        self._fixed = END + sum(map(scan.length, self._globals))

    def parts(self) -> list[LayerPart]:
        """Return the parts."""
        starts = self._balanced()
        numbers = array("I", [NONE]) * len(self._scan.names)
        ends = [*starts[1:], len(self._groups.items)]
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            for item in self._groups.items[start:end]:
                numbers[item] = number
        own = [array("I") for _ in starts]
        for entry, (kind, node) in enumerate(zip(self._scan.kinds, self._scan.nodes, strict=True)):
            if kind not in {EntryKind.DIRECTORY, EntryKind.GLOBAL}:
                own[numbers[self._groups.root(node)]].append(entry)
        return [
            self._part(number, len(starts), entries, range(start, end))
            for number, (entries, start, end) in enumerate(zip(own, starts, ends, strict=True), start=1)
        ]

    def _part(self, number: int, count: int, entries: "array[int]", places: range) -> LayerPart:
        needed = _Needed()
        self._stamp += 1
        for place in places:
            item = self._groups.items[place]
            alone = self._groups.ring[item] == item
            needed.first = self._groups.firsts[place] if alone else NONE
            self._touch(item, needed)
        directories = sorted(entry for node in needed.early for entry in self._entries_of(node))
        late = sorted(entry for node in needed.late for entry in self._entries_of(node))
        last = max([*directories[-1:], *late[-1:], *entries[-1:]])
        before = [entry for entry in self._globals if entry < last]
        if late and before and before[-1] > late[0]:
            raise CannotSplitError("a global extended header comes after directories whose files come first")
        return LayerPart(number, count, self._bounds(chain(heapq.merge(before, directories, entries), late)))

    def _bounds(self, entries: Iterable[int]) -> "array[int]":
        """Return the bounds of the records of entries."""
        blocks, bounds = self._scan.blocks, array("Q")
        for entry in entries:
            begin, end = blocks[entry] * BLOCK, blocks[entry + 1] * BLOCK
            if bounds and bounds[-1] == begin:
                bounds[-1] = end
            else:
                bounds.extend((begin, end))
        return bounds

    def _balanced(self) -> list[int]:
        """Return the place of the first item of each part."""
        sums = array("I", [0])
        fewest = self._filled(self._limit, sums)
        share = self._share(sums, len(fewest))
        for slack in _SLACK:
            size = share + share // slack
            if size < self._limit:
                starts = self._filled(size)
                if 0 < len(starts) <= len(fewest):
                    return starts
        return fewest

    def _share(self, sums: "array[int]", count: int) -> int:
        """Return the smallest size with which items fill that many parts, if little is repeated.

        `sums` are the blocks of the first 0, 1, 2, … items.
        """

        def needed(size: int) -> int:
            parts = start = 0
            while start < len(sums) - 1 and parts <= count:
                end = bisect_right(sums, sums[start] + (size - self._fixed) // BLOCK) - 1
                if end <= start:
                    return count + 1
                parts, start = parts + 1, end
            return parts

        low, high = sums[-1] * BLOCK // count, self._limit
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if needed(middle) <= count else (middle + 1, high)
        return low

    def _filled(self, size: int, sums: "array[int] | None" = None) -> list[int]:
        """Fill parts one after the other; return the place of the first item of each.

        Args:
            size: Bytes of the largest part.
            sums: Receives sums of the items' blocks. If they are not requested, nothing is returned if an item does not
                fit.

        Raises:
            CannotSplitError: An item does not fit.
        """
        starts: list[int] = []
        filled = size + 1
        for place, item in enumerate(self._groups.items):
            own = self._groups.sizes[item] * BLOCK
            added = own + self._touch(item)
            if sums is not None:
                sums.append(sums[-1] + added // BLOCK)
            filled += added
            if filled > size:
                self._stamp += 1
                filled = self._fixed + own + self._touch(item)
                starts.append(place)
                if filled > size:
                    if sums is None:
                        return []
                    raise self._too_large(item, filled)
        return starts

    def _touch(self, item: int, needed: _Needed | None = None) -> int:
        """Mark the directories that a group needs in the part; return the bytes of those that are new there."""
        ring, node = self._groups.ring, item
        size = self._climb(node, needed)
        while (node := ring[node]) != item:
            size += self._climb(node, needed)
        return size

    def _climb(self, node: int, needed: _Needed | None) -> int:
        parents, stamps, size = self._scan.names.parents, self._stamps, 0
        if self._groups.directories[node] == NONE:
            node = parents[node]
        while stamps[node] != self._stamp:
            stamps[node] = self._stamp
            if self._groups.directories[node] != NONE:
                entries = list(self._entries_of(node))
                size += sum(map(self._scan.length, entries))
                if needed is not None:
                    in_place = needed.first < entries[-1] or not self._groups.is_late(node)
                    (needed.early if in_place else needed.late).append(node)
            node = parents[node]
        return size

    def _entries_of(self, node: int) -> Iterator[int]:
        """Yield a node's directory entries, the last one first."""
        entry = self._groups.directories[node]
        while entry != NONE:
            yield entry
            entry = self._groups.earlier[entry] if self._groups.earlier else NONE

    def _too_large(self, item: int, size: int) -> CannotSplitError:
        nodes = {item}
        node = self._groups.ring[item]
        while node != item:
            nodes.add(node)
            node = self._groups.ring[node]
        entries = [
            entry
            for entry, node in enumerate(self._scan.nodes)
            if node in nodes and self._scan.kinds[entry] != EntryKind.GLOBAL
        ]
        largest = max(entries, key=self._scan.length)
        path, most = shown(self._scan.path(largest)), f"{format_size(self._limit)} of uncompressed bytes"
        if len(entries) == 1:
            cause = f"the file {path} takes {format_size(size)}, and a part holds at most {most}."
            return CannotSplitError(cause, fix="Make the file smaller, or set SPLIT_LAYERS to a larger size.")
        cause = (
            f"{path} and {len(entries) - 1:,} other entries must stay together, since they are hard links, replace "
            f"each other, or depend on their order, and take {format_size(size)}; a part holds at most {most}."
        )
        return CannotSplitError(
            cause, fix="Set SPLIT_LAYERS to a larger size, or split the instruction that makes this layer."
        )
