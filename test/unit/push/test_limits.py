"""The registry's limits, and what people are told when one is broken."""

import pytest

from pipe.config.variables import default
from pipe.oci.image import Image, Layer
from pipe.push import limits
from pipe.units import parse_duration, parse_size

LIMIT = 32 * 10**9


def image(*sizes: int | None) -> Image:
    """Make an image with layers of these sizes."""
    layers = tuple(Layer(number, "sha256:x", size, "COPY big /") for number, size in enumerate(sizes, start=1))
    return Image("sha256:0", sum(size or 0 for size in sizes), layers)


def test_the_defaults_are_what_atlassian_says() -> None:
    assert parse_size(default("MAX_LAYER_SIZE")) == LIMIT
    assert parse_duration(default("UPLOAD_TIMEOUT")) == 7 * 60


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((), id="no-layers"),
        pytest.param((LIMIT,), id="exactly-the-limit"),
        pytest.param((LIMIT, LIMIT, LIMIT), id="many-layers-within-it"),
        pytest.param((None, 1), id="unknown-size"),
    ],
)
def test_what_fits(sizes: tuple[int | None, ...]) -> None:
    assert limits.oversized(image(*sizes), LIMIT) is None


def test_what_does_not_fit() -> None:
    layer = limits.oversized(image(1, None, LIMIT + 1, LIMIT + 2), LIMIT)
    assert layer is not None
    error = limits.too_large_unpacked(layer.label, LIMIT + 1, LIMIT)
    assert str(error) == (
        "A layer is too large for the registry: layer 3 (COPY big /): 32.0 GB uncompressed (32000000001 bytes);"
        " the limit is 32.0 GB (MAX_LAYER_SIZE). Nothing was uploaded.\n"
        "Split this instruction into several, or add fewer files; or set SPLIT_LAYERS: auto, which splits the layer and"
        " thereby changes the image's ID."
        " If it compresses below the registry's 32 GB, raise MAX_LAYER_SIZE."
    )
    assert error.exit_code == 5
    assert not error.temporary


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        pytest.param(True, "The upload was stopped.", id="under-way"),
        pytest.param(False, "Nothing was uploaded.", id="before-its-first-byte"),
    ],
)
def test_a_stored_size_is_no_matter_of_compression(sent: bool, words: str) -> None:
    error = limits.too_large("layer 1", 2, 1, sent=sent)
    assert "2 B stored (2 bytes); the limit is 1 B" in str(error)
    assert error.cause.endswith(words)
    assert "compresses" not in str(error)


def test_too_slow_says_all_there_is_to_know() -> None:
    error = limits.too_slow("layer 2 (RUN make)", (100_000_000, 1_000_000_000), 420, 420)
    assert error.summary == (
        "Layer upload exceeds the registry's time limit: layer 2 (RUN make): 100.0 MB of 1.0 GB sent in 7m 00s,"
        " 238.1 KB/s; the whole layer would take 1h 10m. The registry times out after 7m 00s (UPLOAD_TIMEOUT)."
    )
    assert error.exit_code == 5
    assert not error.temporary


@pytest.mark.parametrize(
    ("sizes", "seconds", "words"),
    [
        pytest.param((0, 10), 420.0, "0 B of 10 B sent in 7m 00s, 0 B/s. The", id="nothing-sent"),
        pytest.param((10, 0), 10.0, "layer 1: 10 B sent in 10.0 s, 1 B/s. The", id="size-unknown"),
        pytest.param((10, 10), 10.0, "10 B sent in 10.0 s, 1 B/s; the registry has not confirmed it.", id="all-sent"),
        pytest.param((0, 0), 0.0, "layer 1: 0 B sent in 0.0 s, 0 B/s. The", id="nothing-known"),
    ],
)
def test_too_slow_leaves_out_what_is_not_known(sizes: tuple[int, int], seconds: float, words: str) -> None:
    error = limits.too_slow("layer 1", sizes, seconds, 420)
    assert words in error.summary
    assert "would take" not in error.summary


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        pytest.param(True, "The upload was stopped.", id="under-way"),
        pytest.param(False, "Nothing of it was uploaded.", id="before-its-first-byte"),
    ],
)
def test_a_layer_that_grows_over_the_limit(sent: bool, words: str) -> None:
    error = limits.grown_too_large("layer 1", 16_800_000, 10_000_000, sent=sent)
    assert "layer 1: more than 10.0 MB (10000000 bytes) compressed, the limit set by MAX_LAYER_SIZE" in error.cause
    assert error.cause.endswith(words)
