"""Several images in one run: which are pushed although others fail, what is prepared ahead, what they share."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from unit.fakes import REQUEST, SETTINGS, Clock, FakeEngine, Messages, OneImage
from unit.http import HUNG, FakeRegistryServer
from unit.runs import BLOBS, IMAGE, IMAGE_ID, MANIFEST, OTHER, SIZES, connected, encoder, image_manifest, store

from pipe.errors import (
    CertificateError,
    CredentialsRefusedError,
    EngineUnreachableError,
    ImageNotFoundError,
    PackageNotFoundError,
    PipeError,
    RegistryFailedError,
    RegistryTooSlowError,
    RegistryUnreachableError,
    StoppedError,
    UntrustedHostError,
)
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image, Layer
from pipe.oci.manifest import DOCKER_LAYER, OCI_LAYER, OCI_ZSTD_LAYER, Manifest
from pipe.push.context import Context, Timing
from pipe.push.preparation import FRESH, Preparation
from pipe.push.pushers import Pushers
from pipe.push.release import Release
from pipe.push.result import LayerResult, LayerStatus, Result, TagResult, TagStatus
from pipe.push.reuse import Candidates, Place, Stored
from pipe.push.run import Push
from pipe.push.shared_layers import SharedLayers
from pipe.registry.client import QUESTION_TRIES
from pipe.source.image_source import ImageSource
from pipe.threads import Cancel

DIGEST = "sha256:" + "d" * 64


@dataclass
class Log(Messages):
    """The log of a run with several images."""

    images: list[tuple[str, str]] = field(default_factory=list)

    def image(self, result: Result, error: BaseException | None) -> None:
        """Remember the outcome for an image."""
        self.images.append((result.image, type(error).__name__ if error else ""))


class Part:
    """A push that only has an outcome; `late` if it comes after the registry has allowed it."""

    def __init__(self, name: str, outcome: BaseException | None = None, *, late: bool = True) -> None:
        self.name = name
        self.preparation = self
        self.is_needed = True
        self.done: list[str] = []
        self._outcome = outcome
        self._late = late

    def find(self) -> None:
        self.done.append("find")

    def ahead(self) -> None:
        self.done.append("prepare")

    def stage_ahead(self) -> None:
        """Do nothing."""

    def send_ahead(self, cancel: Cancel, *, is_next: bool) -> None:
        """Do nothing."""

    def run(self, allowed: Callable[[], None], _sent: Callable[[], None]) -> None:
        self.done.append("run")
        if self._late:
            allowed()
        if self._outcome is not None:
            raise self._outcome

    def result(self, exit_code: int) -> Result:
        status = TagStatus.PUSHED if not exit_code else TagStatus.FAILED if self.done else TagStatus.NOT_TRIED
        tag = TagResult(REQUEST.targets[0], status, DIGEST if status is TagStatus.PUSHED else None)
        return Result(self.name, None, False, (tag,), (), exit_code)


def run(*parts: Part) -> tuple[BaseException | None, list[int], Log]:
    """Run a release; return the error, the exit code of each image, and the log."""
    log = Log()
    release = Release(parts, SharedLayers(), log)
    try:
        release.run()
    except (PipeError, StoppedError, LookupError) as error:
        code = error.exit_code if isinstance(error, PipeError | StoppedError) else 1
        return error, [each.exit_code for each in release.result(code).images], log
    return None, [each.exit_code for each in release.result(0).images], log


def answered(error: PipeError, status: int) -> PipeError:
    """Return an error that an answer of the registry means."""
    error.status = status
    return error


@pytest.mark.parametrize(
    ("error", "late", "codes"),
    [
        pytest.param(PackageNotFoundError(), False, [4, 0, 0], id="package"),
        pytest.param(ImageNotFoundError(), False, [3, 0, 0], id="image"),
        pytest.param(RegistryFailedError(), True, [6, 0, 0], id="registry-failed"),
        pytest.param(CredentialsRefusedError(), True, [4, 0, 0], id="credentials-accepted-before"),
        pytest.param(CredentialsRefusedError(), False, [4, 4, 4], id="credentials"),
        pytest.param(answered(CredentialsRefusedError(), 401), False, [4, 4, 4], id="credentials-401"),
        pytest.param(answered(CredentialsRefusedError(), 403), False, [4, 0, 0], id="no-token-for-the-package"),
        pytest.param(RegistryUnreachableError(), False, [6, 6, 6], id="registry-unreachable"),
        pytest.param(RegistryTooSlowError(), True, [6, 6, 6], id="registry-too-slow"),
        pytest.param(CertificateError(), False, [6, 6, 6], id="certificate"),
        pytest.param(UntrustedHostError(), True, [4, 4, 4], id="untrusted-host"),
        pytest.param(EngineUnreachableError(), False, [3, 3, 3], id="engine"),
    ],
)
def test_a_failure_stops_the_others_only_if_they_would_fail_too(error: PipeError, late: bool, codes: list[int]) -> None:
    parts = Part("a", error, late=late), Part("b"), Part("c")
    raised, found, log = run(*parts)
    assert raised is error
    assert found == codes
    assert [("run" in part.done) for part in parts] == [True, not codes[1], not codes[1]]
    same = "The other images would fail for the same reason."
    assert log.of("INFO") == (
        ["Image 1 of 3: a", same]
        if codes[1]
        else [f"Image {number} of 3: {name}" for number, name in enumerate("abc", 1)]
    )
    assert log.images[0] == ("a", type(error).__name__)


def test_credentials_that_an_earlier_image_was_pushed_with_stop_only_one() -> None:
    error = CredentialsRefusedError()
    raised, codes, _ = run(Part("a"), Part("b", error, late=False), Part("c"))
    assert (raised, codes) == (error, [0, 4, 0])


def test_the_first_failure_decides() -> None:
    first, second = ImageNotFoundError(), PackageNotFoundError()
    raised, codes, log = run(Part("a"), Part("b", first), Part("c", second))
    assert (raised, codes) == (first, [0, 3, 4])
    assert log.images == [("a", ""), ("b", "ImageNotFoundError"), ("c", "PackageNotFoundError")]


@pytest.mark.parametrize(
    ("error", "code"),
    [pytest.param(StoppedError(15), 143, id="signal"), pytest.param(LookupError(), 1, id="unexpected")],
)
def test_what_is_no_failure_of_an_image_ends_the_run(error: BaseException, code: int) -> None:
    parts = Part("a"), Part("b", error), Part("c")
    raised, codes, log = run(*parts)
    assert raised is error
    assert codes == [0, code, code]
    assert "run" not in parts[2].done
    assert log.images == [("a", ""), ("b", type(error).__name__)]


def test_the_last_image_has_no_others_that_would_fail() -> None:
    _, codes, log = run(Part("a"), Part("b", EngineUnreachableError()))
    assert codes == [0, 3]
    assert log.of("INFO") == ["Image 1 of 2: a", "Image 2 of 2: b"]


def test_one_image_is_pushed_as_ever() -> None:
    part = Part("a")
    assert run(part) == (None, [0], Log())
    assert part.done == ["run"]


def test_the_next_image_is_prepared_once_the_registry_has_allowed_a_push() -> None:
    parts = Part("a", PackageNotFoundError(), late=False), Part("b"), Part("c")
    run(*parts)
    assert [part.done for part in parts] == [["find", "run"], ["find", "run"], ["find", "prepare", "run"]]


class Surroundings:
    """Pushes of several images through one client."""

    def __init__(self) -> None:
        self.clock, self.log, self.server = Clock(), Log(), FakeRegistryServer()
        self.client = connected(self.clock, self.log, self.server)
        self.shared = SharedLayers()
        self.settings = SETTINGS._replace(uploader="auto", max_attempts=1)

    def context(self, repository: str) -> Context:
        """Return the context of a push."""
        timing = Timing(self.clock, self.clock.sleep, lambda: 0.0, self.clock.wait)
        request = REQUEST._replace(image=repository, repository=repository)
        return Context(self.settings, request, self.client.repository(repository), self.log, timing, self.shared)

    def push(
        self,
        repository: str,
        engine: FakeEngine | None = None,
        *tags: str,
        find: Callable[[], ImageSource] | None = None,
    ) -> Push:
        """Prepare a push of what an Engine finds, or of what is found otherwise."""
        context, engine = self.context(repository), engine or FakeEngine(self.clock, IMAGE)
        places = [Place(context.repository, tag) for tag in tags or ("1.0",)]
        return Push(context, find or engine.find, Pushers(context, places, encoder, engine))


@pytest.mark.parametrize("times", [1, 2])
def test_images_that_are_there_are_found_and_asked_for_ahead(times: int) -> None:
    around = Surroundings()
    store(around.server, MANIFEST, "1.0")
    engine = FakeEngine(around.clock, IMAGE)
    Release([around.push(f"acme/{n}", engine) for n in range(times)], around.shared, around.log).run()
    assert engine.done == ["find app"] * times
    assert [sent.path for sent in around.server.matching("GET", "*/manifests/1.0")] == [
        f"/v2/acme/{n}/manifests/1.0" for n in range(times)
    ]


def test_an_image_that_is_there_takes_five_requests() -> None:
    around = Surroundings()
    store(around.server, MANIFEST, "1.0", "latest")
    engine = FakeEngine(around.clock, LARGE)
    pushes = [around.push(f"acme/{n}", engine, "1.0", "latest") for n in range(10)]
    Release(pushes, around.shared, around.log).run()
    for number in range(1, 10):
        sent = [each for each in around.server.sent if each.path.startswith(f"/v2/acme/{number}/")]
        assert sorted(f"{each.method} {each.path.split('/')[-2]}" for each in sent) == [
            *["GET manifests"],
            *["HEAD blobs"] * 3,
            *["POST uploads"],
        ]


def test_only_the_first_of_images_that_are_there_is_staged() -> None:
    around = Surroundings()
    store(around.server, MANIFEST, "1.0")
    sources: list[OneImage] = []

    def find() -> OneImage:
        sources.append(OneImage(LARGE))
        return sources[-1]

    Release([around.push(f"acme/{n}", find=find) for n in range(5)], around.shared, around.log).run()
    assert sorted(source.done for source in sources) == [[], [], [], [], ["stage", "end of staging"]]


def test_an_image_that_was_prepared_asks_nothing_in_its_turn() -> None:
    around = Surroundings()
    store(around.server, MANIFEST, "1.0")
    push = around.push("acme/app", FakeEngine(around.clock, IMAGE))
    push.preparation.ahead()
    around.server.on("*", "*", 500)
    push.run()
    assert [tag.status for tag in push.result(0).tags] == [TagStatus.ALREADY_THERE]


def test_an_image_that_latest_is_needs_neither_staging_nor_uploads_ahead() -> None:
    around = Surroundings()
    store(around.server, MANIFEST, "latest")
    push = around.push("acme/app", FakeEngine(around.clock, LARGE), "1.0", "latest")
    push.preparation.ahead()
    assert not push.preparation.is_needed
    assert push.preparation.send_ahead(Cancel(), is_next=True) is None
    push.run()
    assert [tag.status for tag in push.result(0).tags] == [TagStatus.PUSHED]
    assert len(around.server.matching("HEAD", f"*/blobs/{BLOBS[0]}")) == 1


def test_an_image_that_latest_is_in_another_compression_is_prepared_for_its_upload() -> None:
    around = Surroundings()
    layers = list(zip(BLOBS, SIZES, strict=True))
    store(around.server, image_manifest(IMAGE_ID, 7, layers, OCI_ZSTD_LAYER), "latest")
    push = around.push("acme/app", FakeEngine(around.clock, LARGE), "1.0", "latest")
    push.preparation.ahead()
    assert push.preparation.is_needed


@pytest.mark.parametrize("gone", [pytest.param(BLOBS[0], id="layer"), pytest.param(IMAGE_ID, id="config")])
def test_a_part_that_was_missing_ahead_is_reported_in_the_turn_of_its_image(gone: str) -> None:
    around = Surroundings()
    store(around.server, MANIFEST, "1.0")
    del around.server.blobs[gone]
    push = around.push("acme/app", FakeEngine(around.clock, IMAGE))
    push.preparation.ahead()
    assert around.log.of("WARNING") == []
    with pytest.raises(LookupError):  # the Engine has no push to play
        push.run()
    [warning] = around.log.of("WARNING")
    assert "points to this image, but the registry does not have" in warning
    asked = around.server.matching("HEAD", f"*/blobs/{gone}")
    assert len(asked) == 1


def test_no_thread_outlives_the_push_of_its_image() -> None:
    around, others = Surroundings(), set(threading.enumerate())
    around.settings = around.settings._replace(uploader="pipe")
    engine = FakeEngine(around.clock, IMAGE)
    engine.unable = None
    release = Release([around.push(f"acme/{n}", engine) for n in range(5)], around.shared, around.log)
    with pytest.raises(PipeError):
        release.run()
    assert around.server.matching("PUT", "*/blobs/uploads/*")
    for thread in set(threading.enumerate()) - others:
        if thread.name.startswith("blob-"):
            thread.join(10)
            assert not thread.is_alive(), thread.name


class Found:
    """Finds an image, and counts how often."""

    def __init__(self, image: Image | PipeError) -> None:
        self.image = image
        self.times = 0
        self.source = OneImage(IMAGE)

    def __call__(self) -> OneImage:
        self.times += 1
        if isinstance(self.image, PipeError):
            raise self.image
        return self.source


def prepared(around: Surroundings, find: Found) -> Preparation:
    """Prepare a push ahead."""
    context = around.context("acme/app")
    engine = FakeEngine(around.clock, IMAGE)
    preparation = Preparation(context, find, Pushers(context, [], encoder, engine))
    preparation.ahead()
    return preparation


LARGE = IMAGE._replace(size=10**7, layers=tuple(layer._replace(size=5 * 10**6) for layer in IMAGE.layers))
"""An image that is worth staging."""


@pytest.mark.parametrize(
    ("tag", "gone", "staged"),
    [
        pytest.param(None, "", True, id="new"),
        pytest.param(OTHER, "", True, id="other-image"),
        pytest.param(MANIFEST, "", False, id="up-to-date"),
        pytest.param(MANIFEST, BLOBS[1], True, id="incomplete"),
    ],
)
def test_an_image_is_staged_ahead_unless_it_is_there(tag: Manifest | None, gone: str, staged: bool) -> None:
    around, find = Surroundings(), Found(LARGE)
    find.source = OneImage(LARGE)
    if tag is not None:
        store(around.server, tag, "1.0")
    around.server.blobs.pop(gone, None)
    preparation = prepared(around, find)
    assert find.source.done == []
    preparation.stage_ahead()
    assert find.source.done == (["stage"] if staged else [])
    preparation.stage(preparation.source())
    assert find.source.done == (["stage"] if staged else [])
    preparation.staging.close()
    assert find.source.done == (["stage", "end of staging"] if staged else [])


def test_an_image_is_not_staged_after_its_push() -> None:
    around, find = Surroundings(), Found(LARGE)
    find.source = OneImage(LARGE)
    preparation = prepared(around, find)
    preparation.staging.close()
    preparation.stage_ahead()
    assert find.source.done == []


@pytest.mark.parametrize(
    ("there", "reads"),
    [pytest.param(MANIFEST, ["1.0"], id="up-to-date"), pytest.param(OTHER, ["1.0", "latest"], id="other-image")],
)
def test_other_tags_are_read_ahead_only_for_an_image_to_push(there: Manifest, reads: list[str]) -> None:
    around = Surroundings()
    store(around.server, there, "1.0")
    push = around.push("acme/app", FakeEngine(around.clock, IMAGE), "1.0", "latest")
    push.preparation.ahead()
    assert [sent.path.rpartition("/")[2] for sent in around.server.matching("GET", "*/manifests/*")] == reads


def test_nothing_is_staged_for_a_push_that_is_not_allowed() -> None:
    around, find = Surroundings(), Found(LARGE)
    find.source = OneImage(LARGE)
    around.server.on("POST", "*", 403)
    preparation = prepared(around, find)
    preparation.stage_ahead()
    preparation.stage(preparation.source())
    assert preparation.answers(check=True).refusal is not None
    assert find.source.done == []


def test_what_fails_ahead_is_done_again_in_its_turn() -> None:
    around, find = Surroundings(), Found(ImageNotFoundError("none"))
    preparation = prepared(around, find)
    with pytest.raises(ImageNotFoundError):
        preparation.source()
    assert find.times == 2
    assert around.log.lines == []
    assert around.server.matching("POST") == []


@pytest.mark.parametrize(
    ("method", "path", "times"),
    [
        pytest.param("POST", "*/uploads/", 1, id="check"),
        pytest.param("GET", "*/manifests/1.0", QUESTION_TRIES, id="tag"),
    ],
)
def test_a_registry_that_is_busy_ahead_costs_no_attempt(method: str, path: str, times: int) -> None:
    around = Surroundings()
    store(around.server, MANIFEST, "1.0")
    around.server.on(method, path, 429, times=times)
    push = around.push("acme/app", FakeEngine(around.clock, IMAGE))
    push.preparation.ahead()
    push.run()
    assert [tag.status for tag in push.result(0).tags] == [TagStatus.ALREADY_THERE]
    assert around.log.of("WARNING") == []


def test_a_registry_that_fails_ahead_is_asked_again() -> None:
    around, find = Surroundings(), Found(IMAGE)
    around.server.on("GET", "/v2/", HUNG, times=1)
    preparation = prepared(around, find)
    assert preparation.source() is find.source
    assert find.times == 1
    assert preparation.answers(check=True).refusal is None


@pytest.mark.parametrize(
    ("seconds", "asked"),
    [pytest.param(FRESH, 1, id="fresh"), pytest.param(FRESH + 1, 2, id="old")],
)
def test_answers_that_are_old_are_asked_for_again(seconds: float, asked: int) -> None:
    around, find = Surroundings(), Found(IMAGE)
    preparation = prepared(around, find)
    preparation.source()
    around.clock.now += seconds
    preparation.answers(check=True)
    assert len(around.server.matching("GET", "*/manifests/1.0")) == asked
    preparation.answers(check=True)
    assert len(around.server.matching("GET", "*/manifests/1.0")) == asked + 1


@pytest.mark.parametrize("policy", ["skip", "fail"])
def test_a_tag_that_must_not_move_is_asked_for_again(policy: str) -> None:
    around = Surroundings()
    around.settings = around.settings._replace(if_tag_exists=policy)
    preparation = prepared(around, Found(IMAGE))
    preparation.source()
    store(around.server, OTHER, "1.0")
    [manifest] = preparation.answers(check=True).manifests.values()
    assert manifest is not None
    assert manifest.digest == OTHER.digest


DIFF_ID = "sha256:" + "a" * 64
BLOB = Descriptor(DOCKER_LAYER, "sha256:" + "1" * 64, 500)


def arrived(
    status: LayerStatus, blob: Descriptor | None = BLOB, repository: str = "acme/one", diff_id: str = DIFF_ID
) -> Result:
    """Return the result of a push of one layer."""
    tag = TagResult(REQUEST._replace(repository=repository).targets[0])
    return Result("app", None, False, (tag,), (LayerResult(Layer(1, diff_id, 1000), status, blob),), 0)


@pytest.mark.parametrize(
    ("result", "found"),
    [
        pytest.param(arrived(LayerStatus.UPLOADED), Stored(BLOB, "acme/one", proven=True), id="uploaded"),
        pytest.param(arrived(LayerStatus.MOUNTED), Stored(BLOB, "acme/one"), id="mounted"),
        pytest.param(arrived(LayerStatus.ALREADY_THERE), Stored(BLOB, "acme/one"), id="already-there"),
        pytest.param(
            arrived(LayerStatus.ALREADY_THERE, BLOB._replace(media_type=OCI_LAYER)),
            Stored(BLOB, "acme/one"),
            id="already-there-in-an-oci-manifest",
        ),
        pytest.param(arrived(LayerStatus.WAITING), None, id="waiting"),
        pytest.param(arrived(LayerStatus.WOULD_UPLOAD), None, id="dry-run"),
        pytest.param(arrived(LayerStatus.UPLOADED, None), None, id="unknown-blob"),
        pytest.param(
            arrived(LayerStatus.UPLOADED, BLOB._replace(media_type=OCI_ZSTD_LAYER)),
            Stored(BLOB._replace(media_type=OCI_ZSTD_LAYER), "acme/one", proven=True),
            id="uploaded-with-zstd",
        ),
        pytest.param(
            arrived(LayerStatus.ALREADY_THERE, BLOB._replace(media_type=OCI_ZSTD_LAYER)),
            None,
            id="zstd-that-cannot-be-compared",
        ),
    ],
)
def test_layers_that_arrived_are_shared(result: Result, found: Stored | None) -> None:
    shared = SharedLayers()
    shared.add(result)
    assert shared.find([DIFF_ID, "sha256:other"]) == ({DIFF_ID: found} if found else {})


def test_the_first_image_that_brought_a_layer_counts() -> None:
    shared = SharedLayers()
    shared.add(arrived(LayerStatus.UPLOADED))
    shared.add(arrived(LayerStatus.MOUNTED, repository="acme/two"))
    assert shared.find([DIFF_ID])[DIFF_ID].repository == "acme/one"
    assert shared.find([BLOB.digest])[BLOB.digest].repository == "acme/one"


@pytest.mark.parametrize(
    ("pushes", "by_pipe"),
    [
        pytest.param([("pipe", LayerStatus.UPLOADED)], True, id="the-pipe"),
        pytest.param([("pipe", LayerStatus.ALREADY_THERE)], False, id="somebody-before"),
        pytest.param([("engine", LayerStatus.UPLOADED)], False, id="the-engine"),
        pytest.param(
            [("pipe", LayerStatus.UPLOADED), ("engine", LayerStatus.ALREADY_THERE)], False, id="the-engine-knows-it"
        ),
        pytest.param([("pipe", LayerStatus.UPLOADED), ("pipe", LayerStatus.MOUNTED)], True, id="the-pipe-mounts-it"),
        pytest.param([("pipe", LayerStatus.MOUNTED)], True, id="the-pipe-finds-it-elsewhere"),
        pytest.param(
            [("engine", LayerStatus.UPLOADED), ("pipe", LayerStatus.ALREADY_THERE)], False, id="the-engine-before"
        ),
    ],
)
def test_who_brought_a_layer(pushes: list[tuple[str, LayerStatus]], by_pipe: bool) -> None:
    shared = SharedLayers()
    for uploader, status in pushes:
        shared.add(arrived(status)._replace(uploader=uploader))
    assert (DIFF_ID in shared.by_pipe) is by_pipe


@pytest.mark.parametrize(
    ("there", "mounted"), [pytest.param(True, False, id="one-repository"), pytest.param(False, True, id="another-one")]
)
def test_a_layer_of_this_run_is_neither_sent_nor_compared(there: bool, mounted: bool) -> None:
    around = Surroundings()
    blob = Descriptor(DOCKER_LAYER, around.server.keep(b"x"), 1)
    if not there:
        around.server.mountable["acme/one", blob.digest] = around.server.blobs.pop(blob.digest)
    repository = around.client.repository("acme/two")
    candidate = Candidates(repository, {DIFF_ID: Stored(blob, "acme/one", proven=True)}).find(DIFF_ID)
    assert candidate is not None
    assert (candidate.trailer, candidate.mounted) == (None, mounted)
    assert [sent.method for sent in around.server.matching("*", "*/blobs/*")] == (
        ["POST"] if mounted else ["POST", "HEAD"]
    )


@pytest.mark.parametrize(
    ("layers", "searches"),
    [pytest.param(IMAGE.layers, 0, id="all-layers"), pytest.param(IMAGE.layers[:1], 1, id="some-layers")],
)
def test_other_tags_are_read_only_for_layers_that_no_earlier_image_has(
    layers: tuple[Layer, ...], searches: int
) -> None:
    around = Surroundings()
    for layer in layers:
        blob = Descriptor(DOCKER_LAYER, around.server.keep(layer.diff_id.encode()), 500)
        around.shared.add(arrived(LayerStatus.UPLOADED, blob, diff_id=layer.diff_id))
    context = around.context("acme/two")
    engine = FakeEngine(around.clock, IMAGE)
    pushers = Pushers(context, [Place(context.repository, "latest")], encoder, engine)
    assert pushers.present(IMAGE) == {layer.diff_id for layer in layers}
    assert len(around.server.matching("GET", "*/manifests/latest")) == searches
