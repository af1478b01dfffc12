"""What all engines accept of a generated layer: each of them refuses some of what is valid."""

import io
import tarfile

from nasty_layers import NastyLayer, archive
from scanned import ScannedEntry, entries_of

from pipe.splitting.entries import EntryKind, scan

_HIDDEN = EntryKind.WHITEOUT


def accepted_everywhere(nasty: NastyLayer) -> NastyLayer:
    """Return both layers without what one of the engines refuses.

    That is a path that occurs twice (podman, and Docker with a graphdriver), a global header (umoci), a sparse file in
    GNU tar's old format (all). Nor is anything below what is no directory: if the lower layer has that, engines put it
    in different places. And if a directory replaces something of the lower layer, all directories in it have entries of
    their own, or the containerd store fails. Nor are devices linked: podman's vfs driver loses that under a next layer.
    It also takes directories without entries for those of a lower layer, which an opaque whiteout removes.
    """
    below = _Accepted({})
    lower = below.of(nasty.below)
    return NastyLayer(lower, _Accepted(below.kinds).of(nasty.layer), nasty.notes)


class _Accepted:
    def __init__(self, below: dict[bytes, EntryKind]) -> None:
        self.kinds = dict(below)
        self._below = below
        self._own: dict[bytes, EntryKind] = {}
        self._parents: set[bytes] = set()
        self._opaque: set[bytes] = set()

    def of(self, layer: bytes) -> bytes:
        """Return what is accepted of a layer; `kinds` then has its paths too."""
        records = []
        for entry in entries_of(scan(io.BytesIO(layer))):
            record = layer[entry.offset : entry.offset + entry.length]
            if self._accepts(entry) and not _sparse(record):
                records.append(record)
                self._add(entry)
        return archive(*records)

    def _accepts(self, entry: ScannedEntry) -> bool:
        above = _parents(entry.path) | ({entry.path} if entry.kind == EntryKind.OPAQUE else set())
        if any(self.kinds.get(folder, EntryKind.DIRECTORY) != EntryKind.DIRECTORY for folder in above):
            return False
        created = max(above, key=len, default=b"") not in self._own
        if created and any(self._below.get(folder, EntryKind.DIRECTORY) != EntryKind.DIRECTORY for folder in above):
            return False
        # A path may follow its whiteout.
        new = self._own.get(entry.path, EntryKind.WHITEOUT) == EntryKind.WHITEOUT
        match entry.kind:
            case EntryKind.GLOBAL:
                accepted = False
            case EntryKind.OPAQUE:
                implied = {path for path in self._parents if self._own.get(path) != EntryKind.DIRECTORY}
                below = {path for path in implied if entry.path in _parents(path)}
                accepted = entry.path not in self._opaque and not below
            case EntryKind.WHITEOUT:
                accepted = entry.path not in self._own and entry.path not in self._parents
            case EntryKind.DIRECTORY:
                accepted = new
            case EntryKind.HARD_LINK:
                accepted = self._own.get(entry.target) == EntryKind.FILE and new and entry.path not in self._parents
            case _:
                accepted = new and entry.path not in self._parents
        return accepted

    def _add(self, entry: ScannedEntry) -> None:
        self._parents |= _parents(entry.path)
        if entry.kind == EntryKind.OPAQUE:
            self._opaque.add(entry.path)
        else:
            kind = EntryKind.FILE if entry.kind == EntryKind.HARD_LINK else entry.kind
            self._own[entry.path] = self.kinds[entry.path] = kind


def _parents(path: bytes) -> set[bytes]:
    """Return the folders that a path lies in, the root (b"") included."""
    parts = path.split(b"/") if path else []
    return {b"/".join(parts[:count]) for count in range(len(parts))}


def _sparse(record: bytes) -> bool:
    """Return whether a record is a sparse file in GNU tar's old format."""
    with tarfile.open(fileobj=io.BytesIO(record)) as opened:
        return any(member.type == tarfile.GNUTYPE_SPARSE for member in opened)
