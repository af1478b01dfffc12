"""Questions about blobs, mounts and manifests."""

import threading

import pytest
from unit.http import Outcome, Reply, Sent, cut, error_reply, sha256
from unit.registry.support import BASE, DOMAIN, PATH, UPLOADS, Blob, Registry

from pipe.errors import (
    BlobMissingError,
    CredentialsRefusedError,
    ImageRefusedError,
    LayerTooLargeError,
    PackageNotFoundError,
    PipeError,
    PushDeniedError,
    RegistryFailedError,
    UnsupportedError,
)
from pipe.oci.manifest import MEDIA_TYPES, Manifest
from pipe.registry.client import CONNECTIONS
from pipe.registry.repository import LONG_ROUND_TRIP, MANIFEST_MAXIMUM

DATA = b"0123456789"
DIGEST = sha256(DATA)
BLOB = f"/v2/{PATH}/blobs/{DIGEST}"
MANIFEST = Manifest.parse(MEDIA_TYPES[2], b'{"schemaVersion":2}')
TAG = f"/v2/{PATH}/manifests/1"
ELSEWHERE = "https://storage.example.com/x"


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.server.keep(DATA)
    made.server.keep_manifest(MANIFEST.body, MANIFEST.media_type, "1")
    return made


def moved(location: str, status: int = 307) -> Reply:
    """Redirect."""
    return Reply(status, headers={"Location": location})


@pytest.mark.parametrize(
    ("outcome", "size"),
    [
        pytest.param(None, 10, id="there"),
        pytest.param(404, None, id="absent"),
        pytest.param(200, 0, id="without-a-length"),
        pytest.param(Reply(200, headers={"Content-Length": "9" * 30}), 0, id="absurd-length"),
        pytest.param(moved(ELSEWHERE), 0, id="stored-elsewhere"),
        pytest.param(403, PushDeniedError, id="denied"),
    ],
)
def test_sizes(registry: Registry, outcome: Outcome | None, size: int | type[PipeError] | None) -> None:
    registry.server.on("HEAD", BLOB, lambda _: outcome)
    if isinstance(size, type):
        with pytest.raises(size, match=r"read \(pull\) access"):
            registry.repository.stat(DIGEST)
    else:
        assert registry.repository.stat(DIGEST) == size
    assert len(registry.server.matching("HEAD")) == 1


def test_all_sizes_are_requested_at_the_same_time(registry: Registry) -> None:
    meet = threading.Barrier(3, timeout=30)

    def gather(_: Sent) -> None:
        meet.wait()

    registry.server.on("HEAD", "*", gather)
    digests = [DIGEST, f"sha256:{1:064x}", f"sha256:{2:064x}", DIGEST]
    assert registry.repository.stat_all(digests) == {digests[1]: None, digests[2]: None, DIGEST: 10}
    assert len(registry.server.matching("HEAD")) == 3


@pytest.mark.parametrize(
    ("outcome", "maximum", "found"),
    [
        pytest.param(None, 10, DATA, id="whole"),
        pytest.param(None, 9, None, id="larger"),
        pytest.param(Reply(200, b"another"), 10, None, id="another-blob"),
        pytest.param(404, 10, None, id="absent"),
        pytest.param(moved(ELSEWHERE, 302), 10, DATA, id="stored-elsewhere"),
        pytest.param(moved("http://storage.example.com/x"), 10, None, id="stored-elsewhere-without-tls"),
    ],
)
def test_a_small_blob(registry: Registry, outcome: Outcome | None, maximum: int, found: bytes | None) -> None:
    registry.server.realm = f"{BASE}/token"
    registry.server.on("GET", BLOB, lambda sent: outcome if sent.authorization else None)
    registry.server.on("GET", ELSEWHERE, Reply(200, DATA))
    assert registry.repository.read(DIGEST, maximum) == found
    assert [each.authorization for each in registry.server.matching("GET", "/x")] == (
        [""] if isinstance(outcome, Reply) and outcome.headers.get("Location") == ELSEWHERE else []
    )


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        pytest.param(None, b"789", id="part"),
        pytest.param(Reply(200, DATA), None, id="whole-blob-instead"),
        pytest.param(Reply(200, b"123"), None, id="whole-blob-of-that-length"),
        pytest.param(Reply(206, b"89"), None, id="too-short"),
        pytest.param(Reply(206, b"6789"), None, id="too-long"),
        # As CNCF Distribution 2.8 answers if the blob is shorter: without the body that it announces.
        pytest.param(Reply(416, b"", {"Content-Length": "7"}), None, id="shorter-blob"),
        pytest.param(moved(ELSEWHERE), b"789", id="stored-elsewhere"),
        pytest.param(moved("http://storage.example.com/x"), None, id="stored-elsewhere-without-tls"),
    ],
)
def test_a_part_of_a_blob(registry: Registry, outcome: Outcome | None, found: bytes | None) -> None:
    registry.server.on("GET", BLOB, lambda _: outcome)
    registry.server.on("GET", ELSEWHERE, Reply(206, b"789"))
    assert registry.repository.read_part(DIGEST, 7, 3) == found
    assert {each.headers["Range"] for each in registry.server.matching("GET", "*x*") if "v2" not in each.path} <= {
        "bytes=7-9"
    }


def test_the_whole_blob_is_a_part(registry: Registry) -> None:
    registry.server.on("GET", BLOB, Reply(200, DATA))
    assert registry.repository.read_part(DIGEST, 0, len(DATA)) == DATA


@pytest.mark.parametrize(
    ("outcome", "mounted"),
    [
        pytest.param(None, True, id="mounted"),
        pytest.param(Reply(201), True, id="mounted-without-a-digest"),
        pytest.param(Reply(201, headers={"Docker-Content-Digest": "sha256:" + "0" * 64}), False, id="another-blob"),
        pytest.param(404, False, id="404"),
        pytest.param(405, False, id="405"),
        pytest.param(401, False, id="401"),
        pytest.param(403, False, id="403"),
        pytest.param(503, False, id="503"),
        pytest.param(cut(), False, id="cut"),
        pytest.param(Reply(202, headers={"Location": "https://evil.com/x"}), False, id="an-upload-on-another-host"),
    ],
)
def test_a_mount_is_done_or_not_and_never_fails(registry: Registry, outcome: Outcome | None, mounted: bool) -> None:
    registry.server.mountable["acme/base", DIGEST] = DATA
    registry.server.on("POST", UPLOADS, lambda _: outcome)
    assert registry.repository.mount(DIGEST, "acme/base") is mounted


def test_a_token_that_is_refused_for_the_other_repository_is_no_failure(registry: Registry) -> None:
    registry.server.realm = f"{BASE}/token"
    registry.server.on("GET", "/token", lambda sent: 403 if "acme%2Fbase" in sent.url else None)
    registry.repository.check_push()
    assert not registry.repository.mount(DIGEST, "acme/base")
    assert registry.repository.stat(DIGEST) == 10


def test_the_upload_that_a_mount_opens_instead_is_used(registry: Registry) -> None:
    assert not registry.repository.mount(DIGEST, "acme/base")
    registry.repository.put_blob(Blob(b"layer"), registry.watch)
    assert len(registry.server.matching("POST")) == 1
    assert sha256(b"layer") in registry.server.blobs


def test_manifests(registry: Registry) -> None:
    assert registry.repository.manifest("1") == MANIFEST
    assert registry.repository.manifest(MANIFEST.digest) == MANIFEST
    assert registry.repository.manifest("2") is None
    assert set(registry.server.sent[1].headers["Accept"].split(", ")) == set(MEDIA_TYPES)


def test_a_manifest_that_may_not_be_read_says_so(registry: Registry) -> None:
    registry.server.on("GET", TAG, error_reply(403, "DENIED"))
    with pytest.raises(PushDeniedError, match=rf"{DOMAIN} does not allow reading {PATH}: denied") as raised:
        registry.repository.manifest("1")
    assert (raised.value.status, raised.value.codes) == (403, ("DENIED",))


def test_a_manifest_over_four_mebibytes_is_an_error(registry: Registry) -> None:
    registry.server.keep_manifest(b" " * MANIFEST_MAXIMUM, MEDIA_TYPES[2], "fits")
    registry.server.keep_manifest(b" " * (MANIFEST_MAXIMUM + 1), MEDIA_TYPES[2], "large")
    manifest = registry.repository.manifest("fits")
    assert manifest is not None
    assert len(manifest.body) == MANIFEST_MAXIMUM
    with pytest.raises(RegistryFailedError, match="larger than") as raised:
        registry.repository.manifest("large")
    assert not raised.value.temporary


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_manifest_that_is_stored(registry: Registry, status: int) -> None:
    registry.server.on("PUT", TAG, status)
    registry.repository.put_manifest("1", MANIFEST)
    [sent] = registry.server.matching("PUT")
    assert (sent.body, sent.headers["Content-Type"]) == (MANIFEST.body, MANIFEST.media_type)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        pytest.param(400, UnsupportedError, id="400"),
        pytest.param(404, UnsupportedError, id="404"),
        pytest.param(405, UnsupportedError, id="405"),
        pytest.param(415, UnsupportedError, id="415"),
        pytest.param(error_reply(400, "MANIFEST_INVALID"), UnsupportedError, id="manifest-invalid"),
        pytest.param(error_reply(400, "TAG_INVALID"), ImageRefusedError, id="tag-invalid"),
        pytest.param(error_reply(400, "MANIFEST_BLOB_UNKNOWN"), BlobMissingError, id="blob-missing"),
        pytest.param(error_reply(404, "BLOB_UNKNOWN"), BlobMissingError, id="blob-missing-404"),
        pytest.param(error_reply(404, "NAME_UNKNOWN"), PackageNotFoundError, id="no-package"),
        pytest.param(409, ImageRefusedError, id="409"),
        pytest.param(401, CredentialsRefusedError, id="401"),
        pytest.param(403, PushDeniedError, id="403"),
        pytest.param(413, LayerTooLargeError, id="413"),
        pytest.param(500, RegistryFailedError, id="500"),
    ],
)
def test_a_manifest_that_is_not_stored(registry: Registry, outcome: Reply | int, kind: type[PipeError]) -> None:
    registry.server.on("PUT", TAG, outcome)
    with pytest.raises(PipeError) as raised:
        registry.repository.put_manifest("1", MANIFEST)
    assert type(raised.value) is kind
    assert raised.value.status == (outcome if isinstance(outcome, int) else outcome.status)
    assert bool(raised.value.codes) == isinstance(outcome, Reply)
    assert len(registry.server.matching("PUT")) == 1


def test_the_registry_may_ask_to_wait(registry: Registry) -> None:
    registry.server.on("POST", UPLOADS, error_reply(429, "TOOMANYREQUESTS", Retry_After="3"))
    with pytest.raises(RegistryFailedError) as raised:
        registry.repository.check_push()
    assert (raised.value.retry_after, raised.value.temporary, raised.value.status) == (3, True, 429)


@pytest.mark.parametrize(
    ("seconds", "posts"),
    [
        pytest.param(LONG_ROUND_TRIP + 0.01, 1, id="long-round-trips"),
        pytest.param(LONG_ROUND_TRIP - 0.01, 0, id="short-round-trips"),
    ],
)
def test_an_upload_is_opened_ahead_if_round_trips_are_long(registry: Registry, seconds: float, posts: int) -> None:
    registry.server.on("GET", "/v2/", Reply(200, delay=seconds))
    registry.client.connect()
    registry.repository.open_ahead()
    # Once each thread of the pool waits here, what was submitted before has been done.
    registry.repository.pool.gather([threading.Barrier(CONNECTIONS).wait] * CONNECTIONS)
    assert len(registry.server.matching("POST", UPLOADS)) == posts


def test_an_upload_that_could_not_be_opened_ahead_was_the_first_try(registry: Registry) -> None:
    registry.server.on("POST", UPLOADS, error_reply(429, "TOOMANYREQUESTS", Retry_After="3"), times=1)
    registry.server.on("GET", "/v2/", Reply(200, delay=LONG_ROUND_TRIP))
    registry.client.connect()
    registry.repository.open_ahead()
    registry.repository.put_blob(Blob(b"data"), registry.watch)
    assert registry.watch.waits == [3]
    assert registry.server.blobs[sha256(b"data")] == b"data"
