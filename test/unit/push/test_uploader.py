"""Who uploads an image of an Engine: the Engine, the pipe, or one after the other, and never round in a circle.

Here the Engine cannot stream its images, so that what the pipe begins goes back to the Engine.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from unit.fakes import Clock, FakeEngine, FakeRegistry, Line, Told
from unit.push.test_run import BASE, IMAGE, IMAGE_ID, MANIFEST, SETTINGS, TOP

from pipe.engine import events
from pipe.errors import (
    EngineGaveUpError,
    EngineSaveError,
    LayerTooLargeError,
    PipeError,
    RegistryFailedError,
    UploadForgottenError,
)
from pipe.oci.image import Image, Layer
from pipe.push.progress import Progress
from pipe.push.report import Timing
from pipe.push.uploader import EngineUploader
from pipe.push.watch import Watch

TARGET = SETTINGS.targets[0]
MB = 10**6
BACK = "The pipe cannot upload this image itself; Docker Engine pushes it."
GAVE_UP: list[Line] = [
    (0.0, events.Uploading(BASE, 1, 1000)),
    *((float(at), events.Retrying(BASE, 1)) for at in (1, 10, 20, 30)),
    *((at + 1.0, events.Uploading(BASE, 1, 1000)) for at in (1, 10, 20, 30)),
    (40.0, events.Failed("EOF")),
]
GAVE_UP.sort(key=lambda line: line[0])
PUSHED: list[Line] = [(0.0, events.AlreadyThere(TOP)), (1.0, events.Pushed(MANIFEST.digest))]


def of_size(*megabytes: int) -> Image:
    """Make an image whose layers have so many MB."""
    layers = tuple(replace(layer, size=size * MB) for layer, size in zip(IMAGE.layers, megabytes, strict=False))
    return Image(IMAGE_ID, sum(megabytes) * MB, layers)


def sending(megabytes: int) -> list[Line]:
    """Let an Engine begin to send the lowest layer."""
    return [(0.0, events.Uploading(BASE, MB, megabytes * MB)), *PUSHED]


class Uploading:
    """An uploader between an Engine and a registry."""

    def __init__(self, image: Image, *pushes: list[Line], **settings: object) -> None:
        self.clock, self.told, self.registry = Clock(), Told(), FakeRegistry()
        self.engine = FakeEngine(self.clock, image, self.registry)
        self.engine.pushes.extend(pushes)
        self.image = image
        self.settings = replace(SETTINGS, **{"uploader": "auto", **settings})  # type: ignore[arg-type]
        timing = Timing(self.clock, self.clock.sleep, float)
        self.uploader = EngineUploader(self.settings, self.engine, self.registry, self.told, timing)
        self.watch = Watch(Progress(image), self.settings.upload_timeout, self.clock, self.told)

    def upload(self, *, reachable: bool = True) -> str:
        """Upload it."""
        return self.uploader.upload(TARGET, self.image, self.watch, reachable=reachable)

    @property
    def pushes(self) -> int:
        """How often the Engine began to push."""
        return sum(line.startswith("push ") for line in self.engine.done)


@pytest.mark.parametrize(
    ("image", "pushes", "reason"),
    [
        pytest.param(of_size(25), [PUSHED], "Docker Engine would need about 1.0 s", id="begins-with-a-small-image"),
        pytest.param(
            of_size(1000), [sending(1000), PUSHED], "Docker Engine would need about 40 s", id="takes-over-a-large-one"
        ),
        pytest.param(IMAGE, [GAVE_UP, PUSHED], "The pipe uploads the image itself.", id="after-the-engine-gave-up"),
    ],
)
def test_the_pipe_takes_over_once_and_gives_back_once(image: Image, pushes: list[list[Line]], reason: str) -> None:
    uploading = Uploading(image, *pushes)
    assert uploading.upload() == MANIFEST.digest
    assert any(reason in line for line in uploading.told.of("INFO")), uploading.told.lines
    assert [BACK in line for line in uploading.told.of("WARNING")].count(True) == 1
    assert (uploading.uploader.used, uploading.pushes) == ("engine", len(pushes))


AHEAD, END = "stream ahead", "end of stream"


@pytest.mark.parametrize(
    ("image", "settings", "ahead"),
    [
        pytest.param(of_size(25), {}, True, id="a-small-image"),
        pytest.param(of_size(25), {"uploader": "pipe"}, True, id="the-user-wants-the-pipe"),
        pytest.param(of_size(25), {"uploader": "engine"}, False, id="the-user-wants-the-engine"),
        pytest.param(of_size(25), {"dry_run": True}, False, id="a-dry-run"),
        pytest.param(IMAGE, {}, False, id="a-tiny-image"),
        pytest.param(of_size(1000), {}, False, id="a-large-image"),
        pytest.param(
            replace(of_size(25), layers=(replace(IMAGE.layers[0], size=None),)), {}, False, id="a-containerd-store"
        ),
    ],
)
def test_the_engine_stages_what_the_pipe_may_upload_while_the_registry_is_asked(
    image: Image, settings: dict[str, object], ahead: bool
) -> None:
    uploading = Uploading(image, **settings)
    uploading.uploader.check(image)
    assert uploading.engine.done.count(AHEAD) == ahead
    assert uploading.registry.asked == []


def test_what_the_engine_staged_ahead_is_what_the_pipe_reads() -> None:
    uploading = Uploading(of_size(25), PUSHED)
    uploading.uploader.check(uploading.image)
    uploading.upload()
    assert [line for line in uploading.engine.done if "stream" in line] == [AHEAD, END]


def test_what_the_engine_staged_ahead_is_ended_where_it_pushes_itself() -> None:
    uploading = Uploading(of_size(25), PUSHED)
    uploading.uploader.check(uploading.image)
    uploading.upload(reachable=False)
    done = uploading.engine.done
    assert done.index(END) < done.index(f"push {TARGET}"), done


def test_what_the_pipe_could_not_do_is_not_tried_again_with_the_next_attempt() -> None:
    uploading = Uploading(of_size(1000), sending(1000), PUSHED, sending(1000))
    assert [uploading.upload(), uploading.upload()] == [MANIFEST.digest] * 2
    assert [BACK in line for line in uploading.told.of("WARNING")].count(True) == 1
    assert uploading.pushes == 3


def test_the_engine_gives_up_for_good_only_where_the_pipe_gave_back() -> None:
    uploading = Uploading(IMAGE, GAVE_UP, GAVE_UP)
    with pytest.raises(EngineGaveUpError):
        uploading.upload()
    assert uploading.pushes == 2


@pytest.mark.parametrize(
    ("image", "pushes", "settings"),
    [
        pytest.param(IMAGE, [PUSHED], {}, id="a-tiny-image"),
        pytest.param(of_size(1000), [PUSHED], {}, id="a-large-image-that-is-there"),
        pytest.param(of_size(1000), [sending(1000)], {"uploader": "engine"}, id="the-user-wants-the-engine"),
    ],
)
def test_the_engine_pushes_to_the_end(image: Image, pushes: list[list[Line]], settings: dict[str, object]) -> None:
    uploading = Uploading(image, *pushes, **settings)
    assert uploading.upload() == MANIFEST.digest
    assert (uploading.told.of("INFO"), uploading.uploader.used) == ([], "engine")


def test_a_registry_that_only_the_engine_reaches_is_left_to_it() -> None:
    uploading = Uploading(of_size(1000), sending(1000))
    assert uploading.upload(reachable=False) == MANIFEST.digest
    assert uploading.told.of("INFO") == []


def test_an_upload_that_was_forgotten_is_the_pipes_to_begin_again() -> None:
    uploading = Uploading(of_size(25), PUSHED)
    uploading.engine.unable = UploadForgottenError("no such upload.")
    uploading.engine.unable.status = 404
    with pytest.raises(UploadForgottenError):
        uploading.upload()
    assert (uploading.uploader.used, uploading.pushes) == ("pipe", 0)


def test_who_wants_the_pipe_gets_no_engine() -> None:
    uploading = Uploading(of_size(25), PUSHED, uploader="pipe")
    with pytest.raises(EngineSaveError):
        uploading.upload()
    assert (uploading.uploader.used, uploading.pushes) == ("pipe", 0)
    assert not uploading.uploader.engine_may_push


def test_an_engine_that_died_gets_no_image_back() -> None:
    uploading = Uploading(of_size(25), PUSHED)
    uploading.engine.answers = False
    with pytest.raises(PipeError, match="Docker Engine does not answer"):
        uploading.upload()
    assert uploading.pushes == 0


def test_a_layer_that_only_compression_makes_small_enough_is_not_for_the_engine() -> None:
    uploading = Uploading(of_size(10), PUSHED, max_layer_size=9 * MB)
    uploading.uploader.check(uploading.image)
    with pytest.raises(LayerTooLargeError):
        uploading.upload()
    told = "Only the pipe can tell whether layer 1 (base image) fits once it is compressed"
    assert [told in line for line in uploading.told.of("INFO")] == [True]
    assert uploading.pushes == 0


def test_where_only_the_engine_may_push_the_unpacked_size_is_held_against_the_limit() -> None:
    uploading = Uploading(of_size(10), PUSHED, max_layer_size=9 * MB, uploader="engine")
    with pytest.raises(LayerTooLargeError):
        uploading.uploader.check(uploading.image)


REFUSED = {
    "no-such-method": (405, (), True),
    "no-such-method-in-words": (405, ("UNSUPPORTED",), True),
    "lost-uploads": (404, ("BLOB_UPLOAD_INVALID",), True),
    "no-such-package": (404, ("NAME_UNKNOWN",), False),
    "a-manifest-that-is-refused": (400, ("MANIFEST_INVALID",), False),
    "one-code-is-known-the-other-not": (400, ("UNSUPPORTED", "DENIED"), False),
    "not-allowed": (403, (), False),
    "a-failure": (500, (), False),
}


@pytest.mark.parametrize(("status", "codes", "given_back"), REFUSED.values(), ids=REFUSED.keys())
def test_only_a_registry_that_does_not_know_the_pipes_way_is_left_to_the_engine(
    status: int, codes: tuple[str, ...], given_back: bool
) -> None:
    uploading = Uploading(of_size(25), PUSHED)
    uploading.engine.unable = RegistryFailedError("no.")
    uploading.engine.unable.status, uploading.engine.unable.codes = status, codes
    if given_back:
        assert uploading.upload() == MANIFEST.digest
    else:
        with pytest.raises(RegistryFailedError):
            uploading.upload()
    assert uploading.pushes == given_back


@pytest.mark.parametrize(
    ("image", "uploader", "words"),
    [
        pytest.param(of_size(1000), "auto", "Docker Engine would need about 40 s", id="the-pipe-takes-over"),
        pytest.param(of_size(25), "auto", "Docker Engine would need about 1.0 s", id="the-pipe-begins"),
        pytest.param(IMAGE, "auto", "Docker Engine would push it.", id="the-engine"),
        pytest.param(of_size(1000), "engine", "Docker Engine would push it.", id="the-engine-is-wanted"),
        pytest.param(IMAGE, "pipe", "The pipe would upload it itself.", id="the-pipe-is-wanted"),
    ],
)
def test_a_dry_run_tells_who_would_upload(image: Image, uploader: str, words: str) -> None:
    assert words in Uploading(image, uploader=uploader).uploader.forecast(image)


def _stored(size: int | None) -> Callable[[Layer], Layer]:
    return lambda layer: replace(layer, size=size)


def test_sizes_that_only_the_stream_tells_are_asked_for_where_a_layer_may_be_too_large() -> None:
    unknown = Image(IMAGE_ID, 40 * 10**9, tuple(map(_stored(None), IMAGE.layers)))
    uploading = Uploading(unknown)
    uploading.uploader.check(unknown)
    assert "sizes of the layers" in "".join(uploading.told.of("WARNING"))
