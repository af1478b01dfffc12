"""Blobs that the registry is asked about before their turn."""

import threading
from collections.abc import Iterator

import pytest
from unit.fakes import Clock, Messages
from unit.http import FakeRegistryServer, Sent, meeting
from unit.runs import connected

from pipe.errors import RegistryFailedError
from pipe.oci.image import Image, Layer
from pipe.oci.manifest import DOCKER_LAYER
from pipe.push.ahead import AHEAD, Novelty, answered, distinct
from pipe.registry.client import CONNECTIONS
from pipe.source.blob import SourceBlob, in_memory
from pipe.threads import CancelledError, Pool, apart

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


IMAGE = Image(f"sha256:{'1' * 64}", 0, (Layer(1, f"sha256:{'2' * 64}", 1),))
SMALL = f"sha256:{'3' * 64}"


class Asked:
    """The question about a config, while every thread of the pool is busy until `release` is set."""

    def __init__(self) -> None:
        self.server, self.release = FakeRegistryServer(), threading.Event()
        repository = connected(Clock(), Messages(), self.server).repository("acme/app")
        for _ in range(CONNECTIONS):
            repository.pool.submit(self.release.wait)
        self.pool, self.novelty = repository.pool, Novelty(repository, IMAGE)

    def finish(self) -> None:
        """Let every thread finish what it does."""
        self.release.set()
        meet = threading.Barrier(CONNECTIONS)
        self.pool.gather([meet.wait] * CONNECTIONS)


@pytest.fixture
def asked() -> Iterator[Asked]:
    """The question waits for a thread."""
    made = Asked()
    yield made
    made.release.set()


@pytest.mark.parametrize("digest", [SMALL, IMAGE.id], ids=["layer", "config"])
@pytest.mark.parametrize("is_there", [True, False], ids=["there", "new"])
def test_a_blob_is_asked_for_itself_if_no_thread_asks_about_the_config(
    asked: Asked, digest: str, is_there: bool
) -> None:
    asked.server.on("HEAD", f"*/{digest}", 200 if is_there else 404, times=None)
    checks = iter(range(8))

    def check() -> None:
        assert next(checks, None) is not None, "it still waits"

    found = [apart(lambda: asked.novelty.is_new(digest, 1, check)).result(60)]
    asked.finish()
    found.append(apart(lambda: asked.novelty.is_new(digest, 1, check)).result(60))
    assert found == [not is_there] * 2
    assert [sent.path.rpartition("/")[2] for sent in asked.server.matching("HEAD", "*/blobs/*")] == [digest] * 2


def test_a_wait_for_the_answer_about_a_config_ends_when_the_work_is_cancelled() -> None:
    server, release = FakeRegistryServer(), threading.Event()
    asking = threading.Event()

    def answer(_: Sent) -> int:
        asking.set()
        release.wait()
        return 404

    server.on("HEAD", f"*/{IMAGE.id}", answer)
    novelty = Novelty(connected(Clock(), Messages(), server).repository("acme/app"), IMAGE)
    assert asking.wait(60)

    def cancelled() -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        novelty.is_new(SMALL, 1, cancelled)
    release.set()
