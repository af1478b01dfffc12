"""What engines unpack from an image with split layers is what each of them unpacks from the original.

Engines differ in what they make of one image, so each is compared with itself.
"""

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from integration.accepted_layers import accepted_everywhere
from integration.image_files import Image
from integration.splits import split, splits
from integration.unpackers import Refused, Unpacked, compared, unpack_all
from nasty_layers import NastyLayer, archive, make, record

from pipe.splitting.config import LAYERS_MAXIMUM

pytestmark = [pytest.mark.root, pytest.mark.private_engine]

SEEDS = int(os.environ.get("SPLIT_SEEDS") or 6)
"""Generated layers that all engines unpack, and as many again that only some of them do."""
BATCH = 10
"""Layers for which the engines are started anew."""
CUTS = 3
"""Splits of each layer."""
TINY = 10_000 if SEEDS > BATCH else 1_000
"""Tiny files in one layer."""


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


def expect_accepted(unpacked: Mapping[str, Mapping[str, Unpacked]]) -> None:
    """Assert that each engine has unpacked each image."""
    assert [tree for trees in unpacked.values() for tree in trees.values() if isinstance(tree, Refused)] == []


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
    expect_accepted(unpacked)
    expect_the_same(unpacked)


def test_a_split_of_many_tiny_files_is_the_same_on_all_engines() -> None:
    nasty = accepted_everywhere(make(random.Random(0), accepted=True, tiny=TINY))
    parts = split(nasty.layer, len(nasty.layer) // 3)
    assert len(parts) == 4
    unpacked = unpack_all({"0-whole": [nasty.below, nasty.layer], "0-parts": [nasty.below, *parts]})
    expect_accepted(unpacked)
    expect_the_same(unpacked)


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
