"""The use case, from the check to the verified result, over an Engine that plays events and a registry in memory."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from pathlib import Path

import pytest
import requests
from unit.fakes import Line
from unit.http import Outcome, Reply, Sent, cut, error_reply
from unit.recordings import recording
from unit.runs import (
    BASE,
    BLOBS,
    IMAGE,
    IMAGE_ID,
    MANIFEST,
    OTHER,
    SIZES,
    SUCCESS,
    bench,
    encoder,
    image_manifest,
    pushes,
    statuses,
    store,
)
from unit.source.archives import docker_archive, opened, tar

from pipe.engine import events
from pipe.errors import (
    BlobMissingError,
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
    RegistryTooSlowError,
    RegistryUnreachableError,
    StoppedError,
    TagRejectedError,
)
from pipe.oci.image import Image, Layer
from pipe.oci.manifest import DOCKER_LAYER, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, OCI_ZSTD_LAYER, Manifest
from pipe.push.context import Timing
from pipe.push.pushers import Pushers
from pipe.push.result import LayerStatus, TagStatus
from pipe.push.reuse import Place
from pipe.push.run import Push
from pipe.registry.client import CONNECTIONS, QUESTION_TRIES
from pipe.source.archive_source import ArchiveSource

DRY = {"dry_run": True}
LEVELS = ("WARNING", "DEBUG")
UPLOADS = "/v2/acme/app/blobs/uploads/"
DENIED = error_reply(403, "DENIED", "read only")


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
    assert (sorted(b.asked[:2]), b.asked[2:]) == (["GET 1.0", "POST"], ["GET 1.0"])
    assert sorted(sent.path for sent in b.server.matching("HEAD")) == [
        f"/v2/acme/app/blobs/{digest}" for digest in sorted([*BLOBS, IMAGE_ID])
    ]
    assert b.engine.credentials == [b.context.settings.credentials]
    assert all(stream.closed for stream in b.engine.streams)
    assert b.told.of("INFO") == [
        "app: 2 layers, 1.1 KB uncompressed → crg.apkg.io/acme/app: 1.0",
        "Push access confirmed.",
    ]
    assert f"Docker Engine pushed {MANIFEST.digest} in 2.5 s." in b.told.of("DEBUG")
    assert b.told.of("WARNING") == []


def test_the_log_names_the_revision_of_the_image() -> None:
    b = bench(SUCCESS, image=IMAGE._replace(revision="c0ffee"))
    b.run()
    assert b.told.of("INFO")[0] == (
        "app: 2 layers, 1.1 KB uncompressed, built from revision c0ffee → crg.apkg.io/acme/app: 1.0"
    )


@pytest.mark.parametrize(
    "image_id", [pytest.param(IMAGE_ID, id="config"), pytest.param(MANIFEST.digest, id="manifest-of-containerd")]
)
def test_an_image_that_is_there_is_not_pushed(image_id: str) -> None:
    b = bench(image=IMAGE._replace(id=image_id))
    b.store(MANIFEST, "1.0")
    result = b.run()
    assert statuses(result) == ["already there"]
    assert result.tags[0].verified
    assert [layer.status for layer in result.layers] == [LayerStatus.ALREADY_THERE] * 2
    assert pushes(b.engine) == []
    log = [line for level in ("INFO", "WARNING") for line in b.told.of(level)]
    assert log == ["app: 2 layers, 1.1 KB uncompressed → crg.apkg.io/acme/app: 1.0"], (
        "with the version and the end: three"
    )


LOST: list[Line] = [(0.0, events.Failed("unknown: its words"))]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(None, 4, id="it-accepts-pushes"),
        pytest.param(DENIED, 4, id="it-rejects-them"),
        pytest.param(429, 6, id="it-fails"),
    ],
)
def test_a_rejection_whose_status_the_engine_lost_is_asked_for(answer: Outcome | None, code: int) -> None:
    b = bench(LOST, settings={"max_attempts": 1})
    if answer is not None:
        b.server.on("POST", UPLOADS, answer, skip=1)
    error, result = b.fail()
    assert error.exit_code == code
    assert ("unknown: its words" in error.cause) is (answer is None)
    assert (sorted(b.asked[:2]), b.asked[2]) == (["GET 1.0", "POST"], "POST")
    assert statuses(result) == ["failed"]


def test_a_rejection_whose_status_the_engine_lost_is_retried_if_the_registry_says_so() -> None:
    b = bench(LOST, SUCCESS)
    b.server.on("POST", UPLOADS, 500, skip=1, times=3)
    assert statuses(b.run()) == ["pushed"]
    assert len(pushes(b.engine)) == 2


def test_a_tag_of_another_image_is_pushed_over() -> None:
    b = bench(SUCCESS)
    b.store(OTHER, "1.0")
    result = b.run()
    assert (statuses(result), result.tags[0].previous) == (["pushed"], OTHER.digest)
    assert b.server.tags == {"1.0": MANIFEST.digest}


def test_further_tags_are_put_without_the_engine() -> None:
    b = bench(SUCCESS, tags=["1.0", "1", "latest"])
    result = b.run()
    assert statuses(result) == ["pushed"] * 3
    assert all(tag.verified for tag in result.tags)
    assert pushes(b.engine) == ["crg.apkg.io/acme/app:1.0"]
    assert b.server.tags == dict.fromkeys(("1.0", "1", "latest"), MANIFEST.digest)
    assert b.asked[-4:] == ["PUT 1", "GET 1", "PUT latest", "GET latest"]


@pytest.mark.parametrize(
    ("policy", "uploader"), [("overwrite", "auto"), ("skip", "auto"), ("fail", "auto"), ("overwrite", "pipe")]
)
def test_an_image_that_latest_is_gets_its_tags_without_an_upload(policy: str, uploader: str) -> None:
    b = bench(tags=["1.0", "1"], settings={"if_tag_exists": policy, "uploader": uploader})
    store(b.server, MANIFEST, "latest")
    b.push.run()
    result = b.push.result(0)
    assert statuses(result) == ["pushed", "pushed"]
    assert {tag.digest for tag in result.tags} == {MANIFEST.digest}
    assert b.engine.done == ["find app"]
    assert b.server.matching("PUT", "*/blobs/*") == []
    assert "latest already points to this image: nothing is uploaded." in b.told.of("INFO")


@pytest.mark.parametrize("gone", [pytest.param(BLOBS[0], id="layer"), pytest.param(IMAGE_ID, id="config")])
def test_an_image_of_which_latest_lacks_a_part_is_pushed(gone: str) -> None:
    b = bench(SUCCESS, settings={"uploader": "auto"})
    store(b.server, MANIFEST, "latest")
    del b.server.blobs[gone]
    b.push.run()
    assert b.server.matching("HEAD", f"*/blobs/{gone}")
    assert pushes(b.engine) == ["crg.apkg.io/acme/app:1.0"]


def made(
    media_type: str = OCI_MANIFEST, layers: str = DOCKER_LAYER, members: Mapping[str, object] | None = None
) -> Manifest:
    """Make a manifest with the image's config and layers that is not the one that the pipe would make."""
    content = json.loads(image_manifest(IMAGE_ID, 7, list(zip(BLOBS, SIZES, strict=True)), layers).body)
    return Manifest.parse(media_type, json.dumps(content | (members or {})).encode())


UNREADABLE = [*json.loads(MANIFEST.body)["layers"], {"digest": "sha512:0"}]


@pytest.mark.parametrize(
    ("latest", "compression", "engine_pushes"),
    [
        pytest.param(made(layers=OCI_ZSTD_LAYER), "auto", True, id="zstd"),
        pytest.param(made(layers=OCI_ZSTD_LAYER), "zstd", False, id="zstd-as-demanded"),
        pytest.param(made(layers=OCI_LAYER), "zstd", False, id="gzip-does-for-zstd"),
        pytest.param(made(layers=f"{OCI_LAYER}+encrypted"), "auto", True, id="encrypted"),
        pytest.param(made(layers=OCI_LAYER), "auto", False, id="gzip-of-oci"),
        pytest.param(made(layers=OCI_LAYER, members={"annotations": {"a": "b"}}), "auto", False, id="annotated"),
        pytest.param(made(members={"manifests": []}), "auto", True, id="image-and-index"),
        pytest.param(made(members={"layers": UNREADABLE}), "auto", True, id="a-layer-more"),
        pytest.param(made("application/json"), "auto", True, id="another-type"),
    ],
)
def test_only_a_manifest_that_a_push_could_make_gets_further_tags(
    latest: Manifest, compression: str, engine_pushes: bool
) -> None:
    b = bench(SUCCESS, settings={"compression": compression, "uploader": "auto"})
    store(b.server, latest, "latest")
    b.push.run()
    assert pushes(b.engine) == (["crg.apkg.io/acme/app:1.0"] if engine_pushes else [])
    assert statuses(b.push.result(0)) == ["pushed"]


def test_a_registry_that_does_not_say_what_latest_has_is_pushed_to() -> None:
    b = bench(SUCCESS, settings={"uploader": "auto"})
    store(b.server, MANIFEST, "latest")
    b.server.on("HEAD", f"*/blobs/{BLOBS[0]}", 500, times=QUESTION_TRIES)
    b.push.run()
    assert pushes(b.engine) == ["crg.apkg.io/acme/app:1.0"]
    assert f"{MANIFEST.digest} is not used. " in "".join(b.told.of("DEBUG"))


def test_a_part_that_only_the_manifest_lacks_is_sent() -> None:
    b = bench(SUCCESS, settings={"max_attempts": 2, "uploader": "auto"})
    store(b.server, MANIFEST, "latest")
    b.server.on("PUT", "*/manifests/1.0", error_reply(404, "MANIFEST_BLOB_UNKNOWN"), times=1)
    b.push.run()
    assert pushes(b.engine) == ["crg.apkg.io/acme/app:1.0"]
    assert b.asked.count("PUT 1.0") == 1, "the first attempt"


def test_further_tags_that_are_there_are_left_alone() -> None:
    b = bench(SUCCESS, tags=["1.0", "1"])
    b.store(MANIFEST, "1")
    assert statuses(b.run()) == ["pushed", "already there"]
    assert [asked for asked in b.asked if asked.startswith("PUT")] == ["PUT 1.0"]
    assert pushes(b.engine) == [], "the tag that is there spares the push"


def test_a_registry_that_takes_no_manifest_gets_it_from_the_engine() -> None:
    b = bench(SUCCESS, SUCCESS, tags=["1.0", "1"])
    b.server.on("PUT", "*/manifests/*", 405)
    assert statuses(b.run()) == ["pushed", "pushed"]
    assert pushes(b.engine) == ["crg.apkg.io/acme/app:1.0", "crg.apkg.io/acme/app:1"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(DENIED, PushDeniedError, id="denied"),
        pytest.param(error_reply(401, "UNAUTHORIZED"), CredentialsRefusedError, id="unauthorized"),
        pytest.param(error_reply(404, "NAME_UNKNOWN"), PackageNotFoundError, id="no-package"),
        pytest.param(413, LayerTooLargeError, id="too-large"),
    ],
)
def test_a_rejected_check_ends_it_before_the_engine(answer: Reply, kind: type[PipeError]) -> None:
    b = bench()
    b.server.on("POST", UPLOADS, answer)
    raised, result = b.fail()
    assert isinstance(raised, kind)
    assert statuses(result) == ["failed"]
    assert result.tags[0].error == raised.summary
    assert b.engine.done == ["find app"]
    assert b.clock.slept == []


def test_three_tags_the_second_rejected_for_the_credentials() -> None:
    b = bench(SUCCESS, tags=["1", "2", "3"])
    b.server.on("PUT", "*/manifests/2", DENIED)
    raised, result = b.fail()
    assert isinstance(raised, PushDeniedError)
    assert statuses(result) == ["pushed", "failed", "pushed"], "new tags are put at the same time"
    assert [tag.verified for tag in result.tags] == [True, False, True]
    assert [tag.error for tag in result.tags] == [None, raised.summary, None]
    assert result.digest == MANIFEST.digest
    assert result.exit_code == 4
    assert b.server.tags == {"1": MANIFEST.digest, "3": MANIFEST.digest}


@pytest.mark.parametrize(
    ("tags", "moves", "puts"),
    [
        pytest.param(["1", "2", "3"], [], [["2", "3"]], id="new"),
        pytest.param(["1", "2", "3", "latest"], [], [["2", "3"], ["latest"]], id="latest-is-the-last"),
        pytest.param(["1", "2", "3", "4", "5"], ["2", "3"], [["4", "5"], ["2", "3"]], id="those-that-move-come-later"),
        pytest.param(["1", "2"], [], [["2"]], id="two"),
    ],
)
def test_tags_of_one_kind_are_put_at_the_same_time(tags: list[str], moves: list[str], puts: list[list[str]]) -> None:
    b = bench(SUCCESS, tags=tags)
    for tag in moves:
        b.store(OTHER, tag)
    result = b.run()
    assert statuses(result) == ["pushed"] * len(tags)
    assert all(tag.verified for tag in result.tags)
    assert [tag.previous for tag in result.tags] == [OTHER.digest if tag in moves else None for tag in tags]
    order = [asked.removeprefix("PUT ") for asked in b.asked if asked.startswith("PUT ")]
    for batch in puts:
        assert sorted(order[: len(batch)]) == batch
        order = order[len(batch) :]
    assert order == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(500, id="fails"),
        pytest.param(429, id="is-limited"),
        pytest.param(cut(), id="is-cut"),
    ],
)
def test_a_tag_that_fails_beside_others_is_pushed_alone(answer: Outcome) -> None:
    b = bench(SUCCESS, tags=["1", "2", "3"])
    b.server.on("PUT", "*/manifests/2", answer, times=1)
    assert statuses(b.run()) == ["pushed"] * 3
    assert [asked for asked in b.asked if asked == "PUT 2"] == ["PUT 2"] * 2
    assert b.clock.slept == [], "the second request is no further attempt"


def test_a_tag_that_another_push_moves_at_the_same_time_is_not_pushed() -> None:
    b = bench(SUCCESS, tags=["1", "2", "3"], settings={"max_attempts": 1})
    b.store(OTHER)
    moved = Reply(200, OTHER.body, {"Content-Type": OTHER.media_type})
    b.server.on("GET", "*/manifests/2", moved, skip=1)
    raised, result = b.fail()
    assert isinstance(raised, DigestMismatchError)
    assert statuses(result) == ["pushed", "failed", "pushed"]


def test_an_image_that_is_not_there() -> None:
    b = bench(image=ImageNotFoundError("no image 'app'."))
    raised, result = b.fail()
    assert isinstance(raised, ImageNotFoundError)
    assert (result.image_id, result.layers, statuses(result)) == (None, (), ["failed"])
    assert b.asked == []


def test_a_layer_over_the_limit_is_refused_before_the_registry_is_asked() -> None:
    b = bench(settings={"max_layer_size": 999})
    raised, _ = b.fail()
    assert isinstance(raised, LayerTooLargeError)
    assert "layer 1 (base image)" in raised.cause
    assert b.asked == []
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
    lines: list[Line] = [(0.0, events.Uploading("1" * 12, 1, total)), (1.0, events.PushDone(MANIFEST.digest))]
    b = bench(lines, image=CONTAINERD, settings={"max_layer_size": limit})
    if refused:
        assert isinstance(b.fail()[0], LayerTooLargeError)
        assert b.engine.streams[0].closed
        assert MANIFEST.digest not in b.server.tags.values()
    else:
        assert statuses(b.run()) == ["pushed"]


REFUSED = requests.ConnectionError(ConnectionRefusedError("refused"))


def test_a_registry_out_of_reach_is_left_to_the_engine() -> None:
    b = bench(SUCCESS, SUCCESS, tags=["1", "2"])
    b.server.on("*", "*", REFUSED)
    result = b.run()
    assert [(tag.status, tag.digest, tag.verified) for tag in result.tags] == [
        (TagStatus.PUSHED, MANIFEST.digest, False),
        (TagStatus.PUSHED, MANIFEST.digest, False),
    ]
    [warning] = [line for line in b.told.of("WARNING") if "cannot be reached" in line]
    assert warning.startswith("The registry cannot be reached: crg.apkg.io: ")
    assert warning.endswith("\nContinuing with Docker Engine, which may still reach it.")


def test_a_registry_out_of_reach_of_both_is_retried() -> None:
    refused = [(0.0, events.Failed("dial tcp: lookup h: no such host"))]
    b = bench(refused, refused, refused)
    b.server.on("*", "*", REFUSED)
    raised, result = b.fail()
    assert isinstance(raised, RegistryUnreachableError)
    assert raised.exit_code == 6
    assert b.clock.slept == [2, 4]
    assert statuses(result) == ["failed"]
    continued = {level: sum("Continuing with Docker Engine" in line for line in b.told.of(level)) for level in LEVELS}
    assert continued == {"WARNING": 1, "DEBUG": 2}, "it is checked once in each attempt, and logged once for people"
    assert len(b.told.of("WARNING")) == 3, "and each attempt that failed"
    assert not any("Errno" in line for line in b.told.lines)


@pytest.mark.parametrize(
    "outcome",
    [pytest.param(REFUSED, id="out-of-reach"), pytest.param(500, id="failed")],
)
def test_a_registry_that_answered_once_must_be_read_back(outcome: Outcome) -> None:
    b = bench(SUCCESS, settings={"max_attempts": 1})
    b.server.on("GET", "*/manifests/1.0", outcome, skip=1)
    raised, result = b.fail()
    assert raised.exit_code == 6
    assert statuses(result) == ["failed"]


def test_a_failure_to_read_back_does_not_push_again() -> None:
    b = bench(SUCCESS)
    b.server.on("GET", "*/manifests/1.0", 500, skip=1, times=3)
    result = b.run()
    assert (statuses(result), result.tags[0].verified) == (["pushed"], True)
    assert len(pushes(b.engine)) == 1
    assert b.clock.slept == [2]


def test_a_tag_that_moved_is_reported_with_both_digests() -> None:
    b = bench(SUCCESS)
    b.store(OTHER)

    def arrive(tag: str, _digest: str) -> None:
        b.store(MANIFEST, tag)
        b.server.tags[tag] = OTHER.digest

    b.engine.arrives = arrive
    raised, result = b.fail()
    assert isinstance(raised, DigestMismatchError)
    assert raised.cause == (
        f"Pushed {MANIFEST.digest}, but crg.apkg.io/acme/app:1.0 points to {OTHER.digest}. The registry has"
        f" {MANIFEST.digest} as well. If another pipeline pushed the same tag at the same time, that is the reason."
    )
    assert raised.exit_code == 6
    assert (statuses(result), b.clock.slept) == (["failed"], [])


def test_another_digest_than_the_one_pushed_is_an_error() -> None:
    b = bench(SUCCESS)
    b.engine.arrives = lambda tag, _: b.store(OTHER, tag)
    raised, _ = b.fail()
    assert isinstance(raised, DigestMismatchError)
    assert f"The registry does not have {MANIFEST.digest}." in raised.cause


def test_a_tag_that_did_not_arrive_is_pushed_again() -> None:
    b = bench(SUCCESS, SUCCESS)
    b.server.on("GET", "*/manifests/1.0", error_reply(404, "MANIFEST_UNKNOWN"), skip=1, times=2)
    assert statuses(b.run()) == ["pushed"]
    assert len(pushes(b.engine)) == 2
    lost = bench(SUCCESS, SUCCESS, SUCCESS)
    lost.engine.arrives = lambda _tag, _digest: None
    raised, _ = lost.fail()
    assert isinstance(raised, NotInRegistryError)
    assert len(pushes(lost.engine)) == 3


def test_a_dry_run_checks_and_pushes_nothing() -> None:
    b = bench(settings=DRY, tags=["1", "2"])
    b.store(OTHER, "2")
    result = b.run()
    assert (statuses(result), result.dry_run, result.digest) == (["would push", "would push"], True, None)
    assert [tag.previous for tag in result.tags] == [None, OTHER.digest]
    assert [layer.status for layer in result.layers] == [LayerStatus.WOULD_UPLOAD] * 2
    assert b.engine.done == ["find app"]
    assert sorted(b.asked) == ["GET 1", "GET 2", "GET latest", "POST"]
    assert b.told.of("INFO")[-1] == "Docker Engine would push it."
    assert [line for line in b.told.of("INFO") if OTHER.digest in line] == [], "the summary says so"


def test_a_dry_run_tells_what_is_there() -> None:
    b = bench(settings=DRY)
    b.store(MANIFEST, "1.0")
    assert statuses(b.run()) == ["already there"]


def test_a_dry_run_knows_the_layers_that_latest_has() -> None:
    b = bench(settings=DRY)
    base = IMAGE.layers[0].diff_id
    config = b.server.keep(json.dumps({"rootfs": {"diff_ids": [base]}}).encode())
    b.store(image_manifest(config, len(b.server.blobs[config]), [(BLOBS[0], 500)]), "latest")
    result = b.run()
    assert [layer.status for layer in result.layers] == [LayerStatus.ALREADY_THERE, LayerStatus.WOULD_UPLOAD]


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        pytest.param(DENIED, PushDeniedError, id="denied"),
        pytest.param(REFUSED, RegistryUnreachableError, id="out-of-reach"),
    ],
)
def test_a_dry_run_ends_with_what_the_checks_found(outcome: Outcome, kind: type[PipeError]) -> None:
    b = bench(settings=DRY | {"max_attempts": 1})
    b.server.on("POST", UPLOADS, outcome)
    assert isinstance(b.fail()[0], kind)


def test_a_dry_run_rejects_a_layer_over_the_limit() -> None:
    assert isinstance(bench(settings=DRY | {"max_layer_size": 999}).fail()[0], LayerTooLargeError)


def test_each_attempt_is_told_with_its_reason() -> None:
    b = bench([(0.0, events.Failed("EOF"))], SUCCESS)
    assert statuses(b.run()) == ["pushed"]
    (warning,) = b.told.of("WARNING")
    assert warning == (
        "Attempt 1 of 3 failed. The registry failed: crg.apkg.io: EOF\nRetrying in 2 s; uploaded layers are kept."
    )
    assert b.clock.slept == [2]


def test_the_registry_may_ask_to_wait() -> None:
    b = bench(SUCCESS)
    b.server.on("POST", UPLOADS, Reply(429, headers={"Retry-After": "40"}), times=1)
    assert statuses(b.run()) == ["pushed"]
    assert b.clock.slept == [40]
    assert b.asked.count("POST") == 2


def test_a_wait_between_attempts_that_does_not_fit_in_the_time_of_the_run_is_not_begun() -> None:
    b = bench(settings={"max_attempts": 10}, limit=100.0)
    b.server.on("POST", UPLOADS, Reply(429, headers={"Retry-After": "40"}))
    began = b.clock()
    raised, result = b.fail()
    assert isinstance(raised, RegistryFailedError)
    assert "429" in raised.cause
    assert statuses(result) == ["failed"]
    assert b.clock.slept == [40, 40]
    assert b.clock() - began == 80


def test_a_registry_that_is_slow_with_each_answer_ends_the_run_after_its_time() -> None:
    b = bench(SUCCESS, tags=map(str, range(50)), limit=100.0)
    b.server.on("*", "*/manifests/*", lambda _: b.clock.pass_by(9.0))
    began = b.clock()
    raised, _ = b.fail()
    assert isinstance(raised, RegistryTooSlowError)
    # This clock adds the delays of requests that are under way at the same time.
    assert b.clock() - began <= 100 + CONNECTIONS * 9


def test_attempts_are_counted_over_all_tags() -> None:
    b = bench([(0.0, events.Failed("EOF"))], SUCCESS, tags=["1", "2"])
    b.server.on("PUT", "*/manifests/2", 500)
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
    second: list[Line] = [(0.0, events.AlreadyThere(BASE)), (0.5, events.PushDone(MANIFEST.digest))]
    result = bench(first, second).run()
    assert [(layer.status, layer.seconds) for layer in result.layers] == [
        (LayerStatus.UPLOADED, 2.0),
        (LayerStatus.WAITING, None),
    ]


def test_a_layers_clock_begins_again_with_each_attempt() -> None:
    first: list[Line] = [(0.0, events.Uploading(BASE, 1, 1000)), (8.0, events.Failed("EOF"))]
    second = [(at + 5, event) for at, event in SUCCESS]
    assert statuses(bench(first, second, settings={"upload_timeout": 10.0}).run()) == ["pushed"]


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
    assert "Lost the connection to Docker Engine (connection reset)." in raised.cause
    assert len(pushes(b.engine)) == (3 if answers else 1)
    assert b.engine.done[-2:] == ["alive?", "untag crg.apkg.io/acme/app:1.0"]
    assert b.engine.done.count("alive?") == (3 if answers else 11), "asked for ten seconds"
    assert all(stream.closed for stream in b.engine.streams)


def test_an_engine_that_is_gone_from_the_start() -> None:
    b = bench(image=EngineUnreachableError("refused."))
    assert isinstance(b.fail()[0], EngineUnreachableError)


def test_a_slow_upload_is_ended_in_the_engine_too() -> None:
    b = bench([(0.0, events.Uploading(BASE, 1, 1000))], settings={"upload_timeout": 10.0})
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
    context = copy(b.context)
    context.timing = timing
    push = Push(context, b.engine.find, Pushers(context, [], encoder, b.engine))
    with pytest.raises(StoppedError):
        push.run()
    assert statuses(push.result(130)) == ["failed"]


def test_a_result_before_the_run_says_that_nothing_was_tried() -> None:
    result = bench(tags=["1", "2"]).push.result(1)
    assert (statuses(result), result.image_id, result.layers) == (["not tried", "not tried"], None, ())


def index_of(*manifests: Manifest) -> Manifest:
    """Make an index."""
    named = [{"digest": each.digest, "size": len(each.body)} for each in manifests]
    return Manifest.parse(OCI_INDEX, json.dumps({"manifests": named}).encode())


def test_the_manifest_of_the_one_image_of_an_index_has_its_layers() -> None:
    index = index_of(MANIFEST)
    b = bench(image=CONTAINERD._replace(id=index.digest), tags=["1", "2"])
    b.store(index, "1")
    b.store(MANIFEST)
    result = b.run()
    assert statuses(result) == ["already there", "pushed"]
    assert b.server.tags["2"] == index.digest
    assert [layer.descriptor and layer.descriptor.size for layer in result.layers] == [500, 50]


OTHER_IMAGE = image_manifest("sha256:" + "e" * 64, 7, zip(BLOBS, (500, 50), strict=True))


def test_the_image_of_another_push_is_never_taken_for_this_one() -> None:
    pushed: list[Line] = [(0.0, events.PushDone(OTHER_IMAGE.digest))]
    b = bench(pushed, pushed, SUCCESS)
    b.engine.arrives = lambda tag, digest: b.store(MANIFEST if digest == MANIFEST.digest else OTHER_IMAGE, tag)
    assert statuses(b.run()) == ["pushed"]
    assert b.server.tags == {"1.0": MANIFEST.digest}
    (first, _) = b.told.of("WARNING")
    assert "another push on the same Docker Engine moved the local tag" in first
    for_ever = bench(pushed, pushed, pushed)
    for_ever.engine.arrives = lambda tag, _digest: for_ever.store(OTHER_IMAGE, tag)
    raised, result = for_ever.fail()
    assert isinstance(raised, DigestMismatchError)
    assert (raised.exit_code, statuses(result)) == (6, ["failed"])


def containerd(scenario: str) -> list[Line]:
    """Return what a containerd store reports, with the digest of the manifest that the registry then has."""
    return [
        (at, events.PushDone(MANIFEST.digest) if isinstance(event, events.PushDone) else event)
        for at, event in recording("containerd", scenario).lines()
    ]


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
    b = bench(*plays, image=CONTAINERD._replace(size=24 * 10**6))
    if exit_code:
        raised, result = b.fail()
        assert (raised.exit_code, statuses(result)) == (exit_code, ["failed"])
        assert "_state" not in str(raised)
    else:
        result = b.run()
        assert (statuses(result), result.tags[0].verified) == (["pushed"], True)
    assert len(pushes(b.engine)) == attempts
    assert b.clock.slept == [2.0, 4.0][: attempts - 1]


def test_an_image_whose_blob_is_gone_is_pushed_again() -> None:
    b = bench(SUCCESS)
    b.store(MANIFEST, "1.0")
    gone = b.server.blobs.pop(BLOBS[0])
    b.engine.arrives = lambda _tag, _digest: b.server.blobs.update({BLOBS[0]: gone})
    assert statuses(b.run()) == ["pushed"]
    assert f"the registry does not have {BLOBS[0]}: pushing it again." in b.told.of("WARNING")[0]


def test_a_registry_that_stores_nothing_is_no_success() -> None:
    b = bench(SUCCESS, SUCCESS, SUCCESS)
    b.server.on("HEAD", f"*/blobs/{BLOBS[1]}", 404)
    raised, result = b.fail()
    assert isinstance(raised, BlobMissingError)
    assert (raised.exit_code, statuses(result), len(pushes(b.engine))) == (6, ["failed"], 3)


def test_a_blob_that_the_registry_lost_after_the_pipe_sent_it_is_sent_again(tmp_path: Path) -> None:
    b = bench(settings={"uploader": "auto", "max_attempts": 2})
    source = ArchiveSource(opened(tmp_path, tar(docker_archive())))
    lost: list[str] = []

    def lose(sent: Sent) -> None:
        lost.append(json.loads(sent.body)["layers"][0]["digest"])
        del b.server.blobs[lost[0]]

    b.server.on("PUT", "*/manifests/*", lose, times=1)
    push = Push(b.context, lambda: source, Pushers(b.context, [], encoder, None))
    push.run()
    assert statuses(push.result(0)) == ["pushed"]
    assert f"does not have {lost[0]}" in b.told.of("WARNING")[0]
    assert lost[0] in b.server.blobs


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        pytest.param("HEAD", "*/blobs/*", PushDeniedError, id="a-blob-may-not-be-asked-for"),
        pytest.param("PUT", f"{UPLOADS}*", PushDeniedError, id="a-blob-may-not-be-sent"),
        pytest.param("PUT", "*/manifests/1.0", TagRejectedError, id="the-tag-may-not-move"),
    ],
)
def test_only_a_rejected_manifest_means_that_a_tag_is_protected(
    tmp_path: Path, method: str, path: str, kind: type[PipeError]
) -> None:
    b = bench(settings={"uploader": "auto"})
    b.store(OTHER, "1.0")
    b.server.on(method, path, DENIED)
    source = ArchiveSource(opened(tmp_path, tar(docker_archive())))
    with pytest.raises(kind):
        Push(b.context, lambda: source, Pushers(b.context, [], encoder, None)).run()


def test_a_blob_of_latest_that_the_registry_reports_but_lacks_is_sent(tmp_path: Path) -> None:
    b = bench(settings={"uploader": "auto", "max_attempts": 2})
    source = ArchiveSource(opened(tmp_path, tar(docker_archive())))

    def push(*tags: str) -> Push:
        context = copy(b.context)
        context.request = context.request._replace(tags=tags)
        places = [Place(context.repository, "latest")]
        return Push(context, lambda: source, Pushers(context, places, encoder, None))

    push("latest").run()
    sent = len(b.server.matching("PUT", UPLOADS + "*"))

    def refused(_: Sent) -> Reply | None:
        is_whole = len(b.server.matching("PUT", UPLOADS + "*")) > sent
        return None if is_whole else error_reply(404, "MANIFEST_BLOB_UNKNOWN")

    b.server.on("PUT", "*/manifests/1.0", refused)
    further = push("1.0")
    further.run()
    assert statuses(further.result(0)) == ["pushed"]


def test_a_further_tag_is_read_and_not_only_asked_for() -> None:
    b = bench(SUCCESS, tags=["1.0", "2.0"], settings={"max_attempts": 1})
    b.store(OTHER)
    b.server.on("HEAD", "*/manifests/*", Reply(200, headers={"Docker-Content-Digest": MANIFEST.digest}))
    b.server.on("PUT", "*/manifests/2.0", lambda _: (b.server.tags.update({"2.0": OTHER.digest}), Reply(201))[1])
    raised, result = b.fail()
    assert isinstance(raised, DigestMismatchError)
    assert statuses(result) == ["pushed", "failed"]


def test_the_blobs_of_one_manifest_are_proven_once() -> None:
    b = bench(SUCCESS, tags=["1.0", "2.0", "3.0"])
    b.run()
    assert len(b.server.matching("HEAD", "*/blobs/*")) == 3
