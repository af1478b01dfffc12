"""Tags that exist already: IF_TAG_EXISTS, the order of tags, and what a rejected one means."""

import pytest
from unit.fakes import SmallExport
from unit.http import FakeRegistryServer, Outcome, Reply, Sent, error_reply, meeting
from unit.runs import (
    IMAGE,
    IMAGE_ID,
    MANIFEST,
    OTHER,
    OTHER_ID,
    SUCCESS,
    Bench,
    bench,
    image_manifest,
    pushes,
    statuses,
    store,
)

from pipe.engine import events
from pipe.errors import (
    BlobMissingError,
    ImageRefusedError,
    PipeError,
    PushDeniedError,
    TagExistsError,
    TagRejectedError,
)
from pipe.oci.config import Origin
from pipe.oci.manifest import OCI_LAYER, OCI_ZSTD_LAYER, Manifest
from pipe.oci.reference import Reference
from pipe.push.result import TagResult
from pipe.push.tags import may_be_protected, ordered, rejected

MB = 10**6
HTML = Reply(403, b"<html><h1>Forbidden</h1></html>", {"Content-Type": "text/html"})
REJECTIONS: dict[str, Outcome] = {
    "400-tag-invalid": error_reply(400, "TAG_INVALID", "tag is immutable"),
    "400-manifest-invalid": error_reply(400, "MANIFEST_INVALID"),
    "403-denied": error_reply(403, "DENIED", "requested access to the resource is denied"),
    "403-html": HTML,
    "405-without-a-code": 405,
    "409-without-a-code": 409,
    "409-tag-invalid": error_reply(409, "TAG_INVALID"),
    "412-precondition": error_reply(412, "PRECONDITION", "tag is immutable"),
}
FAILED_AT_THE_MANIFEST = [*SUCCESS[:3], (2.5, events.Failed("denied: requested access to the resource is denied"))]


def with_other(*plays: list[tuple[float, events.Event]], tags: tuple[str, ...] = ("1.0",), **settings: object) -> Bench:
    """Prepare a push to tags of which `1.0` points to another image."""
    b = bench(*plays, tags=tags, settings={"max_attempts": 1} | settings)
    b.store(OTHER, "1.0")
    return b


@pytest.mark.parametrize("policy", ["overwrite", "skip", "fail"])
def test_the_same_image_is_up_to_date_under_every_policy(policy: str) -> None:
    b = bench(settings={"if_tag_exists": policy})
    b.store(MANIFEST, "1.0")
    assert statuses(b.run()) == ["already there"]
    assert pushes(b.engine) == []


def test_fail_ends_it_before_a_byte_is_uploaded() -> None:
    b = with_other(tags=("1.0", "2.0"), if_tag_exists="fail")
    raised, result = b.fail()
    assert isinstance(raised, TagExistsError)
    assert raised.exit_code == 4
    assert raised.cause == (
        f"crg.apkg.io/acme/app:1.0 points to another image, {OTHER.digest} (created 2026-03-01 12:00 UTC from revision"
        " c0ffee). Nothing was uploaded."
    )
    assert statuses(result) == ["failed", "not tried"]
    assert result.tags[0].previous == OTHER.digest
    assert b.engine.done == ["find app"]
    assert b.server.matching("PUT") == []


def test_fail_names_the_tag_that_exists_though_it_is_not_the_first() -> None:
    b = bench(tags=["2.0", "1.0"], settings={"if_tag_exists": "fail"})
    b.store(OTHER, "1.0")
    raised, result = b.fail()
    assert "app:1.0 points to another image" in raised.cause
    assert statuses(result) == ["not tried", "failed"]


def test_the_builds_of_all_tags_that_must_not_move_are_read_at_the_same_time() -> None:
    b = bench(tags=["1.0", "2.0"], settings={"if_tag_exists": "fail"})
    b.store(OTHER, "1.0", "2.0")
    b.server.on("GET", f"*/blobs/{OTHER.config}", meeting(2))
    raised, result = b.fail()
    assert "c0ffee" in raised.cause
    assert statuses(result) == ["failed", "failed"]


def test_skip_leaves_the_tag_alone_and_pushes_the_others() -> None:
    b = with_other(SUCCESS, tags=("1.0", "2.0"), if_tag_exists="skip")
    result = b.run()
    assert statuses(result) == ["skipped", "pushed"]
    assert b.server.tags == {"1.0": OTHER.digest, "2.0": MANIFEST.digest}
    assert (result.tags[0].previous, result.tags[0].digest) == (OTHER.digest, None)


def test_nothing_is_uploaded_if_all_tags_are_skipped() -> None:
    b = with_other(if_tag_exists="skip")
    assert statuses(b.run()) == ["skipped"]
    assert b.engine.done == ["find app"]


def test_a_dry_run_applies_the_policy_too() -> None:
    b = with_other(tags=("1.0", "2.0"), if_tag_exists="skip", dry_run=True)
    assert statuses(b.run()) == ["skipped", "would push"]
    assert isinstance(with_other(if_tag_exists="fail", dry_run=True).fail()[0], TagExistsError)


def result_of(tag: str, previous: str | None = None) -> TagResult:
    """Make the outcome for a tag before the push."""
    return TagResult(Reference("r.io", "a/b", tag), previous=previous)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        pytest.param([result_of("1"), result_of("2")], ["1", "2"], id="new-ones-stay-in-order"),
        pytest.param([result_of("1", "x"), result_of("2")], ["2", "1"], id="new-ones-first"),
        pytest.param([result_of("latest"), result_of("2", "x")], ["2", "latest"], id="latest-last"),
        pytest.param([result_of("latest", "x"), result_of("1", "x"), result_of("2")], ["2", "1", "latest"], id="all"),
    ],
)
def test_the_order_of_tags(tags: list[TagResult], expected: list[str]) -> None:
    assert [target.tag for target in ordered(tags)] == expected


@pytest.mark.parametrize("answer", REJECTIONS.values(), ids=REJECTIONS.keys())
def test_a_rejected_tag_is_explained_and_does_not_stop_the_others(answer: Outcome) -> None:
    b = with_other(SUCCESS, tags=("1.0", "2.0", "latest"))
    b.server.on("PUT", "*/manifests/1.0", answer)
    raised, result = b.fail()
    assert isinstance(raised, TagRejectedError)
    assert raised.exit_code == 4
    assert (
        f"crg.apkg.io/acme/app:1.0 exists and points to another image, {OTHER.digest} (created 2026-03-01 12:00 UTC"
        in raised.cause
    )
    assert "IF_TAG_EXISTS: skip" in raised.fix
    assert statuses(result) == ["failed", "pushed", "pushed"]
    assert result.exit_code == 4


TAG_REJECTED = "*/manifests/1.0"
ALL_REJECTED = "*/manifests/*"


@pytest.mark.parametrize("media_type", [OCI_LAYER, OCI_ZSTD_LAYER], ids=["gzip", "zstd"])
@pytest.mark.parametrize("answer", [400, 405, error_reply(400, "MANIFEST_INVALID")], ids=["400", "405", "invalid"])
def test_a_manifest_that_only_the_tag_cannot_have_is_not_left_to_the_engine(
    monkeypatch: pytest.MonkeyPatch, media_type: str, answer: Outcome
) -> None:
    b = stored_image(monkeypatch, media_type)
    b.server.on("PUT", TAG_REJECTED, answer)
    raised, _ = b.fail()
    assert isinstance(raised, TagRejectedError)
    assert "zstd" not in raised.cause
    assert pushes(b.engine) == []


@pytest.mark.parametrize(
    ("media_type", "by_engine"),
    [pytest.param(OCI_LAYER, True, id="gzip"), pytest.param(OCI_ZSTD_LAYER, False, id="zstd")],
)
def test_a_manifest_that_the_registry_cannot_store_is_the_engines_to_push_unless_it_has_zstd_layers(
    monkeypatch: pytest.MonkeyPatch, media_type: str, by_engine: bool
) -> None:
    b = stored_image(monkeypatch, media_type, SUCCESS)
    b.server.on("PUT", ALL_REJECTED, 405)
    if by_engine:
        assert statuses(b.run()) == ["pushed"]
    else:
        assert "zstd" in b.fail()[0].cause
    assert len(pushes(b.engine)) == by_engine


def stored_image(monkeypatch: pytest.MonkeyPatch, media_type: str, *plays: list[tuple[float, events.Event]]) -> Bench:
    """Prepare a push, by the pipe, of an image of one layer to a tag that points to another image."""
    [layer] = SmallExport()
    assert layer.descriptor is not None
    manifest = image_manifest(IMAGE_ID, 7, [(layer.descriptor.digest, layer.descriptor.size)], media_type)
    monkeypatch.setattr(SmallExport, "manifests", (manifest,))
    image = IMAGE._replace(size=25 * MB, layers=(IMAGE.layers[0]._replace(size=25 * MB), IMAGE.layers[1]))
    b = bench(*plays, image=image, settings={"uploader": "auto", "max_attempts": 1})
    b.engine.unable = None
    b.store(OTHER, "1.0")
    return b


def test_a_403_without_an_existing_tag_keeps_its_advice() -> None:
    b = bench(SUCCESS, tags=["1.0", "2.0"])
    b.server.on("PUT", "*/manifests/2.0", error_reply(403, "DENIED"))
    assert isinstance(b.fail()[0], PushDeniedError)


def test_a_new_tag_that_is_rejected_does_not_stop_the_others() -> None:
    b = bench(SUCCESS, tags=["1.0", "2.0", "3.0"])
    b.server.on("PUT", "*/manifests/2.0", error_reply(400, "TAG_INVALID", "no such tags here"))
    raised, result = b.fail()
    assert isinstance(raised, ImageRefusedError)
    assert "no such tags here" in raised.cause
    assert statuses(result) == ["pushed", "failed", "pushed"]


@pytest.mark.parametrize("status", [401, 403, 413, 500])
def test_a_failure_that_concerns_more_than_a_tag_stops_the_others(status: int) -> None:
    b = bench(SUCCESS, tags=["1.0", "2.0", "latest"], settings={"max_attempts": 1})
    b.server.on("PUT", "*/manifests/2.0", status)
    assert statuses(b.fail()[1]) == ["pushed", "failed", "not tried"]


def test_each_tag_that_must_not_move_is_explained() -> None:
    b = with_other(tags=("1.0", "2.0"), if_tag_exists="fail")
    b.store(OTHER, "2.0")
    raised, result = b.fail()
    assert "app:1.0 points to another image" in raised.cause
    assert ["app:2.0 points to another image" in line for line in b.told.of("WARNING")] == [True]
    assert statuses(result) == ["failed", "failed"]


def test_each_rejected_tag_is_explained() -> None:
    b = with_other(SUCCESS, tags=("1.0", "2.0", "3.0"))
    b.store(OTHER, "2.0")
    b.server.on("PUT", "*/manifests/[12].0", 409)
    raised, result = b.fail()
    assert "app:1.0 exists and points to another image" in raised.cause
    assert ["app:2.0 exists and points to another image" in line for line in b.told.of("WARNING")] == [True]
    assert statuses(result) == ["failed", "failed", "pushed"]


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        pytest.param("r.io answered 409 for a/b, without a reason.", "r.io answered 409 for a/b, without a reason."),
        pytest.param("r.io answered for a/b: unknown:", "r.io answered for a/b: unknown."),
        pytest.param("r.io answered for a/b: tag 1 is protected", "r.io answered for a/b: tag 1 is protected."),
    ],
    ids=["sentence", "the-engine-has-no-words", "words"],
)
def test_a_rejection_ends_with_the_registrys_words(cause: str, words: str) -> None:
    found = rejected(Reference("r.io", "a/b", "1"), "sha256:d", Origin(), ImageRefusedError(cause))
    assert found.summary == (
        "The registry rejected moving the tag: r.io/a/b:1 exists and points to another image, sha256:d. The registry"
        f" rejects moving it: {words}"
    )


def test_a_tag_that_the_engine_could_not_move_is_explained_too() -> None:
    b = with_other(FAILED_AT_THE_MANIFEST)
    raised, _ = b.fail()
    assert isinstance(raised, TagRejectedError)


def test_the_same_digest_that_is_rejected_is_up_to_date() -> None:
    b = bench(SUCCESS, tags=["1.0", "2.0"])
    b.server.on("PUT", "*/manifests/2.0", lambda sent: _stored_elsewhere(b.server, sent, MANIFEST))
    result = b.run()
    assert statuses(result) == ["pushed", "already there"]
    assert result.tags[1].verified


def test_another_push_that_was_faster_wins() -> None:
    b = bench(SUCCESS, tags=["1.0", "2.0"], settings={"max_attempts": 1})
    b.server.on("PUT", "*/manifests/2.0", lambda sent: _stored_elsewhere(b.server, sent, OTHER))
    raised, result = b.fail()
    assert isinstance(raised, TagRejectedError)
    assert statuses(result) == ["pushed", "failed"]


def test_another_push_that_was_faster_is_left_alone_if_such_tags_are_skipped() -> None:
    b = bench(SUCCESS, tags=["1.0", "2.0"], settings={"max_attempts": 1, "if_tag_exists": "skip"})
    b.server.on("PUT", "*/manifests/2.0", lambda sent: _stored_elsewhere(b.server, sent, OTHER))
    result = b.run()
    assert statuses(result) == ["pushed", "skipped"]
    assert (result.tags[1].previous, result.tags[1].reference) == (OTHER.digest, None)


def _stored_elsewhere(server: FakeRegistryServer, _sent: Sent, manifest: Manifest) -> Reply:
    """Let another push create the tag first, and reject this one."""
    store(server, manifest, "2.0")
    return error_reply(409, "TAG_INVALID")


def error(kind: type[PipeError], status: int = 0, *codes: str) -> PipeError:
    """Make an error."""
    made = kind("x")
    made.status, made.codes = status, codes
    return made


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        *(pytest.param(error(ImageRefusedError, status), True, id=str(status)) for status in (400, 403, 404, 409, 412)),
        *(
            pytest.param(error(PipeError, status), False, id=str(status))
            for status in (401, 408, 413, 415, 429, 500, 503)
        ),
        pytest.param(error(ImageRefusedError), True, id="the-engine-lost-the-status"),
        pytest.param(error(PipeError), False, id="no-answer"),
        pytest.param(error(BlobMissingError, 400, "MANIFEST_BLOB_UNKNOWN"), False, id="a-blob-is-missing"),
    ],
)
def test_which_failures_may_mean_a_protected_tag(failure: PipeError, expected: bool) -> None:
    assert may_be_protected(failure) is expected


def test_the_other_image_is_described() -> None:
    assert OTHER.config == OTHER_ID
