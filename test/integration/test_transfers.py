"""Blobs reach registries that differ in what they know of chunks, and through connections that break."""

import time

import pytest
from integration.registries import REPOSITORY, StartRegistry
from integration.transfers import random_blob, stored, transfer
from registry.client import LocalRegistry

from pipe.errors import (
    ContentMismatchError,
    CredentialsRefusedError,
    DigestMismatchError,
    PipeError,
    PushDeniedError,
)
from pipe.registry.transport import READ_TIMEOUT
from pipe.registry.upload import CHUNK
from pipe.source.blob import SourceBlob

UPLOADS = "*/blobs/uploads/*"
SIZE = 2 * CHUNK + 1_000_000
"""Bytes of two whole chunks, and of the beginning of a third."""
CUT = {"cut": "reset", "after": 1_000_000}


@pytest.fixture
def blob() -> SourceBlob:
    """A blob that no registry has."""
    return random_blob(SIZE)


def patches(registry: LocalRegistry) -> list[tuple[int | None, int]]:
    """List status and size of the requests that carried data, the two-byte blob's apart."""
    return [(entry.status, entry.received) for entry in registry.requests(method="PATCH") if entry.received > 1]


def expect_arrived(registry: LocalRegistry, blob: SourceBlob) -> None:
    """Assert that the registry has the blob, byte for byte."""
    descriptor = blob.descriptor
    assert descriptor is not None
    content = stored(registry, descriptor.digest)
    assert content is not None, "the blob is not there"
    assert len(content) == descriptor.size


def test_a_blob_goes_in_chunks(registry: LocalRegistry, blob: SourceBlob) -> None:
    transfer(registry, blob)
    expect_arrived(registry, blob)
    assert patches(registry) == [(202, CHUNK), (202, CHUNK), (202, 1_000_000)]


def test_a_blob_that_is_there_is_not_sent(registry: LocalRegistry, blob: SourceBlob) -> None:
    transfer(registry, blob)
    registry.clear()
    transfer(registry, blob)
    assert patches(registry) == []


NO_CHUNKS = {
    "refuses-the-second-patch": {"method": "PATCH", "patches": 1, "answer": {"status": 405}},
    "refuses-content-range": {"method": "PATCH", "content_range": "?*", "answer": {"status": 400}},
    "refuses-the-put-after-several": {"method": "PUT", "path": UPLOADS, "patches": 2, "answer": {"status": 500}},
    "fails-on-the-second-patch": {"method": "PATCH", "patches": 1, "answer": {"status": 503}},
}


@pytest.mark.parametrize("fault", NO_CHUNKS.values(), ids=NO_CHUNKS.keys())
def test_a_registry_without_chunks_gets_one_stream(
    registry: LocalRegistry, blob: SourceBlob, fault: dict[str, object]
) -> None:
    registry.fault(**fault)
    transfer(registry, blob)
    expect_arrived(registry, blob)
    assert patches(registry) == [(202, SIZE)]


@pytest.mark.parametrize(
    ("least", "sizes"),
    [
        pytest.param(5_000_000, [CHUNK, CHUNK, 1_000_000], id="smaller-than-ours"),
        pytest.param(10_000_000, [10_000_000, SIZE - 10_000_000], id="larger-than-ours"),
        pytest.param(100_000_000, [SIZE], id="larger-than-memory-allows"),
    ],
)
def test_a_smallest_chunk_is_kept(registry: LocalRegistry, blob: SourceBlob, least: int, sizes: list[int]) -> None:
    registry.fault(method="POST", upload={"least_chunk": least})
    transfer(registry, blob)
    expect_arrived(registry, blob)
    assert patches(registry) == [(202, size) for size in sizes]


def test_distribution_as_it_is_takes_chunks(start_registry: StartRegistry, blob: SourceBlob) -> None:
    registry = start_registry(chunks="2.8")
    transfer(registry, blob)
    expect_arrived(registry, blob)


def test_distribution_as_it_is_forgets_an_upload_that_was_cut(start_registry: StartRegistry, blob: SourceBlob) -> None:
    registry = start_registry(chunks="2.8")
    registry.fault(method="PATCH", content_range=f"{CHUNK}-*", times=1, **CUT)
    transfer(registry, blob)
    expect_arrived(registry, blob)
    assert len(registry.requests(method="POST", path=UPLOADS)) == 3, "one for the two bytes, and two for the blob"


PASSING = {
    "cut-in-the-first-chunk": {"method": "PATCH", "content_range": "0-8*", "times": 1, **CUT},
    "cut-in-the-second-chunk": {"method": "PATCH", "content_range": f"{CHUNK}-*", "times": 1, **CUT},
    "cut-before-any-byte": {"method": "PATCH", "content_range": f"{CHUNK}-*", "times": 1, "cut": "close"},
    "cut-twice": {"method": "PATCH", "content_range": "?????*", "times": 2, **CUT},
    "503-on-a-chunk": {"method": "PATCH", "content_range": f"{CHUNK}-*", "times": 1, "answer": {"status": 503}},
    "503-in-the-middle-of-a-chunk": {
        "method": "PATCH",
        "content_range": f"{CHUNK}-*",
        "times": 1,
        "answer": {"status": 503},
        "after": 500_000,
    },
    "503-on-the-end": {"method": "PUT", "path": UPLOADS, "patches": 3, "times": 1, "answer": {"status": 503}},
    "cut-at-the-end": {"method": "PUT", "path": UPLOADS, "patches": 3, "times": 1, "cut": "reset"},
    "503-on-the-beginning": {"method": "POST", "skip": 1, "times": 1, "answer": {"status": 503}},
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_what_passes_costs_a_chunk_at_most(registry: LocalRegistry, blob: SourceBlob, fault: dict[str, object]) -> None:
    registry.fault(**fault)
    transfer(registry, blob)
    expect_arrived(registry, blob)
    acknowledged = sum(size for status, size in patches(registry) if status == 202)
    assert acknowledged <= SIZE, "what had arrived was sent again"


def test_every_third_chunk_is_cut(registry: LocalRegistry) -> None:
    blob = random_blob(8 * CHUNK)
    for skip in (2, 5, 8):
        registry.fault(method="PATCH", content_range="*???????", skip=skip, times=1, **CUT)
    transfer(registry, blob)
    expect_arrived(registry, blob)


def test_an_upload_that_is_forgotten_begins_again(registry: LocalRegistry, blob: SourceBlob) -> None:
    unknown = {"status": 404, "body": '{"errors":[{"code":"blob_UPLOAD_UNKNOWN","message":"blob upload unknown"}]}'}
    registry.fault(method="PATCH", content_range=f"{CHUNK}-*", times=1, answer=unknown)
    transfer(registry, blob)
    expect_arrived(registry, blob)


def test_the_registry_says_how_long_to_wait(registry: LocalRegistry, blob: SourceBlob) -> None:
    busy = {"status": 429, "headers": {"Retry-After": "3"}}
    registry.fault(method="PATCH", content_range=f"{CHUNK}-*", times=1, answer=busy)
    began = time.monotonic()
    transfer(registry, blob)
    expect_arrived(registry, blob)
    assert time.monotonic() - began > 3


@pytest.mark.parametrize(
    ("size", "patches"), [pytest.param(1000, 0, id="one-chunk"), pytest.param(SIZE, 3, id="three-chunks")]
)
def test_a_commit_may_take_longer_than_any_other_answer(registry: LocalRegistry, size: int, patches: int) -> None:
    """Only the time limit of the layer counts."""
    blob = random_blob(size)
    registry.fault(method="PUT", path=UPLOADS, patches=patches, hold=READ_TIMEOUT + 2)
    transfer(registry, blob)
    expect_arrived(registry, blob)
    [commit] = [entry for entry in registry.requests(method="PUT", path=UPLOADS) if entry.patches == patches]
    assert commit.state == "done", "the answer itself was awaited"


def test_a_token_that_runs_out_in_the_middle_is_renewed(start_registry: StartRegistry, blob: SourceBlob) -> None:
    registry = start_registry(token_lifetime="2s")
    registry.fault(method="PATCH", content_range="?????*", bytes_per_second=4_000_000)
    transfer(registry, blob)
    expect_arrived(registry, blob)
    assert len(registry.requests(path="/token")) >= 2
    assert registry.requests(method="DELETE") == []


OTHER_DIGEST = f"sha256:{'0' * 64}"
FINAL: dict[str, tuple[dict[str, object], type[PipeError]]] = {
    "401": ({"method": "PATCH", "content_range": "?????*", "answer": {"status": 401}}, CredentialsRefusedError),
    "403": ({"method": "PATCH", "content_range": "?????*", "answer": {"status": 403}}, PushDeniedError),
    "another-digest": (
        {"method": "PUT", "path": UPLOADS, "patches": 3, "replace_headers": {"Docker-Content-Digest": OTHER_DIGEST}},
        DigestMismatchError,
    ),
}


@pytest.mark.parametrize(("fault", "error"), FINAL.values(), ids=FINAL.keys())
def test_what_does_not_pass_ends_the_upload(
    registry: LocalRegistry, blob: SourceBlob, fault: dict[str, object], error: type[PipeError]
) -> None:
    registry.fault(**fault)
    with pytest.raises(error):
        transfer(registry, blob)


def test_bytes_that_are_not_those_named_never_arrive(registry: LocalRegistry, blob: SourceBlob) -> None:
    wrong = random_blob(SIZE + 1)
    mixed = type(blob)("a blob", wrong.size, None, blob.descriptor, wrong.open)
    with pytest.raises(ContentMismatchError, match="a blob has the digest"):
        transfer(registry, mixed)
    assert blob.descriptor is not None
    assert (
        registry.requests(method="PUT", path=UPLOADS, status="201")
        == registry.requests(method="PUT", path=UPLOADS, received=0, status="201")[:1]
    ), "only the two bytes arrived"


def test_many_blobs_at_a_time(registry: LocalRegistry) -> None:
    blobs = [random_blob(500_000 + number, f"blob {number}") for number in range(20)]
    arrived = transfer(registry, *blobs, *blobs)
    assert len(arrived) == 20, "the same blob once"
    for blob in blobs:
        expect_arrived(registry, blob)


def test_nothing_is_ever_deleted(registry: LocalRegistry, blob: SourceBlob) -> None:
    registry.fault(method="PATCH", content_range=f"{CHUNK}-*", times=1, **CUT)
    transfer(registry, blob)
    assert registry.requests(method="DELETE", path=f"/v2/{REPOSITORY}/*") == []
