"""Which entries of a layer come into which part."""

import io
import random
import tarfile

import pytest
from layer_model import ENGINES, tree
from nasty_layers import BLOCK, archive, global_header, make, pax_sparse, record
from unit.splitting.streams import Pieces, opener, read

from pipe.errors import CannotSplitError
from pipe.splitting import groups
from pipe.splitting.cut import cut
from pipe.splitting.entries import scan
from pipe.splitting.parts import LayerPart

DIRECTORY, LINK, SYMLINK = tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE
SIZE = 20_000
"""Two files of `big` do not fit in a part."""


def big(name: str) -> bytes:
    """Return a file that takes more than half of a part."""
    return record(name, content=b"%d" % len(name) * 12_000)


def folder(name: str, mode: int = 0o755, **headers: str) -> bytes:
    """Return a directory."""
    return record(name, DIRECTORY, mode=mode, headers=headers)


def made(*records: bytes, size: int = SIZE) -> tuple[list[LayerPart], list[bytes]]:
    """Cut a layer of some records; return the parts' bytes as well."""
    layer = archive(*records)
    result = cut(scan(Pieces(layer)), size)
    return result, [read(part.read(opener(layer))) for part in result]


def names(part: bytes) -> list[str]:
    """Return the names in a part."""
    with tarfile.open(fileobj=io.BytesIO(part)) as opened:
        return opened.getnames()


@pytest.mark.parametrize(
    ("records", "parts"),
    [
        pytest.param([big("a"), big("b")], [["a"], ["b"]], id="two-files"),
        pytest.param([record("a"), record("b")], [["a", "b"]], id="fits"),
        pytest.param([folder("d"), big("d/a"), big("d/b")], [["d", "d/a"], ["d", "d/b"]], id="directory-is-repeated"),
        pytest.param(
            [folder("./"), folder("./d"), big("./d/a"), big("./e")],
            [[".", "./d", "./d/a"], [".", "./e"]],
            id="root-is-repeated",
        ),
        pytest.param(
            [folder("d"), folder("d/e"), big("d/e/a"), big("b"), big("d/e/c")],
            [["d", "d/e", "d/e/a"], ["b"], ["d", "d/e", "d/e/c"]],
            id="ancestors-are-repeated",
        ),
        pytest.param(
            [folder("d"), big("a"), folder("d"), big("d/b")], [["a"], ["d", "d", "d/b"]], id="directory-given-twice"
        ),
        pytest.param([big("d/a"), big("d/b")], [["d/a"], ["d/b"]], id="implied-directory"),
        pytest.param(
            [folder("d", 0o2755), big("d/a"), big("d/b")], [["d", "d/a"], ["d", "d/b"]], id="setgid-directory"
        ),
        pytest.param([big("a"), folder("empty"), big("b")], [["a", "empty"], ["b"]], id="empty-directory"),
        pytest.param(
            [folder("d"), folder("d/e"), big("a"), big("b")],
            [["d", "d/e", "a"], ["b"]],
            id="empty-in-another",
        ),
        pytest.param(
            [big("d/a"), big("d/b"), folder("d")], [["d/a", "d"], ["d/b", "d"]], id="directory-after-its-files"
        ),
        pytest.param(
            [big("d/a"), folder("d"), big("d/b")], [["d/a", "d"], ["d/b", "d"]], id="directory-between-its-files"
        ),
        pytest.param(
            [big("a"), big("b"), record("c", LINK, link="a")], [["a", "c"], ["b"]], id="hard-link-to-an-earlier-part"
        ),
        pytest.param(
            [big("a"), record("b", LINK, link="a"), big("c"), record("d", LINK, link="b")],
            [["a", "b", "d"], ["c"]],
            id="chain-of-hard-links",
        ),
        pytest.param(
            [record("a", LINK, link="lower"), big("b"), big("c"), record("d", LINK, link="./lower")],
            [["a", "b", "d"], ["c"]],
            id="two-links-to-a-lower-layer",
        ),
        pytest.param(
            [record("a", LINK, link="late"), big("b"), big("late")], [["a", "late"], ["b"]], id="link-before-its-target"
        ),
        pytest.param(
            [big("a"), record("b", LINK, link="a"), big("c"), record("a")],
            [["a", "b", "a"], ["c"]],
            id="hard-link-to-a-first-version",
        ),
        pytest.param([record("a"), big("b"), big("c"), record("./a")], [["a", "b", "./a"], ["c"]], id="twice"),
        pytest.param(
            [record(".wh.a"), big("b"), big("c"), record("a")], [[".wh.a", "b", "a"], ["c"]], id="whiteout-and-file"
        ),
        pytest.param(
            [record(".wh.d"), folder("d"), big("d/a"), big("d/b")],
            [[".wh.d", "d", "d/a"], ["d", "d/b"]],
            id="directory-created-again",
        ),
        pytest.param(
            [record("a"), record(".wh.d"), big("b"), big("c"), folder("d"), big("d/a"), big("d/b")],
            [["a", "b"], ["c"], [".wh.d", "d", "d/a"], ["d", "d/b"]],
            id="whiteout-comes-with-the-first-of-its-tree",
        ),
        pytest.param(
            [folder("d"), big("d/a"), big("d/b"), record("d/.wh..wh..opq")],
            [["d", "d/a", "d/.wh..wh..opq"], ["d", "d/b"]],
            id="opaque-after-the-files",
        ),
        pytest.param(
            [folder("d"), record("d/.wh..wh..opq"), big("b"), big("c"), big("d/a")],
            [["b"], ["c"], ["d", "d/.wh..wh..opq", "d/a"]],
            id="opaque-comes-with-the-first-of-its-tree",
        ),
        pytest.param(
            [
                *(big("b"), folder("d"), folder("d/e"), record("d/e/.wh..wh..opq"), big("c")),
                record("d/.wh..wh..opq"),
            ],
            [["b", "d", "d/e", "d/e/.wh..wh..opq", "d/.wh..wh..opq"], ["c"]],
            id="opaque-with-an-opaque-directory-in-it",
        ),
        pytest.param(
            [record("d"), big("b"), big("c"), folder("d"), record("d/a")],
            [["d", "b", "d", "d/a"], ["c"]],
            id="file-becomes-a-directory",
        ),
        pytest.param(
            [folder("d"), record("d/a"), big("b"), big("c"), record("d")],
            [["d", "d/a", "b", "d"], ["c"]],
            id="directory-becomes-a-file",
        ),
        pytest.param(
            [record("d/a"), record(".wh.d"), folder("d"), record("d/c"), big("b"), big("e")],
            [["d/a", ".wh.d", "d", "d/c", "b"], ["e"]],
            id="whiteout-between-a-file-and-its-directory",
        ),
        pytest.param(
            [record("x//y"), big("b"), big("c"), record("/x/./y"), record("z/../x/y")],
            [["x//y", "b", "/x/./y", "z/../x/y"], ["c"]],
            id="spelled-differently",
        ),
        pytest.param(
            [record("s", SYMLINK, link="d"), record("h", LINK, link="s"), big("a"), big("b")],
            [["s", "h", "a"], ["b"]],
            id="hard-link-to-a-symbolic-link",
        ),
    ],
)
def test_parts(records: list[bytes], parts: list[list[str]]) -> None:
    result, written = made(*records)
    assert [names(part) for part in written] == parts
    assert [(part.number, part.count) for part in result] == [(n + 1, len(parts)) for n in range(len(parts))]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        pytest.param(
            [record("a"), record("usr/big", content=bytes(30_000))],
            r"the file usr/big takes 3\d\.\d KB, and a part holds at most 19\.8 KB",
            id="file",
        ),
        pytest.param(
            [big("a"), record("b", LINK, link="a"), record("c", LINK, link="a"), big("a")],
            r"a and 3 other entries must stay together.* 27\.\d KB",
            id="group",
        ),
        pytest.param(
            [big("d/a"), folder("d"), big("d/e/b"), record("d/.wh..wh..opq")],
            "d/a and 3 other entries",
            id="opaque-after-a-file-in-an-implied-directory",
        ),
        pytest.param(
            [folder("d"), big("d/a"), big("d/e/b"), record("d/.wh..wh..opq"), folder("d/e")],
            "d/a and 4 other entries",
            id="opaque-before-the-entry-of-a-directory-with-files",
        ),
        pytest.param(
            [big("d/a"), big("d/e/b"), folder("d")],
            "d/a and 2 other entries",
            id="directory-after-a-directory-without-an-entry",
        ),
        pytest.param(
            [big("d/a"), big("d/b"), folder("d", 0o2755)],
            "d/a and 2 other entries",
            id="setgid-directory-after-its-files",
        ),
        pytest.param(
            [big("d/a"), big("d/b"), folder("d", 0o755, **{"SCHILY.xattr.system.posix_acl_default": "x"})],
            "d/a and 2 other entries",
            id="default-acl-after-the-files",
        ),
        pytest.param(
            [record("d/.wh..wh..opq"), big("d/a"), big("d/b")],
            "d/a and 2 other entries",
            id="opaque-directory-without-an-entry",
        ),
        pytest.param(
            [folder("d"), big("d/a"), record(".wh.d"), big("d/b")],
            "d/a and 3 other entries",
            id="late-whiteout",
        ),
        pytest.param(
            [folder("d"), record("d/.wh..wh..opq"), big("d/a"), big("d/b"), record("h", LINK, link="d/lower")],
            "d/a and 4 other entries",
            id="hard-link-into-a-tree-that-an-opaque-whiteout-removes",
        ),
        pytest.param(
            [record(".wh.d"), folder("d"), big("d/a"), big("d/b"), record("h", LINK, link="d/lower")],
            "d/a and 4 other entries",
            id="hard-link-into-a-tree-that-a-whiteout-removes",
        ),
        pytest.param(
            [record("lib", SYMLINK, link="usr/lib"), big("lib/a"), big("b")],
            "entries lie below the link lib",
            id="file-below-a-symbolic-link",
        ),
        pytest.param(
            [folder("d"), record("h", LINK, link="d"), big("a"), big("b")],
            "a hard link leads to the directory d",
            id="hard-link-to-a-directory",
        ),
        pytest.param(
            [big("d/a"), folder("d"), global_header(mtime="1"), big("d/b")],
            "a global extended header comes after",
            id="global-header-between-a-directory-and-its-files",
        ),
        pytest.param([global_header(comment="x" * 30_000)], "no files", id="only-a-global-header"),
    ],
)
def test_what_cannot_be_split(records: list[bytes], message: str) -> None:
    with pytest.raises(CannotSplitError, match=message):
        made(*records)


def test_a_repeated_directory_keeps_its_headers() -> None:
    directory = folder("d", 0o2750, **{"SCHILY.xattr.user.a": "b", "mtime": "1.000000001"})
    _, (first, second) = made(directory, big("d/a"), big("d/b"))
    assert first == archive(directory, big("d/a"))
    assert second == archive(directory, big("d/b"))


def test_late_entries_of_a_directory_keep_their_order() -> None:
    first, second = folder("d", 0o700), folder("d", 0o755, **{"SCHILY.xattr.user.a": "b"})
    _, parts = made(big("d/a"), first, second, big("d/b"))
    assert parts == [archive(big("d/a"), first, second), archive(big("d/b"), first, second)]


def test_records_are_copied() -> None:
    sparse = pax_sparse("d/s", [(0, bytes(9000)), (70_000, b"x")], 99_999, "1.0")
    link = record("d/h", LINK, link="d/s")
    long = record("l" * 150, content=b"x" * 9000, form=tarfile.GNU_FORMAT, owner=2**21 + 1)
    assert made(sparse, long, link)[1] == [archive(sparse, link), archive(long)]


def test_global_headers_are_in_each_part_that_follows_them() -> None:
    first, second = global_header(comment="1"), global_header(mtime="7")
    _, parts = made(first, big("a"), second, big("b"), big("c"))
    assert parts == [archive(first, big("a")), archive(first, second, big("b")), archive(first, second, big("c"))]


@pytest.mark.parametrize("size", [30_000, 50_000, 70_000, 99_000, 200_000])
def test_parts_are_balanced(size: int) -> None:
    result, _ = made(*(record(f"f{number}", content=bytes(2000)) for number in range(100)), size=size)
    sizes = [part.size for part in result]
    fewest = -(-100 // ((size * 99 // 100 - 1024) // 2560))
    assert len(sizes) == fewest
    assert max(sizes) - min(sizes) < 2560 * fewest
    assert max(sizes) <= size * 99 // 100


def test_directories_count_for_the_balance() -> None:
    result, _ = made(*(record(f"d{number}/{kind}", DIRECTORY) for number in range(60) for kind in "ab"), size=50_000)
    sizes = [part.size for part in result]
    assert max(sizes) - min(sizes) < 3000


def test_the_cut_depends_on_nothing_else() -> None:
    layer = archive(*(record(f"d{number % 7}/f{number}", content=bytes(number)) for number in range(300)))
    one, other = (cut(scan(Pieces(layer, most=most)), 40_000) for most in (1, 999_999))
    assert [list(part.ranges()) for part in one] == [list(part.ranges()) for part in other]


def test_a_first_opaque_whiteout_hides_nothing_of_its_layer() -> None:
    below = archive(folder("d"), record("d/old"))
    records = [folder("d"), big("d/a"), big("d/b"), record("d/.wh..wh..opq")]
    _, parts = made(*records)
    for engine in ENGINES:
        assert tree(engine, [below, *parts]) == tree(engine, [below, archive(*records)])
        assert "/d/old" not in tree(engine, [below, *parts])


def test_ten_thousand_tiny_files() -> None:
    nasty = make(random.Random(1), accepted=True, tiny=10_000)
    result = cut(scan(Pieces(nasty.layer)), 1_500_000)
    parts = [read(part.read(opener(nasty.layer))) for part in result]
    assert len(parts) > 5
    assert tree("overlay", parts) == tree("overlay", [nasty.layer])


def test_messages_show_no_control_characters() -> None:
    assert groups.shown(b"a\x1b[2J\xff/b\n") == "a\ufffd/b"
    assert groups.shown(b"") == "/"


def test_a_block_more_than_fits() -> None:
    limit = 10_240 * 99 // 100 // BLOCK * BLOCK
    fits = record("x", content=bytes(limit - 3 * BLOCK))
    assert len(made(fits, size=10_240)[0]) == 1
    assert len(made(record("y"), fits, size=10_240)[0]) == 2
    with pytest.raises(CannotSplitError):
        made(record("x", content=bytes(limit - 2 * BLOCK)), size=10_240)
