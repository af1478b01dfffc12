"""Who pushes: facts in, plan and reasons out. Sizes in MB; the seconds follow from the rates in plan.py."""

import pytest

from pipe.engine.kind import EngineKind
from pipe.oci.image import Image, Layer
from pipe.push.plan import (
    Facts,
    Pending,
    PendingLayer,
    bytes_to_send,
    engine_seconds,
    is_worth_staging,
    may_stage,
    may_start,
    pending_layers,
    pipe_seconds,
    plan,
    reason_to_hand_over,
    reason_to_start,
    waits_for_link,
)
from pipe.push.progress import LayerProgress, Snapshot
from pipe.push.result import LayerStatus
from pipe.push.step import Kind, Step, after

MB = 10**6
SLOW = EngineKind("go1.19.8", 2)
LIMIT = 420.0


def layers(*sizes: int, known: tuple[int, ...] = ()) -> list[PendingLayer]:
    """Make layers of so many MB, some of which the registry has."""
    return [PendingLayer(f"layer {i}", size * MB, i in known) for i, size in enumerate(sizes, start=1)]


@pytest.mark.parametrize(
    ("sizes", "kind", "seconds"),
    [
        pytest.param([1000], SLOW, 40, id="one-layer-is-compressed-on-one-core"),
        pytest.param([500, 500], SLOW, 20, id="two-on-two"),
        pytest.param([900, 100], SLOW, 36, id="the-largest-decides"),
        pytest.param([100] * 10, EngineKind("go1.19.8", 64), 8, id="five-at-a-time"),
        pytest.param([100, 100], EngineKind("go1.19.8", 0), 8, id="processors-not-told"),
        pytest.param([1300], EngineKind("go1.27", 2), 10, id="fast-go"),
        pytest.param([1300], EngineKind("go2.0.1", 2), 10, id="faster-go-to-come"),
        pytest.param([1000], EngineKind("go1.26.9", 2), 40, id="the-last-slow-go"),
        pytest.param([1000], EngineKind("devel", 2), 40, id="go-not-told"),
        pytest.param([1000], EngineKind("go1.19.8", 2, containerd=True), 0, id="nothing-to-compress"),
        pytest.param([], SLOW, 0, id="nothing-to-send"),
    ],
)
def test_what_the_engine_needs(sizes: list[int], kind: EngineKind, seconds: float) -> None:
    assert engine_seconds(layers(*sizes), kind) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("sent", "whole", "seconds"),
    [
        pytest.param(1300, (1300,), 10 + 13 / 3, id="staged-and-compressed"),
        pytest.param(300, (1300,), 11, id="all-of-the-image-is-staged"),
        pytest.param(0, (130,), 1, id="nothing-to-send"),
        pytest.param(1300, (130, 260, 910), 10 + 910 / 300, id="prefixes-are-compressed-while-the-rest-is-staged"),
        pytest.param(300, (130, 260, 910), 11, id="only-the-last-layer-waits"),
        pytest.param(1300, (13, 637, 650), 10 + 650 / 300, id="staging-takes-longest"),
    ],
)
def test_what_the_pipe_needs(sent: int, whole: tuple[int, ...], seconds: float) -> None:
    assert pipe_seconds(sent * MB, image(*whole)) == pytest.approx(seconds)


def pending(engine: list[PendingLayer], to_send: int | None = None, **measured: object) -> Pending:
    """Return what is left if the pipe would send so many MB, by default what is not known of the Engine's layers."""
    missing = sum(layer.size for layer in engine if not layer.known)
    return Pending(engine, missing if to_send is None else to_send * MB, **measured)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sent", "whole", "kind", "timeout", "words"),
    [
        pytest.param(
            layers(1000),
            1000,
            SLOW,
            LIMIT,
            "Uploading layer 1 directly: Docker Engine would take about 40 s to compress it.",
            id="one-large-layer",
        ),
        pytest.param(
            layers(*[200] * 5),
            1000,
            SLOW,
            LIMIT,
            "Uploading 5 layers directly: Docker Engine would take about 20 s to compress them.",
            id="five-layers",
        ),
        pytest.param(layers(25), 25, SLOW, LIMIT, None, id="small"),
        pytest.param(layers(69), 69, SLOW, LIMIT, None, id="saves-less-than-two-seconds"),
        pytest.param(layers(70), 70, SLOW, LIMIT, "about 2.8 s", id="saves-two-seconds"),
        pytest.param(layers(100), 1000, SLOW, LIMIT, None, id="a-small-part-of-a-large-image"),
        pytest.param(layers(375), 1000, SLOW, LIMIT, "about 15 s", id="more-than-one-and-a-half-times"),
        pytest.param(layers(350), 1000, SLOW, LIMIT, "about 14 s", id="just-above-one-and-a-half-times"),
        pytest.param(layers(320), 1000, SLOW, LIMIT, None, id="less-than-one-and-a-half-times"),
        pytest.param(
            layers(800, 200, known=(1,)), 1000, SLOW, LIMIT, "layers that the registry already has", id="known"
        ),
        pytest.param(layers(800, known=(1,)), 9000, SLOW, LIMIT, None, id="known-but-staging-takes-longer"),
        pytest.param(layers(1300), 1300, EngineKind("go1.27", 2), LIMIT, None, id="a-fast-engine"),
        pytest.param(layers(1000), 1000, EngineKind("go1.27", 2, containerd=True), LIMIT, None, id="containerd"),
        pytest.param(
            layers(10500), 10500, SLOW, LIMIT, "the registry times out after 7m 00s", id="never-in-seven-minutes"
        ),
        pytest.param(
            layers(100), 9000, SLOW, 4.0, "the registry times out after 4.0 s", id="never-in-time-however-slow-the-pipe"
        ),
        pytest.param(layers(100), 9000, SLOW, 4.1, None, id="just-in-time"),
        pytest.param(layers(10, 100, 20), 9000, SLOW, 4.0, "Uploading layer 2 directly", id="the-largest-is-named"),
        pytest.param(
            layers(10, 1000, 20), 1030, SLOW, LIMIT, "Uploading layer 2 directly", id="the-largest-takes-longest"
        ),
        pytest.param([], 1000, SLOW, LIMIT, None, id="nothing-to-send"),
    ],
)
def test_when_the_pipe_takes_over(
    sent: list[PendingLayer], whole: int, kind: EngineKind, timeout: float, words: str | None
) -> None:
    reason = reason_to_hand_over(pending(sent), image(whole), kind, timeout)
    assert (reason is None) == (words is None), reason
    assert (words or "") in (reason or "")


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        pytest.param(pending(layers(1000)), True, id="compression-is-slow"),
        pytest.param(pending(layers(1000), link=15.0 * MB), False, id="the-link-is-slow"),
        pytest.param(pending(layers(1000), link=1.0 * MB), False, id="the-link-is-very-slow"),
        pytest.param(pending(layers(10500), link=15.0 * MB), False, id="too-slow-for-both"),
        pytest.param(pending(layers(900, 100, known=(1,)), link=15.0 * MB), True, id="a-slow-link-for-known-layers"),
        pytest.param(pending(layers(500, 500, known=(1,)), link=15.0 * MB), True, id="half-is-known"),
        pytest.param(pending(layers(300, 700, known=(1,)), link=15.0 * MB), False, id="little-is-known"),
        pytest.param(pending(layers(40, 10, known=(1,)), link=15.0 * MB), False, id="staging-takes-longer"),
        pytest.param(pending(layers(1000), measured=False), False, id="not-measured"),
        pytest.param(pending(layers(10500), measured=False), True, id="never-in-time-and-not-measured"),
        pytest.param(pending(layers(900, 100, known=(1,)), measured=False), True, id="mostly-known-and-not-measured"),
        pytest.param(pending(layers(500, 500, known=(1,)), measured=False), False, id="half-known-and-not-measured"),
        pytest.param(pending(layers(300), 1000), False, id="the-engine-mounts-the-rest"),
        pytest.param(pending(layers(600), 900), True, id="the-engine-mounts-some"),
        pytest.param(pending(layers(900, 100, known=(1,)), 1000, link=15.0 * MB), False, id="and-the-link-is-slow"),
    ],
)
def test_the_pipe_takes_over_only_if_it_gains(left: Pending, expected: bool) -> None:
    assert (reason_to_hand_over(left, image(1000), SLOW, LIMIT) is not None) is expected


@pytest.mark.parametrize(
    ("left", "whole", "kind", "expected"),
    [
        pytest.param(pending(layers(1000)), 1000, SLOW, True, id="one-large-layer"),
        pytest.param(pending(layers(1000), measured=False), 1000, SLOW, True, id="nothing-measured-yet"),
        pytest.param(pending(layers(1000), link=15.0 * MB), 1000, SLOW, False, id="the-link-is-slow"),
        pytest.param(pending(layers(8, 1000, 8)), 1016, SLOW, True, id="small-ones-are-soon-compressed"),
        pytest.param(pending(layers(9, 1000)), 1009, SLOW, False, id="no-processor-is-free"),
        pytest.param(pending(layers(9, 1000)), 1009, EngineKind("go1.19.8", 3), True, id="a-third-processor-is"),
        pytest.param(
            pending(layers(*[200] * 9), 100), 200, EngineKind("go1.19.8", 6), True, id="five-layers-on-six-processors"
        ),
        pytest.param(
            pending(layers(*[200] * 9), 100), 200, EngineKind("go1.19.8", 5), False, id="five-layers-on-five-processors"
        ),
        pytest.param(pending(layers(1000)), 1000, EngineKind("go1.19.8", 1), False, id="one-processor"),
        pytest.param(pending(layers(1000)), 1000, EngineKind("go1.19.8"), False, id="processors-not-reported"),
        pytest.param(pending(layers(2000)), 2000, SLOW, True, id="two-gigabytes"),
        pytest.param(pending(layers(2000)), 2001, SLOW, False, id="too-large-to-copy-in-vain"),
        pytest.param(pending(layers(100)), 1000, SLOW, False, id="a-small-part-of-a-large-image"),
        pytest.param(pending(layers(1000)), 1000, EngineKind("go1.27", 2), False, id="a-fast-engine"),
        pytest.param(pending(layers(1000)), 1000, EngineKind("go1.19.8", 2, containerd=True), False, id="containerd"),
        pytest.param(pending([]), 1000, SLOW, False, id="nothing-to-send"),
    ],
)
def test_when_the_engine_stages_an_image_that_it_pushes(
    left: Pending, whole: int, kind: EngineKind, expected: bool
) -> None:
    assert is_worth_staging(left, image(whole), kind, LIMIT) is expected


@pytest.mark.parametrize(
    ("known", "size"),
    [
        pytest.param((), 600, id="all"),
        pytest.param((1, 3), 200, id="some"),
        pytest.param((1, 2, 3), 0, id="none"),
    ],
)
def test_what_the_pipe_would_send(known: tuple[int, ...], size: int) -> None:
    assert bytes_to_send(image(300, 200, 100), frozenset(f"sha256:{number}" for number in known)) == size * MB


@pytest.mark.parametrize(
    ("size", "start", "stage"),
    [
        pytest.param(4, False, False, id="not-worth-a-question"),
        pytest.param(5, True, True, id="worth-a-question"),
        pytest.param(130, True, True, id="staged-within-a-second"),
        pytest.param(131, True, False, id="not-staged-within-a-second"),
    ],
)
def test_with_what_the_pipe_may_begin(size: int, start: bool, stage: bool) -> None:
    assert (may_start(image(size)), may_stage(image(size))) == (start, stage)


@pytest.mark.parametrize(
    ("missing", "whole", "kind", "words"),
    [
        pytest.param(layers(9, 8, 8), (25,), SLOW, "about 0.5 s to compress them.", id="small"),
        pytest.param(
            layers(25),
            (25,),
            SLOW,
            "Uploading layer 1 directly: Docker Engine would take about 1.0 s",
            id="one-small-layer",
        ),
        pytest.param(layers(7), (7,), SLOW, "about 0.3 s to compress it.", id="worth-a-fifth-of-a-second"),
        pytest.param(layers(6), (6,), SLOW, None, id="not-worth-a-fifth-of-a-second"),
        pytest.param(layers(130), (130,), SLOW, "about 5.2 s to compress it.", id="the-first-byte-within-a-second"),
        pytest.param(layers(131), (131,), SLOW, None, id="the-first-byte-after-a-second"),
        pytest.param(layers(10), (80,), SLOW, None, id="a-small-part-of-a-larger-image"),
        pytest.param(layers(200, 300), (200, 300), SLOW, "about 12 s", id="the-first-byte-after-an-eighth"),
        pytest.param(layers(240, 260), (240, 260), SLOW, None, id="the-first-byte-after-a-sixth"),
        pytest.param(layers(1000), (1000,), SLOW, None, id="one-large-layer"),
        pytest.param(layers(25), (25,), EngineKind("go1.27", 2), None, id="a-fast-engine"),
        pytest.param(layers(25), (25,), EngineKind("go1.19.8", 2, containerd=True), None, id="containerd"),
        pytest.param([], (25,), SLOW, None, id="nothing-is-missing"),
    ],
)
def test_when_the_pipe_begins(
    missing: list[PendingLayer], whole: tuple[int, ...], kind: EngineKind, words: str | None
) -> None:
    reason = reason_to_start(missing, image(*whole), kind)
    assert (reason is None) == (words is None), reason
    assert (words or "") in (reason or "")


@pytest.mark.parametrize(
    ("missing", "whole", "milliseconds", "words"),
    [
        pytest.param(layers(3, 3, 3), (3, 3, 3), 80, "the registry takes 80 ms to answer", id="a-small-image-far-away"),
        pytest.param(layers(1), (1,), 80, "the registry takes 80 ms to answer", id="a-tiny-image-far-away"),
        pytest.param(layers(1), (1,), 40, "the registry takes 40 ms to answer", id="as-far-as-it-counts"),
        pytest.param(layers(1), (1,), 39, None, id="as-near-as-a-busy-machine"),
        pytest.param(layers(25), (25,), 80, "about 1.0 s to compress it", id="compression-alone-is-worth-it"),
        pytest.param([], (13,), 80, None, id="nothing-is-missing"),
        pytest.param(layers(131), (131,), 80, None, id="the-first-byte-too-late"),
        pytest.param(layers(1), (101,), 80, None, id="staging-takes-longer-than-the-answers"),
    ],
)
def test_when_the_pipe_begins_since_answers_take_long(
    missing: list[PendingLayer], whole: tuple[int, ...], milliseconds: int, words: str | None
) -> None:
    reason = reason_to_start(missing, image(*whole), SLOW, milliseconds / 1000)
    assert (reason is None) == (words is None), reason
    assert (words or "") in (reason or "")


@pytest.mark.parametrize(
    ("size", "milliseconds", "expected"),
    [
        pytest.param(5, 0, True, id="compression-takes-long"),
        pytest.param(4, 0, False, id="compression-is-quick"),
        pytest.param(4, 40, True, id="far-away"),
        pytest.param(4, 39, False, id="not-far-away"),
    ],
)
def test_when_the_pipe_may_begin(size: int, milliseconds: int, expected: bool) -> None:
    assert may_start(image(size), milliseconds / 1000) is expected


@pytest.mark.parametrize(
    ("rate", "uploads", "kind", "expected"),
    [
        pytest.param(25, 1, SLOW, False, id="as-fast-as-it-compresses"),
        pytest.param(13, 1, SLOW, False, id="half-as-fast"),
        pytest.param(12, 1, SLOW, True, id="a-slow-link"),
        pytest.param(26, 3, SLOW, False, id="two-cores"),
        pytest.param(15, 3, SLOW, True, id="two-cores-and-50-mbit"),
        pytest.param(60, 3, SLOW, False, id="two-cores-and-200-mbit"),
        pytest.param(60, 9, EngineKind("go1.19.8", 64), True, id="five-of-many-cores-and-200-mbit"),
        pytest.param(63, 9, EngineKind("go1.19.8", 64), False, id="five-of-many-cores"),
        pytest.param(15, 3, EngineKind("go1.19.8", 0), False, id="processors-not-reported"),
        pytest.param(60, 3, EngineKind("go1.27", 2), True, id="a-fast-engine-and-200-mbit"),
    ],
)
def test_what_an_engine_waits_for(rate: int, uploads: int, kind: EngineKind, expected: bool) -> None:
    assert waits_for_link(rate * MB * 2, 2.0, uploads, kind) is expected


def test_nothing_was_measured_without_time() -> None:
    assert not waits_for_link(0, 0.0, 1, SLOW)


def test_an_image_whose_sizes_are_unknown_is_never_started_by_the_pipe() -> None:
    assert not may_start(Image("sha256:0", 25 * MB, (Layer(1, "sha256:1"),)))


def image(*sizes: int) -> Image:
    """Make an image with layers of so many MB."""
    made = tuple(Layer(number, f"sha256:{number}", size * MB) for number, size in enumerate(sizes, start=1))
    return Image("sha256:0", sum(sizes) * MB, made)


ENGINE, REGISTRY, HANDS_OVER = Step(Kind.ENGINE), Step(Kind.REGISTRY), Step(Kind.ENGINE, hands_over=True)
LARGE, SMALL, FOUR = image(1000), image(25), image(100, 200, 300, 400)


@pytest.mark.parametrize(
    ("facts", "steps"),
    [
        pytest.param(Facts(LARGE, "auto", True, True, 10**12), [HANDS_OVER, REGISTRY, ENGINE], id="auto"),
        pytest.param(Facts(LARGE, "engine", True, True, 10**12), [ENGINE], id="engine"),
        pytest.param(Facts(LARGE, "pipe", True, True, 10**12), [REGISTRY], id="pipe"),
        pytest.param(Facts(LARGE, "auto", False, True, 10**12), [REGISTRY], id="archive"),
        pytest.param(Facts(LARGE, "auto", True, False, 10**12), [ENGINE], id="registry-out-of-reach"),
        pytest.param(Facts(LARGE, "auto", True, True, 999 * MB), ["compressed size", ENGINE], id="oversized"),
        pytest.param(Facts(SMALL, "auto", True, True, 10**12, SLOW), ["1.0 s to compress it", ENGINE], id="small"),
        pytest.param(
            Facts(SMALL, "auto", True, True, 10**12, SLOW, frozenset({"sha256:1"})),
            [HANDS_OVER, REGISTRY, ENGINE],
            id="small-but-known",
        ),
        pytest.param(
            Facts(SMALL, "auto", True, True, 10**12, SLOW, frozenset({"sha256:1"}), frozenset({"sha256:1"})),
            ["layers that the registry already has", ENGINE],
            id="small-and-known-from-the-pipe",
        ),
        pytest.param(Facts(FOUR, "auto", True, True, 10**12, SLOW), ["about 20 s to compress", ENGINE], id="large"),
        pytest.param(
            Facts(SMALL, "auto", True, True, 10**12, EngineKind("go1.27", 2)),
            [HANDS_OVER, REGISTRY, ENGINE],
            id="small-with-a-fast-engine",
        ),
    ],
)
def test_plans(facts: Facts, steps: list[Step | str]) -> None:
    for step, expected in zip(plan(facts), steps, strict=True):
        if isinstance(expected, str):
            assert step.kind is Kind.REGISTRY
            assert expected in step.reason
        else:
            assert step == expected


def progress(**statuses: tuple[LayerStatus, int]) -> Snapshot:
    """Make the progress of layers by number (`l1`), each with a status and the MB sent."""
    return {
        layer.short_id: LayerProgress(layer, status, sent * MB)
        for layer in image(300, 200, 100).layers
        for status, sent in [statuses[f"l{layer.number}"]]
    }


WAITING, UPLOADING = (LayerStatus.WAITING, 0), (LayerStatus.UPLOADING, 50)


@pytest.mark.parametrize(
    ("layers_so_far", "known", "left"),
    [
        pytest.param({}, (), [(1, 300), (2, 200), (3, 100)], id="nothing-was-reported"),
        pytest.param(
            progress(l1=UPLOADING, l2=WAITING, l3=WAITING), (), [(1, 250), (2, 200), (3, 100)], id="under-way"
        ),
        pytest.param(
            progress(l1=UPLOADING, l2=(LayerStatus.UPLOADED, 200), l3=(LayerStatus.MOUNTED, 0)),
            (),
            [(1, 250)],
            id="arrived",
        ),
        pytest.param(
            progress(l1=UPLOADING, l2=WAITING, l3=WAITING), (2,), [(1, 250), (3, 100)], id="known-and-waiting"
        ),
        pytest.param(
            progress(l1=UPLOADING, l2=WAITING, l3=WAITING),
            (1, 2),
            [(1, 250), (2, 200), (3, 100)],
            id="known-but-the-engine-sends-known-layers",
        ),
    ],
)
def test_pending_layers(layers_so_far: Snapshot, known: tuple[int, ...], left: list[tuple[int, int]]) -> None:
    found = pending_layers(image(300, 200, 100), layers_so_far, frozenset(f"sha256:{number}" for number in known))
    assert found == [PendingLayer(f"layer {number}", size * MB, number in known) for number, size in left]


@pytest.mark.parametrize("in_engine", [False, True], ids=["archive", "engine"])
def test_what_follows_a_step(in_engine: bool) -> None:
    """A layer that exceeds a limit is split; nothing else is a reason for that."""
    image = Image("sha256:" + "c" * 64, 10**9, (Layer(1, "sha256:" + "a" * 64, 10**9),))
    facts = Facts(image, "auto", in_engine=in_engine, reachable=True, max_layer_size=32 * 10**9, splits=True)
    steps = plan(facts)
    assert after(steps, limit=True) == (Step(Kind.REGISTRY, splits=True),)
    assert [step.kind for step in after(steps, limit=False)][:1] == ([Kind.REGISTRY] if in_engine else [])
    assert after(after(steps, limit=True), limit=True) == ()
    assert after(plan(facts._replace(splits=False)), limit=True) == ()
    assert after(plan(facts._replace(reachable=False)), limit=True) == ()
