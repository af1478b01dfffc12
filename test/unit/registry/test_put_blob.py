"""Uploads of blobs, to registries that are as they should be, are not, or fail for a moment."""

import threading
from itertools import pairwise

import pytest
from unit.http import HUNG, Outcome, Reply, Sent, cut, error_reply, sha256
from unit.registry.support import BASE, PATH, UPLOADS, Blob, Registry, Watch

from pipe.errors import (
    CredentialsRefusedError,
    DigestMismatchError,
    ImageRefusedError,
    LayerTooLargeError,
    PackageNotFoundError,
    PipeError,
    PushDeniedError,
    RegistryFailedError,
    UnsupportedError,
    UntrustedHostError,
    UploadLostError,
)
from pipe.registry import blob_writer
from pipe.registry.body import SLICE

UPLOAD = f"{UPLOADS}*"
SMALL = (b"one chunk",)
LARGE = (b"the first chunk,", b"the second chunk", b"the end")
CHUNKED = pytest.mark.parametrize(
    "chunks", [pytest.param(SMALL, id="one-chunk"), pytest.param(LARGE, id="three-chunks")]
)
GONE = error_reply(404, "BLOB_UPLOAD_UNKNOWN")
BUSY = error_reply(503, "UNAVAILABLE")
EMPTY = {sha256(blob_writer.EMPTY): blob_writer.EMPTY}


@pytest.fixture
def registry() -> Registry:
    return Registry()


def put(registry: Registry, *chunks: bytes) -> None:
    """Upload a blob."""
    registry.repository.put_blob(Blob(*chunks), registry.watch)


def expect_stored(registry: Registry, *blobs: tuple[bytes, ...]) -> None:
    """Expect these blobs, byte for byte, and nothing else but the one of the probe."""
    expected = {sha256(b"".join(chunks)): b"".join(chunks) for chunks in blobs}
    assert {digest: data for digest, data in registry.server.blobs.items() if digest not in EMPTY} == expected


def methods(registry: Registry) -> str:
    """Return the methods that were used, without those of the probe and of /v2/."""
    number = "".join(each.path.rpartition("/")[2] for each in registry.server.sent if each.body == b"{")
    sent = [
        each for each in registry.server.sent if each.path != "/v2/" and not (number and each.path.endswith(number))
    ]
    return " ".join(each.method for each in sent)


def patches(registry: Registry) -> list[bytes]:
    """Return the bodies of chunks, without those of the probe."""
    return [each.body for each in registry.server.matching("PATCH") if each.body not in {b"{", b"}"}]


def test_a_blob_of_one_chunk_takes_two_requests_and_no_probe(registry: Registry) -> None:
    put(registry, *SMALL)
    expect_stored(registry, SMALL)
    assert methods(registry) == "POST PUT"
    [sent] = registry.server.matching("PUT")
    assert (sent.body, sent.query["digest"], sent.query["_state"]) == (SMALL[0], sha256(SMALL[0]), "0")
    assert registry.watch.totals == [len(SMALL[0])]
    assert EMPTY.keys().isdisjoint(registry.server.blobs)


@pytest.mark.parametrize("chunks", [pytest.param((), id="no-chunk"), pytest.param((b"",), id="an-empty-chunk")])
def test_an_empty_blob_is_stored(registry: Registry, chunks: tuple[bytes, ...]) -> None:
    blob = Blob(*chunks)
    blob.digest = sha256(b"")
    registry.repository.put_blob(blob, registry.watch)
    expect_stored(registry, (b"",))


def test_a_larger_blob_is_sent_in_chunks_after_one_probe(registry: Registry) -> None:
    put(registry, *LARGE)
    put(registry, b"another ", b"large blob")
    expect_stored(registry, LARGE, (b"another ", b"large blob"))
    assert [each.headers.get("Content-Range") for each in registry.server.matching("PATCH")] == [
        *("0-0", "1-1"),
        *("0-15", "16-31", "32-38"),
        *("0-7", "8-17"),
    ]
    states = [each.query["_state"] for each in registry.server.matching("P*", f"{UPLOADS}2")]
    assert states == ["0", "16", "32", "39"], "each request goes to the newest location"


def test_threads_wait_for_the_probe_of_the_first(registry: Registry) -> None:
    blobs = [(bytes([65 + number]) * 9, b"end") for number in range(4)]
    threads = [threading.Thread(target=put, args=(registry, *chunks)) for chunks in blobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect_stored(registry, *blobs)
    assert len([each for each in registry.server.matching("PATCH") if each.body == b"{"]) == 1


def test_a_thread_that_waits_for_the_probe_can_be_cancelled(registry: Registry) -> None:
    reached, free = threading.Event(), threading.Event()

    def block(_: Sent) -> None:
        reached.set()
        assert free.wait(30)

    registry.server.on("PATCH", UPLOAD, block, times=1)
    first = threading.Thread(target=put, args=(registry, *LARGE))
    first.start()
    assert reached.wait(30)
    watch = Watch(registry.clock)
    watch.failure = EndedError()
    with pytest.raises(EndedError):
        registry.repository.put_blob(Blob(b"another ", b"large blob"), watch)
    free.set()
    first.join()
    expect_stored(registry, LARGE)


@pytest.mark.parametrize(
    ("age", "posts"),
    [pytest.param(29.0, 1, id="young"), pytest.param(30.0, 2, id="old")],
)
def test_the_upload_of_the_check_is_used_if_it_is_young(registry: Registry, age: float, posts: int) -> None:
    registry.repository.check_push()
    opened = registry.clock.now
    registry.clock.pass_by(age)
    put(registry, *SMALL)
    assert len(registry.server.matching("POST")) == posts
    assert registry.watch.began_at == [opened if posts == 1 else opened + age]
    put(registry, b"another")
    assert len(registry.server.matching("POST")) == posts + 1, "it is used once"


@CHUNKED
def test_an_upload_of_the_check_that_is_gone_costs_no_wait(registry: Registry, chunks: tuple[bytes, ...]) -> None:
    registry.repository.check_push()
    registry.server.uploads.clear()
    put(registry, *chunks)
    expect_stored(registry, chunks)
    assert registry.watch.waits == []


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize(
    "fault", [pytest.param(cut(), id="cut"), pytest.param(BUSY, id="503"), pytest.param(429, id="429")]
)
@CHUNKED
def test_a_failure_for_a_moment_is_waited_out(
    registry: Registry, chunks: tuple[bytes, ...], method: str, fault: Outcome
) -> None:
    registry.server.whole = method != "PATCH"
    put(registry, b"so that the probe ", b"is done")
    registry.server.on(method, UPLOAD, fault, times=2)
    put(registry, *chunks)
    expect_stored(registry, chunks, (b"so that the probe ", b"is done"))
    assert registry.watch.waits == [1, 2]


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges-must-fit", "ranges-are-ignored"])
@pytest.mark.parametrize("offsets", [True, False], ids=["offset-is-reported", "offset-is-not-reported"])
@pytest.mark.parametrize(
    "kept", [0, 1, 2, 5, None], ids=["no-byte", "one-byte", "two-bytes", "five-bytes", "all-bytes"]
)
@pytest.mark.parametrize("skip", [0, 1, 2], ids=["first-chunk", "second-chunk", "last-chunk"])
def test_no_byte_is_ever_stored_twice(
    registry: Registry, skip: int, kept: int | None, offsets: bool, ranges: bool
) -> None:
    put(registry, b"so that the probe ", b"is done")
    registry.server.ranges, registry.server.offsets = ranges, offsets
    registry.server.on("PATCH", UPLOAD, cut(), skip=skip, times=1, kept=kept, lost=True)
    if skip and not offsets:
        with pytest.raises(UploadLostError, match="does not report how many bytes"):
            put(registry, *LARGE)
    else:
        put(registry, *LARGE)
        expect_stored(registry, LARGE, (b"so that the probe ", b"is done"))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(405, UploadLostError, id="405"),
        pytest.param(404, UploadLostError, id="404"),
        pytest.param(204, UploadLostError, id="no-range"),
        pytest.param(Reply(204, headers={"Range": "0-0"}), UploadLostError, id="one-byte-or-none"),
        pytest.param(Reply(204, headers={"Range": "0-14"}), UploadLostError, id="less-than-before"),
        pytest.param(Reply(204, headers={"Range": "0-99"}), UploadLostError, id="more-than-was-sent"),
        pytest.param(Reply(204, headers={"Range": "0-x"}), UploadLostError, id="no-number"),
        pytest.param(403, PushDeniedError, id="403"),
        pytest.param(BUSY, RegistryFailedError, id="busy-for-ever"),
        pytest.param(cut(), RegistryFailedError, id="cut-for-ever"),
    ],
)
def test_an_offset_that_is_not_known(registry: Registry, answer: Outcome, kind: type[PipeError]) -> None:
    registry.server.on("PATCH", f"{UPLOADS}2", cut(), skip=1, times=1)
    registry.server.on("GET", UPLOAD, answer)
    with pytest.raises(kind) as raised:
        put(registry, *LARGE)
    assert type(raised.value) is kind
    assert patches(registry) == list(LARGE[:2]), "nothing is sent from a guessed offset"


def test_an_offset_is_requested_again_while_the_registry_restarts(registry: Registry) -> None:
    registry.server.on("PATCH", f"{UPLOADS}2", cut(), skip=1, times=1, kept=3)
    registry.server.on("GET", UPLOAD, cut(), times=2)
    put(registry, *LARGE)
    expect_stored(registry, LARGE)
    assert patches(registry) == [LARGE[0], LARGE[1], LARGE[1][3:], LARGE[2]]
    assert registry.watch.waits == [1, 2, 4]


def test_a_chunk_that_is_always_cut_fails_after_five_tries(registry: Registry) -> None:
    registry.server.on("PATCH", f"{UPLOADS}2", cut(), skip=1)
    with pytest.raises(RegistryFailedError, match="the connection broke"):
        put(registry, *LARGE)
    assert registry.watch.waits == [1, 2, 4, 8]


def test_a_chunk_of_which_a_part_arrives_each_time_has_five_tries_each(registry: Registry) -> None:
    registry.server.on("PATCH", f"{UPLOADS}2", cut(), skip=1, times=7, kept=2)
    put(registry, *LARGE)
    expect_stored(registry, LARGE)
    assert set(registry.watch.waits) == {1.0}


@CHUNKED
def test_an_upload_that_is_gone_begins_again_or_is_lost(registry: Registry, chunks: tuple[bytes, ...]) -> None:
    registry.server.on("P*", f"{UPLOADS}2" if len(chunks) > 1 else f"{UPLOADS}1", GONE, skip=len(chunks) - 1, times=1)
    if len(chunks) == 1:
        put(registry, *chunks)
        expect_stored(registry, chunks)
    else:
        with pytest.raises(UploadLostError) as raised:
            put(registry, *chunks)
        assert (raised.value.status, raised.value.codes) == (404, ("BLOB_UPLOAD_UNKNOWN",))


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_is_one(registry: Registry, status: int) -> None:
    registry.server.created = status
    put(registry, *LARGE)
    states = [each.query["_state"] for each in registry.server.matching("P*", f"{UPLOADS}2")]
    assert states == ["0", "16", "32", "39"], "each request goes to the newest location"
    stored = Reply(status, headers={"Location": "https://storage.example.com/blob"})
    registry.server.on("PUT", UPLOAD, stored, lost=True)
    put(registry, *SMALL)
    expect_stored(registry, LARGE, SMALL)
    assert registry.watch.waits == []


@CHUNKED
def test_an_answer_to_the_last_request_that_is_lost_costs_a_head(registry: Registry, chunks: tuple[bytes, ...]) -> None:
    put(registry, b"so that the probe ", b"is done")
    before = len(registry.server.sent)
    registry.server.on("PUT", UPLOAD, cut(), lost=True)
    put(registry, *chunks)
    expect_stored(registry, chunks, (b"so that the probe ", b"is done"))
    assert [each.method for each in registry.server.sent[before:]][-2:] == ["PUT", "HEAD"]


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        pytest.param("POST", error_reply(429, "TOOMANYREQUESTS", Retry_After="30"), id="post"),
        pytest.param("PATCH", error_reply(429, "TOOMANYREQUESTS", Retry_After="30"), id="patch"),
        pytest.param("PUT", error_reply(429, "TOOMANYREQUESTS", Retry_After="30"), id="put"),
    ],
)
@CHUNKED
def test_a_wait_that_does_not_fit_is_not_begun_and_its_cause_is_raised(
    registry: Registry, chunks: tuple[bytes, ...], method: str, fault: Reply
) -> None:
    registry.server.whole = method != "PATCH"
    put(registry, b"so that the probe ", b"is done")
    registry.server.on(method, UPLOAD, fault)
    watch = Watch(registry.clock, 6.0)
    with pytest.raises(RegistryFailedError, match="HTTP 429") as raised:
        registry.repository.put_blob(Blob(*chunks), watch)
    assert (raised.value.status, raised.value.exit_code, raised.value.retry_after) == (429, 6, 30)
    assert watch.waits == []
    assert not any("retrying" in line for line in registry.messages.lines)


@pytest.mark.parametrize(
    ("method", "seconds"),
    [
        pytest.param("POST", 30, id="opening"),
        pytest.param("PATCH", 20, id="probe"),
        pytest.param("PUT", 30, id="whole-blob"),
    ],
)
def test_a_wait_that_fits_is_logged(registry: Registry, method: str, seconds: int) -> None:
    busy = error_reply(429, "TOOMANYREQUESTS", "slower", Retry_After=str(seconds))
    registry.server.on(method, UPLOAD, busy, times=1)
    put(registry, *(SMALL if seconds == 30 else LARGE))
    assert registry.watch.waits == [seconds]
    assert registry.messages.of("INFO") == [f"crg.apkg.io: HTTP 429: slower; retrying in {seconds}.0 s."]


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@CHUNKED
def test_silence_lasts_no_longer_than_the_clock_of_the_blob(
    registry: Registry, chunks: tuple[bytes, ...], method: str
) -> None:
    registry.server.whole = method != "PATCH"
    put(registry, b"so that the probe ", b"is done")
    registry.server.on(method, UPLOAD, HUNG)
    watch = Watch(registry.clock, 100.0)
    with pytest.raises(RegistryFailedError, match="no answer in time"):
        registry.repository.put_blob(Blob(*chunks), watch)
    assert watch.remaining() >= -0.01


def test_a_retry_after_of_the_probe_is_for_the_next_attempt(registry: Registry) -> None:
    registry.server.on("PATCH", UPLOAD, error_reply(429, "TOOMANYREQUESTS", Retry_After="600"))
    watch = Watch(registry.clock, 3600.0)
    with pytest.raises(RegistryFailedError, match="HTTP 429"):
        registry.repository.put_blob(Blob(*LARGE), watch)
    assert watch.waits == []


@pytest.mark.parametrize(
    ("location", "trusted"),
    [
        pytest.param(f"{BASE}{UPLOADS}9", True, id="the-registry"),
        pytest.param("https://evil.com/x", False, id="another-host"),
        pytest.param("http://crg.apkg.io/x", False, id="without-tls"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_no_byte_goes_to_another_host(registry: Registry, method: str, location: str, trusted: bool) -> None:
    put(registry, b"so that the probe ", b"is done")
    answer = Reply(202, headers={"Location": location})
    registry.server.on(method, UPLOAD, answer, times=1)
    if trusted:
        registry.server.on("P*", location.removeprefix(BASE), 201)
        put(registry, *LARGE)
    else:
        with pytest.raises(UntrustedHostError, match="Nothing was sent to it"):
            put(registry, *LARGE)
    assert {each.host for each in registry.server.sent} == {BASE}


@pytest.mark.parametrize(
    ("target", "host"),
    [
        pytest.param("/moved", BASE, id="the-registry"),
        pytest.param("https://upload.example.com/moved", "https://upload.example.com", id="another-host-over-tls"),
        pytest.param("http://upload.example.com/moved", None, id="another-host-without-tls"),
        pytest.param("http://crg.apkg.io/moved", None, id="the-registry-without-tls"),
    ],
)
@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_redirects_of_uploads_are_followed_to_trusted_hosts_without_credentials(
    registry: Registry, method: str, status: int, target: str, host: str | None
) -> None:
    registry.server.realm = f"{BASE}/token"
    put(registry, b"so that the probe ", b"is done")
    moved = Reply(202, headers={"Location": f"{UPLOADS}9"} if method == "POST" else {})
    registry.server.on(method, UPLOAD, Reply(status, headers={"Location": target}), times=1)
    registry.server.on(method, "*/moved", Reply(201) if method == "PUT" else moved)
    registry.server.on("P*", f"{UPLOADS}9", 201)
    registry.server.on("PUT", UPLOAD, 201)
    registry.server.ranges = registry.server.offsets = False
    if host is None:
        with pytest.raises(UntrustedHostError, match=f"by a redirect of {method}"):
            put(registry, *LARGE)
        assert registry.server.matching("*", "*/moved") == []
        return
    put(registry, *LARGE)
    [redirected] = registry.server.matching("*", "*/moved")
    assert redirected.host == host
    assert bool(redirected.authorization) == (host == BASE)
    notes = [line for line in registry.messages.of("INFO") if "redirects" in line]
    assert notes == ([] if host == BASE else ["Uploading to upload.example.com, to which crg.apkg.io redirects."])


def test_redirects_in_a_circle_end(registry: Registry) -> None:
    registry.server.on("POST", "*", Reply(307, headers={"Location": UPLOADS}))
    with pytest.raises(ImageRefusedError, match="a redirect to"):
        put(registry, *SMALL)
    assert len(registry.server.matching("POST")) == 4


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        pytest.param(400, UnsupportedError, id="400"),
        pytest.param(404, UnsupportedError, id="404"),
        pytest.param(405, UnsupportedError, id="405"),
        pytest.param(411, UnsupportedError, id="411"),
        pytest.param(415, UnsupportedError, id="415"),
        pytest.param(416, UnsupportedError, id="416"),
        pytest.param(501, UnsupportedError, id="501"),
        pytest.param(error_reply(405, "UNSUPPORTED"), UnsupportedError, id="unsupported"),
        pytest.param(error_reply(400, "BLOB_UPLOAD_INVALID"), UnsupportedError, id="upload-invalid"),
        pytest.param(Reply(307, headers={"Location": "/elsewhere"}), UnsupportedError, id="redirect-of-a-stream"),
        pytest.param(error_reply(400, "DIGEST_INVALID"), ImageRefusedError, id="digest-invalid"),
        pytest.param(error_reply(404, "NAME_UNKNOWN"), PackageNotFoundError, id="name-unknown"),
        pytest.param(403, PushDeniedError, id="403"),
        pytest.param(401, CredentialsRefusedError, id="401"),
        pytest.param(507, RegistryFailedError, id="507"),
        pytest.param(error_reply(400, "SIZE_INVALID"), LayerTooLargeError, id="size-invalid"),
    ],
)
def test_what_a_registry_that_takes_no_patch_means(
    registry: Registry, fault: Reply | int, kind: type[PipeError]
) -> None:
    registry.server.on("PATCH", UPLOAD, fault)
    with pytest.raises(PipeError) as raised:
        put(registry, *LARGE)
    assert type(raised.value) is kind
    assert raised.value.status == (fault if isinstance(fault, int) else fault.status)
    assert registry.watch.waits == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        pytest.param(405, UnsupportedError, id="405"),
        pytest.param(404, PackageNotFoundError, id="404"),
        pytest.param(403, PushDeniedError, id="403"),
        pytest.param(501, UnsupportedError, id="501"),
    ],
)
@CHUNKED
def test_what_a_registry_that_opens_no_upload_means(
    registry: Registry, chunks: tuple[bytes, ...], fault: int, kind: type[PipeError]
) -> None:
    registry.server.on("POST", UPLOADS, fault)
    with pytest.raises(PipeError) as raised:
        put(registry, *chunks)
    assert type(raised.value) is kind


def test_a_put_without_a_body_is_used_if_the_registry_takes_no_other(registry: Registry) -> None:
    registry.server.whole = False
    put(registry, *SMALL)
    put(registry, b"another")
    expect_stored(registry, SMALL, (b"another",))
    assert methods(registry) == "POST PUT POST PATCH PUT POST PATCH PUT"
    assert all("Content-Range" not in each.headers for each in registry.server.matching("PATCH"))


@pytest.mark.parametrize(
    ("method", "skip", "faults", "streamed"),
    [
        pytest.param("PATCH", 0, [], False, id="works"),
        pytest.param("PATCH", 0, [400], True, id="first-refused"),
        pytest.param("PATCH", 1, [416], True, id="second-refused"),
        pytest.param("PATCH", 1, [404], True, id="second-not-known"),
        pytest.param("PATCH", 1, [Reply(202, headers={"Range": "0-0"})], True, id="second-not-stored"),
        pytest.param("PUT", 0, [error_reply(400, "DIGEST_INVALID")], True, id="end-refused"),
        pytest.param("PATCH", 0, [BUSY], False, id="busy"),
        pytest.param("PATCH", 0, [429], False, id="too-many-requests"),
        pytest.param("PATCH", 0, [cut()], False, id="cut"),
        pytest.param("PATCH", 0, [BUSY, BUSY], True, id="busy-twice"),
        pytest.param("PATCH", 0, [cut(), cut()], True, id="cut-twice"),
    ],
)
def test_a_probe_decides_between_chunks_and_a_stream(
    registry: Registry, method: str, skip: int, faults: list[Outcome], streamed: bool
) -> None:
    for fault in faults:
        registry.server.on(method, UPLOAD, fault, skip=skip, times=1)
    put(registry, *LARGE)
    expect_stored(registry, LARGE)
    assert patches(registry) == ([b"".join(LARGE)] if streamed else list(LARGE))
    [*_, last] = registry.server.matching("PATCH")
    assert last.headers.get("Transfer-Encoding") == ("chunked" if streamed else None)


@pytest.mark.parametrize(
    "fault", [pytest.param(BUSY, id="busy"), pytest.param(cut(), id="cut"), pytest.param(GONE, id="gone")]
)
def test_a_stream_that_fails_is_lost(registry: Registry, fault: Outcome) -> None:
    registry.server.minimum = 100 * 1024 * 1024
    registry.server.on("PATCH", UPLOAD, fault)
    with pytest.raises(UploadLostError) as raised:
        put(registry, *LARGE)
    assert raised.value.temporary
    assert len(registry.server.matching("PATCH")) == 1


def test_a_stream_is_not_sent_again_from_its_middle_if_the_token_was_rejected(registry: Registry) -> None:
    registry.server.realm = f"{BASE}/token"
    registry.server.minimum = 100 * 1024 * 1024
    registry.server.on("PATCH", UPLOAD, Reply(401, headers={"WWW-Authenticate": f'Bearer realm="{BASE}/token"'}))
    with pytest.raises(UploadLostError, match="token was rejected"):
        put(registry, *LARGE)
    assert (registry.server.tokens, registry.server.blobs) == (2, {})


@pytest.mark.parametrize(
    ("minimum", "sizes"),
    [
        pytest.param(5, [16, 16, 7], id="smaller-than-ours"),
        pytest.param(20, [20, 19], id="larger-than-ours"),
        pytest.param(39, [39], id="as-large-as-the-blob"),
        pytest.param(41, [39], id="larger-than-memory-allows"),
    ],
)
def test_the_minimum_of_a_registry_fits_in_memory_or_there_are_no_chunks(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, minimum: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(blob_writer, "CHUNK", 16)
    monkeypatch.setattr(blob_writer, "CHUNK_MAXIMUM", 40)
    registry.server.minimum = minimum
    put(registry, *LARGE)
    expect_stored(registry, LARGE)
    assert [len(body) for body in patches(registry)] == sizes
    assert len(registry.server.matching("POST")) == 1, "no probe, and its upload is used"


def too_large(limit: int) -> "object":
    """Make a hook for a proxy that limits bodies."""

    def check(sent: Sent) -> Outcome | None:
        page = b"<html><head><title>413 Request Entity Too Large</title></head>"
        return Reply(413, page, {"Content-Type": "text/html"}) if len(sent.body) > limit else None

    return check


@pytest.mark.parametrize(
    "chunks",
    [pytest.param((b"x" * 50,), id="one-chunk"), pytest.param((b"x" * 30, b"y" * 30, b"z" * 3), id="three-chunks")],
)
@pytest.mark.parametrize("limit", [pytest.param(10, id="small-enough"), pytest.param(9, id="still-too-large")])
def test_chunks_that_a_proxy_rejects_are_sent_in_smaller_ones_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, chunks: tuple[bytes, ...], limit: int
) -> None:
    monkeypatch.setattr(blob_writer, "SMALL_CHUNK", 10)
    registry.server.on("P*", UPLOAD, too_large(limit))  # type: ignore[arg-type] # a function
    if limit < 10:
        with pytest.raises(
            LayerTooLargeError, match=r"413 Request Entity Too Large(?s:.*)client_max_body_size"
        ) as raised:
            put(registry, *chunks)
        assert (raised.value.exit_code, raised.value.status) == (5, 413)
        assert "<html>" not in str(raised.value)
        return
    put(registry, *chunks)
    expect_stored(registry, chunks)
    before = len(registry.server.sent)
    put(registry, b"a" * 30, b"b" * 30)
    assert all(len(each.body) <= 10 for each in registry.server.sent[before:]), "later blobs are sent so at once"


def test_a_registry_that_stores_another_blob_is_an_error(registry: Registry) -> None:
    registry.server.on("PUT", UPLOAD, Reply(201, headers={"Docker-Content-Digest": "sha256:" + "0" * 64}))
    with pytest.raises(DigestMismatchError, match="altering data"):
        put(registry, *SMALL)


class EndedError(Exception):
    """What a watch raises to end an upload."""


@pytest.mark.parametrize("minimum", [0, 100 * 1024 * 1024], ids=["chunks", "stream"])
def test_a_watch_ends_an_upload_between_two_slices(registry: Registry, minimum: int) -> None:
    put(registry, b"so that the probe ", b"is done")
    registry.server.minimum = minimum

    class Ending(Watch):
        def sent(self, total: int) -> None:
            super().sent(total)
            if total >= 3 * SLICE:
                self.failure = EndedError()

    watch = Ending(registry.clock)
    with pytest.raises(EndedError):
        registry.repository.put_blob(Blob(bytes(5 * SLICE), b"end"), watch)
    assert watch.totals == [SLICE, 2 * SLICE, 3 * SLICE]


def test_what_was_sent_only_grows_while_nothing_fails(registry: Registry) -> None:
    put(registry, bytes(2 * SLICE + 1), bytes(SLICE))
    assert registry.watch.totals[-1] == 3 * SLICE + 1
    assert all(before <= after for before, after in pairwise(registry.watch.totals))


def test_several_uploads_are_each_reported_with_the_time_they_were_opened(registry: Registry) -> None:
    registry.server.on("PUT", UPLOAD, BUSY, times=1)
    began = registry.clock.now
    put(registry, *SMALL)
    assert registry.watch.began_at == [began, began + 1]


def test_the_path_of_another_repository_has_its_own_uploads(registry: Registry) -> None:
    registry.repository.check_push()
    registry.client.repository("acme/other").put_blob(Blob(*SMALL), registry.watch)
    assert [each.path for each in registry.server.matching("POST")] == [UPLOADS, "/v2/acme/other/blobs/uploads/"]
    assert registry.repository.path == PATH


@CHUNKED
def test_a_commit_may_take_the_time_that_remains(registry: Registry, chunks: tuple[bytes, ...]) -> None:
    registry.server.on("PUT", UPLOAD, Reply(201, delay=400.0), skip=len(chunks) > 1, lost=True)
    put(registry, *chunks)
    expect_stored(registry, chunks)
    assert registry.server.matching("HEAD") == [], "the answer itself was awaited"
