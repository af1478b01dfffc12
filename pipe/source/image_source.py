"""Sources of images: what each provides, whatever its form."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.source.blob import SourceBlob, StoredImage


class BlobStream(Protocol):
    """The blobs of one image, and what they make up."""

    def __iter__(self) -> Iterator[SourceBlob]:
        """Yield the blobs; if the source is not replayable, each must be read before the next is requested."""

    @property
    def config(self) -> bytes:
        """The image's config if the manifest must be made, else b""; complete once all blobs were yielded."""

    @property
    def manifests(self) -> Sequence[Manifest]:
        """The image's manifests, children first, as they are stored; empty if the manifest must be made."""


class ImageSource(Protocol):
    """One image that can be pushed.

    Attributes:
        image: What is known of it.
        replayable: Whether blobs can be opened several times, in any order, by several threads.
        present: The image's manifest if the package to push to has all that it names; None if that is unknown.
    """

    image: Image
    replayable: bool
    present: Manifest | None

    def blobs(self, known: Callable[[], frozenset[str]] = frozenset) -> AbstractContextManager[BlobStream]:
        """Open the image; nothing happens before the context is entered, and nothing remains after it.

        Args:
            known: Returns the diffIDs of layers that need not come early; called at most once.
        """

    def stored(self, copied: Callable[[int], None]) -> StoredImage:
        """Return the image with blobs that can be opened several times, in any order, by several threads.

        Args:
            copied: Called with the bytes that were copied so far, if they must be.

        Raises:
            SpoolError: A copy does not fit on the disk.
        """

    def staged(self) -> AbstractContextManager[None]:
        """Prepare the image while the context lasts, so that `blobs` begins sooner; nothing remains after it."""
