"""One push, watched: its clocks, its warnings, its end. Time passes only in the streams."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unit.fakes import ENDED, Clock, Line, Messages, Player
from unit.recordings import RECORDINGS, TARGET, Recording, follow, recording

from pipe.engine import events
from pipe.engine.diagnosis import from_engine
from pipe.errors import (
    LayerTooLargeError,
    PipeError,
    PushInterruptedError,
    RegistryFailedError,
    UploadTooSlowError,
)
from pipe.oci.image import Image, Layer
from pipe.push.progress import ProgressTracker

DIGEST = "sha256:" + "d" * 64
BASE, TOP = "a" * 12, "b" * 12
IMAGE = Image(
    "sha256:0",
    1100,
    (Layer(1, "sha256:" + "a" * 64, 1000, "ADD base /"), Layer(2, "sha256:" + "b" * 64, 100, "COPY . /app")),
)
DONE = events.PushDone(DIGEST)


def watch(
    lines: list[Line] | Iterator[Line],
    *,
    end: events.StreamEnded | None = ENDED,
    timeout: float = 100.0,
    limit: int = 10**9,
    image: Image = IMAGE,
) -> tuple[str | PipeError, Messages, float]:
    """Watch a push, and return its end, what people were told, and how long it lasted."""
    clock, told = Clock(), Messages()
    began = clock.now
    stream = Player(clock, lines, end)
    outcome: str | PipeError
    try:
        outcome = follow(stream, clock, told, image, timeout=timeout, limit=limit)
    except PipeError as error:
        outcome = error
    assert stream.closed, "the Engine's push is ended, too"
    return outcome, told, clock.now - began


def sending(layer: str, rate: float, *, until: float, since: float = 0.0, total: int = 1000) -> list[Line]:
    """Send so many bytes a second, told each second."""
    seconds = range(int(until - since) + 1)
    return [(since + s, events.Uploading(layer, min(int(rate * s) + 1, total), total)) for s in seconds]


def test_a_push_ends_with_the_engines_digest() -> None:
    lines = [*sending(BASE, 500, until=2), (2.5, events.Uploaded(BASE)), (3.0, DONE)]
    outcome, told, seconds = watch(lines)
    assert (outcome, seconds) == (DIGEST, 3.0)
    assert told.lines == [f"DEBUG Docker Engine pushed {DIGEST} in 3.0 s."]


def test_an_upload_is_timed_by_when_its_events_were_read() -> None:
    clock, told = Clock(), Messages()
    layer = Layer(1, "sha256:" + "a" * 64, 1000)

    def stall(event: events.Event) -> None:
        """Take 300 seconds over the first event, while the reader goes on."""
        clock.now += 300 if event == events.Uploading(BASE, 1, 1000) else 0

    lines: list[Line] = [(1.0, events.Uploading(BASE, 1, 1000)), (4.0, events.Uploaded(BASE)), (5.0, DONE)]
    tracker = ProgressTracker(Image("sha256:0", 1000, (layer,)))
    stream = Player(clock, lines, heard=stall)
    assert follow(stream, clock, told, IMAGE, timeout=100.0, tracker=tracker) == DIGEST
    assert (tracker.of(BASE).started, tracker.of(BASE).seconds) == (1001.0, 3.0)
    assert told.of("WARNING") == []


@pytest.mark.parametrize(
    ("lines", "end", "cause"),
    [
        pytest.param([], events.StreamEnded(), "Docker Engine reported neither a digest nor an error.", id="empty"),
        pytest.param(
            sending(BASE, 500, until=2),
            events.StreamEnded(),
            "Docker Engine reported neither a digest nor an error.",
            id="in-the-middle",
        ),
        pytest.param(
            sending(BASE, 500, until=2),
            events.StreamEnded("reset"),
            "Lost the connection to Docker Engine (reset).",
            id="broken",
        ),
        pytest.param(
            [(0.0, events.Note(f"1: digest: {DIGEST}"))],
            events.StreamEnded(),
            "Docker Engine reported neither a digest nor an error.",
            id="note",
        ),
    ],
)
def test_a_stream_without_a_result_is_no_success(lines: list[Line], end: events.StreamEnded, cause: str) -> None:
    outcome, _, _ = watch(lines, end=end)
    assert isinstance(outcome, PushInterruptedError)
    assert outcome.cause == cause
    assert outcome.temporary
    assert outcome.exit_code == 6


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([(0.0, events.Failed("denied"))], id="alone"),
        pytest.param([(0.0, DONE), (0.0, events.Failed("denied"))], id="after-the-digest"),
        pytest.param([(0.0, events.Failed("denied")), (0.0, DONE)], id="before-the-digest"),
        pytest.param([(0.0, events.Failed("denied")), (0.0, events.Failed("EOF"))], id="before-another"),
    ],
)
def test_an_error_in_the_stream_is_never_success(lines: list[Line]) -> None:
    outcome, _, _ = watch(lines)
    assert str(outcome) == str(from_engine(TARGET, "denied"))


def test_a_digest_counts_though_the_stream_breaks_off() -> None:
    assert watch([(0.0, DONE)], end=events.StreamEnded("reset"))[0] == DIGEST


def test_notes_are_for_those_who_look_closely() -> None:
    _, told, _ = watch([(0.0, events.Note("The push refers to")), (0.0, events.Note("")), (0.0, DONE)])
    assert told.lines[:-1] == ["DEBUG Engine: The push refers to"]


def test_an_upload_that_passes_the_timeout_is_stopped_at_once() -> None:
    outcome, _, seconds = watch(sending(BASE, 5, until=1000))
    assert isinstance(outcome, UploadTooSlowError)
    assert outcome.cause == (
        "layer 1 (base image): 501 B of 1.0 KB sent in 1m 40s, 5 B/s; the whole layer would take 3m 20s."
        " The registry times out after 1m 40s (UPLOAD_TIMEOUT)."
    )
    assert seconds == 100.0
    assert outcome.exit_code == 5
    assert not outcome.temporary


def test_the_clock_goes_on_while_the_engine_is_silent() -> None:
    outcome, _, seconds = watch([(5.0, events.Uploading(BASE, 1000, 1000))], end=None)
    assert isinstance(outcome, UploadTooSlowError)
    assert seconds == pytest.approx(105, abs=0.25)


def test_each_layer_has_a_clock_of_its_own() -> None:
    lines = [
        *sending(BASE, 12, until=90),
        (90.0, events.Uploaded(BASE)),
        *sending(TOP, 1.2, since=90, until=180, total=100),
        (180.0, events.Uploaded(TOP)),
        (181.0, DONE),
    ]
    assert watch(lines)[0] == DIGEST


@pytest.mark.parametrize(
    ("at", "stopped"),
    [
        pytest.param(89.0, False, id="before-nine-tenths"),
        pytest.param(90.0, True, id="at-nine-tenths"),
        pytest.param(99.0, True, id="shortly-before-the-timeout"),
    ],
)
@pytest.mark.parametrize(
    "ended",
    [
        pytest.param(events.Retrying(BASE, 5), id="retrying"),
        pytest.param(events.Failed("error from registry: blob upload invalid"), id="error"),
        pytest.param(events.Failed("received unexpected HTTP status: 504 Gateway Timeout"), id="504"),
    ],
)
def test_the_registrys_own_timer_is_the_same_failure(at: float, stopped: bool, ended: events.Event) -> None:
    outcome, _, _ = watch([*sending(BASE, 9, until=at), (at, ended), (at, DONE)])
    assert isinstance(outcome, UploadTooSlowError) is stopped
    if not stopped:
        assert outcome == DIGEST or (isinstance(outcome, RegistryFailedError) and outcome.temporary)


def test_a_refusal_late_in_an_upload_stays_a_refusal() -> None:
    outcome, _, _ = watch([*sending(BASE, 9, until=95), (95.0, events.Failed("denied"))])
    assert str(outcome) == str(from_engine(TARGET, "denied"))


def test_a_failure_after_the_upload_is_not_its_timer() -> None:
    lines = [*sending(BASE, 11, until=95), (95.0, events.Uploaded(BASE)), (95.0, events.Failed("HTTP 500 "))]
    outcome, _, _ = watch(lines)
    assert isinstance(outcome, RegistryFailedError)


def test_uploads_that_fail_at_once_are_not_slow() -> None:
    counted = [
        (at + second, events.Retrying(BASE, wait - second))
        for at, wait in ((1, 5), (6, 10), (16, 15))
        for second in range(wait)
    ]
    outcome, told, _ = watch(
        [(0.0, events.Uploading(BASE, 1, 1000)), *counted, (31.0, events.Failed("EOF"))], timeout=20.0
    )
    assert isinstance(outcome, RegistryFailedError)
    assert outcome.temporary
    assert len(told.of("WARNING")) == 3


def test_a_retry_is_told_with_its_layer_once() -> None:
    lines: list[Line] = [
        (0.0, events.Uploading(BASE, 1, 1000)),
        *((1.0 + s, events.Retrying(BASE, 5 - s)) for s in range(5)),
        (7.0, events.Uploading(BASE, 1, 1000)),
        *((8.0 + s, events.Retrying(BASE, 10 - s)) for s in range(10)),
        (20.0, DONE),
    ]
    outcome, told, _ = watch(lines)
    assert outcome == DIGEST
    assert told.of("WARNING") == [
        "layer 1 (base image): the upload failed; Docker Engine retries in 5 s (retry 1 of 4).",
        "layer 1 (base image): the upload failed; Docker Engine retries in 10 s (retry 2 of 4).",
    ]


@pytest.mark.parametrize(
    ("rate", "warned"),
    [
        pytest.param(11.0, False, id="in-time"),
        pytest.param(9.0, True, id="not-in-time"),
        pytest.param(0.0, True, id="hardly-anything"),
    ],
)
def test_a_rate_that_would_miss_the_limit_is_told_once(rate: float, warned: bool) -> None:
    lines = [*sending(BASE, rate, until=24), (24.9, events.Uploading(BASE, int(rate * 25) + 1, 1000))]
    assert watch([*lines, (24.95, DONE)])[1].of("WARNING") == [], "too early to tell"
    warnings = watch([*sending(BASE, rate, until=80), (80.0, DONE)])[1].of("WARNING")
    assert len(warnings) == warned
    if warned:
        assert warnings[0].startswith("layer 1 (base image): at this rate the upload will take ")
        assert warnings[0].endswith(", but the registry times out after 1m 40s.")


def test_a_warning_holds_for_all_attempts() -> None:
    lines = [*sending(BASE, 9, until=50), (50.0, events.Retrying(BASE, 1)), *sending(BASE, 9, since=52, until=100)]
    warnings = watch([*lines, (100.0, DONE)])[1].of("WARNING")
    assert [warning for warning in warnings if "at this rate" in warning] == warnings[:1]


def test_nothing_is_foretold_without_bytes() -> None:
    lines: list[Line] = [(float(second), events.Uploading(BASE, 0, 1000)) for second in range(50)]
    assert watch([*lines, (50.0, DONE)])[1].of("WARNING") == []


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="from-the-beginning"),
        pytest.param([(3.0, events.Waiting(BASE))], id="while-layers-wait"),
        pytest.param(
            [(0.0, events.Uploading(BASE, 1, 9)), (3.0, events.Retrying(BASE, 5))], id="while-it-waits-itself"
        ),
    ],
)
def test_a_silent_engine_is_given_a_minute_more_than_an_upload(lines: list[Line]) -> None:
    outcome, _, seconds = watch(lines, end=None)
    assert isinstance(outcome, PushInterruptedError)
    assert outcome.cause == "Docker Engine was silent for 2m 40s."
    assert outcome.temporary
    assert seconds - (lines[-1][0] if lines else 0) == pytest.approx(160, abs=0.25)


def test_the_manifest_is_given_a_minute() -> None:
    lines: list[Line] = [(0.0, events.Uploading(BASE, 1, 1)), (3.0, events.Uploaded(BASE))]
    outcome, _, seconds = watch(lines, end=None)
    assert isinstance(outcome, PushInterruptedError)
    assert outcome.cause == "all layers were uploaded, but the registry did not accept the manifest within 1m 00s."
    assert outcome.temporary
    assert seconds - 3 == pytest.approx(60, abs=0.25)


def test_progress_is_told_every_ten_seconds() -> None:
    outcome, told, _ = watch([*sending(BASE, 20, until=35), (35.0, events.Uploaded(BASE)), (36.0, DONE)])
    assert outcome == DIGEST
    assert told.of("INFO") == [
        "10 s: 201 B of at most 1.0 KB, 0 of 2 layers; layer 1 at 0:10 of 1:40",
        "20 s: 401 B of at most 1.0 KB, 20 B/s, 0 of 2 layers; layer 1 at 0:20 of 1:40",
        "30 s: 601 B of at most 1.0 KB, 20 B/s, 0 of 2 layers; layer 1 at 0:30 of 1:40",
    ]


def test_progress_is_told_while_the_engine_is_silent() -> None:
    told = watch([(0.0, events.Uploading(BASE, 1, 1000)), (35.0, DONE)])[1]
    assert len(told.of("INFO")) == 3


def test_a_blob_over_the_limit_stops_the_push_where_sizes_were_not_known() -> None:
    lines: list[Line] = [(0.0, events.Uploading(TOP, 1, 100)), (1.0, events.Uploading("c" * 12, 1, 2001)), (9.0, DONE)]
    outcome, _, seconds = watch(lines, limit=2000)
    assert isinstance(outcome, LayerTooLargeError)
    assert outcome.cause.startswith("layer cccccccccccc: 2.0 KB stored (2001 bytes); the limit is 2.0 KB")
    assert seconds == 1.0
    assert watch(lines, limit=2001)[0] == DIGEST


HTML_413 = "error parsing HTTP 413 response body: invalid character '<': \"<html>413 Request Entity Too Large</html>\""


def test_a_413_names_what_went_up() -> None:
    lines: list[Line] = [
        (0.0, events.AlreadyThere("c" * 12)),
        (0.0, events.Uploading(TOP, 1, 100)),
        (0.0, events.Uploading(BASE, 1, 1000)),
        (1.0, events.Failed(HTML_413)),
    ]
    outcome, _, _ = watch(lines)
    assert isinstance(outcome, LayerTooLargeError)
    assert outcome.cause.endswith("(during the upload of layer 1 (base image), layer 2 (COPY . /app))")


def test_a_413_without_uploads_names_nothing() -> None:
    outcome, _, _ = watch([(1.0, events.Failed(HTML_413))])
    assert isinstance(outcome, LayerTooLargeError)
    assert "during the upload" not in outcome.cause


def test_a_413_that_names_its_layer_is_believed() -> None:
    outcome = played(recording("containerd", "too-large-413-html"))
    assert isinstance(outcome, LayerTooLargeError)
    assert outcome.cause.endswith("(during the upload of layer f043d9343a27)")


def played(each: Recording, change: Callable[[list[Line]], list[Line]] = list, **limits: float) -> str | PipeError:
    """Watch a recorded push."""
    clock = Clock()
    try:
        stream = Player(clock, change(each.lines()))
        return follow(stream, clock, Messages(), IMAGE, timeout=limits.get("timeout", 420.0))
    except PipeError as error:
        return error


@pytest.mark.parametrize("engine", ["20.10-graphdriver", "28.5-graphdriver"])
def test_five_uploads_from_byte_0_are_enough(engine: str) -> None:
    outcome = played(recording(engine, "timeout-504-always"))
    assert isinstance(outcome, RegistryFailedError)
    assert not outcome.temporary
    assert "Docker Engine restarted the upload of " in outcome.cause
    assert outcome.cause.endswith(" 4 times.")


def test_containerd_tries_no_layer_again() -> None:
    outcome = played(recording("containerd", "timeout-504-always"))
    assert isinstance(outcome, RegistryFailedError)
    assert outcome.temporary


@pytest.mark.parametrize("engine", ["20.10-graphdriver", "28.5-graphdriver", "28.5-containerd"])
def test_an_upload_that_the_registry_ended_is_not_tried_again(engine: str) -> None:
    outcome = played(recording(engine, "timeout-504-always"), timeout=1.5)
    assert isinstance(outcome, UploadTooSlowError)


def test_a_slow_push_is_stopped_in_any_store() -> None:
    for engine in ("20.10", "28.5-containerd"):
        assert isinstance(played(recording(engine, "slow-ok"), timeout=2.5), UploadTooSlowError)
        assert isinstance(played(recording(engine, "slow-ok"), timeout=11), str)


names = st.sampled_from([BASE, TOP, "c" * 12])
counts = st.integers(0, 2**40)
any_event = st.one_of(
    st.builds(events.Uploading, names, counts, counts),
    st.builds(events.Retrying, names, st.integers(0, 999_999)),
    *(st.builds(kind, names) for kind in (events.Waiting, events.Uploaded, events.AlreadyThere, events.Mounted)),
    st.builds(events.Failed, st.text(max_size=5) | st.sampled_from([HTML_413, "denied", "EOF"])),
    st.builds(events.Note, st.text(max_size=5)),
    st.just(DONE),
)
gaps = st.sampled_from([0.0, 0.1, 1.0, 30.0, 95.0])


@given(st.lists(st.tuples(gaps, any_event), max_size=15), st.sampled_from(["", "reset", None]))
@example([(0.0, DONE), (0.0, events.Failed(""))], "")
def test_no_stream_is_success_without_a_digest(
    steps: list[tuple[float, events.Event]],
    reason: str | None,
) -> None:
    at, lines = 0.0, []
    for gap, event in steps:
        at += gap
        lines.append((at, event))
    end = None if reason is None else events.StreamEnded(reason)
    outcome, _, _ = watch(lines, end=end, limit=2**39)
    if isinstance(outcome, str):
        assert outcome == DIGEST
        assert DONE in [event for _, event in steps]
        assert not any(isinstance(event, events.Failed) for _, event in steps)


@given(st.sampled_from(RECORDINGS), st.integers(0, 300), st.binary(max_size=4), st.integers(0, 400))
def test_no_damaged_recording_is_success_without_its_digest(
    each: Recording, number: int, noise: bytes, place: int
) -> None:
    raw = each.raw()
    number %= len(raw)
    at, line = raw[number]
    damaged = events.parse(line.encode()[:place] + noise + line.encode()[place + len(noise) :])
    kept = [(when, events.parse(text)) for when, text in raw]
    kept[number] = (at, damaged)
    digests = {event.digest for _, event in kept if isinstance(event, events.PushDone)}
    failed = any(isinstance(event, events.Failed) for _, event in kept)
    outcome = played(each, lambda _: kept)
    assert (
        isinstance(outcome, PipeError)
        if failed or not digests
        else outcome in digests or isinstance(outcome, PipeError)
    )


@given(st.sampled_from(RECORDINGS), st.integers(0, 300))
def test_no_truncated_recording_is_success_without_its_digest(each: Recording, length: int) -> None:
    kept = each.lines()[:length]
    outcome = played(each, lambda _: kept)
    assert isinstance(outcome, str) is any(isinstance(event, events.PushDone) for _, event in kept)
