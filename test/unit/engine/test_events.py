"""One line of the Engine's stream at a time, and every recorded line."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.recordings import RECORDINGS, Recording, difference, each_recording, transcript

from pipe.engine import events

DIGEST = "sha256:" + "0123456789abcdef" * 4
LAYER = "0123456789ab"


@each_recording
def test_a_recording_becomes_its_transcript(recording: Recording) -> None:
    expected = recording.transcript_path.read_text("utf-8")
    actual = transcript(recording)
    assert actual == expected, difference(expected, actual)


def test_every_engine_is_recorded_in_every_scenario() -> None:
    engines = {each.engine for each in RECORDINGS}
    assert engines == {"engine-20.10-graphdriver", "engine-28.5-graphdriver", "engine-28.5-containerd"}
    assert len(RECORDINGS) == len(engines) * len({each.scenario for each in RECORDINGS}) == 48


def layer(status: str, **more: object) -> dict[str, object]:
    """Make a line about a layer."""
    return {"status": status, "id": LAYER, "progressDetail": {}, **more}


@pytest.mark.parametrize(
    ("line", "event"),
    [
        pytest.param(layer("Preparing"), events.Waiting(LAYER), id="preparing"),
        pytest.param(layer("Waiting"), events.Waiting(LAYER), id="waiting"),
        pytest.param(
            layer("Pushing", progressDetail={"current": 512, "total": 1024}),
            events.Uploading(LAYER, 512, 1024),
            id="pushing",
        ),
        pytest.param(layer("Pushing", progressDetail={"current": 512}), events.Uploading(LAYER, 512, 0), id="no-total"),
        pytest.param(layer("Pushing", progressDetail=None), events.Uploading(LAYER, 0, 0), id="no-progress"),
        pytest.param(
            layer("Pushing", progressDetail={"current": -1, "total": "9"}),
            events.Uploading(LAYER, 0, 0),
            id="no-counts",
        ),
        pytest.param(layer("Pushed"), events.Uploaded(LAYER), id="pushed"),
        pytest.param(layer("Layer already exists"), events.AlreadyThere(LAYER), id="already-exists"),
        pytest.param(layer("Already exists"), events.AlreadyThere(LAYER), id="already-exists-containerd"),
        pytest.param(layer("Mounted from ws/other"), events.Mounted(LAYER), id="mounted"),
        pytest.param(layer("Retrying in 5 seconds"), events.Retrying(LAYER, 5), id="retrying"),
        pytest.param(layer("Retrying in 1 second"), events.Retrying(LAYER, 1), id="retrying-singular"),
        pytest.param(layer("Retrying in 9999999 seconds"), events.Note("Retrying in 9999999 seconds"), id="for-ever"),
        pytest.param(layer("Pondering"), events.Note("Pondering"), id="unknown-status"),
        pytest.param({"status": "Pushed"}, events.Note("Pushed"), id="pushed-without-layer"),
        pytest.param({"status": "Pushed", "id": 3}, events.Note("Pushed"), id="layer-of-another-type"),
        pytest.param({"status": f"1.0: digest: {DIGEST} size: 1156"}, events.PushDone(DIGEST), id="digest"),
        pytest.param(
            layer(f"1.0: digest: {DIGEST} size: 1156"),
            events.Note(f"1.0: digest: {DIGEST} size: 1156"),
            id="digest-of-a-layer",
        ),
        pytest.param(
            {"status": "1: digest: sha256:12 size: 1"}, events.Note("1: digest: sha256:12 size: 1"), id="no-digest"
        ),
        pytest.param({"aux": {"Tag": "1", "Digest": DIGEST, "Size": 1}}, events.PushDone(DIGEST), id="aux"),
        pytest.param({"aux": {"Digest": "sha256:12"}}, events.Note(""), id="aux-without-digest"),
        pytest.param({"aux": {"Digest": None}, "status": "x"}, events.Note("x"), id="aux-null"),
        pytest.param({"errorDetail": {"message": "denied"}, "error": "x"}, events.Failed("denied"), id="error"),
        pytest.param({"error": "denied"}, events.Failed("denied"), id="error-without-detail"),
        pytest.param({"errorDetail": {"message": "denied"}}, events.Failed("denied"), id="detail-only"),
        pytest.param({"error": ""}, events.Failed("no reason given"), id="error-empty"),
        pytest.param({"error": None, "errorDetail": None}, events.Failed("no reason given"), id="error-null"),
        pytest.param({"error": {"a": 1}}, events.Failed("{'a': 1}"), id="error-of-another-type"),
        pytest.param(
            {"status": f"1: digest: {DIGEST} size: 1", "error": "denied"},
            events.Failed("denied"),
            id="error-beats-digest",
        ),
        pytest.param({"status": "\x1b[1mbold\x1b[0m"}, events.Note("bold"), id="colours"),
        pytest.param({}, events.Note(""), id="empty"),
        pytest.param([1], events.Note("[1]"), id="list"),
        pytest.param(None, events.Note("null"), id="null"),
    ],
)
def test_lines(line: object, event: events.Event) -> None:
    assert events.parse(json.dumps(line)) == event
    assert events.parse(json.dumps(line).encode()) == event


@pytest.mark.parametrize(
    ("line", "event"),
    [
        pytest.param(b"", events.Note(""), id="empty"),
        pytest.param(b"<html>", events.Note("<html>"), id="html"),
        pytest.param(b'{"status": "Pus', events.Note('{"status": "Pus'), id="truncated"),
        pytest.param(b"\xff\xfe\x00", events.Note("\ufffd\ufffd"), id="not-utf-8"),
        pytest.param(b"[" * 100_000, events.Note("[" * 299 + "…"), id="deep"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", events.Note('{"a": ' + "9" * 293 + "…"), id="huge-number"),
        pytest.param(b'{"error": "\\ud800"}', events.Failed("\ud800"), id="surrogate"),
    ],
)
def test_what_is_no_line(line: bytes, event: events.Event) -> None:
    assert events.parse(line) == event


LINES = sorted({line for each in RECORDINGS for _, line in each.raw()})


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_line_is_an_event(line: bytes | str) -> None:
    assert isinstance(events.parse(line), events.Note)


@given(st.sampled_from(LINES), st.integers(0), st.binary(max_size=6))
def test_a_damaged_line_is_an_event(line: str, place: int, noise: bytes) -> None:
    data = line.encode()
    place %= len(data)
    assert isinstance(events.parse(data[:place]), events.Note)
    damaged = events.parse(data[:place] + noise + data[place + random.Random(place).randint(0, 4) :])
    assert isinstance(damaged, events.LayerEvent | events.PushDone | events.Failed | events.Note)
