"""The registry's HTTP API: may I push, what does a tag hold, put a manifest under a tag.

Source: opencontainers/distribution-spec, `spec.md`.
"""

import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from pipe.config.settings import Credentials
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference, is_digest
from pipe.registry.authentication import Authentication, Listener, origin, untrusted
from pipe.registry.blobs import Blobs
from pipe.registry.connection import Connection
from pipe.registry.transport import Answer, Transport

MANIFEST_BODY = 4 * 1024 * 1024
"""Bytes of a manifest that are read; source: distribution-spec, a registry takes at least 4 MiB."""
_NOT_THIS_WAY = frozenset(
    (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    )
)


class Registry:
    """One repository of a registry, with credentials that may push to it.

    Attributes:
        blobs: Its blobs, and uploads of new ones.
    """

    def __init__(
        self,
        target: Reference,
        credentials: Credentials,
        transport: Transport,
        listener: Listener,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            target: The repository.
            credentials: For this registry only.
            transport: Sends the requests.
            listener: Is told which other host gets the credentials, and what must not be shown.
            clock: Returns seconds that never go back.
        """
        authentication = Authentication(target, credentials, transport, listener, clock)
        self._connection = Connection(target, credentials.token, transport, authentication)
        self.blobs = Blobs(self._connection)

    def check_push(self) -> None:
        """Ask whether a push is allowed: open an upload, and leave it to the registry to forget it.

        Raises:
            PipeError: It is not, or there is no telling.
        """
        answer = self._connection.call("POST", "blobs/uploads/")
        if answer.status != HTTPStatus.ACCEPTED:
            raise self._connection.error(answer)
        location = self._connection.location(answer)
        if origin(location) != origin(urlsplit(self._connection.base)):
            raise untrusted(self._connection.target, location, "for the upload")

    def digest(self, reference: str) -> str | None:
        """Ask what a tag or digest names.

        Args:
            reference: A tag or a digest.

        Returns:
            The manifest's digest, None where there is none.

        Raises:
            PipeError: The registry does not answer the question.
        """
        answer = self._connection.call("HEAD", f"manifests/{reference}")
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise self._connection.error(answer)
        digest = answer.headers.get("Docker-Content-Digest", "")
        if is_digest(digest):
            return digest
        manifest = self.manifest(reference)
        return manifest.digest if manifest else None

    def manifest(self, reference: str) -> Manifest | None:
        """Read a manifest.

        Args:
            reference: A tag or a digest.

        Returns:
            The manifest, None where there is none.

        Raises:
            PipeError: The registry does not answer the question.
        """
        answer = self._connection.call("GET", f"manifests/{reference}", maximum=MANIFEST_BODY)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise self._connection.error(answer)
        return Manifest.parse(answer.headers.get("Content-Type", ""), answer.body)

    def read_blob(self, digest: str, maximum: int) -> bytes | None:
        """Read a small blob; see `Blobs.read`."""
        return self.blobs.read(digest, maximum)

    def put_manifest(self, reference: str, manifest: Manifest) -> bool:
        """Put a manifest under a tag or its digest.

        Args:
            reference: The tag, or the manifest's own digest.
            manifest: One whose blobs the registry has.

        Returns:
            Whether the registry took it; False where it does not take it this way (400, 404, 405,
            415), which an Engine's push may still achieve.

        Raises:
            PipeError: The registry refuses or fails.
        """
        answer = self._put(reference, manifest)
        if answer.status not in {HTTPStatus.CREATED, *_NOT_THIS_WAY}:
            raise self._connection.error(answer)
        return answer.status == HTTPStatus.CREATED

    def push_manifest(self, reference: str, manifest: Manifest) -> None:
        """Put a manifest where there is no other way to get it there.

        Args:
            reference: The tag, or the manifest's own digest.
            manifest: One whose blobs the registry has.

        Raises:
            PipeError: The registry does not take it; its `codes` hold MANIFEST_BLOB_UNKNOWN where a blob is missing.
        """
        answer = self._put(reference, manifest)
        if answer.status != HTTPStatus.CREATED:
            raise self._connection.error(answer)

    def _put(self, reference: str, manifest: Manifest) -> Answer:
        headers = {"Content-Type": manifest.media_type}
        return self._connection.call("PUT", f"manifests/{reference}", headers, manifest.body)
