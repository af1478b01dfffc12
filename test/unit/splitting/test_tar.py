"""GNU tar and Python unpack the parts, one after the other, to what they unpack from the layer."""

import random
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from nasty_layers import make
from unit.splitting.streams import Pieces, opener, read

from pipe.errors import CannotSplitError
from pipe.splitting.cut import cut
from pipe.splitting.entries import scan

Tree = dict[str, tuple[object, ...]]


def cuts(tmp_path: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield some layers and their parts, in files."""
    for seed in range(150):
        nasty = make(random.Random(seed), accepted=True)
        if any(note[:2] in {"3 ", "4 "} for note in nasty.notes):
            continue  # only root makes device nodes
        try:
            parts = cut(scan(Pieces(nasty.layer)), len(nasty.layer) // 3 + 5000)
        except CannotSplitError:
            continue
        if len(parts) == 1:
            continue
        whole = tmp_path / f"{seed}.tar"
        whole.write_bytes(nasty.layer)
        files = [tmp_path / f"{seed}-{part.number}.tar" for part in parts]
        for part, file in zip(parts, files, strict=True):
            file.write_bytes(read(part.read(opener(nasty.layer))))
        yield whole, files


def tree(root: Path) -> Tree:
    """Return what was unpacked; only the times of files, since both set others only in some cases."""
    found: Tree = {}
    inodes: dict[int, list[str]] = {}
    for path in sorted(root.rglob("*")):
        status, name = path.lstat(), str(path.relative_to(root))
        inodes.setdefault(status.st_ino, []).append(name)
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        link = str(path.readlink()) if path.is_symlink() else ""
        time = status.st_mtime_ns if path.is_file() and not path.is_symlink() else 0
        # GNU tar sets a directory's mode late, so what inherits from it depends on the next entry.
        mode = status.st_mode & ~stat.S_ISGID if path.is_dir() else status.st_mode
        found[name] = mode, time, content, link, inodes[status.st_ino][0]
    return found


def by_tar(file: Path, into: Path) -> None:
    subprocess.run(["tar", "-xpf", str(file), "-C", str(into)], check=True, capture_output=True)


def by_python(file: Path, into: Path) -> None:
    with tarfile.open(file) as opened:
        opened.extractall(into, filter=below, numeric_owner=True)  # noqa: S202


def below(member: tarfile.TarInfo, _: str) -> tarfile.TarInfo:
    """Make an absolute name relative, as GNU tar does; the filters that do so change modes and owners, too."""
    linkname = member.linkname.lstrip("/") if member.islnk() else member.linkname
    return member.replace(name=member.name.lstrip("/"), linkname=linkname, deep=False)


@pytest.mark.parametrize("unpack", [by_tar, by_python])
def test_unpacked(tmp_path: Path, unpack: object) -> None:
    assert callable(unpack)
    compared = 0
    for whole, parts in cuts(tmp_path):
        one, other = tmp_path / f"{whole.stem}-whole", tmp_path / f"{whole.stem}-parts"
        one.mkdir()
        other.mkdir()
        try:
            unpack(whole, one)
        except (OSError, KeyError, subprocess.CalledProcessError):
            continue
        for part in parts:
            unpack(part, other)
        assert tree(one) == tree(other), whole.stem
        compared += 1
    assert compared > 5
