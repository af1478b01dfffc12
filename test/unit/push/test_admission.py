"""Large uploads at the same time: each must keep its time limit."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipe.oci.image import Layer
from pipe.push.admission import may_begin
from pipe.push.progress import LayerProgress
from pipe.push.result import LayerStatus

GB = 10**9
NOW, LIMIT = 1000.0, 420.0
SPEED = 12.5e6
"""Bytes a second of 100 Mbit/s."""


def upload(total: float, seconds: float, speed: float = SPEED, **more: Any) -> LayerProgress:  # noqa: ANN401
    """Return an upload that began some seconds ago."""
    return LayerProgress(
        Layer(1, "sha256:" + "a" * 64),
        LayerStatus.UPLOADING,
        sent=int(seconds * speed),
        total=int(total),
        started=NOW - seconds,
        **more,
    )


WAITING = LayerProgress(Layer(1, "sha256:" + "b" * 64), total=3 * GB)
"""An upload that is about to begin."""


@pytest.mark.parametrize(
    ("size", "others", "expected"),
    [
        pytest.param(30 * GB, [], True, id="alone"),
        pytest.param(GB // 2, [upload(GB // 2, 0)], True, id="small-before-the-speed-is-known"),
        pytest.param(3 * GB, [WAITING], False, id="large-before-the-speed-is-known"),
        pytest.param(3 * GB, [upload(3 * GB, 1)], False, id="too-early-to-know-the-speed"),
        pytest.param(3 * GB, [upload(3 * GB, 60)], False, id="both-would-miss"),
        pytest.param(3 * GB, [upload(3 * GB, 130)], True, id="the-other-is-far-enough"),
        pytest.param(3 * GB, [upload(3 * GB, 60, 10 * SPEED)], True, id="a-fast-link"),
        pytest.param(3 * GB, [upload(3 * GB, 300, SPEED / 2)], False, id="the-other-would-miss"),
        pytest.param(
            3 * GB,
            [LayerProgress(WAITING.layer, LayerStatus.UPLOADED, total=3 * GB, sent=3 * GB)],
            True,
            id="the-other-has-arrived",
        ),
    ],
)
def test_an_upload_waits_for_the_link(size: int, others: Sequence[LayerProgress], expected: bool) -> None:
    assert may_begin(size, others, NOW, LIMIT) is expected


def test_the_ratio_of_what_is_compressed_counts() -> None:
    """Six gigabytes of which a third is sent are two."""
    other = upload(2 * GB, 100)
    compressed = LayerProgress(
        Layer(1, "sha256:" + "a" * 64, 6 * GB), other.status, other.sent, other.total, other.started
    )
    assert may_begin(6 * GB, [compressed], NOW, LIMIT)
    assert not may_begin(6 * GB, [other], NOW, LIMIT)
