"""The result as JSON and as a table."""

import json

import pytest

from pipe.oci.reference import Reference
from pipe.push.result import LayerResult, LayerStatus, Result, TagResult, TagStatus, table

DIGEST = "sha256:" + "d" * 64
TARGET = Reference("crg.apkg.io", "acme/app", "1.0")
LAYER = LayerResult("sha256:" + "1" * 64, 123, 456, "COPY . /app", 1.2, LayerStatus.UPLOADED)
PUSHED = TagResult(TARGET, TagStatus.PUSHED, DIGEST, verified=True)
FAILED = TagResult(TARGET.with_tag("2.0"), TagStatus.FAILED, error="denied")


def result(*tags: TagResult, layers: tuple[LayerResult, ...] = (), exit_code: int = 0) -> Result:
    """Make a result."""
    return Result("my-container-app:latest", "sha256:" + "c" * 64, False, tags, layers, exit_code)


def test_the_object_has_the_promised_shape() -> None:
    not_tried = TagResult(TARGET.with_tag("3.0"))
    assert json.loads(json.dumps(result(PUSHED, FAILED, not_tried, layers=(LAYER,), exit_code=4).as_json())) == {
        "image": "my-container-app:latest",
        "image_id": "sha256:" + "c" * 64,
        "digest": DIGEST,
        "dry_run": False,
        "tags": [
            {
                "tag": "1.0",
                "reference": f"crg.apkg.io/acme/app:1.0@{DIGEST}",
                "digest": DIGEST,
                "verified": True,
                "status": "pushed",
                "error": None,
            },
            {"tag": "2.0", "reference": None, "digest": None, "verified": False, "status": "failed", "error": "denied"},
            {"tag": "3.0", "reference": None, "digest": None, "verified": False, "status": "not tried", "error": None},
        ],
        "layers": [
            {
                "digest": "sha256:" + "1" * 64,
                "size": 123,
                "unpacked_size": 456,
                "instruction": "COPY . /app",
                "seconds": 1.2,
                "status": "uploaded",
            }
        ],
        "exit_code": 4,
    }


def test_statuses_are_the_promised_words() -> None:
    assert [*TagStatus] == ["pushed", "already there", "failed", "not tried", "would push"]
    assert [*LayerStatus] == ["uploaded", "already there", "mounted", "would upload"]


@pytest.mark.parametrize(
    ("tag", "arrived"),
    [
        pytest.param(PUSHED, True, id="pushed"),
        pytest.param(TagResult(TARGET, TagStatus.PUSHED, DIGEST), True, id="pushed-but-not-verified"),
        pytest.param(TagResult(TARGET, TagStatus.ALREADY_THERE, DIGEST, verified=True), True, id="already-there"),
        pytest.param(TagResult(TARGET, TagStatus.PUSHED), False, id="without-digest"),
        pytest.param(TagResult(TARGET, TagStatus.FAILED, DIGEST), False, id="failed"),
        pytest.param(TagResult(TARGET, TagStatus.WOULD_PUSH, DIGEST), False, id="would-push"),
        pytest.param(TagResult(TARGET), False, id="not-tried"),
    ],
)
def test_only_what_arrived_has_a_reference(tag: TagResult, arrived: bool) -> None:
    assert tag.arrived is arrived
    assert tag.reference == (f"crg.apkg.io/acme/app:1.0@{DIGEST}" if arrived else None)
    assert result(FAILED, tag).digest == (DIGEST if arrived else None)


def test_the_table_has_a_line_a_layer() -> None:
    layers = (
        LAYER,
        LayerResult(None, None, 14_000_000, "RUN " + "x" * 100, None, LayerStatus.ALREADY_THERE),
        LayerResult("sha256:" + "2" * 64, 5, None, None, 420.0, LayerStatus.MOUNTED),
        LayerResult(None, None, None, None, None, None),
    )
    assert table(layers) == [
        "layer  instruction                                                      size    time  status",
        "    1  COPY . /app                                                     123 B   1.2 s  uploaded",
        f"    2  RUN {'x' * 55}…  14.0 MB          already there",
        "    3  222222222222                                                      5 B  7m 00s  mounted",
        "    4  unknown                                                                        not uploaded",
    ]


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param((), id="no-layers"),
        pytest.param((LayerResult(None, None, 1, "COPY", None, None),) * 2, id="nothing-became-of-them"),
    ],
)
def test_no_table_where_there_is_nothing_to_tell(layers: tuple[LayerResult, ...]) -> None:
    assert table(layers) == []
