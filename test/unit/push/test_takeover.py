"""When an Engine's push is worth ending, by what it sends over links of several speeds."""

from concurrent.futures import Future

import pytest
from unit.fakes import Clock, Messages, OneImage

from pipe.engine.kind import EngineKind
from pipe.oci.image import Image, Layer
from pipe.push.clocks import Clocks
from pipe.push.early_staging import EarlyStaging
from pipe.push.progress import ProgressTracker
from pipe.push.result import LayerStatus
from pipe.push.takeover import EngineSpeed, Takeover

MB = 10**6
SLOW, FAST = EngineKind("go1.19.8", 2), EngineKind("go1.27", 2)
STEP = 0.1


def of(*sizes: int) -> Image:
    """Make an image with layers of so many MB."""
    layers = tuple(Layer(number, f"sha256:{number}", size * MB) for number, size in enumerate(sizes, start=1))
    return Image("sha256:0", sum(sizes) * MB, layers)


IMAGE = of(300, 200)


class Engine:
    """An Engine that fills buffers as fast as it compresses, then sends as fast as the link."""

    def __init__(
        self, kind: EngineKind, link: float, *, image: Image = IMAGE, layers: int = 2, buffers: int = 16
    ) -> None:
        self.tracker = ProgressTracker(image)
        self.clock = Clock()
        self._names = [layer.short_id for layer in image.layers[:layers]]
        self._compressing = kind.rate * len(self._names)
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


def takeover_of(
    engine: Engine, source: OneImage, kind: EngineKind, known: Future[frozenset[str]], staging: EarlyStaging
) -> Takeover:
    """Decide about an Engine's push."""
    return Takeover(source, Clocks(engine.tracker, 420.0, engine.clock, Messages()), kind, known, staging)


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
    takeover = takeover_of(engine, OneImage(IMAGE), kind, found(), EarlyStaging())
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
    takeover = takeover_of(engine, OneImage(IMAGE), SLOW, found(*known), EarlyStaging())
    engine.step()
    assert (takeover.reason(engine.tracker.snapshot(), engine.clock.now) is not None) is expected


@pytest.mark.parametrize("known", [(), (1, 2)], ids=["nothing-is-known", "all-is-known"])
def test_an_engine_that_sends_nothing_yet_goes_on(known: tuple[int, ...]) -> None:
    """It may mount the other layer, too, which it could not compress in time."""
    image = of(300, 12_000)
    engine, source = Engine(SLOW, 1e4, image=image, layers=0), OneImage(image)
    takeover = takeover_of(engine, source, SLOW, found(*known), EarlyStaging())
    engine.tracker.finish(image.layers[0].short_id, LayerStatus.MOUNTED, engine.clock())
    assert takeover.reason(engine.tracker.snapshot(), engine.clock.now) is None
    assert source.done == []


ONE = of(500)
STAGED, ENDED = ["stage"], ["stage", "end of staging"]


@pytest.mark.parametrize(
    ("image", "kind", "link", "known", "at_first", "measured"),
    [
        pytest.param(ONE, SLOW, 1e4, (), STAGED, STAGED, id="the-pipe-takes-over"),
        pytest.param(ONE, SLOW, 5, (), STAGED, ENDED, id="the-link-is-slow"),
        pytest.param(ONE, SLOW, 0, (), STAGED, ENDED, id="the-link-is-stalled"),
        pytest.param(ONE, FAST, 1e4, (), [], [], id="a-fast-engine"),
        pytest.param(ONE, SLOW, 1e4, (1,), [], [], id="the-pipe-takes-over-at-once"),
        pytest.param(IMAGE, SLOW, 1e4, (), [], [], id="no-processor-is-free"),
        pytest.param(of(3000), SLOW, 1e4, (), [], [], id="too-large-to-copy-in-vain"),
    ],
)
def test_the_engine_stages_an_image_until_it_is_known_that_it_goes_on(
    image: Image, kind: EngineKind, link: float, known: tuple[int, ...], at_first: list[str], measured: list[str]
) -> None:
    engine, source, staging = Engine(kind, link, image=image), OneImage(image), EarlyStaging()
    takeover = takeover_of(engine, source, kind, found(*known), staging)
    reason, seen = None, []
    while reason is None and engine.clock.now < 1006.0:
        engine.step()
        reason = takeover.reason(engine.tracker.snapshot(), engine.clock.now)
        seen.append([*source.done])
    assert (seen[0], source.done) == (at_first, measured)
    staging.close()
    assert source.done == (ENDED if at_first else [])


def test_an_engine_that_compresses_faster_than_expected_stages_in_vain_only_until_that_is_measured() -> None:
    engine, source = Engine(FAST, 1e4, image=ONE), OneImage(ONE)
    takeover = takeover_of(engine, source, SLOW, found(), EarlyStaging())
    while engine.clock.now < 1001.5:
        engine.step()
        assert takeover.reason(engine.tracker.snapshot(), engine.clock.now) is None
    assert source.done == ENDED


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


@pytest.mark.parametrize(
    ("rate", "seconds", "is_link"),
    [
        pytest.param(20, 0.5, False, id="busy-machine"),
        pytest.param(15, 1.2, True, id="slow-link"),
        pytest.param(5, 0.5, True, id="slower-link"),
    ],
)
def test_a_small_layer_that_is_soon_sent_does_not_make_the_link_look_slow(
    rate: int, seconds: float, is_link: bool
) -> None:
    """It leaves one layer, on one core; what was first seen of a slow link does not change with that."""
    image, clock = of(300, 9), Clock()
    tracker, speed = ProgressTracker(image), EngineSpeed(SLOW)
    large, small = (layer.short_id for layer in image.layers)
    for name in (large, small):
        tracker.begin(name, clock())
    seen = set()
    for _ in range(150):
        clock.now += STEP
        passed = clock.now - 1000.0
        of_small = min(9.0, 9.0 * passed / seconds)
        tracker.advance(large, int((10 + rate * passed - of_small) * MB), 300 * MB)
        tracker.advance(small, int(of_small * MB), 9 * MB)
        if passed >= seconds:
            tracker.finish(small, LayerStatus.UPLOADED, clock())
        speed.observe(tracker.snapshot(), clock.now)
        if speed.measured:
            seen.add(speed.link is not None)
    assert seen == {is_link}
