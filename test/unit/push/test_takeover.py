"""When an Engine's push is worth ending, by what it sends over links of several speeds."""

from concurrent.futures import Future

import pytest
from unit.fakes import Clock, Messages

from pipe.engine.kind import EngineKind
from pipe.oci.image import Image, Layer
from pipe.push.clocks import Clocks
from pipe.push.progress import ProgressTracker
from pipe.push.result import LayerStatus
from pipe.push.takeover import EngineSpeed, Takeover

MB = 10**6
SLOW, FAST = EngineKind("go1.19.8", 2), EngineKind("go1.27", 2)
STEP = 0.1
IMAGE = Image("sha256:0", 500 * MB, tuple(Layer(n, f"sha256:{n}", size * MB) for n, size in ((1, 300), (2, 200))))


class Engine:
    """An Engine that fills buffers as fast as it compresses, then sends as fast as the link."""

    def __init__(self, kind: EngineKind, link: float, *, layers: int = 2, buffers: int = 16) -> None:
        self.tracker = ProgressTracker(IMAGE)
        self.clock = Clock()
        self._names = [layer.short_id for layer in IMAGE.layers[:layers]]
        self._compressing = kind.rate * layers
        self._link = link
        self._buffers = buffers
        for name in self._names:
            self.tracker.begin(name, self.clock())

    def step(self) -> None:
        """Let a tenth of a second pass."""
        self.clock.now += STEP
        seconds = self.clock.now - 1000.0
        sent = min(self._compressing * seconds, (self._buffers + self._link * seconds) * MB)
        for name in self._names:
            self.tracker.advance(name, int(sent / len(self._names)), 300 * MB)


def found(*known: int) -> Future[frozenset[str]]:
    """Return the diffIDs of known layers, as they are found at once."""
    future: Future[frozenset[str]] = Future()
    future.set_result(frozenset(f"sha256:{number}" for number in known))
    return future


LINKS = {
    "loopback": (SLOW, 1e4, 2, 16, True),
    "one-layer-on-loopback": (SLOW, 1e4, 1, 16, True),
    "200-mbit": (SLOW, 59, 2, 16, True),
    "50-mbit": (SLOW, 15, 2, 16, False),
    "50-mbit-and-small-buffers": (SLOW, 15, 2, 2, False),
    "10-mbit": (SLOW, 3, 2, 16, False),
    "stalled": (SLOW, 0, 2, 1, False),
    "a-fast-engine-on-loopback": (FAST, 1e4, 2, 16, False),
}


@pytest.mark.parametrize(("kind", "link", "layers", "buffers", "expected"), LINKS.values(), ids=LINKS.keys())
def test_an_engine_that_waits_for_the_link_goes_on(
    kind: EngineKind, link: float, layers: int, buffers: int, expected: bool
) -> None:
    engine = Engine(kind, link, layers=layers, buffers=buffers)
    clocks = Clocks(engine.tracker, 420.0, engine.clock, Messages())
    takeover = Takeover(IMAGE, clocks, kind, found())
    reason = None
    while reason is None and engine.clock.now < 1006.0:
        engine.step()
        reason = takeover.reason(engine.tracker.snapshot(), engine.clock.now)
    assert (reason is not None) is expected, reason
    assert not expected or engine.clock.now <= 1001.25


@pytest.mark.parametrize(
    ("known", "link", "expected"),
    [
        pytest.param((1,), 15, True, id="most-is-known"),
        pytest.param((1,), 1, True, id="most-is-known-over-a-slow-link"),
        pytest.param((1, 2), 15, True, id="all-is-known"),
        pytest.param((), 15, False, id="nothing-is-known"),
    ],
)
def test_an_engine_that_sends_what_the_registry_has_is_ended_over_any_link(
    known: tuple[int, ...], link: float, expected: bool
) -> None:
    engine = Engine(SLOW, link)
    takeover = Takeover(IMAGE, Clocks(engine.tracker, 420.0, engine.clock, Messages()), SLOW, found(*known))
    engine.step()
    assert (takeover.reason(engine.tracker.snapshot(), engine.clock.now) is not None) is expected


def test_an_engine_that_sends_nothing_yet_goes_on() -> None:
    tracker, clock = ProgressTracker(IMAGE), Clock()
    takeover = Takeover(IMAGE, Clocks(tracker, 420.0, clock, Messages()), SLOW, found(1, 2))
    tracker.finish(IMAGE.layers[0].short_id, LayerStatus.MOUNTED, clock())
    assert takeover.reason(tracker.snapshot(), clock.now) is None


def test_an_engine_that_gets_slower_is_left_alone_and_one_that_gets_faster_is_not() -> None:
    tracker, clock = ProgressTracker(IMAGE), Clock()
    speed, name, sent = EngineSpeed(SLOW), IMAGE.layers[0].short_id, 0
    tracker.begin(name, clock())
    seen = []
    for rate in (1, 25, 1):
        for _ in range(60):
            clock.now += STEP
            sent += int(rate * MB * STEP)
            tracker.advance(name, sent, 300 * MB)
            speed.observe(tracker.snapshot(), clock.now)
        seen.append(speed.link is not None)
    assert seen == [True, False, True]


def test_a_layer_that_starts_again_is_measured_again() -> None:
    tracker, clock = ProgressTracker(IMAGE), Clock()
    speed, name = EngineSpeed(SLOW), IMAGE.layers[0].short_id
    tracker.begin(name, clock())
    for sent in (20, 30):
        clock.now += 1.0
        tracker.advance(name, sent * MB, 300 * MB)
        speed.observe(tracker.snapshot(), clock.now)
    tracker.begin(name, clock())
    for _ in range(30):
        clock.now += STEP
        tracker.advance(name, int((clock.now - 1002.0) * 20 * MB), 300 * MB)
        speed.observe(tracker.snapshot(), clock.now)
    assert (speed.measured, speed.link) == (True, None)
