"""Blobs of a repository: ask for one, read one, find out how the registry takes new ones.

Source: opencontainers/distribution-spec, `spec.md`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from pipe.errors import RegistryFailedError
from pipe.registry.authentication import asked_to_wait
from pipe.registry.body import Watch
from pipe.registry.connection import Connection
from pipe.registry.transport import Answer, Request
from pipe.registry.upload import NO_ANSWER, OCTETS, Upload, digest_of

CHUNK = 8 * 1024 * 1024
"""Bytes of a chunk: large enough to make a request's round trip small beside it, small enough to be
kept until the registry has it."""
CHUNK_MAXIMUM = 10 * 1024 * 1024
"""Bytes of the largest chunk that memory has room for, 107 MB of it measured with two uploads at a time: a registry
that wants larger ones gets a stream."""
_MAY_PASS = frozenset((0, 408, 429, 500, 502, 503, 504))
"""Statuses that say nothing of chunks, 0 for no answer at all: without chunks, a fault costs all of a layer."""
_QUESTION_DELAYS = (1.0, 2.0)
"""Seconds before a question whose answer failed is asked again."""
_QUESTION_WAIT = 10.0
"""Seconds that a registry may have a question wait; where it asks for more, the next attempt waits."""
EMPTY = b"{}"
"""The empty JSON object, a blob that nothing minds; source: image-spec, "Guidance for an Empty Descriptor"."""


@dataclass(frozen=True, slots=True)
class Chunking:
    """How a registry takes a blob.

    Attributes:
        size: Bytes of a chunk; 0 where it takes no chunks, but one stream.
    """

    size: int


class Blobs:
    """The blobs of one repository."""

    def __init__(self, connection: Connection, wait: Callable[[float], None] = time.sleep) -> None:
        """Use a connection that others use, too.

        Args:
            connection: To the registry.
            wait: Waits for seconds.
        """
        self._connection = connection
        self._wait = wait

    def size(self, digest: str) -> int | None:
        """Ask whether the repository has a blob.

        Args:
            digest: The blob's.

        Returns:
            Its bytes, None where the repository does not have it.

        Raises:
            PipeError: The registry does not answer the question.
        """
        answer = self._asked(digest)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            # A blob may lie elsewhere (307): then it is there, of a size that is not told.
            if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
                return 0
            raise self._connection.error(answer)
        length = answer.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdecimal() and len(length) <= len(str(2**63)) else 0

    def _asked(self, digest: str) -> Answer:
        """Ask for a blob, a few times where the failure may pass: another attempt costs more than another question."""
        for delay in _QUESTION_DELAYS:
            try:
                answer = self._connection.call("HEAD", f"blobs/{digest}", OCTETS)
            except NO_ANSWER:
                self._wait(delay)
                continue
            asked = asked_to_wait(answer) or 0.0
            if answer.status not in _MAY_PASS or asked > _QUESTION_WAIT:
                return answer
            self._wait(max(delay, asked))
        return self._connection.call("HEAD", f"blobs/{digest}", OCTETS)

    def read(self, digest: str, maximum: int) -> bytes | None:
        """Read a small blob.

        Args:
            digest: The blob's, which its bytes have to have.
            maximum: Bytes that it may have.

        Returns:
            The bytes; None where it is not to be had, is larger, or is another one.

        Raises:
            PipeError: There is no answer.
        """
        answer = self._connection.call("GET", f"blobs/{digest}", OCTETS, maximum=maximum + 1)
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
            answer = self._connection.follow(
                Request("GET", self._connection.location(answer).geturl(), OCTETS, {}, maximum=maximum + 1)
            )
        whole = answer.status == HTTPStatus.OK and len(answer.body) <= maximum
        return answer.body if whole and digest_of(answer.body) == digest else None

    def read_end(self, digest: str, size: int, length: int) -> bytes | None:
        """Read the last bytes of a blob.

        Args:
            digest: The blob's.
            size: Bytes of all of it.
            length: Bytes wanted, at most `size`.

        Returns:
            The bytes; None where the registry gives no part of a blob.

        Raises:
            PipeError: There is no answer.
        """
        headers = OCTETS | {"Range": f"bytes={size - length}-{size - 1}"}
        answer = self._connection.call("GET", f"blobs/{digest}", headers, maximum=length)
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
            request = Request("GET", self._connection.location(answer).geturl(), headers, {}, maximum=length)
            answer = self._connection.follow(request)
        return answer.body if answer.status == HTTPStatus.PARTIAL_CONTENT and len(answer.body) == length else None

    def find_chunking(self, watch: Watch, *, again: bool = True) -> Chunking:
        """Find out, by four small requests, whether the registry takes a blob in several chunks.

        Not every registry that says so does: some refuse the second chunk, some only the end.

        Args:
            watch: May end it.
            again: Whether to ask once more where it may be busy only.

        Returns:
            How it takes a blob.

        Raises:
            PipeError: The registry takes no blob at all, or does not answer.
        """
        upload = Upload(self._connection, watch)
        if upload.minimum:
            # Who names a smallest chunk knows chunks; and one as small as the probe's would be refused.
            fits = upload.minimum <= CHUNK_MAXIMUM
            return Chunking(max(CHUNK, upload.minimum) if fits else 0)
        try:
            upload.probe(EMPTY)
        except RegistryFailedError as error:
            if not again or error.status not in _MAY_PASS:
                return Chunking(0)
            watch.wait(1)
            return self.find_chunking(watch, again=False)
        return Chunking(CHUNK if upload.offset == len(EMPTY) else 0)

    def upload(self, watch: Watch) -> Upload:
        """Open an upload.

        Args:
            watch: Watches it.

        Returns:
            The upload.

        Raises:
            PipeError: The registry does not allow it, or does not answer.
        """
        return Upload(self._connection, watch)
