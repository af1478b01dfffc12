"""What is read from a layer's headers, and which layers are not understood."""

import io
import posixpath
import random
import tarfile
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nasty_layers import BLOCK, archive, checked, global_header, make, old_sparse, pax_record, pax_sparse, record
from scanned import entries_of
from unit.splitting.streams import Pieces

from pipe.errors import CannotSplitError
from pipe.splitting import entries, names
from pipe.splitting.entries import EntryKind, Scan, scan

USTAR: Literal[0] = tarfile.USTAR_FORMAT
GNU: Literal[1] = tarfile.GNU_FORMAT
PAX: Literal[2] = tarfile.PAX_FORMAT
END = bytes(2 * BLOCK)
LONG = "d/" * 100 + "name"
HOLES = [(0, b"x" * 512), (8192, b"y"), (16384, b"z" * 100), (65536, b"1"), (80000, b"2"), (90000, b"3")]


def extended(*records: tuple[str, str]) -> bytes:
    """Return an extended header."""
    data = b"".join(pax_record(key, value) for key, value in records)
    return record("PaxHeaders/x", b"x", data, form=USTAR)


def raw(kind: bytes, data: bytes = b"", name: str = "x") -> bytes:
    """Return a record of any type, with content."""
    header = bytearray(record(name, content=data, form=USTAR)[:BLOCK])
    header[156:157] = kind
    return checked(header) + data + bytes(-len(data) % BLOCK)


def field(at: int, value: bytes, original: bytes = b"") -> bytes:
    """Return a record with some bytes of its header replaced."""
    changed = original or record("x", content=b"abc", form=USTAR)
    header = bytearray(changed[:BLOCK])
    header[at : at + len(value)] = value
    return checked(header) + changed[BLOCK:]


def found(layer: bytes) -> list[tuple[str, str, str]]:
    """Return kind, path and target of each entry."""
    listed = entries_of(scan(Pieces(layer)))
    return [(each.kind.name, each.path.decode(), each.target.decode()) for each in listed]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        pytest.param(archive(), [], id="empty"),
        pytest.param(b"", [], id="no-byte"),
        pytest.param(record("x"), [("FILE", "x", "")], id="no-end"),
        pytest.param(record("x") + bytes(BLOCK), [("FILE", "x", "")], id="one-block-of-zeros-at-the-end"),
        pytest.param(archive(record("x", content=b"1" * 513)), [("FILE", "x", "")], id="file"),
        pytest.param(archive(record("x", content=b"1"), record("y")), [("FILE", "x", ""), ("FILE", "y", "")], id="two"),
        pytest.param(archive(record("d", b"5")), [("DIRECTORY", "d", "")], id="directory"),
        pytest.param(archive(raw(b"\0", name="d/")), [("DIRECTORY", "d", "")], id="directory-of-v7"),
        pytest.param(archive(raw(b"\0")), [("FILE", "x", "")], id="file-of-v7"),
        pytest.param(archive(raw(b"7", b"abc")), [("FILE", "x", "")], id="contiguous-file"),
        pytest.param(archive(record("./", b"5")), [("DIRECTORY", "", "")], id="root"),
        pytest.param(archive(record("s", b"2", link="../t")), [("SYMLINK", "s", "")], id="symbolic-link"),
        pytest.param(archive(record("h", b"1", link="./d//t")), [("HARD_LINK", "h", "d/t")], id="hard-link"),
        pytest.param(
            archive(field(124, b"00000000144\0", record("h", b"1", link="t", form=USTAR)), record("x")),
            [("HARD_LINK", "h", "t"), ("FILE", "x", "")],
            id="hard-link-with-the-size-of-its-file",
        ),
        pytest.param(archive(record("c", b"3", device=(1, 3))), [("DEVICE", "c", "")], id="character-device"),
        pytest.param(archive(record("p", b"6")), [("DEVICE", "p", "")], id="named-pipe"),
        pytest.param(archive(record("d/.wh.x")), [("WHITEOUT", "d/x", "")], id="whiteout"),
        pytest.param(archive(record("./d/.wh..wh..opq")), [("OPAQUE", "d", "")], id="opaque"),
        pytest.param(archive(record(".wh..wh..opq")), [("OPAQUE", "", "")], id="opaque-root"),
        pytest.param(archive(record("d/a.wh.b")), [("FILE", "d/a.wh.b", "")], id="no-whiteout"),
        pytest.param(archive(record("/a//./b/../x")), [("FILE", "a/x", "")], id="odd-spelling"),
        pytest.param(archive(record(LONG, form=GNU)), [("FILE", LONG, "")], id="gnu-long-name"),
        pytest.param(archive(record("h", b"1", link=LONG, form=GNU)), [("HARD_LINK", "h", LONG)], id="gnu-long-link"),
        pytest.param(archive(record(LONG, form=USTAR)), [("FILE", LONG, "")], id="ustar-prefix"),
        pytest.param(archive(extended(("path", "long")) + record("x")), [("FILE", "long", "")], id="pax-path"),
        pytest.param(archive(extended(("path", "")) + record("x")), [("FILE", "x", "")], id="empty-pax-path"),
        pytest.param(archive(extended(("size", "9")), record("x"), bytes(BLOCK)), [("FILE", "x", "")], id="pax-size"),
        pytest.param(
            archive(field(345, b"pre" + bytes(128) + b"00000000000\0" * 2, field(508, b"tar\0"))),
            [("FILE", "pre/x", "")],
            id="star",
        ),
        pytest.param(archive(field(124, b"\x80" + bytes(10) + b"\3")), [("FILE", "x", "")], id="binary-size"),
        pytest.param(archive(field(124, b" 3 \0")), [("FILE", "x", "")], id="size-with-spaces"),
        pytest.param(archive(old_sparse("x", HOLES[:1], 99999)), [("FILE", "x", "")], id="old-sparse"),
        pytest.param(archive(old_sparse("x", HOLES, 99999)), [("FILE", "x", "")], id="old-sparse-extended"),
        *(
            pytest.param(archive(pax_sparse("x", HOLES, 99999, version)), [("FILE", "x", "")], id=f"sparse-{version}")
            for version in ("0.0", "0.1", "1.0")
        ),
        pytest.param(archive(global_header(a="b"), record("x")), [("GLOBAL", "", ""), ("FILE", "x", "")], id="global"),
        pytest.param(END + b"anything", [], id="bytes-after-the-end"),
    ],
)
def test_understood(layer: bytes, expected: list[tuple[str, str, str]]) -> None:
    assert found(layer) == expected


NO_TAR = "it is not a tar archive"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        pytest.param(b"PK\3\4" * 200, NO_TAR, id="zip"),
        pytest.param(field(0, b"y")[:148] + b"0000000\0" + bytes(356), "wrong checksum", id="wrong-checksum"),
        pytest.param(record("x")[:300], "truncated", id="half-a-header"),
        pytest.param(record("x", content=b"1" * 600)[:-1], "truncated", id="half-a-content"),
        pytest.param(extended(("path", "y"))[:-1], "truncated", id="half-an-extended-header"),
        pytest.param(extended(("path", "y")), "truncated", id="extended-header-at-the-end"),
        pytest.param(archive(extended(("path", "y"))), "truncated", id="extended-header-before-the-end"),
        pytest.param(bytes(BLOCK) + record("x"), "entries follow the end", id="entry-after-a-block-of-zeros"),
        pytest.param(field(124, b"\xff" * 12), "a size of -1 bytes", id="negative-size"),
        pytest.param(field(124, b"\x80" + b"\xff" * 11), "a size of 3", id="size-overflow"),
        pytest.param(field(124, b"\x80" + bytes(3) + b"\x10" + bytes(7)), "truncated", id="huge-size"),
        pytest.param(field(124, b"7777777777x\0"), "size is not a number", id="size-of-letters"),
        pytest.param(field(124, b"\x000000000003"), "size is not a number", id="size-after-a-zero-byte"),
        pytest.param(field(124, b"\x80" + bytes(7) + b"\x7f" + bytes(3), raw(b"x")), "too large", id="huge-extension"),
        pytest.param(field(124, b"\x80" + bytes(7) + b"\x7f" + bytes(3), raw(b"L")), "too large", id="huge-long-name"),
        pytest.param(field(124, b"\x80" + bytes(7) + b"\x7f" + bytes(3), raw(b"g")), "too large", id="huge-global"),
        *(
            pytest.param(archive(raw(kind)), "unknown type", id=f"type-{kind.decode()}")
            for kind in (b"A", b"D", b"M", b"N", b"V", b"X", b"Z", b"8")
        ),
        pytest.param(archive(raw(b"0", name="x/")), "ends with a slash", id="file-with-a-slash"),
        pytest.param(archive(raw(b"5", b"abc")), "not a file has content", id="directory-with-content"),
        pytest.param(archive(raw(b"2", b"abc")), "not a file has content", id="symbolic-link-with-content"),
        pytest.param(archive(raw(b"S")), "not GNU tar's", id="sparse-of-star"),
        pytest.param(
            archive(extended(("GNU.sparse.major", "2")) + record("x")), "unknown format", id="sparse-of-the-future"
        ),
        pytest.param(
            archive(extended(("GNU.sparse.name", "y")) + record("x")), "unknown format", id="sparse-name-only"
        ),
        pytest.param(
            archive(extended(("GNU.sparse.map", "0,1")) + record("x", b"5", form=USTAR)),
            "without content is sparse",
            id="sparse-directory",
        ),
        pytest.param(archive(extended(("a", "b")) * 2 + record("x")), "two extended", id="two-extended-headers"),
        pytest.param(archive(raw(b"L", b"y\0") * 2 + record("x")), "two extended", id="two-long-names"),
        pytest.param(
            archive(extended(("path", "z")) + raw(b"L", b"y\0") + record("x")),
            "two different",
            id="two-names",
        ),
        pytest.param(archive(extended(("a", "b")) + global_header(c="d")), "followed by a global", id="x-before-g"),
        pytest.param(archive(extended(("path", "a\0b")) + record("x")), "zero byte", id="zero-byte-in-a-name"),
        pytest.param(archive(extended(("size", "-1")) + record("x")), "not a number of bytes", id="negative-pax-size"),
        pytest.param(archive(extended(("size", "9" * 19)) + record("x")), "not a number of bytes", id="huge-pax-size"),
        *(
            pytest.param(archive(raw(b"x", data) + record("x")), "malformed", id=f"extended-header-{name}")
            for name, data in {
                "without-length": b"path=x\n",
                "too-short": b"3 a=b\n",
                "too-long": b"99 a=b\n",
                "endless-digits": b"9" * 5000,
                "without-equals": b"6 abc\n",
                "without-key": b"5 =b\n",
                "without-newline": b"6 a=bc",
                "signed": b"+6 a=b\n",
            }.items()
        ),
        *(
            pytest.param(archive(global_header(**{key: "1"}), record("x")), "global extended header sets", id=key)
            for key in ("path", "linkpath", "size", "hdrcharset", "GNU.sparse.name")
        ),
        pytest.param(
            archive(raw(b"g", pax_record("a", "b"), name="tmp/GlobalHead.1.1"), record("x")),
            "has a path",
            id="tmp",
        ),
        pytest.param(
            archive(record("x", headers={"SCHILY.xattr.trusted.overlay.opaque": "y"})), "overlayfs", id="overlay-xattr"
        ),
        pytest.param(archive(record(".wh.d/x")), "below a whiteout", id="below-a-whiteout"),
        pytest.param(archive(record("d/.wh.")), "AUFS", id="whiteout-of-nothing"),
        pytest.param(archive(record(".wh..wh.plnk")), "AUFS", id="aufs"),
        pytest.param(archive(record("h", b"1")), "no target", id="hard-link-without-target"),
        pytest.param(archive(record("h", b"1", link="d/.wh.x")), "no target", id="hard-link-to-a-whiteout"),
        pytest.param(archive(record("../x")), "out of the layer", id="above-the-root"),
        pytest.param(archive(record("a/../../x")), "out of the layer", id="above-the-root-later"),
        pytest.param(archive(record("x/" * 2100 + "x")), "longer than Linux", id="long-path"),
        pytest.param(archive(record("./x/..", b"0")), "no name", id="file-for-the-root"),
        pytest.param(archive(raw(b"5", name="")), "no name", id="no-name"),
        pytest.param(archive(field(345, b"junk", record("x", form=GNU))), "time is not a number", id="gnu-with-prefix"),
    ],
)
def test_not_understood(layer: bytes, message: str) -> None:
    with pytest.raises(CannotSplitError, match=message):
        scan(Pieces(layer))


@given(st.randoms(use_true_random=False))
def test_the_records_are_those_that_python_finds(rng: random.Random) -> None:
    layer = make(rng).layer
    scanned = scan(Pieces(layer))
    ours = [each for each in entries_of(scanned) if each.kind != EntryKind.GLOBAL]
    with tarfile.open(fileobj=io.BytesIO(layer)) as opened:
        members = opened.getmembers()
    assert len(ours) == len(members)
    for our, member in zip(ours, members, strict=True):
        path = posixpath.normpath(f"/{member.name}").lstrip("/")
        folder, name = posixpath.split(path)
        if our.kind == EntryKind.WHITEOUT:
            path = posixpath.join(folder, name.removeprefix(".wh."))
        assert our.path.decode() == (folder if our.kind == EntryKind.OPAQUE else path)
        assert our.offset <= member.offset_data <= our.offset + our.length
        if member.islnk():
            assert our.target.decode() == posixpath.normpath(f"/{member.linkname}").lstrip("/")
    assert scanned.size == len(layer) - len(END)


LARGE = archive(record("a", content=b"1" * 5_000_000), record("b", content=b"2" * 3000), record("c"))


def counted(layer: bytes, size: int) -> tuple[Scan, int]:
    """Scan a layer that can be opened anywhere; return the bytes that were read as well."""
    streams = [Pieces(layer)]

    def reopen(offset: int) -> Pieces:
        streams.append(Pieces(layer, offset))
        return streams[-1]

    scanned = scan(streams[0], reopen=reopen, size=size)
    return scanned, sum(stream.count for stream in streams)


def test_large_contents_are_skipped_if_possible() -> None:
    scanned, read = counted(LARGE, len(LARGE))
    assert entries_of(scanned) == entries_of(scan(Pieces(LARGE)))
    assert scanned.size == len(LARGE) - len(END)
    assert read < 600_000


def test_a_skipped_content_must_be_there() -> None:
    cut = LARGE[:4_000_000]
    with pytest.raises(CannotSplitError, match="truncated"):
        counted(cut, len(cut))


@pytest.mark.parametrize(
    ("module", "limit", "value"),
    [
        pytest.param(entries, "ENTRIES_MAXIMUM", 99, id="entries"),
        pytest.param(names, "NODES_MAXIMUM", 150, id="paths"),
        pytest.param(names, "NAMES_MAXIMUM", 200, id="names"),
    ],
)
def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, module: object, limit: str, value: int) -> None:
    layer = archive(*(record(f"d{number}/f") for number in range(100)))
    scan(Pieces(layer))
    monkeypatch.setattr(module, limit, value)
    with pytest.raises(CannotSplitError, match="entries"):
        scan(Pieces(layer))


def test_global_headers_are_bounded() -> None:
    layer = archive(*[global_header(comment="x" * 100_000)] * 11, record("x"))
    with pytest.raises(CannotSplitError, match="too large"):
        scan(Pieces(layer))


@pytest.mark.parametrize("form", [GNU, USTAR, PAX], ids=["gnu", "ustar", "pax"])
def test_many_paths(form: Literal[0, 1, 2]) -> None:
    paths = [f"d/{number}/f" for number in range(3000)]
    layer = archive(*(record(path, form=form) for path in paths))
    assert [path for _, path, _ in found(layer)] == paths
