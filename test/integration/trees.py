"""The files that an engine unpacks from an image, as a container sees them, and how two trees of them differ.

As a program it reads trees in a separate mount namespace, so that nothing stays mounted:

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
from typing import Any

_READ_ONLY = 1
_DETACH = 2
"""Constants of Linux, `MS_RDONLY` and `MNT_DETACH`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """All that a container sees of a path, except times of access and numbers of inodes.

    Attributes:
        mode: Type and permissions, as `ls -l` shows them.
        owner: User and group.
        size: Bytes; 0 for a directory, whose size depends on the file system.
        content: Digest of a file's bytes, or a symbolic link's target.
        device: Major and minor number of a device, else empty.
        links: The link count; 0 for a directory, whose count is another if overlayfs merges several.
        names: All paths with the same inode.
        xattrs: Values in hexadecimal.
        modified: Nanoseconds since 1970; None for the time at which the engine created it.
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


def read_trees(places: Sequence[Place], created: range, inside: Sequence[str] = ()) -> list[Tree]:
    """Read trees; needs root.

    Args:
        places: Where they are.
        created: When the engine unpacked them, in nanoseconds since 1970.
        inside: What begins a command that sees the folders.

    Returns:
        The trees, in the same order.
    """
    command = [*inside, "unshare", "--mount", sys.executable, __file__]
    request = json.dumps([str(place) if isinstance(place, Path) else list(map(str, place)) for place in places])
    done = subprocess.run(command, input=request, check=True, stdout=subprocess.PIPE, encoding="ascii")
    return [{path: _entry(fields, created) for path, fields in tree.items()} for tree in json.loads(done.stdout)]


def _entry(fields: dict[str, Any], created: range) -> Entry:
    lists = {name: tuple(fields[name]) for name in ("owner", "device", "names")}
    modified = None if fields["modified"] in created else fields["modified"]
    return Entry(**(fields | lists | {"modified": modified}))


def differences(before: Tree, after: Tree) -> list[str]:
    """Describe how a tree differs from another, in a line for each field of each path.

    A time at which the engine created something is no property of the image: in the second tree it can be any.
    """
    lines = []
    for path in sorted(before.keys() | after.keys()):
        if path not in before or path not in after:
            lines.append(f"{path}: {'gone' if path in before else 'new'}")
            continue
        old, new = asdict(before[path]), asdict(after[path])
        if old["modified"] is None:
            new["modified"] = None
        lines += [f"{path}: {name} {old[name]!r} → {new[name]!r}" for name in old if old[name] != new[name]]
    return lines


def _main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for child in ("empty", "root"):
            (folder / child).mkdir()
        places = json.load(sys.stdin)
        json.dump(
            [dict(_read_mounted(folder, each) if isinstance(each, list) else _read(Path(each))) for each in places],
            sys.stdout,
        )


def _read_mounted(folder: Path, layers: Sequence[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Read what overlayfs makes of layers, mounted as an Engine mounts them."""
    # The kernel takes 4,096 bytes of options: the names of 125 layers must be short.
    links = [folder / str(number) for number, _ in enumerate(layers)]
    for link, layer in zip(links, layers, strict=True):
        link.symlink_to(layer)
    os.chdir(folder)
    # Without an upper folder overlayfs needs two lower ones.
    options = ":".join([*(link.name for link in links), "empty"])
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.mount(b"overlay", b"root", b"overlay", _READ_ONLY, f"lowerdir={options}".encode()))
    try:
        yield from _read(folder / "root")
    finally:
        _check(libc.umount2(b"root", _DETACH))
        for link in links:
            link.unlink()


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _read(root: Path) -> Iterator[tuple[str, dict[str, object]]]:
    found = [(".", root.lstat()), *_walk(root, "")]
    names = defaultdict(list)
    for path, status in found:
        names[status.st_dev, status.st_ino].append(path)
    for path, status in found:
        yield path, asdict(_look(root / path, status, tuple(sorted(names[status.st_dev, status.st_ino]))))


def _walk(root: Path, folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(root / folder) as children:
        for child in children:
            path = f"{folder}/{child.name}" if folder else child.name
            try:
                yield path, child.stat(follow_symlinks=False)
            except FileNotFoundError:
                # In a directory of only one layer, overlayfs lists the names that whiteouts hide.
                continue
            if child.is_dir(follow_symlinks=False):
                yield from _walk(root, path)


def _look(path: Path, status: os.stat_result, names: tuple[str, ...]) -> Entry:
    mode, content = status.st_mode, ""
    if stat.S_ISREG(mode):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    elif stat.S_ISLNK(mode):
        content = str(path.readlink())
    xattrs = os.listxattr(path, follow_symlinks=False)
    return Entry(
        mode=stat.filemode(mode),
        owner=(status.st_uid, status.st_gid),
        size=0 if stat.S_ISDIR(mode) else status.st_size,
        content=content,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if status.st_rdev else (),
        links=0 if stat.S_ISDIR(mode) else status.st_nlink,
        names=names,
        xattrs={name: os.getxattr(path, name, follow_symlinks=False).hex() for name in sorted(xattrs)},
        modified=status.st_mtime_ns,
    )


if __name__ == "__main__":
    _main()
