"""Sends blobs to one repository: as a whole, in chunks or as a stream, whichever the blob and the registry allow."""

import itertools
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from pipe.errors import LayerTooLargeError, PipeError, UnsupportedError, UploadLostError
from pipe.registry import errors
from pipe.registry.answer import Answer
from pipe.registry.authentication import scope_of
from pipe.registry.body import UploadWatch, joined
from pipe.registry.spare_uploads import STEP, SpareUploads
from pipe.registry.transport import READ_TIMEOUT, Request
from pipe.registry.upload import (
    CHUNK,
    CHUNK_MAXIMUM,
    HARMLESS,
    OCTETS,
    PROTOCOL,
    Chunks,
    OpenUpload,
    UploadSession,
    opened,
)
from pipe.retry import REQUEST_DELAY, RetryPolicy

if TYPE_CHECKING:
    from pipe.registry.client import Client

CHUNK_TRIES = 5
"""Times that one request is sent before the upload fails; waits of about 1, 2, 4 and 8 seconds lie between."""
SMALL_CHUNK = 1024 * 1024
"""Bytes of a chunk after a 413: the default limit of nginx."""
EMPTY = b"{}"
"""The empty JSON object, a harmless blob; source: image-spec, "Guidance for an Empty Descriptor"."""
_PROBE_TRIES = 2
_PROBE_BUDGET = 30.0


class BlobWriter:
    """Uploads blobs to one repository, for several threads at the same time."""

    def __init__(self, client: "Client", path: str) -> None:
        self._client = client
        self._path = path
        self._spare = SpareUploads(client.pool, client.clock)
        self._probing = threading.Lock()
        self._chunk: int | None = None
        self._piece = CHUNK_MAXIMUM
        self._whole = True

    def open_one(self) -> None:
        """Open an upload for the next blob.

        Raises:
            UntrustedHostError: The upload is on another host.
            PipeError: The registry does not open one.
        """
        at = self._client.clock()
        answer = self._client.send(
            Request("POST", f"/v2/{self._path}/blobs/uploads/", OCTETS, follow=True), scope_of(self._path)
        )
        if answer.status != HTTPStatus.ACCEPTED:
            raise self._client.error(answer, self._path)
        self.keep(answer, at)

    def keep(self, answer: Answer, at: float) -> None:
        """Keep an upload, which a 202 opened, for the next blob; `at` is the client's clock before that request.

        Raises:
            UntrustedHostError: The upload is on another host.
        """
        self._spare.keep(opened(self._client, answer, at, kept=True))

    def open_ahead(self) -> None:
        """Open an upload in another thread; if that fails, it was the first try of the blob that takes it."""
        self._spare.open_ahead(self.open_one)

    def put(self, chunks: Chunks, watch: UploadWatch) -> None:
        """Upload a blob; see `Repository.put_blob`."""
        remaining = iter(chunks)
        first = next(remaining, memoryview(b""))
        if chunks.digest:
            return self._put_whole(chunks.digest, first, watch)
        size = self._chunk_size(watch)
        everything = itertools.chain([first], remaining)
        if size:
            pieces = joined(everything, size) if size > CHUNK else everything
            return self._put_chunks(pieces, lambda: chunks.digest, watch)
        session = self._begin(watch)
        session.stream(everything)
        return self._finish(session, chunks.digest, watch)

    def _put_whole(self, digest: str, chunk: memoryview, watch: UploadWatch) -> None:
        """Upload a blob that is in memory: its upload can begin again at any time."""
        retry = self._retry()
        while True:
            session = self._begin(watch)
            try:
                if self._whole:
                    return session.finish(digest, chunk)
                session.patch(chunk, ranged=False)
                return session.finish(digest)
            except PipeError as error:
                failure = error
            if isinstance(failure, UnsupportedError) and self._whole:
                self._whole = False
                continue
            if self._may_shrink(failure, len(chunk), watch):
                return self._put_chunks([chunk], lambda: digest, watch)
            if failure.temporary and self._arrived(digest, watch):
                return None
            if not (isinstance(failure, UploadLostError) and session.upload.kept):
                self._pause(retry, failure, watch)

    def _put_chunks(self, pieces: Iterable[memoryview], digest: Callable[[], str], watch: UploadWatch) -> None:
        """Upload a blob in chunks; its digest is known once the last one was sent."""
        session = self._begin(watch)
        for chunk in pieces:
            session = self._send_chunk(session, chunk, watch)
        self._finish(session, digest(), watch)

    def _send_chunk(self, session: UploadSession, chunk: memoryview, watch: UploadWatch) -> UploadSession:
        """Send a chunk; bytes that the registry has are not sent again. Return the session to go on with."""
        retry, begin = self._retry(), session.offset
        end, certain = begin + len(chunk), True
        while session.offset < end or not certain:
            before = session.offset
            try:
                if certain:
                    session.patch(chunk[before - begin :][: self._piece])
                else:
                    session.find_offset(begin, end)
                certain = True
                if session.offset > before:
                    retry = self._retry()
                continue
            except PipeError as error:
                failure = error
            lost = isinstance(failure, UploadLostError)
            if lost and begin:
                raise failure
            if lost:
                # Nothing was sent before this chunk, which is still in memory.
                if certain and not session.upload.kept:
                    self._pause(retry, failure, watch)
                session, certain = self._begin(watch), True
                continue
            if not self._may_shrink(failure, len(chunk), watch):
                self._pause(retry, failure, watch)
            certain = False
        watch.sent(session.offset)
        return session

    def _finish(self, session: UploadSession, digest: str, watch: UploadWatch) -> None:
        """End an upload."""
        retry = self._retry()
        while True:
            try:
                return session.finish(digest)
            except PipeError as error:
                failure = error
            # Perhaps only the answer failed.
            if failure.temporary and self._arrived(digest, watch):
                return None
            if isinstance(failure, UploadLostError):
                raise failure
            self._pause(retry, failure, watch)

    def _begin(self, watch: UploadWatch) -> UploadSession:
        """Open the upload of a blob, or take one that was opened before."""
        session = self._open(watch)
        watch.began(session.upload.at)
        return session

    def _open(self, watch: UploadWatch) -> UploadSession:
        spare = self._spare.take(watch.check)
        if isinstance(spare, OpenUpload):
            return UploadSession(self._client, self._path, spare, watch)
        retry, failure = self._retry(), spare
        while True:
            watch.check()
            made = failure or self._opened(watch)
            if isinstance(made, UploadSession):
                return made
            if made.status in PROTOCOL - {HTTPStatus.NOT_FOUND} and HARMLESS.issuperset(made.codes):
                raise errors.recast(UnsupportedError, made)
            self._pause(retry, made, watch)
            failure = None

    def _opened(self, watch: UploadWatch) -> UploadSession | PipeError:
        at = self._client.clock()
        limit = min(READ_TIMEOUT, watch.remaining())
        request = Request("POST", f"/v2/{self._path}/blobs/uploads/", OCTETS, limit=limit, follow=True)
        try:
            answer = self._client.upload(request, scope_of(self._path))
            if answer.status != HTTPStatus.ACCEPTED:
                return self._client.error(answer, self._path)
            return UploadSession(self._client, self._path, opened(self._client, answer, at), watch)
        except errors.NO_ANSWER as error:
            return error

    def _chunk_size(self, watch: UploadWatch) -> int:
        """Return the bytes of a chunk, 0 if the registry takes a stream only; found out with the first large blob."""
        while not self._probing.acquire(timeout=STEP):
            watch.check()
        try:
            if self._chunk is None:
                self._chunk = self._probe(watch)
            return self._chunk
        finally:
            self._probing.release()

    def _probe(self, watch: UploadWatch) -> int:
        """Find out by four small requests: some registries reject the second chunk, some only the end."""
        retry = RetryPolicy(_PROBE_TRIES, self._client.random, first=REQUEST_DELAY)
        while True:
            session = self._open(watch)
            if minimum := session.upload.minimum:
                # A registry that names a minimum supports chunks, and would reject the small ones of a probe.
                self._spare.keep(session.upload)
                return max(CHUNK, minimum) if minimum <= CHUNK_MAXIMUM else 0
            try:
                session.probe(EMPTY)
            except PipeError as error:
                denied = error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
                if denied or not (error.status or isinstance(error, errors.NO_ANSWER)):
                    raise
                if error.status and not errors.is_temporary(error.status):
                    return 0
                delay = retry.next_delay(error, min(_PROBE_BUDGET, watch.remaining()))
                if delay is None and error.retry_after:
                    raise
                if delay is None:
                    return 0
                self._client.log_wait(delay, error)
                watch.wait(delay, error)
            else:
                return CHUNK

    def _may_shrink(self, failure: PipeError, size: int, watch: UploadWatch) -> bool:
        """Return whether a chunk that was too large can be sent in smaller ones, and do so from now on."""
        if not isinstance(failure, LayerTooLargeError) or failure.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return False
        if min(size, self._piece) <= SMALL_CHUNK or self._chunk_size(watch) != CHUNK:
            return False
        self._piece = SMALL_CHUNK
        self._client.listener.debug(f"{failure.cause} Sending smaller chunks.")
        return True

    def _arrived(self, digest: str, watch: UploadWatch) -> bool:
        """Return whether the repository has a blob."""
        limit = min(READ_TIMEOUT, watch.remaining())
        request = Request("HEAD", f"/v2/{self._path}/blobs/{digest}", OCTETS, limit=limit)
        try:
            answer = self._client.upload(request, scope_of(self._path))
        except errors.NO_ANSWER:
            return False
        return answer.ok or answer.redirects

    def _retry(self) -> RetryPolicy:
        return RetryPolicy(CHUNK_TRIES, self._client.random, first=REQUEST_DELAY)

    def _pause(self, retry: RetryPolicy, failure: PipeError, watch: UploadWatch) -> None:
        """Wait before the next try, or raise the failure if there is none; a wait that does not fit is not begun."""
        delay = retry.next_delay(failure, watch.remaining())
        if delay is None:
            raise failure
        self._client.log_wait(delay, failure)
        watch.wait(delay, failure)
