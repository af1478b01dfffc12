"""Uploads that were opened before their blob is known."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, NamedTuple

from pipe.errors import PipeError
from pipe.registry.upload import OpenUpload

if TYPE_CHECKING:
    from pipe.threads import Pool

UPLOAD_AGE = 30.0
"""Seconds after which an upload that was opened in advance, or a failure to open it, is not used any more."""
STEP = 0.25
"""Seconds after which a thread that waits for the answer of another checks whether its upload was cancelled."""


class SpareUploads:
    """The open uploads of one repository that no blob uses yet, for several threads at the same time."""

    def __init__(self, pool: "Pool", clock: Callable[[], float]) -> None:
        self._pool = pool
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: list[OpenUpload] = []
        self._ahead: list[Future[_Failure | None]] = []

    def keep(self, upload: OpenUpload) -> None:
        """Keep an upload for the next blob, if that begins soon."""
        with self._lock:
            self._kept.append(upload)

    def open_ahead(self, keep_one: Callable[[], None]) -> None:
        """Let another thread open an upload and keep it; a `PipeError` is kept instead."""

        def attempt() -> _Failure | None:
            try:
                keep_one()
            except PipeError as error:
                return _Failure(error, self._clock())
            return None

        with self._lock:
            self._ahead.append(self._pool.submit(attempt))

    def take(self, check: Callable[[], None]) -> OpenUpload | PipeError | None:
        """Return a spare upload, also one that is just being opened, or why it could not be; None if there is none.

        An attempt that still waits for a thread of the pool is withdrawn, and an old failure is dropped: the blob that
        it was meant for needed no upload, and the registry may have recovered since.

        Args:
            check: Raises if the blob's upload was cancelled.
        """
        while True:
            with self._lock:
                while self._kept:
                    upload = self._kept.pop()
                    if self._clock() - upload.at < UPLOAD_AGE:
                        return upload
                if not self._ahead:
                    return None
                ahead = self._ahead.pop(0)
            while not ahead.done():
                check()
                if not wait([ahead], STEP).done and ahead.cancel():
                    break
            failed = None if ahead.cancelled() else ahead.result()
            if failed and self._clock() - failed.at < max(UPLOAD_AGE, failed.error.retry_after or 0.0):
                return failed.error


class _Failure(NamedTuple):
    """Why an upload could not be opened, and when."""

    error: PipeError
    at: float
