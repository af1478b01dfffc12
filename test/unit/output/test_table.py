"""The table of layers at the end of a push."""

import pytest

from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Layer
from pipe.output.table import table
from pipe.push.result import LayerResult, LayerStatus


def layer(
    number: int,
    stored: int | None,
    status: LayerStatus,
    instruction: str | None = None,
    seconds: float | None = None,
    platform: str = "",
) -> LayerResult:
    """Make the outcome for a layer."""
    descriptor = None if stored is None else Descriptor("", f"sha256:{number}", stored)
    made = Layer(number, f"sha256:{number}", 14_000_000, instruction, platform=platform)
    return LayerResult(made, status, descriptor, seconds)


def test_the_table_has_a_line_a_layer() -> None:
    layers = (
        layer(1, 31_700_000, LayerStatus.ALREADY_THERE),
        layer(2, 123, LayerStatus.UPLOADED, "COPY . /app", seconds=1.23),
        layer(3, None, LayerStatus.WOULD_UPLOAD, "RUN " + "x" * 100),
        layer(4, 5, LayerStatus.MOUNTED, seconds=420.0),
        layer(5, None, LayerStatus.UPLOADING),
    )
    assert table(layers) == [
        "             stored    time  status         layer",
        "1           31.7 MB          already there  base image",
        "2             123 B   1.2 s  uploaded       COPY . /app",
        f"3  14.0 MB unpacked          would upload   RUN {'x' * 45}…",
        "4               5 B  7m 00s  mounted",
        "5  14.0 MB unpacked          not uploaded",
    ]


def test_each_platform_has_a_part() -> None:
    layers = []
    for platform, statuses in {
        "linux/amd64": (LayerStatus.ALREADY_THERE, LayerStatus.UPLOADED),
        "linux/arm/v7": (LayerStatus.UPLOADED,),
    }.items():
        for number, status in enumerate(statuses, start=1):
            layers.append(layer(number, number * 1000, status, f"COPY {number} /", platform=platform))
    assert table(layers) == [
        "   stored  time  status         layer",
        "linux/amd64",
        "1  1.0 KB        already there  COPY 1 /",
        "2  2.0 KB        uploaded       COPY 2 /",
        "linux/arm/v7",
        "1  1.0 KB        uploaded       COPY 1 /",
    ]


@pytest.mark.parametrize(
    ("instruction", "shown"),
    [
        pytest.param("# debian.sh --arch 'amd64' out/ 'trixie' '@1700000000'", "base image", id="debian"),
        pytest.param("ADD … in /", "base image", id="ubuntu"),
        pytest.param("ADD alpine-minirootfs-3.20.3-x86_64.tar.gz /", "base image", id="alpine"),
        pytest.param(None, "base image", id="not-known"),
        pytest.param("COPY … in /", "COPY … in /", id="from-scratch"),
        pytest.param("ADD app.tar /srv", "ADD app.tar /srv", id="below-another-folder"),
    ],
)
def test_the_base_images_layer_is_called_that(instruction: str | None, shown: str) -> None:
    above, below = layer(2, 1, LayerStatus.UPLOADED, instruction), layer(1, 1, LayerStatus.UPLOADED, instruction)
    assert table((below, above))[1].endswith(f"uploaded  {shown}")
    assert table((below, above))[2].endswith(instruction or "uploaded"), "one above it is what it is"


def test_no_line_is_longer_than_a_hundred_columns() -> None:
    widest = layer(1000, None, LayerStatus.WOULD_UPLOAD, "RUN " + "x" * 100, seconds=5999.0)
    assert max(len(f"INFO: {line}") for line in table((widest,))) == 100


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param((), id="no-layers"),
        pytest.param((layer(1, None, LayerStatus.WAITING, "COPY"),), id="no-outcome"),
        pytest.param(
            (layer(1, 5, LayerStatus.ALREADY_THERE), layer(2, 5, LayerStatus.ALREADY_THERE)), id="all-of-them-there"
        ),
    ],
)
def test_no_table_without_news(layers: tuple[LayerResult, ...]) -> None:
    assert table(layers) == []
