"""The use case, from the check to the verified result, over an Engine and a registry that do as they are told."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import pytest
from unit.fakes import Clock, FakeEngine, FakeRegistry, Line, Told
from unit.recordings import recording

from pipe.config.settings import Credentials, Settings
from pipe.engine import events
from pipe.errors import (
    CredentialsRefusedError,
    DigestMismatchError,
    EngineUnreachableError,
    ImageNotFoundError,
    LayerTooLargeError,
    NotInRegistryError,
    PackageNotFoundError,
    PipeError,
    PushDeniedError,
    PushInterruptedError,
    RegistryFailedError,
    RegistryUnreachableError,
    StoppedError,
)
from pipe.oci.image import Image, Layer, LayerStatus
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.push.report import Timing
from pipe.push.result import Result, TagStatus
from pipe.push.run import Push
from pipe.push.uploader import EngineUploader

CREDENTIALS = Credentials("me", "s3cr3t")
IMAGE_ID = "sha256:" + "c" * 64
BLOBS = ("sha256:" + "1" * 64, "sha256:" + "2" * 64)
IMAGE = Image(
    IMAGE_ID,
    1100,
    (Layer(1, "sha256:" + "a" * 64, 1000, "ADD base /"), Layer(2, "sha256:" + "b" * 64, 100, "COPY . /app")),
)
MANIFEST = Manifest.parse(
    "application/vnd.oci.image.manifest.v1+json",
    json.dumps(
        {
            "config": {"digest": IMAGE_ID, "size": 7},
            "layers": [{"digest": BLOBS[0], "size": 500}, {"digest": BLOBS[1], "size": 50}],
        }
    ).encode(),
)
OTHER = Manifest.parse("", b"{}")
BASE, TOP = "a" * 12, "b" * 12
SUCCESS: list[Line] = [
    (0.0, events.Uploading(BASE, 1, 1000)),
    (1.0, events.AlreadyThere(TOP)),
    (2.0, events.Uploaded(BASE)),
    (2.5, events.Pushed(MANIFEST.digest)),
]
SETTINGS = Settings(
    image="app",
    name=Reference("", "app"),
    registry="crg.apkg.io",
    repository="acme/app",
    tags=("1.0",),
    credentials=CREDENTIALS,
    max_layer_size=32 * 10**9,
    upload_timeout=420.0,
    max_attempts=3,
    dry_run=False,
    result_file=None,
    variables_file=None,
    debug=False,
    docker={},
    uploader="engine",
    reuse_from=(),
    image_archive=None,
)
FAILED = RegistryFailedError("HTTP 500.")


class Recorded(Manifest):
    """A manifest of which only the digest was recorded."""

    @property
    def digest(self) -> str:
        """The digest that the Engine named."""
        return self.media_type


@dataclass
class Bench:
    """A push, and all that it works with."""

    clock: Clock
    engine: FakeEngine
    registry: FakeRegistry
    told: Told
    push: Push

    def run(self) -> Result:
        """Push, and return the result."""
        self.push.run()
        return self.push.result(0)

    def fail(self) -> tuple[PipeError, Result]:
        """Push in vain, and return error and result."""
        with pytest.raises(PipeError) as raised:
            self.push.run()
        return raised.value, self.push.result(raised.value.exit_code)


def bench(
    *pushes: Iterable[Line] | PipeError,
    tags: Iterable[str] = ("1.0",),
    image: Image | PipeError = IMAGE,
    max_attempts: int = 3,
    dry_run: bool = False,
    max_layer_size: int = 32 * 10**9,
    upload_timeout: float = 420.0,
) -> Bench:
    """Prepare a push; the registry learns the manifest when the Engine names its digest."""
    clock, registry, told = Clock(), FakeRegistry(), Told()
    engine = FakeEngine(clock, image, registry)
    engine.pushes = list(pushes)

    def arrive(tag: str, digest: str) -> None:
        registry.tags[tag] = digest
        image_id = image.id if isinstance(image, Image) else ""
        registry.manifests[digest] = MANIFEST if digest == MANIFEST.digest else Recorded(digest, b"", image_id)

    engine.arrives = arrive
    settings = replace(
        SETTINGS,
        tags=tuple(tags),
        max_attempts=max_attempts,
        dry_run=dry_run,
        max_layer_size=max_layer_size,
        upload_timeout=upload_timeout,
    )
    timing = Timing(clock, clock.sleep, lambda: 0.0)
    push = Push(settings, EngineUploader(settings, engine, registry, told, timing), registry, told, timing)
    return Bench(clock, engine, registry, told, push)


def statuses(result: Result) -> list[str]:
    """Return what became of each tag."""
    return [tag.status.value for tag in result.tags]


def pushes(engine: FakeEngine) -> list[str]:
    """Return what the Engine was asked to push."""
    return [done.removeprefix("push ") for done in engine.done if done.startswith("push ")]


def test_a_fresh_push_is_verified() -> None:
    b = bench(SUCCESS)
    result = b.run()
    (tag,) = result.tags
    assert (tag.status, tag.digest, tag.verified, tag.error) == (TagStatus.PUSHED, MANIFEST.digest, True, None)
    assert result.image_id == IMAGE_ID
    assert [(layer.descriptor and layer.descriptor.digest, layer.status) for layer in result.layers] == [
        (BLOBS[0], LayerStatus.UPLOADED),
        (BLOBS[1], LayerStatus.ALREADY_THERE),
    ]
    assert b.engine.done == [
        "find app",
        "tag crg.apkg.io/acme/app:1.0",
        "push crg.apkg.io/acme/app:1.0",
        "untag crg.apkg.io/acme/app:1.0",
    ]
    assert b.registry.asked == ["check", "GET 1.0", "GET 1.0"]
    assert b.engine.credentials == [CREDENTIALS]
    assert all(stream.closed for stream in b.engine.streams)
    assert b.told.of("INFO") == [
        "app: 2 layers, 1.1 KB unpacked → crg.apkg.io/acme/app: 1.0",
        "Push access confirmed.",
    ]
    assert b.told.of("DEBUG") == [f"The Engine pushed {MANIFEST.digest} in 2.5 s."]
    assert b.told.of("WARNING") == []


@pytest.mark.parametrize(
    "image_id", [pytest.param(IMAGE_ID, id="config"), pytest.param(MANIFEST.digest, id="manifest-of-containerd")]
)
def test_an_image_that_is_there_is_not_pushed(image_id: str) -> None:
    b = bench(image=replace(IMAGE, id=image_id))
    b.registry.keep("1.0", MANIFEST)
    result = b.run()
    assert statuses(result) == ["already there"]
    assert result.tags[0].verified
    assert [layer.status for layer in result.layers] == [LayerStatus.ALREADY_THERE] * 2
    assert pushes(b.engine) == []
    assert "crg.apkg.io/acme/app:1.0 already points to this image." in b.told.of("INFO")


LOST: list[Line] = [(0.0, events.Failed("unknown: its words"))]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(None, 4, id="it-takes-pushes"),
        pytest.param(PushDeniedError("no."), 4, id="it-refuses"),
        pytest.param(RegistryFailedError("HTTP 429.", temporary=False), 6, id="it-fails"),
    ],
)
def test_a_refusal_whose_status_the_engine_lost_is_asked_for(answer: PipeError | None, code: int) -> None:
    b = bench(LOST)
    b.registry.check = [None, answer]
    error, result = b.fail()
    assert error.exit_code == code
    assert error is answer or (answer is None and "unknown: its words" in error.cause)
    assert b.registry.asked == ["check", "GET 1.0", "check"]
    assert b.clock.slept == []
    assert statuses(result) == ["failed"]


def test_a_refusal_whose_status_the_engine_lost_is_tried_again_where_the_registry_says_so() -> None:
    b = bench(LOST, SUCCESS)
    b.registry.check = [None, FAILED]
    assert statuses(b.run()) == ["pushed"]
    assert len(pushes(b.engine)) == 2


def test_a_tag_of_another_image_is_pushed_over() -> None:
    b = bench(SUCCESS)
    b.registry.keep("1.0", OTHER)
    assert statuses(b.run()) == ["pushed"]
    assert b.registry.tags == {"1.0": MANIFEST.digest}


def test_further_tags_are_put_without_the_engine() -> None:
    b = bench(SUCCESS, tags=["1.0", "1", "latest"])
    result = b.run()
    assert statuses(result) == ["pushed"] * 3
    assert all(tag.verified for tag in result.tags)
    assert pushes(b.engine) == ["crg.apkg.io/acme/app:1.0"]
    assert b.registry.tags == dict.fromkeys(("1.0", "1", "latest"), MANIFEST.digest)
    assert b.registry.asked[-4:] == ["PUT 1", "GET 1", "PUT latest", "GET latest"]


def test_further_tags_that_are_there_are_left_alone() -> None:
    b = bench(SUCCESS, tags=["1.0", "1"])
    b.registry.keep("1", MANIFEST)
    assert statuses(b.run()) == ["pushed", "already there"]
    assert [asked for asked in b.registry.asked if asked.startswith("PUT")] == ["PUT 1.0"]
    assert pushes(b.engine) == [], "the tag that is there spares the push"


def test_a_registry_that_takes_no_manifest_gets_it_from_the_engine() -> None:
    b = bench(SUCCESS, SUCCESS, tags=["1.0", "1"])
    b.registry.put = [False]
    assert statuses(b.run()) == ["pushed", "pushed"]
    assert pushes(b.engine) == ["crg.apkg.io/acme/app:1.0", "crg.apkg.io/acme/app:1"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(PushDeniedError("no."), id="denied"),
        pytest.param(CredentialsRefusedError("no."), id="unauthorized"),
        pytest.param(PackageNotFoundError("no."), id="no-package"),
        pytest.param(LayerTooLargeError("no."), id="too-large"),
    ],
)
def test_a_refused_check_ends_it_before_the_engine(error: PipeError) -> None:
    b = bench()
    b.registry.check = [error]
    raised, result = b.fail()
    assert raised is error
    assert statuses(result) == ["failed"]
    assert result.tags[0].error == error.summary
    assert b.engine.done == ["find app"]
    assert b.clock.slept == []


def test_three_tags_the_second_refused() -> None:
    b = bench(SUCCESS, tags=["1", "2", "3"])
    b.registry.put = [PushDeniedError("read only.")]
    raised, result = b.fail()
    assert isinstance(raised, PushDeniedError)
    assert statuses(result) == ["pushed", "failed", "not tried"]
    assert [tag.verified for tag in result.tags] == [True, False, False]
    assert [tag.error for tag in result.tags] == [None, raised.summary, None]
    assert result.digest == MANIFEST.digest
    assert result.exit_code == 4
    assert b.registry.tags == {"1": MANIFEST.digest}


def test_an_image_that_is_not_there() -> None:
    b = bench(image=ImageNotFoundError("no image 'app'."))
    raised, result = b.fail()
    assert isinstance(raised, ImageNotFoundError)
    assert (result.image_id, result.layers, statuses(result)) == (None, (), ["failed"])
    assert b.registry.asked == []


def test_a_layer_over_the_limit_is_refused_before_the_registry_is_asked() -> None:
    b = bench(max_layer_size=999)
    raised, _ = b.fail()
    assert isinstance(raised, LayerTooLargeError)
    assert "layer 1 (base image)" in raised.cause
    assert b.registry.asked == []
    assert pushes(b.engine) == []


CONTAINERD = Image(MANIFEST.digest, 1100, (Layer(1, "sha256:" + "a" * 64), Layer(2, "sha256:" + "b" * 64)))


@pytest.mark.parametrize(
    ("total", "limit", "refused"),
    [
        pytest.param(1001, 1000, True, id="blob-over-the-limit"),
        pytest.param(1000, 1000, False, id="blob-within-it"),
        pytest.param(1200, 1150, True, id="also-where-the-image-is-said-to-be-smaller"),
    ],
)
def test_on_containerd_the_stream_decides(total: int, limit: int, refused: bool) -> None:
    lines: list[Line] = [(0.0, events.Uploading("1" * 12, 1, total)), (1.0, events.Pushed(MANIFEST.digest))]
    b = bench(lines, image=CONTAINERD, max_layer_size=limit)
    if refused:
        assert isinstance(b.fail()[0], LayerTooLargeError)
        assert b.engine.streams[0].closed
        assert MANIFEST.digest not in b.registry.tags.values()
    else:
        assert statuses(b.run()) == ["pushed"]


def test_a_registry_out_of_reach_is_left_to_the_engine() -> None:
    b = bench(SUCCESS, SUCCESS, tags=["1", "2"])
    b.registry.check = [RegistryUnreachableError("no such host.")] * 2
    result = b.run()
    assert [(tag.status, tag.digest, tag.verified) for tag in result.tags] == [
        (TagStatus.PUSHED, MANIFEST.digest, False),
        (TagStatus.PUSHED, MANIFEST.digest, False),
    ]
    assert b.registry.asked == ["check", "check"]
    assert b.told.of("WARNING")[0] == (
        "The registry cannot be reached: no such host.\nDocker Engine may still reach it, so the push goes on."
    )


def test_a_registry_out_of_reach_of_both_is_tried_again() -> None:
    unreachable = RegistryUnreachableError("no such host.")
    refused = [(0.0, events.Failed("dial tcp: lookup h: no such host"))]
    b = bench(refused, refused, refused)
    b.registry.check = [unreachable] * 3
    raised, result = b.fail()
    assert isinstance(raised, RegistryUnreachableError)
    assert raised.exit_code == 6
    assert b.clock.slept == [2, 4]
    assert statuses(result) == ["failed"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(RegistryUnreachableError("refused."), id="out-of-reach"),
        pytest.param(RegistryFailedError("HTTP 500."), id="failed"),
    ],
)
def test_a_registry_that_answered_once_has_to_be_read_back(error: PipeError) -> None:
    b = bench(SUCCESS, max_attempts=1)
    b.registry.read_back = [error]
    raised, result = b.fail()
    assert raised is error
    assert statuses(result) == ["failed"]


def test_a_failure_to_read_back_does_not_push_again() -> None:
    b = bench(SUCCESS)
    b.registry.read_back = [FAILED]
    result = b.run()
    assert (statuses(result), result.tags[0].verified) == (["pushed"], True)
    assert len(pushes(b.engine)) == 1
    assert b.clock.slept == [2]


def test_a_tag_that_moved_meanwhile_is_told_with_both_digests() -> None:
    b = bench(SUCCESS)
    b.registry.manifests[OTHER.digest] = OTHER
    b.registry.read_back = [OTHER.digest]
    raised, result = b.fail()
    assert isinstance(raised, DigestMismatchError)
    assert raised.cause == (
        f"crg.apkg.io/acme/app:1.0 names {OTHER.digest}, but {MANIFEST.digest} was pushed: another push has moved the"
        f" tag meanwhile; {MANIFEST.digest} is in the registry, too."
    )
    assert raised.exit_code == 6
    assert (statuses(result), b.clock.slept) == (["failed"], [])


def test_another_digest_than_the_one_pushed_is_an_error() -> None:
    b = bench(SUCCESS)
    b.engine.arrives = lambda tag, _: b.registry.keep(tag, OTHER)
    raised, _ = b.fail()
    assert isinstance(raised, DigestMismatchError)
    assert raised.cause.endswith(f"the registry does not have {MANIFEST.digest}.")


def test_a_tag_that_did_not_arrive_is_pushed_again() -> None:
    b = bench(SUCCESS, SUCCESS)
    b.registry.read_back = [None]
    assert statuses(b.run()) == ["pushed"]
    lost = bench(SUCCESS, SUCCESS, SUCCESS)
    lost.engine.arrives = lambda _tag, _digest: None
    raised, _ = lost.fail()
    assert isinstance(raised, NotInRegistryError)
    assert len(pushes(lost.engine)) == 3


def test_a_dry_run_checks_and_pushes_nothing() -> None:
    b = bench(dry_run=True, tags=["1", "2"])
    b.registry.keep("2", OTHER)
    result = b.run()
    assert (statuses(result), result.dry_run, result.digest) == (["would push", "would push"], True, None)
    assert [layer.status for layer in result.layers] == [LayerStatus.WOULD_UPLOAD] * 2
    assert b.engine.done == ["find app"]
    assert b.registry.asked == ["check", "GET 1", "GET 2", *("GET 1", "GET 2", "GET latest")]
    assert b.told.of("INFO")[-1] == "Docker Engine would push it."


def test_a_dry_run_tells_what_is_there() -> None:
    b = bench(dry_run=True)
    b.registry.keep("1.0", MANIFEST)
    assert statuses(b.run()) == ["already there"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(PushDeniedError("no."), id="denied"),
        pytest.param(RegistryUnreachableError("no such host."), id="out-of-reach"),
    ],
)
def test_a_dry_run_ends_with_what_the_checks_found(error: PipeError) -> None:
    b = bench(dry_run=True, max_attempts=1)
    b.registry.check = [error]
    assert b.fail()[0] is error


def test_a_dry_run_refuses_a_layer_over_the_limit() -> None:
    assert isinstance(bench(dry_run=True, max_layer_size=999).fail()[0], LayerTooLargeError)


def test_each_attempt_is_told_with_its_reason() -> None:
    b = bench([(0.0, events.Failed("EOF"))], SUCCESS)
    assert statuses(b.run()) == ["pushed"]
    (warning,) = b.told.of("WARNING")
    assert warning == (
        "Attempt 1 of 3 failed. The registry failed: crg.apkg.io: EOF"
        "\nNext attempt in 2 s; layers that have arrived are not sent again."
    )
    assert b.clock.slept == [2]


def test_the_registry_may_ask_to_wait() -> None:
    b = bench(SUCCESS)
    b.registry.check = [RegistryFailedError("HTTP 429.", retry_after=30)]
    assert statuses(b.run()) == ["pushed"]
    assert b.clock.slept == [30]
    assert b.registry.asked.count("check") == 2


def test_attempts_are_counted_over_all_tags() -> None:
    b = bench([(0.0, events.Failed("EOF"))], SUCCESS, tags=["1", "2"])
    b.registry.put = [FAILED, FAILED]
    raised, result = b.fail()
    assert isinstance(raised, RegistryFailedError)
    assert statuses(result) == ["pushed", "failed"]
    assert b.clock.slept == [2, 4]


def test_layers_that_arrived_stay_uploaded_over_attempts() -> None:
    first: list[Line] = [
        (0.0, events.Uploading(BASE, 1, 1000)),
        (2.0, events.Uploaded(BASE)),
        (2.0, events.Failed("received unexpected HTTP status: 500 Internal Server Error")),
    ]
    second: list[Line] = [(0.0, events.AlreadyThere(BASE)), (0.5, events.Pushed(MANIFEST.digest))]
    result = bench(first, second).run()
    assert [(layer.status, layer.seconds) for layer in result.layers] == [
        (LayerStatus.UPLOADED, 2.0),
        (LayerStatus.WAITING, None),
    ]


def test_a_layers_clock_begins_again_with_each_attempt() -> None:
    first: list[Line] = [(0.0, events.Uploading(BASE, 1, 1000)), (8.0, events.Failed("EOF"))]
    second = [(at + 5, event) for at, event in SUCCESS]
    assert statuses(bench(first, second, upload_timeout=10).run()) == ["pushed"]


def test_unauthorized_in_the_middle_passes_once() -> None:
    refused = [(0.0, events.Failed("unauthorized: authentication required"))]
    assert statuses(bench(refused, SUCCESS).run()) == ["pushed"]
    again = bench(refused, refused)
    assert isinstance(again.fail()[0], CredentialsRefusedError)
    assert again.clock.slept == [2]


def test_five_uploads_in_vain_are_not_tried_again() -> None:
    b = bench(recording("20.10", "timeout-504-always").lines(), image=Image(IMAGE_ID, 0, ()))
    raised, _ = b.fail()
    assert isinstance(raised, RegistryFailedError)
    assert b.clock.slept == []


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        pytest.param(False, EngineUnreachableError, id="engine-gone"),
        pytest.param(True, PushInterruptedError, id="engine-there"),
    ],
)
def test_after_a_stream_without_result_the_engine_is_asked(answers: bool, kind: type[PipeError]) -> None:
    b = bench([], [], [])
    b.engine.answers = answers
    b.engine.ends = itertools.repeat(events.StreamEnded("connection reset"))
    raised, _ = b.fail()
    assert type(raised) is kind
    assert "Docker Engine's stream broke off (connection reset)." in raised.cause
    assert len(pushes(b.engine)) == (3 if answers else 1)
    assert b.engine.done[-2:] == ["alive?", "untag crg.apkg.io/acme/app:1.0"]
    assert b.engine.done.count("alive?") == (3 if answers else 11), "asked for ten seconds"
    assert all(stream.closed for stream in b.engine.streams)


def test_an_engine_that_is_gone_from_the_start() -> None:
    b = bench(image=EngineUnreachableError("refused."))
    assert isinstance(b.fail()[0], EngineUnreachableError)


def test_a_slow_upload_is_ended_in_the_engine_too() -> None:
    b = bench([(0.0, events.Uploading(BASE, 1, 1000))], upload_timeout=10)
    b.engine.ends = itertools.repeat(None)
    raised, result = b.fail()
    assert raised.exit_code == 5
    assert b.engine.streams[0].closed
    assert b.engine.done[-1] == "untag crg.apkg.io/acme/app:1.0"
    assert (b.clock.slept, statuses(result)) == ([], ["failed"])


def stopped_after(lines: list[Line]) -> Iterator[Line]:
    """Play lines, then raise as a signal's handler does, wherever the program is."""
    yield from lines
    raise StoppedError(15)


def test_a_signal_in_the_middle_ends_the_push_and_leaves_the_tags_as_found() -> None:
    b = bench(stopped_after(SUCCESS[:2]), tags=["1.0", "latest"])
    with pytest.raises(StoppedError) as raised:
        b.push.run()
    assert raised.value.exit_code == 143
    result = b.push.result(143)
    assert b.engine.streams[0].closed
    assert b.engine.done[-1] == "untag crg.apkg.io/acme/app:1.0"
    assert statuses(result) == ["failed", "not tried"]
    assert b.clock.slept == []


def test_a_signal_while_waiting_ends_it() -> None:
    b = bench([(0.0, events.Failed("EOF"))])

    def stop(seconds: float) -> None:
        raise StoppedError(2 if seconds == 2 else 9)

    timing = Timing(b.clock, stop, lambda: 0.0)
    push = Push(SETTINGS, EngineUploader(SETTINGS, b.engine, b.registry, b.told, timing), b.registry, b.told, timing)
    with pytest.raises(StoppedError):
        push.run()
    assert statuses(push.result(130)) == ["failed"]


def test_a_result_before_the_run_says_that_nothing_was_tried() -> None:
    result = bench(tags=["1", "2"]).push.result(1)
    assert (statuses(result), result.image_id, result.layers) == (["not tried", "not tried"], None, ())


def test_the_manifest_of_the_one_image_of_a_list_tells_its_layers() -> None:
    index = Manifest.parse("", json.dumps({"manifests": [{"digest": MANIFEST.digest, "size": 1}]}).encode())
    b = bench(image=replace(CONTAINERD, id=index.digest), tags=["1", "2"])
    b.registry.keep("1", index)
    b.registry.manifests[MANIFEST.digest] = MANIFEST
    result = b.run()
    assert statuses(result) == ["already there", "pushed"]
    assert b.registry.tags["2"] == index.digest
    assert [layer.descriptor and layer.descriptor.size for layer in result.layers] == [500, 50]


def test_what_an_index_names_may_be_unreadable() -> None:
    index = Manifest.parse("", json.dumps({"manifests": [{"digest": MANIFEST.digest, "size": 1}]}).encode())
    b = bench(image=replace(CONTAINERD, id=index.digest))
    b.registry.keep("1.0", index)
    read = b.registry.manifest

    def manifest(reference: str) -> Manifest | None:
        if reference == MANIFEST.digest:
            raise FAILED
        return read(reference)

    b.registry.manifest = manifest  # type: ignore[method-assign]
    assert statuses(b.run()) == ["already there"]


OTHER_IMAGE = Manifest.parse(MANIFEST.media_type, MANIFEST.body.replace(IMAGE_ID[7:].encode(), b"e" * 64))


def test_the_image_of_another_push_is_never_taken_for_this_one() -> None:
    pushed: list[Line] = [(0.0, events.Pushed(OTHER_IMAGE.digest))]
    b = bench(pushed, pushed, SUCCESS)
    b.engine.arrives = lambda tag, digest: b.registry.keep(tag, MANIFEST if digest == MANIFEST.digest else OTHER_IMAGE)
    assert statuses(b.run()) == ["pushed"]
    assert b.registry.tags == {"1.0": MANIFEST.digest}
    (first, _) = b.told.of("WARNING")
    assert "which is another image than" in first
    for_ever = bench(pushed, pushed, pushed)
    for_ever.engine.arrives = lambda tag, _digest: for_ever.registry.keep(tag, OTHER_IMAGE)
    raised, result = for_ever.fail()
    assert isinstance(raised, DigestMismatchError)
    assert (raised.exit_code, statuses(result)) == (6, ["failed"])


def containerd(scenario: str) -> list[Line]:
    """Return what a containerd store says."""
    return recording("containerd", scenario).lines()


def worded(scenario: str, change: Callable[[str], str]) -> list[Line]:
    """Return a recording with other words in its error."""
    return [
        (at, events.Failed(change(event.message)) if isinstance(event, events.Failed) else event)
        for at, event in containerd(scenario)
    ]


def manifest_503() -> list[Line]:
    """Return a push whose manifest was refused by a registry that is not ready."""
    return worded("manifest-500", lambda words: words.replace("500 Internal Server Error", "503 Service Unavailable"))


def too_many() -> list[Line]:
    """Return a push that was refused as one too many, also when the Engine had tried again without a pause."""
    return worded("manifest-500", lambda words: words.replace("500 Internal Server Error", "429 Too Many Requests"))


@pytest.mark.parametrize(
    ("plays", "exit_code", "attempts"),
    [
        pytest.param([containerd("retry-503-then-ok")] * 2 + [containerd("fresh")], 0, 3, id="503-on-a-layer-twice"),
        pytest.param([manifest_503(), containerd("already-exists")], 0, 2, id="503-on-the-manifest-once"),
        pytest.param([containerd("manifest-500")] * 3, 6, 3, id="500-for-ever"),
        pytest.param([containerd("rate-limited-429-once")], 0, 1, id="429-that-the-engine-survives"),
        pytest.param([too_many(), containerd("already-exists")], 0, 2, id="429-that-the-engine-does-not-survive"),
        pytest.param([containerd("reset-then-ok"), containerd("fresh")], 0, 2, id="cut-in-a-layer-once"),
        pytest.param([containerd("reset-then-ok")] * 3, 6, 3, id="cut-in-a-layer-for-ever"),
        pytest.param([containerd("timeout-504-always"), containerd("fresh")], 0, 2, id="504-told-as-invalid-upload"),
    ],
)
def test_faults_over_the_containerd_store(plays: list[list[Line]], exit_code: int, attempts: int) -> None:
    b = bench(*plays, image=Image("sha256:0", 24 * 10**6, tuple(Layer(n, f"sha256:{n}") for n in range(1, 5))))
    if exit_code:
        raised, result = b.fail()
        assert (raised.exit_code, statuses(result)) == (exit_code, ["failed"])
        assert "_state" not in str(raised)
    else:
        result = b.run()
        assert (statuses(result), result.tags[0].verified) == (["pushed"], True)
    assert len(pushes(b.engine)) == attempts
    assert b.clock.slept == [2.0, 4.0][: attempts - 1]
