"""An image in an archive or a layout as a source: its blobs can be read in any order, any number of times."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from pipe.oci.image import Image, labelled
from pipe.oci.manifest import Manifest
from pipe.source.blob import SourceBlob, StoredImage


class ArchiveSource:
    """An image in an archive or a layout.

    Attributes:
        image: What the archive holds of it; the layers of all its platforms are listed one after the other.
        replayable: Always.
        present: Never known.
    """

    def __init__(self, stored: StoredImage) -> None:
        self.image = _image_of(stored)
        self.replayable = True
        self.present: Manifest | None = None
        self._stored = stored

    def staged(self) -> AbstractContextManager[None]:
        """Do nothing: an archive needs no preparation."""
        return nullcontext()

    def stored(self, _copied: Callable[[int], None]) -> StoredImage:
        """Return the image as it is."""
        return self._stored

    def blobs(self, _known: Callable[[], frozenset[str]] = frozenset) -> AbstractContextManager["ArchiveSource"]:
        """Open the archive."""
        return nullcontext(self)

    def __iter__(self) -> Iterator[SourceBlob]:
        """Yield the blobs."""
        return iter(self._stored.blobs)

    @property
    def config(self) -> bytes:
        """The config of a docker archive's image, else b""."""
        return self._stored.config

    @property
    def manifests(self) -> Sequence[Manifest]:
        """The manifests of a layout, children first; empty for a docker archive."""
        return self._stored.manifests


def _image_of(stored: StoredImage) -> Image:
    several = len(stored.images) > 1
    images = tuple(labelled(image) for image in stored.images) if several else stored.images
    revisions = {image.revision for image in images}
    return Image(
        images[0].id if len(stored.manifests) <= 1 and images else stored.manifests[-1].digest,
        sum(blob.size for blob in stored.blobs),
        tuple(layer for image in images for layer in image.layers),
        platform=images[0].platform if len(images) == 1 else None,
        platforms=images if several else (),
        origins=tuple(dict.fromkeys(name for image in images for name in image.origins)),
        revision=revisions.pop() if len(revisions) == 1 else "",
    )
