"""Uploads an image that an archive or a layout holds: no Docker Engine has a part in it."""

from collections.abc import Callable

from pipe.config.settings import Settings
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image
from pipe.oci.reference import Reference
from pipe.push import limits, reuse
from pipe.push.direct_push import DirectPush
from pipe.push.platforms import labelled
from pipe.push.report import Report, Timing
from pipe.push.transfer import Transfer
from pipe.push.uploader import PIPE, Registry
from pipe.push.watch import Watch
from pipe.source.blob import StoredImage


class ArchiveUploader:
    """Brings an image from an archive or a layout to the registry.

    Attributes:
        used: Who pushes: always the pipe.
        engine_may_push: Never: no Engine has the image.
    """

    def __init__(
        self, settings: Settings, stored: Callable[[], StoredImage], registry: Registry, report: Report, timing: Timing
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            settings: What the user wants.
            stored: Opens the archive.
            registry: Is to have the image.
            report: Tells people what happens.
            timing: Time.
        """
        self._settings = settings
        self._open = stored
        self._held: StoredImage | None = None
        self._registry = registry
        self._report = report
        self._transfer = Transfer(registry.blobs, timing.clock, settings.upload_timeout)
        self.used: str | None = PIPE
        self.engine_may_push = False

    @property
    def _content(self) -> StoredImage:
        if self._held is None:
            self._held = self._open()
        return self._held

    def image(self) -> Image:
        """Read the image; the layers of all its platforms stand one after the other."""
        stored = self._content
        several = len(stored.images) > 1
        images = tuple(labelled(image) for image in stored.images) if several else stored.images
        return Image(
            stored.manifests[-1].digest if stored.manifests else stored.images[0].id,
            sum(blob.size for blob in stored.blobs),
            tuple(layer for image in images for layer in image.layers),
            platform=images[0].platform if len(images) == 1 else None,
            platforms=images if several else (),
        )

    def check(self, image: Image) -> None:
        """Refuse at once what cannot fit: what is stored is sent as it is."""
        limit = self._settings.max_layer_size
        labels = {layer.descriptor.digest: layer.label for layer in image.layers if layer.descriptor is not None}
        for blob in self._content.blobs:
            if blob.descriptor is not None and blob.size > limit:
                raise limits.too_large(labels.get(blob.descriptor.digest, blob.name), blob.size, limit, unpacked=False)

    def forecast(self, _image: Image) -> str:
        """Tell who would upload it."""
        return "The pipe would upload it itself."

    def present(self, image: Image) -> frozenset[str]:
        """Tell which layers the registry has, by diffID."""
        known = {layer.diff_id: layer.descriptor for layer in image.layers if layer.descriptor is not None}
        named = self._reusable() | known
        return frozenset(
            diff_id for diff_id, each in named.items() if self._registry.blobs.size(each.digest) is not None
        )

    def upload(self, target: Reference, _image: Image, watch: Watch, *, reachable: bool) -> str:  # noqa: ARG002
        """Bring the image under one tag; return the digest of its manifest."""
        if self._transfer.reusable is None:
            self._transfer.reusable = self._reusable()
        push = DirectPush(self._registry, self._transfer, watch, self._settings.max_layer_size)
        return push.from_archive(target, self._content).digest

    def _reusable(self) -> dict[str, Descriptor]:
        wanted = frozenset(blob.diff_id for blob in self._content.blobs if blob.diff_id and blob.descriptor is None)
        reuse_from = self._settings.reuse_from
        here = (each.tag for each in reuse_from if each.repository == self._settings.repository)
        tags = (*here, *self._settings.tags, "latest")
        return reuse.known_layers(self._registry, tags, wanted, self._report.debug) if wanted else {}
