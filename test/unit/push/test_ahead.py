"""Blobs that the registry is asked about before their turn."""

import threading
from collections.abc import Iterator

import pytest
from unit.fakes import Clock, Messages
from unit.http import FakeRegistryServer, meeting
from unit.runs import connected

from pipe.errors import RegistryFailedError
from pipe.oci.manifest import DOCKER_LAYER
from pipe.push.ahead import AHEAD, answered, distinct
from pipe.registry.client import CONNECTIONS
from pipe.source.blob import SourceBlob, in_memory
from pipe.threads import CancelledError, Pool

BLOBS = [in_memory(str(number), DOCKER_LAYER, str(number).encode()) for number in range(3 * AHEAD)]


def nothing() -> None:
    """Check nothing."""


def test_each_blob_comes_once_unless_it_may_be_any() -> None:
    unknown = SourceBlob("", 1, None, None, BLOBS[0].open)
    assert list(distinct([BLOBS[0], unknown, BLOBS[1], BLOBS[0], unknown])) == [BLOBS[0], unknown, BLOBS[1], unknown]


@pytest.mark.parametrize("most", [1, 2, AHEAD, 100])
def test_blobs_keep_their_order_and_get_their_answers(most: int) -> None:
    pool = Pool(3, "test")
    found = list(answered(pool, BLOBS, lambda blob: None if blob is BLOBS[1] else lambda: blob.name * 2, nothing, most))
    pool.close()
    assert found == [(blob, None if blob is BLOBS[1] else blob.name * 2) for blob in BLOBS]


@pytest.mark.parametrize("most", [1, AHEAD])
def test_only_so_many_blobs_are_requested_ahead(most: int) -> None:
    requested = list[SourceBlob]()

    def blobs() -> Iterator[SourceBlob]:
        for blob in BLOBS:
            requested.append(blob)
            yield blob

    pool = Pool(1, "test")
    for number, _ in enumerate(answered(pool, blobs(), lambda _: None, nothing, most)):
        assert len(requested) == min(len(BLOBS), number + most)
    pool.close()


def test_a_failure_is_raised_when_its_blob_has_its_turn() -> None:
    def fail() -> str:
        raise RegistryFailedError("gone")

    pool = Pool(1, "test")
    found = answered(pool, BLOBS, lambda blob: fail if blob is BLOBS[1] else lambda: "", nothing, AHEAD)
    assert next(found) == (BLOBS[0], "")
    with pytest.raises(RegistryFailedError, match="gone"):
        next(found)
    pool.close()


def test_a_wait_for_an_answer_ends_when_the_work_is_cancelled() -> None:
    def cancelled() -> None:
        raise CancelledError

    pool, release = Pool(1, "test"), threading.Event()
    with pytest.raises(CancelledError):
        next(answered(pool, BLOBS, lambda _: release.wait, cancelled, 1))
    release.set()
    pool.close()


def test_every_connection_asks_at_the_same_time() -> None:
    server = FakeRegistryServer()
    server.on("HEAD", "*", meeting(CONNECTIONS), times=CONNECTIONS)
    repository = connected(Clock(), Messages(), server).repository("acme/app")
    found = answered(repository.pool, BLOBS, lambda blob: lambda: repository.stat(blob.key), nothing, AHEAD)
    assert [answer for _, answer in found] == [None] * len(BLOBS)
