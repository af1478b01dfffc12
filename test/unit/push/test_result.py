"""The result as JSON."""

import json

import pytest

from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Layer
from pipe.oci.reference import Reference
from pipe.push.result import LayerResult, LayerStatus, PlatformResult, Result, TagResult, TagStatus

DIGEST = "sha256:" + "d" * 64
TARGET = Reference("crg.apkg.io", "acme/app", "1.0")
LAYER = LayerResult(
    Layer(1, "sha256:" + "a" * 64, 456, "COPY . /app"),
    LayerStatus.UPLOADED,
    Descriptor("", "sha256:" + "1" * 64, 123),
    seconds=1.23456,
    reused=False,
)
PUSHED = TagResult(TARGET, TagStatus.PUSHED, DIGEST, verified=True)
FAILED = TagResult(TARGET.with_tag("2.0"), TagStatus.FAILED, error="denied")


NOTHING = {"reference": None, "digest": None, "verified": False, "previous": None, "error": None}


def result(*tags: TagResult, layers: tuple[LayerResult, ...] = (), exit_code: int = 0) -> Result:
    """Make a result."""
    platforms = (PlatformResult("linux/arm64", DIGEST, layers),)
    return Result(
        image="my-container-app:latest",
        image_id="sha256:" + "c" * 64,
        dry_run=False,
        tags=tags,
        layers=layers,
        exit_code=exit_code,
        uploader="engine",
        platforms=platforms,
    )


def test_the_object_has_the_promised_shape() -> None:
    not_tried = TagResult(TARGET.with_tag("3.0"))
    skipped = TagResult(TARGET.with_tag("4.0"), TagStatus.SKIPPED, previous="sha256:" + "e" * 64)
    layer = {
        "digest": "sha256:" + "1" * 64,
        "size": 123,
        "unpacked_size": 456,
        "instruction": "COPY . /app",
        "seconds": 1.235,
        "status": "uploaded",
        "reused": False,
    }
    assert json.loads(
        json.dumps(result(PUSHED, FAILED, not_tried, skipped, layers=(LAYER,), exit_code=4).as_json())
    ) == {
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
                "previous": None,
                "error": None,
            },
            {**NOTHING, "tag": "2.0", "status": "failed", "error": "denied"},
            {**NOTHING, "tag": "3.0", "status": "not tried"},
            {**NOTHING, "tag": "4.0", "status": "skipped", "previous": "sha256:" + "e" * 64},
        ],
        "uploader": "engine",
        "split": None,
        "layers": [layer],
        "platforms": [{"platform": "linux/arm64", "digest": DIGEST, "layers": [layer]}],
        "referrers": [],
        "exit_code": 4,
    }


def test_statuses_are_the_promised_words() -> None:
    assert [*TagStatus] == ["pushed", "already there", "skipped", "failed", "not tried", "would push"]
    told: list[object] = []
    for status in LayerStatus:
        layers = result(layers=(LayerResult(Layer(1, ""), status),)).as_json()["layers"]
        assert isinstance(layers, list)
        told.append(layers[0]["status"])
    assert told == [None, None, None, "uploaded", "already there", "mounted", "would upload"]


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
