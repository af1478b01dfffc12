"""What engines unpack from an image with split layers is what each of them unpacks from the original.

Engines differ in what they make of one image, so each is compared with itself. What a wrong split breaks is tested as
well: it shows that a difference would be seen, and is the reason for the rules in `pipe.splitting`.
"""

import io
import os
import random
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from integration.accepted_layers import accepted_everywhere
from integration.image_files import Image
from integration.unpackers import ENGINES, OVERLAY, Refused, Unpacked, compared, unpack_all
from nasty_layers import NastyLayer, archive, make, record

from pipe.errors import CannotSplitError
from pipe.splitting.config import LAYERS_MAXIMUM
from pipe.splitting.cut import cut
from pipe.splitting.entries import scan
from pipe.splitting.parts import LayerPart

pytestmark = [pytest.mark.root, pytest.mark.local_engine, pytest.mark.private_engine]

SEEDS = int(os.environ.get("SPLIT_SEEDS") or 10)
"""Generated layers that all engines unpack, and as many again that only some of them do."""
BATCH = 10
"""Layers for which the engines are started anew."""
CUTS = 3
"""Splits of each layer."""
TINY = 10_000 if SEEDS > BATCH else 1_000
"""Tiny files in one layer."""


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
        layer=[A, X, link("a/y", "a/x")],
        parts=[[A, X], [A, link("a/y", "a/x")]],
        broken=on(STACKED, NO_TARGET),
        right=[[A, X, link("a/y", "a/x")], [A]],
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


@pytest.fixture(scope="module")
def wrong() -> dict[str, dict[str, Unpacked]]:
    """What each engine unpacks of all that is split by hand."""
    images: dict[str, Image] = {}
    for name, case in WRONG.items():
        for kind, parts in (("whole", [case.layer]), ("wrong", case.parts), ("right", case.right)):
            images[f"{name}-{kind}"] = [archive(*case.below), *(archive(*part) for part in parts)]
    return unpack_all(images)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_split_is_seen(wrong: dict[str, dict[str, Unpacked]], name: str, engine: str) -> None:
    whole, parts = (wrong[engine][f"{name}-{kind}"] for kind in ("whole", "wrong"))
    assert not isinstance(whole, Refused)
    seen, expected = compared(whole, parts), WRONG[name].broken.get(engine, [])
    if expected and expected[0].startswith("refused: "):
        assert isinstance(parts, Refused)
        assert expected[0].removeprefix("refused: ") in parts.reason
    else:
        assert seen == expected


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [name for name, case in WRONG.items() if case.right])
def test_a_right_split_is_the_same(wrong: dict[str, dict[str, Unpacked]], name: str, engine: str) -> None:
    assert compared(wrong[engine][f"{name}-whole"], wrong[engine][f"{name}-right"]) == []


def splits(layer: bytes) -> list[Image]:
    """Return every split of a layer, from few large parts to many small ones."""
    found: dict[tuple[bytes, ...], None] = {}
    for size in range(2 * len(layer), 1024, -512):
        try:
            found[split(layer, size)] = None
        except CannotSplitError:
            break
    return [parts for parts in found if len(parts) > 1]


def split(layer: bytes, size: int) -> tuple[bytes, ...]:
    """Return the parts of a layer."""
    return tuple(read(part, layer) for part in cut(scan(io.BytesIO(layer)), size).parts)


def read(part: LayerPart, layer: bytes) -> bytes:
    """Return a part's bytes."""
    content = bytearray(part.size + 1)
    stream, length = part.read(lambda offset: io.BytesIO(layer[offset:])), 0
    while count := stream.readinto(memoryview(content)[length:]):
        length += count
    return bytes(content[:length])


def generated(batch: int, adapt: Callable[[NastyLayer], NastyLayer]) -> dict[str, Image]:
    """Return the images of a batch of seeds: `SEED-whole`, and some of its splits as `SEED-NUMBER`."""
    images: dict[str, Image] = {}
    for seed in range(batch * BATCH, min((batch + 1) * BATCH, SEEDS)):
        nasty = adapt(make(random.Random(seed), accepted=True))
        every = splits(nasty.layer)
        # The smallest parts say most.
        chosen = every[-1:] + random.Random(seed).sample(every[:-1], min(len(every) - 1, CUTS - 1)) if every else []
        images |= {f"{seed}-{number}": [nasty.below, *parts] for number, parts in enumerate(chosen)}
        images[f"{seed}-whole"] = [nasty.below, nasty.layer]
    return images


def expect_the_same(unpacked: Mapping[str, Mapping[str, Unpacked]]) -> None:
    """Assert that no engine sees a difference between an image and its splits."""
    seen = [
        f"{engine}, {tag}: {line}"
        for engine, trees in unpacked.items()
        for tag, tree in trees.items()
        for line in compared(trees[f"{tag.partition('-')[0]}-whole"], tree)
    ]
    assert seen == []


@pytest.mark.parametrize("batch", range(-(-SEEDS // BATCH)))
def test_every_split_of_a_nasty_layer_is_the_same_on_all_engines(batch: int) -> None:
    images = generated(batch, accepted_everywhere)
    assert any(not tag.endswith("-whole") for tag in images)
    unpacked = unpack_all(images)
    refused = [tree for trees in unpacked.values() for tree in trees.values() if isinstance(tree, Refused)]
    assert refused == []
    expect_the_same(unpacked)


def test_a_split_of_many_tiny_files_is_the_same_on_all_engines() -> None:
    nasty = accepted_everywhere(make(random.Random(0), accepted=True, tiny=TINY))
    parts = split(nasty.layer, len(nasty.layer) // 3)
    assert len(parts) == 4
    expect_the_same(unpack_all({"0-whole": [nasty.below, nasty.layer], "0-parts": [nasty.below, *parts]}))


@pytest.mark.parametrize("batch", range(-(-SEEDS // BATCH)))
def test_every_split_of_a_layer_that_some_engines_refuse_is_the_same_on_the_others(batch: int) -> None:
    """A path twice is taken by the containerd store and umoci; a global header by the former only."""
    images = generated(batch, lambda nasty: replace(nasty, below=archive()))
    unpacked = unpack_all(images, ["second-containerd", "umoci"])
    for trees in unpacked.values():
        assert any(not isinstance(tree, Refused) for tree in trees.values())
    expect_the_same(unpacked)


LAYERS = 125
"""The most that an Engine with a graphdriver takes, of which `pipe.splitting` must not make more."""


def test_docker_takes_as_many_layers_as_a_split_may_make() -> None:
    assert LAYERS_MAXIMUM == LAYERS
    layers = [archive(record(f"{number}", content=b"%d" % number)) for number in range(LAYERS + 1)]
    unpacked = unpack_all({"most": layers[:-1], "more": layers}, ["docker"])["docker"]
    assert not isinstance(unpacked["most"], Refused)
    assert len(unpacked["most"]) == LAYERS + 1  # with the root
    assert isinstance(unpacked["more"], Refused)
    assert "max depth exceeded" in unpacked["more"].reason
