"""The progress of each layer's upload, and the line of the log."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.recordings import RECORDINGS, Recording, each_recording

from pipe.engine import events
from pipe.oci.image import Image, Layer
from pipe.push.engine_progress import EngineProgress
from pipe.push.progress import LayerProgress, ProgressTracker, Snapshot, uploading
from pipe.push.result import LayerStatus

BASE, TOP = "a" * 12, "b" * 12
IMAGE = Image(
    "sha256:0",
    1100,
    (Layer(1, "sha256:" + "a" * 64, 1000, "ADD base /"), Layer(2, "sha256:" + "b" * 64, 100, "COPY . /app")),
)
Step = tuple[float, events.Event]


class Fed:
    """The progress of a push, fed by the Engine's events."""

    def __init__(self, image: Image = IMAGE) -> None:
        self.tracker = ProgressTracker(image)
        self._engine = EngineProgress(self.tracker)

    def apply(self, event: events.Event, now: float) -> LayerProgress | None:
        """Take in an event."""
        return self._engine.apply(event, now) if isinstance(event, events.LayerEvent) else None

    def restart(self) -> None:
        """Begin another attempt."""
        self.tracker.restart()
        self._engine = EngineProgress(self.tracker)

    def line(self, now: float) -> str:
        """Tell how far it has come."""
        return self.tracker.line(now, 420)

    @property
    def exhausted(self) -> LayerProgress | None:
        """What the Engine has tried as often as it does."""
        found = self._engine.exhausted()
        return found[0] if found else None

    @property
    def layers(self) -> Snapshot:
        """What the Engine named."""
        return self.tracker.snapshot()

    @property
    def uploading(self) -> Snapshot:
        """What is under way."""
        return uploading(self.tracker.snapshot())


def after(*steps: Step, image: Image = IMAGE) -> Fed:
    """Take in events at their times."""
    progress = Fed(image)
    for now, event in steps:
        progress.apply(event, now)
    return progress


def pushing(current: int, layer: str = BASE, total: int = 1000) -> events.Uploading:
    """Make an event of bytes sent."""
    return events.Uploading(layer, current, total)


def test_nothing_is_known_before_the_engine_speaks() -> None:
    progress = after()
    assert progress.layers == {}
    assert progress.uploading == {}
    assert progress.exhausted is None
    assert progress.line(0.0) == "waiting for Docker Engine (0 of 2 layers checked)"


@pytest.mark.parametrize(
    ("steps", "state", "seconds"),
    [
        pytest.param([(1.0, events.Waiting(BASE))], LayerStatus.WAITING, None, id="waiting"),
        pytest.param([(1.0, pushing(1)), (3.0, pushing(2))], LayerStatus.UPLOADING, None, id="uploading"),
        pytest.param([(1.0, pushing(1)), (3.5, events.Uploaded(BASE))], LayerStatus.UPLOADED, 2.5, id="uploaded"),
        pytest.param([(3.5, events.Uploaded(BASE))], LayerStatus.UPLOADED, None, id="uploaded-too-fast-to-see"),
        pytest.param([(1.0, events.AlreadyThere(BASE))], LayerStatus.ALREADY_THERE, None, id="already-there"),
        pytest.param([(1.0, events.Mounted(BASE))], LayerStatus.MOUNTED, None, id="mounted"),
        pytest.param([(1.0, pushing(9)), (2.0, events.Retrying(BASE, 5))], LayerStatus.RETRYING, None, id="retrying"),
        pytest.param(
            [(1.0, pushing(9)), (2.0, events.Retrying(BASE, 5)), (7.0, pushing(1)), (8.0, events.Uploaded(BASE))],
            LayerStatus.UPLOADED,
            1.0,
            id="uploaded-the-second-time",
        ),
        pytest.param(
            [(1.0, pushing(1)), (2.0, events.Uploaded(BASE)), (3.0, events.AlreadyThere(BASE))],
            LayerStatus.UPLOADED,
            1.0,
            id="there-since-it-was-uploaded",
        ),
        pytest.param(
            [(1.0, pushing(1)), (2.0, events.Uploaded(BASE)), (3.0, events.Mounted(BASE))],
            LayerStatus.UPLOADED,
            1.0,
            id="mounted-after-it-was-uploaded",
        ),
    ],
)
def test_states(steps: list[Step], state: LayerStatus, seconds: float | None) -> None:
    upload = after(*steps).layers[BASE]
    assert (upload.status, upload.seconds) == (state, seconds)


def test_other_events_change_nothing() -> None:
    progress = after((1.0, pushing(1)))
    for event in (events.PushDone("sha256:0"), events.Failed("x"), events.Note("x"), events.StreamEnded()):
        assert progress.apply(event, 2.0) is None
    assert list(progress.layers) == [BASE]


def test_a_layer_is_known_by_its_diff_id_only() -> None:
    progress = after((1.0, pushing(1)), (1.0, pushing(1, "c" * 12)))
    assert progress.layers[BASE].layer.label == "layer 1 (base image)"
    assert progress.layers["c" * 12].layer.label == "layer cccccccccccc"


def test_two_layers_alike_are_the_lower_one() -> None:
    twice = Image("sha256:0", 2, (Layer(1, "sha256:aa", 1, "ADD a /"), Layer(2, "sha256:aa", 1, "ADD b /")))
    assert after((1.0, pushing(1, "aa")), image=twice).layers["aa"].layer.label == "layer 1 (base image)"


def test_bytes_never_exceed_the_size() -> None:
    upload = after((1.0, pushing(2000))).layers[BASE]
    assert (upload.sent, upload.total) == (1000, 1000)
    assert after((1.0, pushing(2000, "c" * 12, 0))).layers["c" * 12].sent == 2000


def test_the_clock_begins_again_with_the_upload() -> None:
    steps: list[Step] = [(0.0, pushing(500)), (10.0, events.Retrying(BASE, 5))]
    assert after(*steps).layers[BASE].elapsed(10.0) == 10.0
    assert after(*steps, (15.0, pushing(1))).layers[BASE].elapsed(16.0) == 1.0


def test_the_clock_stands_while_the_engine_waits() -> None:
    countdown: list[Step] = [(1.0, pushing(1)), *((2.0 + s, events.Retrying(BASE, 5 - s)) for s in range(5))]
    progress = after(*countdown)
    again = progress.apply(events.Retrying(BASE, 10), 7.0)
    assert again == progress.layers[BASE]
    assert again is not None
    assert again.elapsed(7.0) == 0.0


def test_each_countdown_is_one_retry() -> None:
    progress = Fed()
    told = [
        progress.apply(events.Retrying(BASE, seconds), float(now))
        for now, seconds in enumerate([5, 4, 3, 2, 1, 10, 9, 8])
    ]
    assert [now for now, upload in enumerate(told) if upload] == [0, 5]
    assert progress.layers[BASE].retries == 2


def retries(count: int, layer: str = BASE) -> list[Step]:
    """Let the Engine begin an upload again so often, ten seconds apart."""
    return [
        step
        for number in range(count)
        for step in ((10.0 * number, pushing(1, layer)), (10.0 * number + 5, events.Retrying(layer, 5)))
    ]


@pytest.mark.parametrize(
    ("steps", "exhausted"),
    [
        pytest.param(retries(3), False, id="one-attempt-left"),
        pytest.param(retries(4), True, id="last-attempt"),
        pytest.param([*retries(4), (60.0, pushing(9))], True, id="last-attempt-under-way"),
        pytest.param([*retries(4), (60.0, events.Uploaded(BASE))], False, id="arrived-at-last"),
        pytest.param([*retries(4), (60.0, events.Uploaded(TOP))], False, id="another-arrived-since"),
        pytest.param([(1.0, events.Uploaded(TOP)), *retries(4)], True, id="another-arrived-before"),
        pytest.param([*retries(2), *retries(2, TOP)], False, id="two-layers-twice-each"),
    ],
)
def test_what_the_engine_tried_in_vain(steps: list[Step], exhausted: bool) -> None:
    found = after(*steps).exhausted
    assert (found is not None) is exhausted
    assert found is None or found.layer.short_id == BASE


def test_another_attempt_keeps_what_is_done() -> None:
    progress = after((1.0, pushing(1, TOP, 100)), (2.0, events.Uploaded(TOP)), *retries(4), (50.0, pushing(7)))
    progress.restart()
    done, begun = progress.layers[TOP], progress.layers[BASE]
    assert (done.status, done.seconds) == (LayerStatus.UPLOADED, 1.0)
    assert (begun.status, begun.started, begun.sent, begun.retries) == (LayerStatus.WAITING, None, 0, 0)
    assert progress.exhausted is None
    for now in range(5):
        progress.apply(events.AlreadyThere(TOP), 60.0 + now)
    assert progress.layers[TOP].status is LayerStatus.UPLOADED


def test_an_arrival_of_the_attempt_before_does_not_count() -> None:
    progress = after((1000.0, events.Uploaded(TOP)))
    progress.restart()
    for now, event in retries(4):
        progress.apply(event, now)
    assert progress.exhausted == progress.layers[BASE]


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        pytest.param(
            [(0.0, events.Waiting(BASE)), (0.0, events.Waiting(TOP))],
            "waiting for Docker Engine (0 of 2 layers checked)",
            id="waiting",
        ),
        pytest.param(
            [(0.0, pushing(500)), (1.0, pushing(50, TOP, 100))],
            "550 B of at most 1.1 KB, 0 of 2 layers; layer 1 at 0:04 of 7:00",
            id="uploading",
        ),
        pytest.param(
            [(0.0, pushing(500)), (1.0, events.AlreadyThere(TOP))],
            "500 B of at most 1.0 KB, 1 of 2 layers; layer 1 at 0:04 of 7:00",
            id="what-is-there-is-not-to-be-sent",
        ),
        pytest.param(
            [(0.0, events.Mounted(BASE)), (0.0, events.AlreadyThere(TOP))],
            "waiting for Docker Engine (2 of 2 layers checked)",
            id="all-there",
        ),
        pytest.param(
            [(0.0, pushing(1)), (1.0, events.Uploaded(BASE)), (1.0, events.Uploaded(TOP))],
            "1.1 KB of at most 1.1 KB, 2 of 2 layers",
            id="all-uploaded",
        ),
    ],
)
def test_lines(steps: list[Step], line: str) -> None:
    assert after(*steps).line(4.0) == line


def test_the_rate_is_that_since_the_line_before() -> None:
    progress = after((0.0, pushing(100)))
    progress.line(0.0)
    progress.apply(pushing(600), 5.0)
    assert ", 50 B/s," in progress.line(10.0)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        pytest.param(600, "nothing sent", id="some-bytes-are-left"),
        pytest.param(1000, "no answer from the registry", id="all-bytes-are-sent"),
    ],
)
def test_a_line_without_progress_says_how_long_nothing_was_sent(sent: int, words: str) -> None:
    progress = after((0.0, pushing(100)))
    progress.line(0.0)
    progress.apply(pushing(sent), 5.0)
    assert "B/s, 0 of 2 layers" in progress.line(10.0)
    assert f", {words} for 10.0 s, 0 of 2 layers; layer 1 at 0:20" in progress.line(20.0)
    assert f", {words} for 20.0 s, 0 of 2 layers; layer 1 at 0:30" in progress.line(30.0)
    progress.apply(events.Uploaded(BASE), 31.0)
    progress.apply(pushing(50, TOP, 100), 35.0)
    assert "B/s, 1 of 2 layers" in progress.line(40.0)


def test_an_upload_that_begins_again_has_no_negative_rate() -> None:
    progress = after((0.0, pushing(600)))
    progress.line(0.0)
    progress.apply(events.Retrying(BASE, 5), 1.0)
    progress.apply(pushing(0), 6.0)
    assert ", 0 B/s," in progress.line(10.0)


@each_recording
def test_a_recording_ends_with_every_layer_accounted_for(recording: Recording) -> None:
    lines = recording.lines()
    progress = after(*lines, image=Image("sha256:0", 0, ()))
    raw = [line for _, line in recording.raw()]
    statuses = {
        LayerStatus.UPLOADED: "Pushed",
        LayerStatus.ALREADY_THERE: "Layer already exists",
        LayerStatus.MOUNTED: "Mounted from",
    }
    for state, words in statuses.items():
        expected = sum(f'"status": "{words}' in line for line in raw)
        assert sum(upload.status is state for upload in progress.layers.values()) == expected
    if any(isinstance(event, events.PushDone) for _, event in lines):
        assert "4 of 4 layers" in progress.line(lines[-1][0])


names = st.sampled_from([BASE, TOP, "c" * 12, "", "\x1b"])
counts = st.integers(0, 2**70)
any_event = st.one_of(
    st.builds(events.Uploading, names, counts, counts),
    st.builds(events.Retrying, names, st.integers(0, 999_999)),
    *(st.builds(kind, names) for kind in (events.Waiting, events.Uploaded, events.AlreadyThere, events.Mounted)),
    st.builds(events.Failed, st.text(max_size=5)),
    st.builds(events.PushDone, st.text(max_size=5)),
    st.sampled_from([event for each in RECORDINGS for _, event in each.lines()]),
)


@given(st.lists(st.tuples(st.floats(0, 100), any_event, st.booleans()), max_size=30))
def test_any_order_of_events_is_told(steps: list[tuple[float, events.Event, bool]]) -> None:
    progress, now = Fed(), 0.0
    for seconds, event, restarted in steps:
        now += seconds
        progress.apply(event, now)
        if restarted:
            progress.restart()
        assert f" of {max(2, len(progress.layers))} layers" in progress.line(now)
        assert all(upload.elapsed(now) >= 0 for upload in progress.layers.values())
        assert progress.exhausted is None or progress.exhausted.retries >= 4


def test_the_line_names_the_engine_only_if_it_has_the_image() -> None:
    assert ProgressTracker(IMAGE, "nothing sent yet").line(0, 420) == "nothing sent yet (0 of 2 layers checked)"


def test_many_threads_may_write_and_read_at_once() -> None:
    tracker = ProgressTracker(IMAGE)
    start = threading.Barrier(4)

    def write(thread: int) -> None:
        start.wait()
        for number in range(500):
            name = f"{thread}-{number}"
            tracker.begin(name, 1.0)
            tracker.advance(name, 5, 10)
            tracker.line(2.0, 420)
            tracker.finish(name, LayerStatus.UPLOADED, 3.0)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(write, thread) for thread in range(4)]:
            done.result()
    layers = tracker.snapshot()
    assert len(layers) == 2000
    assert {(one.status, one.sent, one.seconds) for one in layers.values()} == {(LayerStatus.UPLOADED, 10, 2.0)}


def test_a_change_waits_for_the_one_that_another_thread_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = ProgressTracker(IMAGE)
    other = threading.Thread(target=tracker.retry, args=(BASE,), kwargs={"again": True})

    def slow(one: LayerProgress, **changes: object) -> LayerProgress:
        monkeypatch.undo()
        other.start()
        other.join(0.05)
        return one._replace(**changes)  # type: ignore[arg-type] # any of its fields

    monkeypatch.setattr(LayerProgress, "_replace", slow)
    tracker.retry(BASE, again=True)
    other.join(60)
    assert (tracker.of(BASE).retries, tracker.changes) == (2, 2)


@pytest.mark.parametrize(
    ("later", "reused"),
    [
        pytest.param(LayerStatus.ALREADY_THERE, True, id="the-engine-finds-it-too"),
        pytest.param(LayerStatus.UPLOADED, False, id="sent-since-the-registry-lost-it"),
    ],
)
def test_a_layer_stays_reused_unless_it_is_sent_after_all(later: LayerStatus, reused: bool) -> None:
    tracker = ProgressTracker(IMAGE)
    tracker.finish(BASE, LayerStatus.ALREADY_THERE, 1.0, reused=True)
    tracker.restart()
    tracker.finish(BASE, later, 2.0)
    assert (tracker.of(BASE).status, tracker.of(BASE).reused) == (later, reused)


def test_a_snapshot_never_changes() -> None:
    tracker = ProgressTracker(IMAGE)
    tracker.begin(BASE, 1.0)
    before = tracker.snapshot()
    tracker.finish(BASE, LayerStatus.UPLOADED, 2.0)
    tracker.begin(TOP, 2.0)
    assert {name: one.status for name, one in before.items()} == {BASE: LayerStatus.UPLOADING}
