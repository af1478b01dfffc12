"""What engines make of layers, in memory: a reference for tests, in the words of their Go code.

- `overlay`: Docker's overlay2 and podman's overlay: each layer is unpacked into an empty directory; whiteouts become
  device nodes and opaque directories; the kernel merges the directories (moby, `pkg/archive/archive.go`, `Unpack`).
- `containerd`: the same, but a directory that a layer does not describe gets owner, mode and attributes of the lower
  layers' (containerd, `archive/tar.go`, `mkparent`).
- `vfs`: Docker's and podman's vfs, and umoci: each layer is unpacked over the lower ones' files (moby,
  `pkg/archive/diff.go`, `UnpackLayer`).
"""

import hashlib
import io
import posixpath
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

ENGINES = ("overlay", "containerd", "vfs")
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_LINKS = 40


class UnpackError(Exception):
    """An engine cannot unpack a layer."""


@dataclass(eq=False)
class Node:
    """A file, or a directory with `children`."""

    kind: bytes
    mode: int = 0o755
    owner: tuple[int, int] = (0, 0)
    time: float | None = None
    link: str = ""
    device: tuple[int, int] = (0, 0)
    content: str = ""
    size: int = 0
    attributes: dict[str, str] = field(default_factory=dict)
    children: dict[str, "Node"] = field(default_factory=dict)
    opaque: bool = False

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.kind == tarfile.DIRTYPE


def tree(engine: str, layers: Sequence[bytes]) -> dict[str, object]:
    """Return what a container sees: everything about each path, and which paths are one inode.

    Times of directories that no entry describes are left out: they are those of the unpacking.

    Raises:
        UnpackError: The engine refuses a layer.
    """
    merged = Node(tarfile.DIRTYPE)
    stack: list[Node] = []
    for layer in layers:
        root = merged if engine == "vfs" else Node(tarfile.DIRTYPE)
        _Unpacking(engine, root, stack).unpack(layer)
        stack.insert(0, root)
    if engine != "vfs":
        for root in reversed(stack):
            merged = _over(root, merged)
    paths: dict[int, list[str]] = {}
    for path, node in _walk(merged, ""):
        paths.setdefault(id(node), []).append(path)
    return {
        path: (
            node.kind,
            node.mode,
            node.owner,
            node.time,
            node.link,
            node.device,
            node.content,
            node.size,
            sorted(node.attributes.items()),
            [] if node.is_directory else sorted(paths[id(node)]),
        )
        for path, node in _walk(merged, "")
    }


def _walk(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    yield path or "/", node
    for name, child in node.children.items():
        yield from _walk(child, f"{path}/{name}")


def _over(upper: Node, lower: Node) -> Node:
    """Merge directories as overlayfs does."""
    merged = Node(**{name: getattr(upper, name) for name in Node.__dataclass_fields__})
    merged.children = {} if upper.opaque else dict(lower.children)
    for name, child in upper.children.items():
        below = merged.children.pop(name, None)
        if child.kind == tarfile.CHRTYPE and child.device == (0, 0):
            continue
        if child.is_directory:
            usable = below if below is not None and below.is_directory else Node(tarfile.DIRTYPE)
            merged.children[name] = _over(child, usable)
        else:
            merged.children[name] = child
    return merged


class _Unpacking:
    """Unpacks one layer."""

    def __init__(self, engine: str, root: Node, lower: Sequence[Node]) -> None:
        self._engine = engine
        self._root = root
        self._lower = lower
        self._unpacked: set[str] = set()

    def unpack(self, layer: bytes) -> None:
        """Unpack all entries, then set the times of directories."""
        directories: list[tuple[str, float]] = []
        with tarfile.open(fileobj=io.BytesIO(layer), mode="r:") as archive:
            for member in archive:
                path = posixpath.normpath("/" + member.name.lstrip("/")).strip("/")
                self._entry(archive, member, path)
                if member.isdir() and not posixpath.basename(path).startswith(_WHITEOUT):
                    directories.append((path, member.mtime))
        for path, time in directories:
            found = self._find(path)
            if found is None:
                raise UnpackError(f"chtimes {path}")
            found.time = time

    def _entry(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        folder, name = posixpath.split(path)
        parent = self._parent(folder)
        if name.startswith(_WHITEOUT):
            self._whiteout(parent, folder, name)
            return
        if not path:
            self._describe(self._root, member)
            return
        present = parent.children.get(name)
        if present is not None and not (present.is_directory and member.isdir()):
            self._remove(parent, name)
            present = None
        if member.islnk():
            target = self._find(posixpath.normpath("/" + member.linkname).strip("/"))
            if target is None or target.is_directory:
                raise UnpackError(f"link {member.linkname} {path}")
            made = target
        else:
            made = present or Node(member.type)
            self._describe(made, member)
            if member.isreg():
                data = archive.extractfile(member)
                assert data is not None  # noqa: S101
                made.kind, content = tarfile.REGTYPE, data.read()
                made.content, made.size = hashlib.sha256(content).hexdigest(), len(content)
        if present is None:
            parent.time = None
        parent.children[name] = made
        self._unpacked.add(path)

    def _describe(self, node: Node, member: tarfile.TarInfo) -> None:
        node.mode, node.owner, node.link = member.mode, (member.uid, member.gid), member.linkname
        node.device = member.devmajor, member.devminor
        if not member.isdir():
            node.time = member.mtime
        node.attributes |= {key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")}

    def _whiteout(self, parent: Node, folder: str, name: str) -> None:
        hidden = name.removeprefix(_WHITEOUT)
        if self._engine == "vfs":
            if name == _OPAQUE:
                self._clear(parent, folder)
            elif hidden in parent.children:
                self._remove(parent, hidden)
        elif name == _OPAQUE:
            parent.opaque = True
        elif hidden in parent.children:
            raise UnpackError(f"mknod {folder}/{hidden}")
        else:
            parent.children[hidden] = Node(tarfile.CHRTYPE)

    def _clear(self, folder: Node, path: str) -> None:
        """Remove what is not of this layer."""
        for name, child in list(folder.children.items()):
            inner = f"{path}/{name}".strip("/")
            if inner not in self._unpacked:
                self._remove(folder, name)
            elif child.is_directory:
                self._clear(child, inner)

    def _remove(self, parent: Node, name: str) -> None:
        del parent.children[name]
        parent.time = None

    def _parent(self, path: str) -> Node:
        """Return a directory, made if it is missing."""
        node, walked = self._root, ""
        for name in [each for each in path.split("/") if each]:
            walked = f"{walked}/{name}".strip("/")
            child = node.children.get(name)
            if child is None:
                child = node.children[name] = self._implied(node, walked)
                node.time = None
            if child.kind == tarfile.SYMTYPE:
                found = self._find(walked)
                if found is None:
                    raise UnpackError(f"mkdir {walked}")
                child = found
            if not child.is_directory:
                raise UnpackError(f"mkdir {walked}")
            node = child
        return node

    def _implied(self, parent: Node, path: str) -> Node:
        """Make a directory, which Linux gives the setgid bit of its parent."""
        made = Node(tarfile.DIRTYPE, 0o755 | parent.mode & 0o2000)
        if self._engine == "containerd":
            for lower in self._lower:
                found = _lookup(lower, path, _LINKS)
                if found is not None:
                    if found.is_directory:
                        made.mode, made.owner = found.mode, found.owner
                        made.attributes = dict(found.attributes)
                    break
        return made

    def _find(self, path: str) -> Node | None:
        return _lookup(self._root, path, _LINKS)


def _lookup(root: Node, path: str, links: int) -> Node | None:
    """Follow a path; the last component may be a symbolic link only if it is not followed."""
    node, walked = root, [root]
    names = [name for name in path.split("/") if name]
    for position, name in enumerate(names):
        if name == "..":
            walked = walked[:-1] or [root]
            node = walked[-1]
            continue
        child = node.children.get(name) if node.is_directory else None
        if child is not None and child.kind == tarfile.SYMTYPE and position < len(names) - 1:
            if not links:
                return None
            before = "/".join(names[:position])
            start = "" if child.link.startswith("/") else before
            return _lookup(root, "/".join([start, child.link, *names[position + 1 :]]), links - 1)
        if child is None:
            return None
        node = child
        walked.append(node)
    return node
