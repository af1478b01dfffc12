"""However a layer is cut, its parts make the same tree in each engine as the layer."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_model import ENGINES, UnpackError, tree
from nasty_layers import make
from unit.splitting.streams import Pieces, opener, read

from pipe.errors import CannotSplitError
from pipe.splitting.cut import cut
from pipe.splitting.entries import scan
from pipe.splitting.parts import LayerPart


def expect_same(below: bytes, layer: bytes, made: Sequence[LayerPart], limit: int) -> None:
    """Compare the trees of a layer and of its parts."""
    parts = [read(part.read(opener(layer))) for part in made]
    assert [len(part) for part in parts] == [part.size for part in made]
    assert len(parts) == 1 or max(map(len, parts)) <= limit
    for engine in ENGINES:
        try:
            whole = tree(engine, [below, layer])
        except UnpackError:
            continue
        assert tree(engine, [below, *parts]) == whole, engine


def sizes(layer: bytes, rng: random.Random) -> list[int]:
    """Choose sizes of parts."""
    return [len(layer) // count + rng.randrange(10_000) for count in (2, 3, 5, 9)]


@given(st.randoms(use_true_random=False), st.booleans())
def test_any_layer_and_any_cut(rng: random.Random, accepted: bool) -> None:
    nasty = make(rng, accepted=accepted)
    scanned = scan(Pieces(nasty.layer))
    for size in sizes(nasty.layer, rng):
        try:
            made = cut(scanned, size)
        except CannotSplitError:
            continue
        expect_same(nasty.below, nasty.layer, made, size)


def outcomes(seed: int) -> list[str]:
    """Cut the layer of a seed in some ways; return what came out."""
    rng = random.Random(seed)
    nasty = make(rng, accepted=seed % 2 == 0, entries=40)
    scanned, found = scan(Pieces(nasty.layer)), []
    for size in sizes(nasty.layer, rng):
        try:
            made = cut(scanned, size)
        except CannotSplitError as error:
            found.append("too large" if "at most" in str(error) else "unclear")
            continue
        expect_same(nasty.below, nasty.layer, made, size)
        found.append("whole" if len(made) == 1 else "split")
    return found


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_many_layers_are_really_split(start: int) -> None:
    counted = Counter(outcome for seed in range(start, start + 50) for outcome in outcomes(seed))
    assert counted["split"] > 40, counted
