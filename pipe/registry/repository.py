"""One repository of a registry: its blobs and manifests, and whether credentials may push to it.

Source: opencontainers/distribution-spec, `spec.md`.
"""

from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from pipe.errors import (
    BlobMissingError,
    PipeError,
    RegistryFailedError,
    RegistryTooSlowError,
    UnsupportedError,
    UntrustedHostError,
)
from pipe.oci.descriptor import digest_of
from pipe.oci.fields import members, read_json
from pipe.oci.manifest import MEDIA_TYPES, OCI_INDEX, Manifest
from pipe.oci.reference import is_digest
from pipe.registry import errors
from pipe.registry.authentication import scope_of
from pipe.registry.blob_writer import BlobWriter
from pipe.registry.body import UploadWatch
from pipe.registry.transport import READ_TIMEOUT, Request
from pipe.registry.upload import OCTETS, Chunks
from pipe.units import format_size

if TYPE_CHECKING:
    from pipe.registry.client import Client

LONG_ROUND_TRIP = 0.04
"""Seconds of a round trip from which it counts: a shorter one may only show a busy machine."""
MANIFEST_MAXIMUM = 4 * 1024 * 1024
"""Bytes of the largest manifest that is read; source: distribution-spec, a registry accepts at least 4 MiB."""
_ACCEPT = {"Accept": ", ".join(MEDIA_TYPES)}
_PROTOCOL = frozenset((400, 404, 405, 415))
_NO_LISTS = frozenset((400, 404, 405, 406, 501))
"""Statuses of a registry without the referrers API; source: distribution-spec, "Listing Referrers", names 404."""
_HARMLESS = frozenset(("UNSUPPORTED", "MANIFEST_INVALID", "MANIFEST_UNVERIFIED"))
_BLOB_MISSING = frozenset(("BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"))
_NUMBER = len(str(2**63))


class Repository:
    """One repository; all threads may use it at the same time.

    Attributes:
        path: Such as `acme/app`.
        pool: Threads for questions.
        run_clock: The time of the run for everything but layers.
        is_untouched: Whether no blob was sent to it in this run, so far.
    """

    def __init__(self, client: "Client", path: str) -> None:
        """Create it; nothing is sent yet. Use `Client.repository`."""
        self.path = path
        self.pool = client.pool
        self.run_clock = client.run_clock
        self.is_untouched = True
        self._client = client
        self._ask = client.ask
        self._scope = scope_of(path)
        self._writer = BlobWriter(client, path)

    @property
    def round_trip(self) -> float:
        """Seconds of the link's round trip at most; see `Client.round_trip`."""
        return self._client.round_trip

    def connect(self) -> None:
        """Find out how to reach the registry; see `Client.connect`."""
        self._client.connect()

    def check_push(self) -> None:
        """Check that a push is allowed, by opening an upload, which the first blob uses if it comes soon.

        Raises:
            UntrustedHostError: The registry wants layers to be sent to another host.
            PipeError: The push is not allowed, or the registry does not answer.
        """
        self._writer.open_one()

    def stat(self, digest: str) -> int | None:
        """Return the size of a blob in bytes, 0 if the registry does not say, None if the repository lacks it.

        Raises:
            PipeError: The registry does not answer.
        """
        answer = self._ask(Request("HEAD", self._blob(digest), OCTETS), self._scope)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
            # The blob is stored elsewhere.
            return 0
        if answer.status != HTTPStatus.OK:
            raise self._client.error(answer, self.path)
        length = answer.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdecimal() and len(length) <= _NUMBER else 0

    def stat_all(self, digests: Iterable[str]) -> dict[str, int | None]:
        """Return the sizes of blobs, requested at the same time; see `stat`."""
        wanted = list(dict.fromkeys(digests))
        return dict(zip(wanted, self.pool.gather(partial(self.stat, digest) for digest in wanted), strict=True))

    def read(self, digest: str, maximum: int) -> bytes | None:
        """Read a blob of at most `maximum` bytes, and check its digest.

        Returns:
            The bytes; None if the blob is absent, larger, damaged or stored on a less trusted host.

        Raises:
            PipeError: The registry does not answer.
        """
        request = Request("GET", self._blob(digest), OCTETS, maximum=maximum, follow=True)
        try:
            answer = self._ask(request, self._scope)
        except UntrustedHostError:
            return None
        whole = answer.status == HTTPStatus.OK and answer.complete
        return answer.body if whole and digest_of(answer.body) == digest else None

    def read_part(self, digest: str, first: int, length: int) -> bytes | None:
        """Read `length` bytes of a blob, all of which it has, from the position `first`.

        Returns:
            The bytes; None if the registry does not return a part of the blob.

        Raises:
            PipeError: The registry does not answer.
        """
        headers = OCTETS | {"Range": f"bytes={first}-{first + length - 1}"}
        request = Request("GET", self._blob(digest), headers, maximum=length, follow=True)
        try:
            answer = self._ask(request, self._scope)
        except UntrustedHostError:
            return None
        # A registry that returns no parts returns the whole blob.
        expected = {HTTPStatus.PARTIAL_CONTENT} | ({HTTPStatus.OK} if first == 0 else set())
        return answer.body if answer.status in expected and answer.complete and len(answer.body) == length else None

    def mount(self, digest: str, source: str) -> bool:
        """Mount a blob of another repository, whose path is the source.

        An upload that the registry opens instead is kept for the next blob.

        Returns:
            Whether the repository has the blob now; False for any refusal or failure.

        Raises:
            RegistryTooSlowError: The run has no time left.
        """
        at = self._client.clock()
        query = (("mount", digest), ("from", source))
        request = Request("POST", f"/v2/{self.path}/blobs/uploads/", OCTETS, query, follow=True)
        try:
            answer = self._client.send(request, self._scope + scope_of(source, "pull"))
            if answer.status == HTTPStatus.ACCEPTED:
                self._writer.keep(answer, at)
        except RegistryTooSlowError:
            raise
        except PipeError:
            return False
        return answer.status == HTTPStatus.CREATED and answer.headers.get("Docker-Content-Digest", digest) == digest

    def open_ahead(self) -> None:
        """Open an upload for a blob that is still being encoded, if the link's round trips are long."""
        if self.round_trip >= LONG_ROUND_TRIP:
            self._writer.open_ahead()

    def put_blob(self, chunks: Chunks, watch: UploadWatch) -> None:
        """Upload a blob.

        A blob of one chunk is sent as a whole, and again as a whole if that fails. A larger one is sent chunk by
        chunk, each again if it fails, or as one stream if the registry does not support chunks.

        Raises:
            UnsupportedError: The registry does not support such uploads; Docker Engine's push may still succeed.
            UploadLostError: The registry lost the upload: it must start again from the first byte.
            PipeError: The registry rejects the blob, or keeps failing; whatever `watch` raises.
        """
        self.is_untouched = False
        self._writer.put(chunks, watch)

    def manifest(self, reference: str) -> Manifest | None:
        """Return the manifest of a tag or digest, None if there is none.

        Raises:
            PipeError: The registry does not answer, or the manifest is larger than 4 MiB.
        """
        request = Request("GET", self._manifest(reference), _ACCEPT, maximum=MANIFEST_MAXIMUM)
        answer = self._ask(request, self._scope)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise self._client.error(answer, self.path)
        if not answer.complete:
            error = RegistryFailedError(
                f"{self._client.domain}: the manifest of {self.path}, {reference}, is larger than"
                f" {format_size(MANIFEST_MAXIMUM)}.",
                fix="Registries need not accept such a manifest: push an image with fewer layers or annotations.",
                temporary=False,
            )
            raise errors.answered(error, answer)
        return Manifest.parse(answer.headers.get("Content-Type", ""), answer.body)

    def lists_referrers(self, subject: str, digests: Iterable[str]) -> bool | None:
        """Return whether the registry lists artifacts that refer to a manifest, the subject.

        Returns:
            Whether all are listed, as far as the first page of the list shows; None if the registry has no such lists.

        Raises:
            PipeError: The registry does not answer.
        """
        request = Request("GET", f"/v2/{self.path}/referrers/{subject}", _ACCEPT, maximum=MANIFEST_MAXIMUM)
        answer = self._ask(request, self._scope)
        if answer.status in _NO_LISTS:
            return None
        if answer.status != HTTPStatus.OK:
            raise self._client.error(answer, self.path)
        try:
            if "manifests" not in members(read_json(answer.body)):
                return None
        except ValueError:
            # Such as a page for people.
            return None
        found = {each.digest for each in Manifest.parse(OCI_INDEX, answer.body).manifests}
        return found.issuperset(digests) or "Link" in answer.headers

    def put_manifest(self, reference: str, manifest: Manifest) -> None:
        """Store a manifest, whose blobs the repository has, under a tag or its digest.

        Raises:
            BlobMissingError: The repository lacks a blob.
            UnsupportedError: The registry does not support the request; Docker Engine's push may still succeed.
            PipeError: The registry rejects the manifest, or fails.
        """
        headers = {"Content-Type": manifest.media_type}
        request = Request("PUT", self._manifest(reference), headers, body=manifest.body, limit=2 * READ_TIMEOUT)
        # Under its digest, a manifest may be put again; many are put at the same time, which a registry may limit.
        send = self._ask if is_digest(reference) else self._client.send
        answer = send(request, self._scope)
        if answer.ok:
            return
        error = self._client.error(answer, self.path)
        if _BLOB_MISSING & set(answer.codes):
            raise errors.recast(BlobMissingError, error)
        if answer.status in _PROTOCOL and _HARMLESS.issuperset(answer.codes):
            raise errors.recast(UnsupportedError, error)
        raise error

    def _blob(self, digest: str) -> str:
        return f"/v2/{self.path}/blobs/{digest}"

    def _manifest(self, reference: str) -> str:
        return f"/v2/{self.path}/manifests/{reference}"
