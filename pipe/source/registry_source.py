"""An image in the registry as a source: its manifests as they are, its blobs where they are stored."""

from collections.abc import Sequence
from functools import partial

from pipe.errors import SourceUnusableError
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.registry.repository import Repository
from pipe.source.archive_source import ArchiveSource
from pipe.source.blob import SourceBlob, StoredImage

PIECE = 4 * 1024 * 1024
"""Bytes of a blob that are requested at once, and kept until they are sent."""


class RegistrySource(ArchiveSource):
    """An image in the registry.

    Attributes:
        present: The manifest to put under the tags if the package to push to has all that it names; None if blobs must
            come from another package.
    """

    def __init__(
        self, repository: Repository, manifests: Sequence[Manifest], images: Sequence[Image], *, present: bool
    ) -> None:
        """Nothing is requested; `present` if the package to push to is the same repository.

        The manifests come children first; the last one belongs under the tags.
        """
        blobs = {blob.digest: blob for each in manifests for blob in each.blobs if not blob.urls}
        sent = () if present else tuple(_blob(repository, blob) for blob in blobs.values())
        super().__init__(StoredImage(tuple(manifests), b"", sent, tuple(images)))
        self.image = self.image._replace(size=sum(blob.size for blob in blobs.values()))
        self.present = manifests[-1] if present else None


def _blob(repository: Repository, blob: Descriptor) -> SourceBlob:
    name = f"{repository.path}@{blob.digest}"
    return SourceBlob(name, blob.size, None, blob, partial(_BlobReader, repository, blob), repository.path)


class _BlobReader:
    """Reads a blob piece by piece; a piece is requested again after a failure, not the whole blob."""

    def __init__(self, repository: Repository, blob: Descriptor) -> None:
        self._repository = repository
        self._blob = blob
        self._read = 0
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes into the buffer.

        Raises:
            SourceUnusableError: The registry does not return the bytes.
        """
        if not self._rest and self._read < self._blob.size:
            self._rest = memoryview(self._piece())
            self._read += len(self._rest)
        length = min(len(buffer), len(self._rest))
        buffer[:length], self._rest = self._rest[:length], self._rest[length:]
        return length

    def _piece(self) -> bytes:
        repository, digest = self._repository, self._blob.digest
        piece = repository.read_part(digest, self._read, min(PIECE, self._blob.size - self._read))
        if piece is None:
            if repository.stat(digest) is None:
                raise SourceUnusableError(
                    f"{repository.path} does not have {digest}, which the image names. No tag was changed.",
                    fix="Build and push that image again.",
                )
            raise SourceUnusableError(
                f"the registry neither mounts {digest} from {repository.path} nor returns a part of it. No tag was"
                " changed.",
                fix="Push the image to both packages when it is built.",
            )
        return piece
