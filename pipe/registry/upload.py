"""One upload of a blob: opened by POST, fed by PATCH in chunks or in one stream, ended by PUT.

Source: opencontainers/distribution-spec, `spec.md`, "Pushing a blob in chunks"; and, for a stream of
unknown length, what Docker itself does (moby, `registry/client/blob_writer.go`).
"""

import hashlib
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from pipe.errors import (
    DigestMismatchError,
    PipeError,
    RegistryFailedError,
    RegistryUnreachableError,
    UploadForgottenError,
)
from pipe.oci.reference import is_digest
from pipe.registry.body import Slices, Stream, Watch
from pipe.registry.connection import Body, Connection
from pipe.registry.errors import too_large
from pipe.registry.transport import READ_TIMEOUT, Answer, Request

OCTETS = {"Content-Type": "application/octet-stream"}
NO_ANSWER = (RegistryFailedError, RegistryUnreachableError)
"""A registry that restarts first breaks connections, then refuses them for a while."""
_TAKEN = frozenset((HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT))


class Upload:
    """One upload, from its POST on.

    Attributes:
        offset: Bytes that the registry has.
        minimum: Bytes that a chunk has to have where it is not the last; 0 where the registry names none.
    """

    def __init__(self, connection: Connection, watch: Watch) -> None:
        """Open it."""
        self._connection = connection
        self._watch = watch
        self.offset = 0
        answer = self._opened()
        self._location = connection.location(answer).geturl()
        named = answer.headers.get("OCI-Chunk-Min-Length", "")
        self.minimum = int(named[:18]) if named.isascii() and named.isdecimal() else 0

    def _opened(self) -> Answer:
        """Send the POST, again where a failure may pass: nothing is lost by it."""
        tries = _Tries(self._watch)
        while True:
            try:
                answer = self._connection.call("POST", "blobs/uploads/", OCTETS)
            except NO_ANSWER as error:
                failure: PipeError = error
            else:
                if answer.status == HTTPStatus.ACCEPTED:
                    return answer
                failure = self._connection.error(answer)
                if not failure.temporary:
                    raise failure
            tries.failed(failure)

    def send(self, chunk: memoryview, *, whole: bool = False) -> None:
        """Send a chunk, as often as it takes; what the registry has of it is not sent again.

        Args:
            chunk: Bytes that follow those sent before.
            whole: Whether these are all of the blob's bytes, which need no place named among others.

        Raises:
            UploadForgottenError: The registry does not know the upload any more.
            PipeError: The registry refuses it, or fails for good.
        """
        tries = _Tries(self._watch)
        end = self.offset + len(chunk)
        begin = self.offset
        while self.offset < end:
            rest = chunk[self.offset - begin :]
            before = self.offset
            failure = self._patch(Slices(rest, self._watch, self.offset), len(rest), ranged=not whole)
            if self.offset > before:
                tries = _Tries(self._watch)
            if failure is not None:
                tries.failed(failure)
                self._find_offset(begin, end)
        self._watch.sent(self.offset)

    def stream(self, pieces: Iterable[memoryview]) -> None:
        """Send all of a blob in one request whose length is not known beforehand, as Docker does.

        Args:
            pieces: The bytes; asked for while the request is under way.

        Raises:
            UploadForgottenError: The request broke off, and with it the upload.
            PipeError: The registry refuses it.
        """
        body = Stream(pieces, self._watch)
        try:
            answer = self._follow("PATCH", OCTETS, body, READ_TIMEOUT * 2)
        except NO_ANSWER as error:
            raise _forgotten(error) from error
        if answer.status not in _TAKEN:
            failure = self._error(answer)
            raise _forgotten(failure) if failure.temporary else failure
        self._take_location(answer)
        self.offset = body.total

    def probe(self, blob: bytes) -> None:
        """Send a blob byte by byte, without a second try.

        Raises:
            RegistryFailedError: The registry does not take it this way; its `status` says why, 0 for no answer.
        """
        view = memoryview(blob)
        for position in range(len(view)):
            headers = OCTETS | {"Content-Range": f"{position}-{position}"}
            answer = self._follow("PATCH", headers, bytes(view[position : position + 1]))
            if answer.status not in _TAKEN:
                raise self._unsuited(answer)
            self._take_location(answer)
            self.offset = position + 1
            if _range_end(answer) not in {None, self.offset}:
                raise self._unsuited(answer)
        answer = self._put(digest_of(blob))
        if answer.status != HTTPStatus.CREATED:
            raise self._unsuited(answer)

    def finish(self, digest: str, timeout: float = READ_TIMEOUT) -> None:
        """End the upload: from now on the registry has the blob.

        Args:
            digest: Of all the bytes sent.
            timeout: Seconds that the registry may take to put the blob in its place.

        Raises:
            DigestMismatchError: The registry says that it has another blob.
            UploadForgottenError: The registry does not know the upload any more.
            PipeError: The registry refuses it, or fails for good.
        """
        tries = _Tries(self._watch)
        while True:
            try:
                answer = self._put(digest, timeout)
            except NO_ANSWER as error:
                failure: PipeError = error
            else:
                if answer.status == HTTPStatus.CREATED:
                    return self._check_digest(answer, digest)
                failure = self._error(answer)
                if not failure.temporary:
                    raise failure
            # What failed may be the answer alone.
            if self._arrived(digest):
                return None
            if isinstance(failure, UploadForgottenError):
                raise failure
            tries.failed(failure)

    def _arrived(self, digest: str) -> bool:
        try:
            return self._connection.call("HEAD", f"blobs/{digest}", OCTETS).status == HTTPStatus.OK
        except NO_ANSWER:
            return False

    def _check_digest(self, answer: Answer, digest: str) -> None:
        named = answer.headers.get("Docker-Content-Digest", "")
        if is_digest(named) and named != digest:
            domain = self._connection.target.domain
            raise DigestMismatchError(
                f"{domain} stored a blob as {named}, but {digest} was sent.",
                fix="Something between the pipe and the registry changes the data: check the proxy.",
            )

    def _patch(self, body: "Slices", length: int, *, ranged: bool) -> PipeError | None:
        """Send one PATCH; return a failure that may pass."""
        headers = dict(OCTETS)
        if ranged:
            headers["Content-Range"] = f"{self.offset}-{self.offset + length - 1}"
        try:
            answer = self._follow("PATCH", headers, body, READ_TIMEOUT * 2)
        except NO_ANSWER as error:
            return error
        if answer.status in _TAKEN:
            self._take_location(answer)
            known = _range_end(answer)
            taken = known is not None and self.offset < known < self.offset + length
            self.offset = known if taken and known else self.offset + length
            return None
        failure = self._error(answer)
        again = failure.temporary or answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if not again or isinstance(failure, UploadForgottenError):
            raise failure
        return failure

    def _find_offset(self, begin: int, end: int) -> None:
        """Ask where the upload stands after a chunk failed; without an answer, it stands where it stood."""
        try:
            answer = self._follow("GET")
        except NO_ANSWER:
            return
        if answer.status == HTTPStatus.NOT_FOUND:
            raise _forgotten(self._connection.error(answer))
        if answer.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.OK, HTTPStatus.ACCEPTED}:
            return
        self._take_location(answer)
        known = _range_end(answer)
        if known == 1 and begin != 1:
            # `0-0` stands for one byte and, in CNCF Distribution, for none as well.
            known = 0
        if known is None:
            return
        if not begin <= known <= end:
            # What was sent before is not kept: no chunk that is still here could follow.
            raise UploadForgottenError(
                f"{self._connection.target.domain} has {known} bytes of an upload, but {begin} had arrived.",
                fix="Run the step again.",
            )
        self.offset = known

    def _follow(
        self, method: str, headers: Mapping[str, str] = OCTETS, body: Body = b"", read_timeout: float = READ_TIMEOUT
    ) -> Answer:
        """Send a request to where the upload is now."""
        self._watch.check()
        return self._connection.follow(Request(method, self._location, headers, {}, body, read_timeout=read_timeout))

    def _put(self, digest: str, read_timeout: float = READ_TIMEOUT) -> Answer:
        self._watch.check()
        request = Request("PUT", self._location, OCTETS, {"digest": digest}, read_timeout=read_timeout)
        return self._connection.follow(request)

    def _take_location(self, answer: Answer) -> None:
        if answer.headers.get("Location"):
            self._location = self._connection.location(answer).geturl()

    def _error(self, answer: Answer) -> PipeError:
        """Tell a forgotten upload from other failures: a 404 here says nothing of the package."""
        error = self._connection.error(answer)
        if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or "SIZE_INVALID" in answer.codes:
            return too_large(self._connection.target, f"says: {answer.message}")
        unknown = answer.status == HTTPStatus.NOT_FOUND and "NAME_UNKNOWN" not in answer.codes
        return _forgotten(error) if unknown or "BLOB_UPLOAD_UNKNOWN" in answer.codes else error

    def _unsuited(self, answer: Answer) -> PipeError:
        """Make the error of a probe: whatever the registry minds, only credentials end the push."""
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return self._connection.error(answer)
        error = RegistryFailedError(f"no blob in several chunks: HTTP {answer.status}")
        error.status = answer.status
        return error


CHUNK_TRIES = 5
"""Times that one request is sent before the upload is given up; waits of 1, 2, 4 and 8 seconds lie between."""


class _Tries:
    """Counts the failures of one request, and waits between."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._made = 0

    def failed(self, error: PipeError) -> None:
        """Wait for the next try, or raise the error where there is to be none."""
        self._made += 1
        if self._made >= CHUNK_TRIES:
            raise error
        self._watch.wait(max(2.0 ** (self._made - 1), error.retry_after or 0.0))


def _range_end(answer: Answer) -> int | None:
    """Return how many bytes the header `Range` says that the registry has, None where it says nothing."""
    first, dash, last = answer.headers.get("Range", "").removeprefix("bytes=").partition("-")
    if first != "0" or not dash or not last.isascii() or not last.isdecimal() or len(last) > len(str(2**63)):
        return None
    return int(last) + 1


def _forgotten(error: PipeError) -> UploadForgottenError:
    found = UploadForgottenError(error.cause, fix=error.fix, retry_after=error.retry_after)
    found.status, found.codes = error.status, error.codes
    return found


def digest_of(data: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
