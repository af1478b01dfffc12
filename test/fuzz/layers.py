"""Nasty layers with bytes changed: they may be split or refused; parts must be whole, and make the same files."""

import random
import tarfile

from fuzz.inputs import changed_bytes
from layer_model import ENGINES, UnpackError, tree
from nasty_layers import make
from unit.splitting.streams import Pieces, opener, read

from pipe.errors import CannotSplitError
from pipe.splitting.cut import cut
from pipe.splitting.entries import scan


def layer(rng: random.Random) -> tuple[bytes, bytes]:
    """Make a layer, often a damaged one, and the one below it."""
    nasty = make(rng, accepted=rng.random() < 0.5, entries=rng.choice((5, 40)))
    return nasty.below, changed_bytes(rng, nasty.layer) if rng.random() < 0.7 else nasty.layer


def split(data: bytes, below: bytes, parts: int) -> str:
    """Split a layer into about that many parts; return what is wrong with these, "" if nothing is."""
    try:
        made = cut(scan(Pieces(data)), len(data) // parts + 6000)
    except CannotSplitError as error:
        return "" if error.cause else "an error without a message"
    written = [read(part.read(opener(data))) for part in made]
    if [len(part) for part in written] != [part.size for part in made]:
        return "a part of another size"
    for part in written:
        scan(Pieces(part))
    return next((f"another tree in {engine}" for engine in ENGINES if differs(engine, below, data, written)), "")


def differs(engine: str, below: bytes, data: bytes, parts: list[bytes]) -> bool:
    """Return whether an engine that unpacks a layer gets another tree from its parts."""
    try:
        whole = tree(engine, [below, data])
    except (UnpackError, tarfile.TarError, ValueError, OverflowError):
        return False  # Go reads it, or nobody does: Python's errors are not those of engines.
    try:
        return tree(engine, [below, *parts]) != whole
    except (tarfile.TarError, ValueError, OverflowError):
        # Python ends silently at a damaged header that is not the first, and here it is the first.
        return False
    except UnpackError:
        return True
