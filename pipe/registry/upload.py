"""One upload of a blob: opened by POST, sent by PATCH in chunks or as a stream, or by PUT as a whole, ended by PUT.

Source: opencontainers/distribution-spec, `spec.md`, "Pushing a blob in chunks"; for a stream of unknown length, Docker
itself (moby, `registry/client/blob_writer.go`).
"""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pipe.errors import DigestMismatchError, PipeError, UnsupportedError, UploadLostError
from pipe.oci.descriptor import digest_of
from pipe.oci.reference import Reference, is_digest
from pipe.registry import errors
from pipe.registry.answer import Answer
from pipe.registry.authentication import scope_of
from pipe.registry.body import ChunkBody, StreamBody, UploadWatch
from pipe.registry.transport import READ_TIMEOUT, Body, Request

if TYPE_CHECKING:
    from pipe.registry.client import Client

CHUNK = 8 * 1024 * 1024
"""Bytes of a chunk: large enough to make a request's round trip small beside it, small enough to be
kept until the registry has it."""
CHUNK_MAXIMUM = 10 * 1024 * 1024
"""Bytes of the largest chunk that fits in memory (107 MB measured with two uploads at a time): a registry that
demands larger ones receives a stream."""
OCTETS = {"Content-Type": "application/octet-stream"}
ANSWER_TIMEOUT = 2 * READ_TIMEOUT
"""Seconds for the answer to a body, which the registry stores first."""
PROTOCOL = frozenset((400, 404, 405, 411, 415, 416, 501))
"""Statuses of a registry that does not support a request."""
HARMLESS = frozenset(("UNSUPPORTED", "BLOB_UPLOAD_INVALID"))
"""Codes of such an answer; any other one is about the image, the package or the account."""
_GONE = frozenset(("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"))
_NUMBER = len(str(2**63))


class Chunks(Protocol):
    """The bytes of one blob, in chunks; a chunk is valid until the next is requested."""

    @property
    def digest(self) -> str:
        """The digest of the whole blob; "" until the last chunk is yielded, and known by then."""

    def __iter__(self) -> Iterator[memoryview]:
        """Yield the chunks, once."""


class OpenUpload(NamedTuple):
    """An upload that the registry has opened.

    Attributes:
        location: URL of its next request.
        minimum: `OCI-Chunk-Min-Length`: minimum bytes of a chunk other than the last; 0 if not given.
        at: Time of the client's clock before the request that opened it.
        kept: Whether it was opened earlier, and may have expired since.
    """

    location: str
    minimum: int
    at: float
    kept: bool = False


def opened(client: "Client", answer: Answer, at: float, *, kept: bool = False) -> OpenUpload:
    """Return the upload that a 202 has opened.

    Raises:
        UntrustedHostError: It is on another host.
    """
    named = answer.headers.get("OCI-Chunk-Min-Length", "")
    minimum = int(named[:18]) if named.isascii() and named.isdecimal() else 0
    return OpenUpload(client.location(answer), minimum, at, kept)


class UploadSession:
    """Sends the requests of one upload, each once.

    Attributes:
        upload: As it was opened.
        offset: Bytes that the registry has.
    """

    def __init__(self, client: "Client", path: str, upload: OpenUpload, watch: UploadWatch) -> None:
        self.upload = upload
        self.offset = 0
        self._client = client
        self._path = path
        self._watch = watch
        self._location = upload.location
        self._fresh = not upload.kept

    def patch(self, chunk: memoryview, *, ranged: bool = True) -> None:
        """Send a chunk, or the first bytes of it: `offset` says how many.

        Args:
            chunk: The bytes that follow those at `offset`.
            ranged: Whether to name their position; Docker does not if these are all bytes of the blob.

        Raises:
            UnsupportedError: The registry does not support the request.
            UploadLostError: The registry no longer knows the upload.
            PipeError: The registry rejects the chunk, or fails.
        """
        last = self.offset + len(chunk) - 1
        answer = self._send(
            "PATCH", ChunkBody(chunk, self._watch, self.offset), f"{self.offset}-{last}" if ranged else ""
        )
        known = _range_end(answer)
        self.offset = known if known is not None and self.offset < known <= last else last + 1

    def stream(self, chunks: Iterable[memoryview]) -> None:
        """Send a whole blob in one request of unknown length, as Docker does.

        Raises:
            UploadLostError: The request failed, and the upload with it.
            PipeError: As for `patch`.
        """
        body = StreamBody(chunks, self._watch)
        try:
            self._send("PATCH", body, follow=False)
        except PipeError as error:
            if error.temporary and not isinstance(error, UploadLostError):
                raise errors.recast(UploadLostError, error) from error
            raise
        self.offset = body.total

    def probe(self, blob: bytes) -> None:
        """Send a blob in chunks of one byte.

        Raises:
            UnsupportedError: The registry stores something else than it should.
            PipeError: As for `patch`.
        """
        for position in range(len(blob)):
            answer = self._send("PATCH", blob[position : position + 1], f"{position}-{position}")
            self.offset = position + 1
            if _range_end(answer) not in {None, self.offset}:
                raise errors.answered(UnsupportedError("no blob in several chunks"), answer)
        self.finish(digest_of(blob))

    def finish(self, digest: str, chunk: memoryview | None = None) -> None:
        """End the upload; from then on the registry has the blob.

        Args:
            digest: Of all bytes of the blob.
            chunk: The whole blob, if nothing was sent before.

        Raises:
            DigestMismatchError: The registry has stored another blob.
            PipeError: As for `patch`.
        """
        body = ChunkBody(chunk, self._watch, 0) if chunk else b""
        answer = self._send("PUT", body, digest=digest)
        named = answer.headers.get("Docker-Content-Digest", "")
        if is_digest(named) and named != digest:
            raise DigestMismatchError(
                f"{self._client.domain} stored a blob as {named}, but {digest} was sent.",
                fix="Something is altering data in transit: check the proxy.",
            )

    def find_offset(self, begin: int, end: int) -> None:
        """Request the offset after a chunk failed, which lies between those before and after the chunk.

        Raises:
            UploadLostError: The registry does not know it: sending on from a guess could store bytes twice.
            PipeError: The registry does not answer.
        """
        answer = self._request(Request("GET", self._location, OCTETS))
        error = self._client.error(answer, self._path)
        if errors.is_temporary(answer.status) or answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise error
        if answer.status == HTTPStatus.NOT_FOUND:
            raise errors.recast(UploadLostError, error)
        known = _range_end(answer) if answer.ok else None
        # `0-0` stands for one byte and, in CNCF Distribution, for none as well.
        if known is None or known == 1 or not begin <= known <= end:
            has = f"HTTP {answer.status}" if known is None else f"it reports {known}, and at least {begin} had arrived"
            lost = f"{self._client.domain} does not report how many bytes of an upload it has ({has})."
            raise errors.answered(UploadLostError(lost, fix="Run the step again."), answer)
        self._take_location(answer)
        self.offset = known

    def _send(
        self, method: str, body: Body, content_range: str = "", *, digest: str = "", follow: bool = True
    ) -> Answer:
        """Send a request with a part of the blob to the upload's location."""
        headers = OCTETS | ({"Content-Range": content_range} if content_range else {})
        query = (("digest", digest),) if digest else ()
        remaining = self._watch.remaining()
        # With the end of the upload, the registry commits the blob, which may take all the time that remains.
        timeout = remaining if digest else ANSWER_TIMEOUT
        request = Request(method, self._location, headers, query, body, timeout=timeout, limit=remaining, follow=follow)
        fresh, self._fresh = self._fresh, False
        answer = self._request(request)
        if not answer.ok:
            raise self._error(answer, fresh=fresh)
        if not digest:
            self._take_location(answer)
        return answer

    def _request(self, request: Request) -> Answer:
        self._watch.check()
        if request.limit is None:
            request = request._replace(limit=min(request.timeout, self._watch.remaining()))
        return self._client.upload(request, scope_of(self._path))

    def _take_location(self, answer: Answer) -> None:
        if answer.headers.get("Location"):
            self._location = self._client.location(answer)

    def _error(self, answer: Answer, *, fresh: bool) -> PipeError:  # noqa: PLR0911 # a table
        """Return the error of a request of this upload: a 404 says nothing about the package."""
        error = self._client.error(answer, self._path)
        status, codes = answer.status, set(answer.codes)
        target = Reference(self._client.domain, self._path)
        if "SIZE_INVALID" in codes:
            return errors.answered(errors.too_large(target, f"answered: {answer.message}"), answer)
        if "BLOB_UPLOAD_UNKNOWN" in codes or (not fresh and status in {400, 404} and codes & _GONE):
            return errors.recast(UploadLostError, error)
        if status in PROTOCOL and codes <= HARMLESS and (fresh or status not in {404, 416}):
            return errors.recast(UnsupportedError, error)
        if status == HTTPStatus.NOT_FOUND and "NAME_UNKNOWN" not in codes:
            return errors.recast(UploadLostError, error)
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return errors.answered(errors.registry_failed(target, f"HTTP 416: {answer.message}"), answer)
        if answer.redirects and answer.method == "PATCH":
            return errors.recast(UnsupportedError, error)
        return error


def _range_end(answer: Answer) -> int | None:
    """Return how many bytes the registry has according to the header `Range`, None if it does not say."""
    first, dash, last = answer.headers.get("Range", "").removeprefix("bytes=").partition("-")
    if first != "0" or not dash or not last.isascii() or not last.isdecimal() or len(last) > _NUMBER:
        return None
    return int(last) + 1
