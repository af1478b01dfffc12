"""The result of each layer, from what three sides know of it."""

import json

import pytest
from unit.fakes import Line

from pipe.engine import events
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image, Layer
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.push.engine_progress import EngineProgress
from pipe.push.layer_results import forecast, layer_results
from pipe.push.progress import ProgressTracker, Snapshot
from pipe.push.result import LayerResult, LayerStatus, TagResult, TagStatus

TARGET = Reference("crg.apkg.io", "acme/app", "1")
IMAGE = Image(
    "sha256:0",
    1100,
    (Layer(1, "sha256:" + "a" * 64, 1000, "ADD base /"), Layer(2, "sha256:" + "b" * 64, 100, None)),
)
CONTAINERD = Image("sha256:0", 1100, (Layer(1, "sha256:" + "a" * 64), Layer(2, "sha256:" + "b" * 64)))
MANIFEST = Manifest.parse(
    "",
    json.dumps(
        {"layers": [{"digest": "sha256:" + "1" * 64, "size": 500}, {"digest": "sha256:" + "2" * 64, "size": 50}]}
    ).encode(),
)
PUSHED = TagResult(TARGET, TagStatus.PUSHED, "sha256:" + "d" * 64, verified=True)
BLOBS = (Descriptor("", "sha256:" + "1" * 64, 500), Descriptor("", "sha256:" + "2" * 64, 50))


def pushed(*lines: Line, image: Image = IMAGE) -> Snapshot:
    """Return the progress of a push."""
    tracker = ProgressTracker(image)
    engine = EngineProgress(tracker)
    for now, event in lines:
        assert isinstance(event, events.LayerEvent)
        engine.apply(event, now)
    return tracker.snapshot()


def told(layers: tuple[LayerResult, ...]) -> list[tuple[object, ...]]:
    """Return what is reported of each layer."""
    return [
        (
            layer.descriptor,
            layer.layer.size,
            layer.layer.instruction,
            layer.seconds and round(layer.seconds, 3),
            layer.status,
        )
        for layer in layers
    ]


def test_a_push_from_a_graphdriver_store() -> None:
    progress = pushed(
        (1.0, events.Uploading("a" * 12, 1, 1000)),
        (2.23456, events.Uploaded("a" * 12)),
        (3.0, events.Mounted("b" * 12)),
    )
    assert told(layer_results(IMAGE, progress, MANIFEST, [PUSHED])) == [
        (BLOBS[0], 1000, "ADD base /", 1.235, LayerStatus.UPLOADED),
        (BLOBS[1], 100, None, None, LayerStatus.MOUNTED),
    ]


def test_a_push_from_a_containerd_store() -> None:
    lines = [(1.0, events.Uploading("1" * 12, 1, 500)), (2.0, events.Uploaded("1" * 12))]
    progress = pushed(*lines, (3.0, events.AlreadyThere("2" * 12)), image=CONTAINERD)
    assert told(layer_results(CONTAINERD, progress, MANIFEST, [PUSHED])) == [
        (BLOBS[0], None, None, 1.0, LayerStatus.UPLOADED),
        (BLOBS[1], None, None, None, LayerStatus.ALREADY_THERE),
    ]


def test_nothing_is_said_of_layers_that_cannot_be_matched() -> None:
    progress = pushed((2.0, events.Uploaded("1" * 12)), image=CONTAINERD)
    assert (
        told(layer_results(CONTAINERD, progress, None, [PUSHED])) == [(None, None, None, None, LayerStatus.WAITING)] * 2
    )


def test_a_manifest_of_another_image_says_nothing() -> None:
    other = Manifest.parse("", json.dumps({"layers": [{"digest": BLOBS[0].digest, "size": 500}]}).encode())
    assert [layer.descriptor for layer in layer_results(IMAGE, pushed(), other, [])] == [None, None]


def test_a_push_that_failed_tells_what_arrived() -> None:
    lines = [(1.0, events.Uploading("a" * 12, 1, 1000)), (1.5, events.AlreadyThere("b" * 12))]
    failed = TagResult(TARGET, TagStatus.FAILED, error="denied")
    statuses = [layer.status for layer in layer_results(IMAGE, pushed(*lines), None, [failed])]
    assert statuses == [LayerStatus.UPLOADING, LayerStatus.ALREADY_THERE]


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        pytest.param(TagResult(TARGET, TagStatus.ALREADY_THERE, "sha256:0"), LayerStatus.ALREADY_THERE, id="there"),
        pytest.param(TagResult(TARGET, TagStatus.WOULD_PUSH), LayerStatus.WOULD_UPLOAD, id="dry-run"),
        pytest.param(TagResult(TARGET, TagStatus.FAILED, error="x"), LayerStatus.WAITING, id="failed"),
        pytest.param(TagResult(TARGET), LayerStatus.WAITING, id="not-tried"),
    ],
)
def test_without_a_push_all_layers_are_alike(tag: TagResult, status: LayerStatus) -> None:
    assert [layer.status for layer in layer_results(IMAGE, pushed(), None, [tag])] == [status, status]


def test_a_forecast() -> None:
    layers = forecast(IMAGE, frozenset({"sha256:" + "b" * 64}))
    assert [layer.status for layer in layers] == [LayerStatus.WOULD_UPLOAD, LayerStatus.ALREADY_THERE]
