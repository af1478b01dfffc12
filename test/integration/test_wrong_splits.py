"""What a wrong split of a layer breaks on six engines, and what a right one does not.

The wrong ones show that a difference would be seen, and are the reason for the rules in `pipe.splitting`.
"""

import hashlib
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from integration.image_files import Image
from integration.splits import split, splits
from integration.unpackers import ENGINES, OVERLAY, Refused, Unpacked, compared, unpack_all
from nasty_layers import archive, record

from pipe.errors import CannotSplitError

pytestmark = [pytest.mark.root, pytest.mark.private_engine]


def directory(name: str, **options: object) -> bytes:
    """Return a directory's record."""
    options = {"mode": 0o700, "owner": 7, "time": 10**9} | options
    return record(f"{name}/", tarfile.DIRTYPE, **options)  # type: ignore[arg-type]


def opaque_by_xattr(name: str) -> bytes:
    """Return the record of a directory that a tool took from the folder of an overlay2 layer."""
    return directory(name, headers={"SCHILY.xattr.trusted.overlay.opaque": "y"})


def link(name: str, target: str, kind: bytes = tarfile.LNKTYPE) -> bytes:
    """Return a link's record."""
    return record(name, kind, link=target, mode=0o777)


Records = Sequence[bytes]
A, X, Y, OLD = directory("a"), record("a/x"), record("a/y"), record("a/old")
OPAQUE, WHITEOUT, ROOT_OPAQUE = record("a/.wh..wh..opq"), record(".wh.a"), record(".wh..wh..opq")
REAL, LINK, BY_LINK = directory("real"), link("link", "real", tarfile.SYMTYPE), record("link/y")
NEW_PARENT = ["a: mode 'drwx------' → 'drwxr-xr-x'", "a: owner (7, 7) → (0, 0)"]
TIME = "a: modified 1000000000000000000 → None"
GONE = ["a/x: gone"]
HIDES_LINK = [
    "link: mode 'lrwxrwxrwx' → 'drwxr-xr-x'",
    "link: size 4 → 0",
    "link: content 'real' → ''",
    "link: links 1 → 0",
    "link: modified 0 → None",
    "link/y: new",
    "real/y: gone",
]
COPIES_PARENT = ["link: mode 'lrwxrwxrwx' → 'drwx------'", "link: owner (0, 0) → (7, 7)", *HIDES_LINK[1:]]


def on(engines: Sequence[str], lines: list[str]) -> dict[str, list[str]]:
    """Return what is broken on some engines."""
    return dict.fromkeys(engines, lines)


@dataclass(frozen=True)
class Wrong:
    """A split that is wrong, and one that is right.

    Attributes:
        layer: The original layer.
        parts: The wrong parts.
        right: Parts that give the same tree on all engines.
        broken: What is wrong on each engine that is not right by luck.
        below: The layer below.
    """

    layer: Records
    parts: Sequence[Records]
    broken: Mapping[str, list[str]]
    right: Sequence[Records] = ()
    below: Records = field(default=(A, OLD))


NO_TARGET = ["refused: no such file or directory"]
DUPLICATE = ["refused: duplicates of file paths not supported"]
FLAT = ("podman-vfs", "umoci")
STACKED = (*OVERLAY, "second-containerd")
WRONG = {
    "hard-link-without-its-target": Wrong(
        layer=[A, X, link("a/z", "a/x"), Y],
        parts=[[A, X], [A, link("a/z", "a/x"), Y]],
        broken=on(STACKED, NO_TARGET),
        right=[[A, X, link("a/z", "a/x")], [A, Y]],
    ),
    "parent-only-in-the-first-part": Wrong(
        below=[],
        layer=[A, X, Y],
        parts=[[A, X], [Y]],
        broken=on(OVERLAY, [*NEW_PARENT, TIME]) | on(("second-containerd", "podman-vfs"), [TIME]),
        right=[[A, X], [A, Y]],
    ),
    "parent-after-its-files": Wrong(
        below=[],
        layer=[X, Y, A],
        parts=[[A, X], [Y]],
        broken=on(OVERLAY, [*NEW_PARENT, TIME]) | on(("second-containerd", "podman-vfs"), [TIME]),
        right=[[X, A], [Y, A]],
    ),
    "whiteout-without-its-parent": Wrong(
        layer=[A, X, record("a/.wh.old")],
        parts=[[A, X], [record("a/.wh.old")]],
        broken=on(OVERLAY, [*NEW_PARENT, TIME]) | on(("second-containerd", "podman-vfs"), [TIME]),
        right=[[A, X], [A, record("a/.wh.old")]],
    ),
    "opaque-in-a-later-part": Wrong(
        layer=[A, OPAQUE, X, Y],
        parts=[[A, X], [A, OPAQUE, Y]],
        broken=on(ENGINES, GONE),
        right=[[A, OPAQUE, X], [A, Y]],
    ),
    "opaque-twice": Wrong(layer=[A, OPAQUE, X, Y], parts=[[A, OPAQUE, X], [A, OPAQUE, Y]], broken=on(ENGINES, GONE)),
    "opaque-root-in-a-later-part": Wrong(
        layer=[A, X, ROOT_OPAQUE, Y],
        parts=[[A, X], [A, ROOT_OPAQUE, Y]],
        broken=on(FLAT, GONE),
        right=[[A, X, ROOT_OPAQUE], [A, Y]],
    ),
    "whiteout-before-the-new-directory": Wrong(
        layer=[WHITEOUT, A, X, Y],
        parts=[[WHITEOUT], [A, X, Y]],
        broken=on(STACKED, ["a/old: gone"]),
        right=[[WHITEOUT, A, X], [A, Y]],
    ),
    "whiteout-after-the-new-file": Wrong(
        layer=[record(".wh.x"), record("x"), Y],
        parts=[[record("x")], [record(".wh.x"), Y]],
        broken=on(ENGINES, ["x: gone"]),
        right=[[record(".wh.x"), record("x")], [Y]],
    ),
    "symbolic-link-only-in-the-first-part": Wrong(
        layer=[REAL, LINK, record("link/x"), BY_LINK],
        parts=[[REAL, LINK, record("link/x")], [BY_LINK]],
        broken=on(OVERLAY, HIDES_LINK)
        | {"second-containerd": COPIES_PARENT, "podman-vfs": ["real: modified 1000000000000000000 → None"]},
        right=[[REAL, LINK, record("link/x")], [REAL, LINK, BY_LINK]],
    ),
    "opaque-by-an-xattr-twice": Wrong(
        layer=[opaque_by_xattr("a"), X, Y],
        parts=[[opaque_by_xattr("a"), X], [opaque_by_xattr("a"), Y]],
        broken=on(OVERLAY, GONE),
    ),
    "parent-twice-in-a-part": Wrong(
        layer=[A, X, Y], parts=[[A, X], [A, A, Y]], broken=on((*OVERLAY, "podman-vfs"), DUPLICATE)
    ),
}


def capability(number: str) -> dict[str, str]:
    """Return the header of a file with a capability."""
    return {"SCHILY.xattr.security.capability": f"\x01\0\0\x02{number}" + 15 * "\0"}


BEFORE = [
    record("mode", mode=0o644),
    record("owner"),
    record("content", content=b"old"),
    record("time", headers={"mtime": "1700000000.123456789"}),
    record("device", tarfile.CHRTYPE, device=(1, 3)),
    record("capability", headers=capability("\x10")),
    record("linked", mode=0o777),
    link("name", "linked"),
    link("target", "old", tarfile.SYMTYPE),
]
AFTER = [
    record("mode", mode=0o4644),
    record("owner", owner=2**21),
    record("content", content=b"new"),
    record("time", headers={"mtime": "1700000000.123456788"}),
    record("device", tarfile.CHRTYPE, device=(1, 5)),
    record("capability", headers=capability("\x20")),
    record("linked", mode=0o777),
    record("name", mode=0o777),
    link("target", "new", tarfile.SYMTYPE),
]
CAPABLE = [f"01000002{bits}{30 * '0'}" for bits in ("10", "20")]
EACH = [
    f"capability: xattrs {{'security.capability': '{CAPABLE[0]}'}} → {{'security.capability': '{CAPABLE[1]}'}}",
    f"content: content '{hashlib.sha256(b'old').hexdigest()}' → '{hashlib.sha256(b'new').hexdigest()}'",
    "device: device (1, 3) → (1, 5)",
    "linked: links 2 → 1",
    "linked: names ('linked', 'name') → ('linked',)",
    "mode: mode '-rw-r--r--' → '-rwSr--r--'",
    "name: links 2 → 1",
    "name: names ('linked', 'name') → ('name',)",
    "owner: owner (0, 0) → (2097152, 2097152)",
    "target: content 'old' → 'new'",
    "time: modified 1700000000123456789 → 1700000000123456788",
]


def images() -> dict[str, Image]:
    """Return the images: before and after changes, and of each case four, the last one by the pipe if it splits it."""
    found: dict[str, Image] = {"before": [archive(*BEFORE)], "after": [archive(*AFTER)]}
    for name, case in WRONG.items():
        below, layer = archive(*case.below), archive(*case.layer)
        found[f"{name}-whole"] = [below, layer]
        found[f"{name}-wrong"] = [below, *(archive(*part) for part in case.parts)]
        found[f"{name}-right"] = [below, *(archive(*part) for part in case.right)]
        for made in splits(layer)[-1:]:
            found[f"{name}-made"] = [below, *made]
    return found


@pytest.fixture(scope="module")
def wrong() -> dict[str, dict[str, Unpacked]]:
    """What each engine unpacks of all images."""
    return unpack_all(images())


@pytest.mark.parametrize("engine", ENGINES)
def test_each_difference_is_seen(wrong: dict[str, dict[str, Unpacked]], engine: str) -> None:
    assert compared(wrong[engine]["before"], wrong[engine]["after"]) == EACH


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_split_is_seen(wrong: dict[str, dict[str, Unpacked]], name: str, engine: str) -> None:
    whole, parts = (wrong[engine][f"{name}-{kind}"] for kind in ("whole", "wrong"))
    assert not isinstance(whole, Refused)
    seen, expected = compared(whole, parts), WRONG[name].broken.get(engine, [])
    if expected and expected[0].startswith("refused: "):
        assert isinstance(parts, Refused)
        # containerd sometimes discards the lower layer before it reports why the upper one failed.
        reasons = (expected[0].removeprefix("refused: "), "parent snapshot")
        assert any(reason in parts.reason for reason in reasons), parts.reason
    else:
        assert seen == expected


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [name for name, case in WRONG.items() if case.right])
def test_a_right_split_is_the_same(wrong: dict[str, dict[str, Unpacked]], name: str, engine: str) -> None:
    assert compared(wrong[engine][f"{name}-whole"], wrong[engine][f"{name}-right"]) == []


NOT_SPLIT = {
    "symbolic-link-only-in-the-first-part": "entries lie below the link link",
    "opaque-by-an-xattr-twice": "extended attributes that belong to overlayfs",
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [name for name in WRONG if name not in NOT_SPLIT])
def test_the_split_that_is_made_is_the_same(wrong: dict[str, dict[str, Unpacked]], name: str, engine: str) -> None:
    assert compared(wrong[engine][f"{name}-whole"], wrong[engine][f"{name}-made"]) == []


@pytest.mark.parametrize("name", NOT_SPLIT)
def test_a_layer_that_engines_read_differently_is_not_split(name: str) -> None:
    with pytest.raises(CannotSplitError, match=NOT_SPLIT[name]):
        split(archive(*WRONG[name].layer), 3 * 1024)
