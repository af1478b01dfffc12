"""Uploads that were opened before their blob is known."""

import threading

import pytest

from pipe.errors import PipeError, RegistryFailedError
from pipe.registry.spare_uploads import UPLOAD_AGE, SpareUploads
from pipe.registry.upload import OpenUpload
from pipe.threads import Cancel, CancelledError, Pool

THREADS = 2
CHECKS = 8
"""Checks after which a blob still waits."""


class Uploads:
    """Spare uploads, and the time that they see."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pool = Pool(THREADS, "test")
        self.spare = SpareUploads(self.pool, lambda: self.now)

    def upload(self) -> OpenUpload:
        """Return an upload that is opened now."""
        return OpenUpload("https://registry/1", 0, self.now, kept=True)

    def take(self) -> OpenUpload | PipeError | None:
        """Take one for a blob whose upload goes on."""
        return self.spare.take(lambda: None)


def wait_until_idle(uploads: Uploads) -> None:
    """Wait until every thread has finished its call."""
    meeting = threading.Barrier(THREADS)
    uploads.pool.gather([meeting.wait] * THREADS)


@pytest.fixture
def uploads() -> Uploads:
    """No upload yet."""
    return Uploads()


def test_each_is_taken_once(uploads: Uploads) -> None:
    kept = uploads.upload()
    uploads.spare.keep(kept)
    assert uploads.take() is kept
    assert uploads.take() is None


@pytest.mark.parametrize(
    ("age", "is_taken"), [(UPLOAD_AGE - 0.1, True), (UPLOAD_AGE, False)], ids=["young", "perhaps-forgotten"]
)
def test_the_registry_may_have_forgotten_an_old_one(uploads: Uploads, age: float, is_taken: bool) -> None:
    uploads.spare.keep(uploads.upload())
    uploads.now = age
    assert (uploads.take() is not None) is is_taken


def test_one_that_is_being_opened_is_awaited(uploads: Uploads) -> None:
    answered, checked = threading.Event(), threading.Event()
    kept = uploads.upload()

    def keep_one() -> None:
        answered.wait()
        uploads.spare.keep(kept)

    def check() -> None:
        checked.set()
        answered.set()

    uploads.spare.open_ahead(keep_one)
    assert uploads.spare.take(check) is kept
    assert checked.is_set()


def test_the_blob_learns_why_none_could_be_opened(uploads: Uploads) -> None:
    failure = RegistryFailedError("429 Too Many Requests")

    def keep_none() -> None:
        raise failure

    uploads.spare.open_ahead(keep_none)
    assert uploads.take() is failure
    assert uploads.take() is None


@pytest.mark.parametrize(
    ("age", "retry_after", "is_returned"),
    [
        pytest.param(UPLOAD_AGE - 0.1, None, True, id="young"),
        pytest.param(UPLOAD_AGE, None, False, id="old"),
        pytest.param(UPLOAD_AGE, UPLOAD_AGE + 1, True, id="the-registry-asked-for-a-longer-wait"),
        pytest.param(UPLOAD_AGE + 1, UPLOAD_AGE + 1, False, id="that-wait-is-over"),
    ],
)
def test_an_old_failure_says_nothing_about_another_blob(
    uploads: Uploads, age: float, retry_after: float | None, is_returned: bool
) -> None:
    # The blob for which the upload was opened turned out to be in the registry.
    def keep_none() -> None:
        # The age of a failure counts from the answer, however late it came.
        uploads.now += 100
        raise RegistryFailedError("429 Too Many Requests", retry_after=retry_after)

    uploads.spare.open_ahead(keep_none)
    wait_until_idle(uploads)
    uploads.now += age
    assert (uploads.take() is not None) is is_returned


def test_a_blob_does_not_wait_for_an_attempt_that_no_thread_has_begun(uploads: Uploads) -> None:
    release = threading.Event()
    for _ in range(THREADS):
        uploads.pool.submit(release.wait)
    made = list[str]()
    uploads.spare.open_ahead(lambda: made.append("upload"))
    checks = iter(range(CHECKS))

    def check() -> None:
        assert next(checks, None) is not None, "it still waits"

    assert uploads.spare.take(check) is None
    release.set()
    wait_until_idle(uploads)
    assert made == []


def test_a_blob_whose_upload_was_cancelled_waits_no_longer(uploads: Uploads) -> None:
    answered, cancel = threading.Event(), Cancel()

    def keep_none() -> None:
        answered.wait()

    uploads.spare.open_ahead(keep_none)
    cancel.cancel()
    with pytest.raises(CancelledError):
        uploads.spare.take(cancel.check)
    answered.set()
