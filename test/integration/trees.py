"""The tree of files that an engine unpacks from an image, and how two of them differ.

Run as a program it reads trees in a mount namespace of its own, so that nothing stays mounted:

    unshare --mount python trees.py <PLACES >TREES

PLACES is a JSON list: a folder with a whole tree, or a list of folders, the layers of a tree, the uppermost first.
TREES is a JSON list of trees in the same order.
"""

import ctypes
import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_READ_ONLY = 1
_LAZILY = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """All that a container sees of a path, except times of access and the numbers of inodes.

    Attributes:
        mode: Type and permissions, as `ls -l` shows them.
        owner: User and group.
        size: Bytes; 0 for a directory, whose size depends on the file system.
        content: Digest of a file's bytes, or a symbolic link's target.
        device: Major and minor number of a device, else empty.
        links: The link count; 0 for a directory, which overlayfs counts in two ways.
        names: All paths with the same inode.
        xattrs: Values in hexadecimal.
        modified: Nanoseconds since 1970; None for a time that the engine made up while it unpacked.
    """

    mode: str
    owner: tuple[int, int]
    size: int
    content: str
    device: tuple[int, ...]
    links: int
    names: tuple[str, ...]
    xattrs: dict[str, str]
    modified: int | None


Tree = Mapping[str, Entry]
"""Entries by path; the root is `.`."""


Place = Path | Sequence[Path]
"""A folder with a whole tree, or the folders of its layers, the uppermost first."""


def read_trees(places: Sequence[Place], since: int) -> list[Tree]:
    """Read trees in a mount namespace of their own; needs root.

    Args:
        places: Where they are.
        since: Nanoseconds since 1970: times from then on are made up by the engine.

    Returns:
        The trees, in the same order.
    """
    command = ["unshare", "--mount", sys.executable, __file__]
    request = json.dumps([str(place) if isinstance(place, Path) else list(map(str, place)) for place in places]).encode()
    answer = json.loads(subprocess.run(command, input=request, check=True, stdout=subprocess.PIPE).stdout)
    return [{path: _entry(fields, since) for path, fields in tree.items()} for tree in answer]


def _entry(fields: dict[str, object], since: int) -> Entry:
    fields |= {name: tuple(fields[name]) for name in ("owner", "device", "names")}  # type: ignore[arg-type]
    entry = Entry(**fields)  # type: ignore[arg-type]
    return entry if entry.modified is None or entry.modified < since else _without_time(entry)


def _without_time(entry: Entry) -> Entry:
    return Entry(**(asdict(entry) | {"modified": None}))


def differences(before: Tree, after: Tree) -> list[str]:
    """Describe how a tree differs from another, a line for each field of each path."""
    lines = []
    for path in sorted(before.keys() | after.keys()):
        one, other = before.get(path), after.get(path)
        if one is None or other is None:
            lines.append(f"{path}: {'appears' if one is None else 'is gone'}")
            continue
        old, new = asdict(one), asdict(other)
        lines += [f"{path}: {name} {old[name]!r} → {new[name]!r}" for name in old if old[name] != new[name]]
    return lines


def _main() -> None:
    # Nothing that is mounted here is seen outside, and nothing outlives this process.
    _check(_LIBC.mount(b"none", b"/", None, 1 << 18 | 1 << 14, None))
    trees = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        (folder / "root").mkdir()
        for place in json.load(sys.stdin):
            trees.append(dict(_read(Path(place)) if isinstance(place, str) else _read_mounted(folder, place)))
    json.dump(trees, sys.stdout)


def _read_mounted(folder: Path, layers: Sequence[str]) -> Iterator[tuple[str, dict[str, object]]]:
    # The kernel takes 4,096 bytes of options: the names of 125 layers have to be short.
    for number, place in enumerate(layers):
        (folder / f"{number}").symlink_to(place)
    os.chdir(folder)
    # Without an upper folder overlayfs wants two lower ones.
    options = ":".join(["lowerdir=0", *map(str, range(1, len(layers))), "empty"])
    _check(_LIBC.mount(b"overlay", b"root", b"overlay", _READ_ONLY, options.encode()))
    try:
        yield from _read(folder / "root")
    finally:
        _check(_LIBC.umount2(b"root", _LAZILY))
        for number, _ in enumerate(layers):
            (folder / f"{number}").unlink()


def _read(root: Path) -> Iterator[tuple[str, dict[str, object]]]:
    found = [(".", os.lstat(root)), *_walk(root, "")]
    names = defaultdict(list)
    for path, status in found:
        names[status.st_dev, status.st_ino].append(path)
    for path, status in found:
        yield path, asdict(_look(root / path, status, tuple(sorted(names[status.st_dev, status.st_ino]))))


def _walk(root: Path, folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(root / folder) as children:
        for child in sorted(children, key=lambda each: each.name):
            path = f"{folder}/{child.name}" if folder else child.name
            yield path, child.stat(follow_symlinks=False)
            if child.is_dir(follow_symlinks=False):
                yield from _walk(root, path)


def _look(path: Path, status: os.stat_result, names: tuple[str, ...]) -> Entry:
    mode, content = status.st_mode, ""
    if stat.S_ISREG(mode):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    elif stat.S_ISLNK(mode):
        content = os.readlink(path)
    xattrs = {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in _xattr_names(path)}
    directory = stat.S_ISDIR(mode)
    device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    return Entry(
        mode=stat.filemode(mode),
        owner=(status.st_uid, status.st_gid),
        size=0 if directory else status.st_size,
        content=content,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if device else (),
        links=0 if directory else status.st_nlink,
        names=names,
        xattrs=xattrs,
        modified=status.st_mtime_ns,
    )


def _xattr_names(path: Path) -> list[str]:
    return sorted(os.listxattr(path, follow_symlinks=False))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    _main()
