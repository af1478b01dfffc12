"""Which pushers have a go at an image of an Engine, and that each gives way at most once.

Here the Engine cannot export its images, so whatever the pipe begins goes back to the Engine.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress

import pytest
from unit.fakes import Line
from unit.http import Outcome, error_reply
from unit.runs import BASE, IMAGE, IMAGE_ID, MANIFEST, TOP, Bench, bench, encoder, pushes, statuses

from pipe.engine import events
from pipe.errors import (
    EngineGaveUpError,
    EngineSaveError,
    LayerTooLargeError,
    PipeError,
    RegistryFailedError,
    StoppedError,
)
from pipe.oci.image import Image
from pipe.push.pushers import Pushers
from pipe.registry.repository import LONG_ROUND_TRIP

MB = 10**6
BACK = "Falling back to Docker Engine."
GAVE_UP: list[Line] = [
    (0.0, events.Uploading(BASE, 1, 1000)),
    *((float(at), events.Retrying(BASE, 1)) for at in (1, 10, 20, 30)),
    *((at + 1.0, events.Uploading(BASE, 1, 1000)) for at in (1, 10, 20, 30)),
    (40.0, events.Failed("EOF")),
]
GAVE_UP.sort(key=lambda line: line[0])
PUSHED: list[Line] = [(0.0, events.AlreadyThere(TOP)), (1.0, events.PushDone(MANIFEST.digest))]


def of_size(*megabytes: int) -> Image:
    """Make an image whose layers have so many MB; the last one is empty."""
    sizes = (*megabytes, 0)[:2]
    layers = tuple(layer._replace(size=size * MB) for layer, size in zip(IMAGE.layers, sizes, strict=True))
    return Image(IMAGE_ID, sum(sizes) * MB, layers)


def sending(megabytes: int) -> list[Line]:
    """Let an Engine send the lowest layer as fast as it compresses, for a moment."""
    parts = [(at / 10, events.Uploading(BASE, int(at * 2.5 * MB), megabytes * MB)) for at in range(16)]
    return [*parts, *((at + 2.0, event) for at, event in PUSHED)]


def uploading(image: Image, *plays: Iterable[Line], **settings: object) -> Bench:
    """Prepare a push of an image."""
    return bench(*plays, image=image, settings={"uploader": "auto", "max_attempts": 1} | settings)


def fallbacks(b: Bench) -> int:
    """Count how often the pipe gave way to the Engine."""
    return sum(BACK in line for line in b.told.of("WARNING"))


@pytest.mark.parametrize(
    ("image", "plays", "reason"),
    [
        pytest.param(of_size(25), [PUSHED], "Docker Engine would take about 1.0 s", id="starts-with-a-small-image"),
        pytest.param(
            of_size(1000), [sending(1000), PUSHED], "Docker Engine would take about 39 s", id="takes-over-a-large-one"
        ),
    ],
)
def test_the_pipe_takes_over_once_and_gives_back_once(image: Image, plays: list[list[Line]], reason: str) -> None:
    b = uploading(image, *plays)
    result = b.run()
    assert any(reason in line for line in b.told.of("INFO")), b.told.lines
    assert fallbacks(b) == 1
    assert (statuses(result), result.uploader, len(pushes(b.engine))) == (["pushed"], "engine", len(plays))


def test_the_pipe_takes_over_once_the_engine_gave_up() -> None:
    b = uploading(IMAGE, GAVE_UP, PUSHED)
    result = b.run()
    assert any("Uploading directly." in line for line in b.told.of("WARNING"))
    assert fallbacks(b) == 1
    assert (result.uploader, len(pushes(b.engine))) == ("engine", 2)


STORED = IMAGE._replace(layers=tuple(layer._replace(size=None) for layer in IMAGE.layers))
"""What a containerd store reports: the sizes of its layers are not known before the push."""
NO_ANSWER = 'failed to do request: Put "https://crg.apkg.io/x": net/http: timeout awaiting response headers'


def broken_off(sent: int, message: str = NO_ANSWER) -> list[Line]:
    """Let an Engine send so many of the 500 bytes of a layer, and end."""
    return [(0.0, events.Uploading("1" * 12, sent, 500)), (31.0, events.Failed(message))]


@pytest.mark.parametrize(
    ("image", "play", "settings", "by_pipe"),
    [
        pytest.param(STORED, broken_off(500), {}, True, id="no-commit-in-time"),
        pytest.param(STORED, broken_off(500, "EOF"), {}, True, id="broken-during-the-commit"),
        pytest.param(STORED, broken_off(400), {}, False, id="broken-before-all-was-sent"),
        pytest.param(STORED, broken_off(500), {"uploader": "engine"}, False, id="the-user-wants-the-engine"),
        pytest.param(
            IMAGE,
            [(0.0, events.Uploading(BASE, 1000, 1000)), (31.0, events.Failed("EOF"))],
            {},
            False,
            id="a-graphdriver-store",
        ),
    ],
)
def test_an_engine_that_does_not_wait_for_the_commit_is_followed_by_the_pipe(
    image: Image, play: list[Line], settings: dict[str, object], by_pipe: bool
) -> None:
    b = uploading(image, play, PUSHED, max_attempts=2, **settings)
    result = b.run()
    assert any("may not wait long enough" in line for line in b.told.of("WARNING")) is by_pipe, b.told.lines
    assert any(line.startswith("Attempt 1 of 2 failed.") for line in b.told.of("WARNING")) is not by_pipe
    assert fallbacks(b) == by_pipe
    assert statuses(result) == ["pushed"]


@pytest.mark.parametrize(
    ("image", "settings", "staged"),
    [
        pytest.param(of_size(25), {}, True, id="a-small-image"),
        pytest.param(of_size(25), {"uploader": "pipe"}, True, id="the-user-wants-the-pipe"),
        pytest.param(of_size(25), {"uploader": "engine"}, False, id="the-user-wants-the-engine"),
        pytest.param(of_size(25), {"dry_run": True}, False, id="a-dry-run"),
        pytest.param(of_size(25), {"if_tag_exists": "fail"}, False, id="a-tag-may-rule-the-push-out"),
        pytest.param(IMAGE, {}, False, id="a-tiny-image"),
        pytest.param(of_size(1000), {}, False, id="a-large-image"),
        pytest.param(
            of_size(25)._replace(layers=(IMAGE.layers[0]._replace(size=None), IMAGE.layers[1])),
            {},
            False,
            id="a-containerd-store",
        ),
    ],
)
@pytest.mark.parametrize("there", [True, False], ids=["already-there", "rejected"])
def test_what_the_engine_staged_early_is_always_released(
    image: Image, settings: dict[str, object], staged: bool, there: bool
) -> None:
    b = uploading(image, **settings)
    if there:
        b.store(MANIFEST, "1.0")
        b.run()
    else:
        b.server.on("POST", "*", error_reply(403, "DENIED"))
        b.fail()
    assert b.engine.source is not None
    assert b.engine.source.done == (["stage", "end of staging"] if staged else [])


@pytest.mark.parametrize("there", [True, False], ids=["already-there", "missing"])
@pytest.mark.parametrize(
    ("seconds", "at_once"),
    [
        pytest.param(0.0, True, id="not-known"),
        pytest.param(LONG_ROUND_TRIP - 0.01, False, id="near"),
        pytest.param(LONG_ROUND_TRIP + 0.01, True, id="far"),
    ],
)
def test_a_near_registry_is_asked_before_the_engine_stages(seconds: float, at_once: bool, there: bool) -> None:
    b = uploading(of_size(25), PUSHED)
    asked: list[bool] = []

    def is_staged() -> bool:
        return b.engine.source is not None and "stage" in b.engine.source.done

    b.server.on("GET", "/v2/", lambda _: b.clock.pass_by(seconds))
    b.server.on("GET", "*/manifests/*", lambda _: asked.append(is_staged()))
    if there:
        b.store(MANIFEST, "1.0")
    b.context.repository.connect()
    b.run()
    assert asked[0] is at_once
    assert is_staged() is (at_once or not there)


def test_nothing_stays_staged_while_the_engine_pushes() -> None:
    b = uploading(of_size(25), PUSHED)
    order: list[str] = []

    def arrive(tag: str, _digest: str) -> None:
        order.extend(b.engine.source.done if b.engine.source else [])
        b.store(MANIFEST, tag)

    b.engine.arrives = arrive
    b.run()
    assert order == ["stage", "open", "close", "end of staging"]


DENIED = (0.2, events.Failed("denied: requested access to the resource is denied"))
STAGED_AND_ENDED, USED = ["stage", "end of staging"], ["stage", "open", "close", "end of staging"]


def stopped_after(lines: list[Line]) -> Iterator[Line]:
    """Play lines, then raise as a signal's handler does."""
    yield from lines
    raise StoppedError(15)


@pytest.mark.parametrize(
    ("plays", "settings", "done"),
    [
        pytest.param([sending(1000), PUSHED], {}, USED, id="the-pipe-takes-over"),
        pytest.param([[*sending(1000)[:2], (0.2, PUSHED[1][1])]], {}, STAGED_AND_ENDED, id="the-engine-is-ready-first"),
        pytest.param([PUSHED], {}, [], id="the-engine-sends-nothing"),
        pytest.param([[*sending(1000)[:2], DENIED]], {}, STAGED_AND_ENDED, id="the-push-fails"),
        pytest.param([stopped_after(sending(1000)[:2])], {}, STAGED_AND_ENDED, id="a-signal"),
        pytest.param(
            [[*sending(1000)[:2], (0.2, events.Failed("EOF"))], sending(1000), PUSHED],
            {"max_attempts": 2},
            [*STAGED_AND_ENDED, *USED],
            id="each-attempt-anew",
        ),
        pytest.param([sending(1000)], {"uploader": "engine"}, [], id="the-user-wants-the-engine"),
    ],
)
def test_what_the_engine_stages_while_it_pushes_ends_with_the_attempt(
    plays: list[Iterable[Line]], settings: dict[str, object], done: list[str]
) -> None:
    b = uploading(of_size(1000), *plays, **settings)
    with suppress(PipeError, StoppedError):
        b.run()
    assert b.engine.source is not None
    assert (b.engine.source.done, b.engine.pushes) == (done, [])


def test_a_pusher_that_cannot_push_is_not_tried_again_with_the_next_tag() -> None:
    b = bench(sending(1000), PUSHED, PUSHED, image=of_size(1000), tags=["1.0", "2.0"], settings={"uploader": "auto"})
    b.server.on("PUT", "*/manifests/*", 405)
    assert statuses(b.run()) == ["pushed"] * 2
    assert fallbacks(b) == 1
    assert len(pushes(b.engine)) == 3


def test_the_engine_gives_up_for_good_only_after_the_pipe() -> None:
    b = uploading(IMAGE, GAVE_UP, GAVE_UP)
    assert isinstance(b.fail()[0], EngineGaveUpError)
    assert len(pushes(b.engine)) == 2


@pytest.mark.parametrize(
    ("image", "plays", "settings"),
    [
        pytest.param(IMAGE, [PUSHED], {}, id="a-tiny-image"),
        pytest.param(of_size(1000), [PUSHED], {}, id="a-large-image-that-is-there"),
        pytest.param(of_size(1000), [sending(1000)], {"uploader": "engine"}, id="the-user-wants-the-engine"),
    ],
)
def test_the_engine_pushes_to_the_end(image: Image, plays: list[list[Line]], settings: dict[str, object]) -> None:
    b = uploading(image, *plays, **settings)
    result = b.run()
    assert (len(b.told.of("INFO")), result.uploader) == (2, "engine"), b.told.lines


def test_an_upload_that_was_lost_is_the_pipes_to_begin_again() -> None:
    b = uploading(of_size(25), PUSHED)
    b.engine.unable = RegistryFailedError("no such upload.")
    raised, result = b.fail()
    assert isinstance(raised, RegistryFailedError)
    assert (result.uploader, pushes(b.engine)) == ("pipe", [])


def test_a_user_who_wants_the_pipe_gets_no_engine() -> None:
    b = uploading(of_size(25), PUSHED, uploader="pipe")
    raised, result = b.fail()
    assert isinstance(raised, EngineSaveError)
    assert (result.uploader, pushes(b.engine)) == ("pipe", [])


def test_a_layer_that_fits_only_when_compressed_is_not_for_the_engine() -> None:
    b = uploading(of_size(10), PUSHED, max_layer_size=9 * MB)
    assert isinstance(b.fail()[0], LayerTooLargeError)
    words = "Uploading directly, to check the compressed size of layer 1 (base image)."
    assert words in b.told.of("INFO")
    assert pushes(b.engine) == []


def test_an_image_for_the_engine_alone_is_measured_unpacked() -> None:
    b = uploading(of_size(10), PUSHED, max_layer_size=9 * MB, uploader="engine")
    assert isinstance(b.fail()[0], LayerTooLargeError)
    assert b.asked == []


@pytest.mark.parametrize(
    ("image", "uploader", "words"),
    [
        pytest.param(of_size(1000), "auto", "Docker Engine would take about 40 s", id="the-pipe-takes-over"),
        pytest.param(of_size(25), "auto", "Docker Engine would take about 1.0 s", id="the-pipe-starts"),
        pytest.param(IMAGE, "auto", "Docker Engine would push it.", id="the-engine"),
        pytest.param(of_size(1000), "engine", "Docker Engine would push it.", id="the-engine-is-wanted"),
        pytest.param(IMAGE, "pipe", "The pipe would push it directly.", id="the-pipe-is-wanted"),
    ],
)
def test_a_dry_run_says_who_would_push(image: Image, uploader: str, words: str) -> None:
    b = uploading(image, uploader=uploader, dry_run=True)
    b.run()
    assert any(words in line for line in b.told.of("INFO")), b.told.lines


def test_sizes_that_only_the_export_has_are_read_if_a_layer_may_be_too_large() -> None:
    layers = tuple(layer._replace(size=None) for layer in IMAGE.layers)
    b = uploading(Image(IMAGE_ID, 40 * 10**9, layers), PUSHED)
    b.run()
    assert any("Cannot determine compressed layer sizes in advance." in line for line in b.told.of("WARNING"))


REJECTED: dict[str, tuple[Outcome, bool]] = {
    "no-such-method": (405, True),
    "no-such-method-in-words": (error_reply(405, "UNSUPPORTED"), True),
    "no-such-package": (error_reply(404, "NAME_UNKNOWN"), False),
    "not-allowed": (403, False),
    "a-failure": (500, False),
}


@pytest.mark.parametrize(("answer", "given_back"), REJECTED.values(), ids=REJECTED.keys())
def test_only_a_registry_that_does_not_support_the_pipes_uploads_is_left_to_the_engine(
    answer: Outcome, given_back: bool
) -> None:
    b = uploading(of_size(25), PUSHED)
    b.server.on("PUT", "*/blobs/uploads/*", answer)
    b.engine.unable = None
    if given_back:
        assert statuses(b.run()) == ["pushed"]
    else:
        assert isinstance(b.fail()[0], PipeError)
    assert len(pushes(b.engine)) == given_back


@pytest.mark.parametrize(
    ("steps", "known"),
    [
        pytest.param("send replace", {"1"}, id="kept-for-a-split-image"),
        pytest.param("send forget", set(), id="forgotten"),
        pytest.param("forget send replace", {"1"}, id="sent-after-that"),
        pytest.param("send forget send replace", {"2"}, id="sent-before-and-after-that"),
        pytest.param("send replace forget replace", set(), id="forgotten-with-the-split-image"),
    ],
)
def test_only_what_arrived_since_the_registry_lacked_a_blob_is_known(steps: str, known: set[str]) -> None:
    pushers, sent = Pushers(bench().context, [], encoder, None), 0
    for step in steps.split():
        if step == "send":
            sent += 1
            pushers.direct(IMAGE).known[str(sent)] = MANIFEST.layers[0]
        elif step == "forget":
            pushers.forget()
        else:
            pushers.replace_image(is_final=True)
    assert pushers.direct(IMAGE).known.keys() == known
