"""Layers that are hard to split, made of a seed: whatever is odd in a tar, on few paths, so that entries meet.

`make(random.Random(7))` always gives the same layer and the one below it. `accepted=True` leaves out what makes engines
refuse a layer: hard links to nothing, whiteouts of what the layer itself has.
"""

import random
import struct
import tarfile
from dataclasses import dataclass
from typing import Any, Literal

BLOCK = 512
_SHORT = 80
"""Bytes of a path that fits a header with a prefix."""
NAMES = ("a", "b", ".c", "x", "z", "é", "long" * 30)
MODES = (0o755, 0o700, 0o1777, 0o644, 0o4755, 0o2750, 0)
OWNERS = (0, 1000, 2**21 + 7, 2**31 - 2)
TIMES = (0.0, 1_700_000_000.0, 1_700_000_000.123456789, 2**33 + 0.5, 1.000000001)
XATTRS = {
    "SCHILY.xattr.user.note": "plain",
    "SCHILY.xattr.user.long": "x" * 700,
}
CAPABILITY = {"SCHILY.xattr.security.capability": "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"}
"""cap_net_raw, in effect."""


@dataclass(frozen=True)
class NastyLayer:
    """A layer and the one below it, each a tar, and what was put into the layer, for messages."""

    below: bytes
    layer: bytes
    notes: tuple[str, ...]


def make(rng: random.Random, *, accepted: bool = False, entries: int = 25, tiny: int = 0) -> NastyLayer:
    """Make a layer.

    Args:
        rng: The only source of chance.
        accepted: Whether every engine must accept it.
        entries: The most entries besides tiny files.
        tiny: Tiny files in addition.
    """
    below = _Writer(rng, accepted=True, suffix=".link")
    for _ in range(rng.randrange(entries)):
        rng.choice((below.file, below.file, below.directory, below.symlink, below.device, below.link))()
    above = _Writer(rng, accepted=accepted)
    above.known = dict(below.kinds)
    moves = [
        *(above.file, above.file, above.file, above.directory, above.directory, above.link, above.link),
        *(above.symlink, above.device, above.whiteout, above.opaque, above.recreation, above.type_change),
        *(above.again, above.sparse, above.late_directory, above.global_header),
    ]
    for _ in range(1 + rng.randrange(entries)):
        rng.choice(moves)()
    if tiny:
        above.tiny(tiny)
    if not accepted and _chance(rng, 30):
        above.shuffle()
    return NastyLayer(below.tar(), above.tar(), tuple(above.notes))


def record(  # noqa: PLR0913
    name: str,
    kind: bytes = tarfile.REGTYPE,
    content: bytes = b"",
    *,
    link: str = "",
    headers: dict[str, str] | None = None,
    form: Literal[0, 1, 2] = tarfile.PAX_FORMAT,
    mode: int = 0o644,
    owner: int = 0,
    time: float = 0,
    device: tuple[int, int] = (0, 0),
) -> bytes:
    """Return the record of one entry: its headers, content and padding."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size, member.mode = kind, link, len(content), mode
    member.uid = member.gid = owner
    member.mtime = time if form == tarfile.PAX_FORMAT else int(time)
    member.devmajor, member.devminor = device
    member.pax_headers = dict(headers or {})
    return member.tobuf(form, "utf-8", "surrogateescape") + content + bytes(-len(content) % BLOCK)


def archive(*records: bytes) -> bytes:
    """Return a tar of records."""
    return b"".join(records) + bytes(2 * BLOCK)


def global_header(**headers: str) -> bytes:
    """Return a PAX global header."""
    return tarfile.TarInfo.create_pax_global_header(headers)


def old_sparse(name: str, pieces: list[tuple[int, bytes]], size: int, *, mode: int = 0o644) -> bytes:
    """Return a sparse file in GNU tar's old format, with extension headers for more than four pieces."""
    table = [(offset, len(data)) for offset, data in pieces]
    content = b"".join(data for _, data in pieces)
    header = bytearray(record(name, b"S", content, form=tarfile.GNU_FORMAT, mode=mode)[:BLOCK])
    first, rest = table[:4], table[4:]
    header[386:482] = _sparse_table(first, 4)
    header[482] = bool(rest)
    header[483:495] = b"%011o\0" % size
    blocks = b""
    while rest:
        piece, rest = rest[:21], rest[21:]
        blocks += _sparse_table(piece, 21) + bytes([bool(rest)]) + bytes(7)
    return checked(header) + blocks + content + bytes(-len(content) % BLOCK)


def checked(header: bytes | bytearray) -> bytes:
    """Return a header with the right checksum."""
    changed = bytearray(header)
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


def pax_sparse(name: str, pieces: list[tuple[int, bytes]], size: int, version: str, *, mode: int = 0o644) -> bytes:
    """Return a sparse file in one of GNU tar's PAX formats: `0.0`, `0.1` or `1.0`."""
    content = b"".join(data for _, data in pieces)
    numbers = [(offset, len(data)) for offset, data in pieces]
    keys: list[tuple[str, str]]
    if version == "1.0":
        listed = "".join(
            f"{number}\n" for number in [len(numbers), *(each for pair in numbers for each in pair)]
        ).encode()
        content = listed + bytes(-len(listed) % BLOCK) + content
        keys = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", name)]
        keys.append(("GNU.sparse.realsize", str(size)))
    else:
        keys = [("GNU.sparse.size", str(size)), ("GNU.sparse.numblocks", str(len(numbers)))]
        if version == "0.1":
            keys.append(("GNU.sparse.name", name))
            keys.append(("GNU.sparse.map", ",".join(f"{offset},{length}" for offset, length in numbers)))
        else:
            for offset, length in numbers:
                keys += [("GNU.sparse.offset", str(offset)), ("GNU.sparse.numbytes", str(length))]
    data = b"".join(pax_record(key, value) for key, value in keys)
    stored = name if version == "0.0" else f"GNUSparseFile.0/{name}"[:90]
    return record(f"PaxHeaders/{name}"[:90], b"x", data, form=tarfile.USTAR_FORMAT) + record(
        stored, content=content, form=tarfile.USTAR_FORMAT, mode=mode
    )


def pax_record(key: str, value: str) -> bytes:
    """Return one record of an extended header."""
    rest = f" {key}={value}\n".encode()
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _sparse_table(pieces: list[tuple[int, int]], count: int) -> bytes:
    table = b"".join(struct.pack("12s12s", b"%011o\0" % offset, b"%011o\0" % length) for offset, length in pieces)
    return table.ljust(24 * count, b"\0")


def _chance(rng: random.Random, percent: int) -> bool:
    return rng.randrange(100) < percent


class _Writer:
    """Writes records, and remembers what the layer has."""

    def __init__(self, rng: random.Random, *, accepted: bool, suffix: str = "") -> None:
        self._rng = rng
        self._accepted = accepted
        self._suffix = suffix
        self._records: list[bytes] = []
        self.kinds: dict[str, bytes] = {}
        self.known: dict[str, bytes] = {}
        self.notes: list[str] = []
        self._hidden: set[str] = set()

    def tar(self) -> bytes:
        """Return the tar; Python does not read one that ends with a global header."""
        return archive(*self._records, record("last"))

    def shuffle(self) -> None:
        """Bring all records into another order."""
        self.notes.append("shuffled")
        self._rng.shuffle(self._records)

    def path(self, *, free: bool = False) -> str:
        """Choose a path; a free one does not exist and does not lie below something that is no directory."""
        for _ in range(50):
            path = "/".join(self._rng.choice(NAMES) for _ in range(self._rng.choice((1, 1, 2, 2, 3))))
            if not (free or self._accepted or _chance(self._rng, 98)) or self._fits(path, free=free):
                return path
        return f"free-{len(self._records)}"

    def _fits(self, path: str, *, free: bool) -> bool:
        folders = [path.rsplit("/", count)[0] for count in range(1, path.count("/") + 1)]
        if any(self.kinds.get(folder, tarfile.DIRTYPE) != tarfile.DIRTYPE for folder in folders):
            return False
        below = [folder for folder in folders if folder not in self.kinds]
        if any(
            folder in self._hidden or self.known.get(folder, tarfile.DIRTYPE) != tarfile.DIRTYPE for folder in below
        ):
            return False
        if any(each.startswith(path + "/") for each in self.kinds) and self.kinds.get(path) != tarfile.DIRTYPE:
            return False
        return not free or path not in self.kinds

    def spelled(self, path: str) -> str:
        """Spell a path as some tools do."""
        if _chance(self._rng, 80):
            return path
        return self._rng.choice((f"./{path}", f"/{path}", path.replace("/", "//"), f"no/../{path}", f"././{path}"))

    def add(self, path: str, kind: bytes, content: bytes = b"", *, note: str = "", **options: Any) -> None:  # noqa: ANN401
        """Add an entry with odd metadata."""
        rng = self._rng
        form = rng.choice((tarfile.PAX_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
        headers: dict[str, str] = {}
        if form == tarfile.PAX_FORMAT and _chance(rng, 30) and kind in {tarfile.REGTYPE, tarfile.DIRTYPE}:
            headers |= dict([rng.choice(list(XATTRS.items()))])
            if kind == tarfile.REGTYPE and _chance(rng, 50):
                headers |= CAPABILITY
        name = self.spelled(path) + ("/" if kind == tarfile.DIRTYPE else "")
        fields: dict[str, Any] = {
            "mode": rng.choice(MODES),
            "owner": rng.choice(OWNERS),
            "time": rng.choice(TIMES),
            "headers": headers,
            "form": form,
        }
        self._records.append(record(name, kind, content, **(fields | options)))
        self.notes.append(note or f"{kind.decode()} {path}")
        self.kinds[path] = kind

    def content(self) -> bytes:
        """Return the content of a file."""
        return self._bytes(self._rng.choice((0, 1, 511, 512, 513, 2000, 9000)))

    def _bytes(self, size: int) -> bytes:
        """Return bytes that no other content has."""
        return (b"%d," % len(self.notes) * size)[:size]

    def file(self) -> None:
        """Add a file."""
        self._put(self.path(), tarfile.REGTYPE, self.content())

    def _put(self, path: str, kind: bytes, content: bytes = b"", **options: Any) -> None:  # noqa: ANN401
        if self._accepted and (path in self._hidden or self.kinds.get(path, kind) != kind):
            return
        self.add(path, kind, content, **options)

    def directory(self) -> None:
        """Add a directory, perhaps once more, perhaps after its files."""
        self._put(self.path(), tarfile.DIRTYPE)

    def late_directory(self) -> None:
        """Add the entry of a directory that has only been implied."""
        folders = sorted({path.rsplit("/", 1)[0] for path in self.kinds if "/" in path} - set(self.kinds))
        if folders:
            self._put(self._rng.choice(folders), tarfile.DIRTYPE)

    def symlink(self) -> None:
        """Add a symbolic link; nothing lies below it, or engines would disagree."""
        # Below those of a lower layer, engines would put files into different directories.
        path = self.path(free=True) + self._suffix
        self._put(path, tarfile.SYMTYPE, link=self._rng.choice(("a", "../x", "/z/a", "nowhere")))

    def device(self) -> None:
        """Add a device node or a named pipe."""
        kind = self._rng.choice((tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE))
        self._put(self.path(free=True), kind, device=(1, 3) if kind != tarfile.FIFOTYPE else (0, 0))

    def link(self) -> None:
        """Add a hard link to a file of the layer, or to one of a lower layer, or to nothing."""
        files = sorted(path for path, kind in self.kinds.items() if kind not in {tarfile.DIRTYPE, tarfile.SYMTYPE})
        target = self._rng.choice(files) if files else ""
        if not self._accepted and (not target or _chance(self._rng, 10)):
            target = self._rng.choice(sorted(path for path in self.known if path not in self.kinds) or ["nothing"])
        path = self.path(free=True)
        if not target or path == target:
            return
        self._put(path, tarfile.LNKTYPE, link=self.spelled(target), note=f"1 {path} = {target}")
        self.kinds[path] = tarfile.REGTYPE

    def whiteout(self) -> None:
        """Hide something of a lower layer, which the layer may have as well."""
        path = self._rng.choice(sorted(self.known) or ["nothing"])
        if self._accepted and (path in self.kinds or path in self._hidden or not self._fits(path, free=True)):
            return
        self._whiteout(path)

    def _whiteout(self, path: str) -> None:
        folder, slash, name = path.rpartition("/")
        self._records.append(record(f"{folder}{slash}.wh.{name}"))
        self.notes.append(f"whiteout {path}")
        self._hidden.add(path)

    def opaque(self) -> None:
        """Make a directory opaque, before or after its files."""
        folders = sorted(path for path, kind in self.kinds.items() if kind == tarfile.DIRTYPE)
        if _chance(self._rng, 20) and not self._accepted:
            folders.append(self.path())
        if folders:
            folder = self._rng.choice(folders)
            self._records.append(record(f"{folder}/.wh..wh..opq"))
            self.notes.append(f"opaque {folder}")

    def recreation(self) -> None:
        """Hide a directory, and create it again, with files."""
        path = self._rng.choice(sorted(each for each in self.known if not each.endswith(".link")) or ["a"])
        if self._accepted and (path in self._hidden or not self._fits(path, free=True) or path in self.kinds):
            return
        self._whiteout(path)
        self.add(path, tarfile.DIRTYPE)
        for name in self._rng.sample(NAMES, 2):
            self.add(f"{path}/{name}", tarfile.REGTYPE, self.content())

    def type_change(self) -> None:
        """Add something, and then something else with the same path."""
        path = self.path(free=True)
        if any(each.startswith(f"{path}/") for each in self.kinds):
            return
        if _chance(self._rng, 50):
            self.add(path, tarfile.REGTYPE, self.content())
            self.add(path, tarfile.DIRTYPE)
            self.add(f"{path}/a", tarfile.REGTYPE, self.content())
            return
        if not self._accepted and _chance(self._rng, 20):
            # Docker and podman then set the time of the directory, which is gone or another file.
            self.add(path, tarfile.DIRTYPE)
            self.add(f"{path}/a", tarfile.REGTYPE, self.content())
        self.add(path, tarfile.SYMTYPE, link="elsewhere")
        self.add(path, tarfile.REGTYPE, self.content())

    def again(self) -> None:
        """Replace a file by a second version; hard links keep the first."""
        files = sorted(path for path, kind in self.kinds.items() if kind == tarfile.REGTYPE)
        if files:
            path = self._rng.choice(files)
            self.add(path, tarfile.REGTYPE, self.content(), note=f"0 {path}, again")

    def sparse(self) -> None:
        """Add a sparse file in one of four formats."""
        path = self.path(free=True)
        count = self._rng.choice((1, 4, 5, 30))
        pieces = [(4096 * number, self._bytes(512)) for number in range(1, count)]
        pieces.append((4096 * count, self._bytes(self._rng.choice((1, 512)))))
        size = 4096 * (count + 2)
        version = self._rng.choice(("old", "0.0", "0.1", "1.0"))
        if len(path) > _SHORT:
            return
        made = old_sparse(path, pieces, size) if version == "old" else pax_sparse(path, pieces, size, version)
        self._records.append(made)
        self.notes.append(f"sparse {version} {path}")
        self.kinds[path] = tarfile.REGTYPE

    def global_header(self) -> None:
        """Add a global header, which tar and Python apply to what follows."""
        made = global_header(**self._rng.choice(({"comment": "x" * 40}, {"mtime": "12.5", "uname": "u"})))
        self._records.insert(0 if _chance(self._rng, 80) else len(self._records), made)
        self.notes.append("global")

    def tiny(self, count: int) -> None:
        """Add many tiny files in some directories."""
        for number in range(count):
            if number % 100 == 0:
                self.add(f"tiny/{number // 100}", tarfile.DIRTYPE)
            self._records.append(record(f"tiny/{number // 100}/{number}", content=b"%d" % number))
            self.kinds[f"tiny/{number // 100}/{number}"] = tarfile.REGTYPE
        self.notes.append(f"{count} tiny files")
