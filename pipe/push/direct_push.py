"""The pipe's own push: every blob from a source to the registry, then the manifest under its tag."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from pipe.errors import ContentMismatchError, PipeError
from pipe.oci.image import Image, Layer, LayerStatus, shorten
from pipe.oci.manifest import DOCKER_CONFIG, Manifest
from pipe.oci.reference import Reference
from pipe.push import limits
from pipe.push.blob_upload import BlobUpload
from pipe.push.transfer import Transfer
from pipe.push.watch import Watch
from pipe.source.blob import SourceBlob, StoredImage, in_memory

_BLOB_UNKNOWN = "MANIFEST_BLOB_UNKNOWN"


class Stream(Protocol):
    """An image that is streamed by the Engine; see `pipe.source.daemon`."""

    def __iter__(self) -> Iterator[SourceBlob]:
        """Give its blobs, each to be read before the next is asked for."""

    @property
    def config(self) -> bytes:
        """The image's configuration, once all blobs were given."""

    @property
    def manifests(self) -> Sequence[Manifest]:
        """The image's manifests, likewise; none of a graphdriver store."""


class Registry(Protocol):
    """What this push needs of the registry, beside its blobs."""

    def push_manifest(self, reference: str, manifest: Manifest) -> None:
        """Put a manifest."""


class DirectPush:
    """Pushes an image without the help of an Engine's push."""

    def __init__(self, registry: Registry, transfer: Transfer, watch: Watch, max_layer_size: int) -> None:
        """Prepare; nothing is sent yet.

        Args:
            registry: Takes the manifests.
            transfer: Takes the blobs, and knows over all attempts what has arrived.
            watch: Keeps the clocks.
            max_layer_size: Stored bytes that a layer may have.
        """
        self._registry = registry
        self.transfer = transfer
        self.watch = watch
        self.max_layer_size = max_layer_size
        self._read: tuple[tuple[Manifest, ...], bytes] | None = None

    def from_engine(self, target: Reference, image: Image, opened: AbstractContextManager[Stream]) -> Manifest:
        """Push an image that an Engine streams.

        Args:
            target: Where to push.
            image: What the Engine says of it.
            opened: The stream.

        Returns:
            The manifest that is now under the tag.

        Raises:
            PipeError: The image did not arrive.
        """
        if self._read is None:
            with opened as stream:
                self._send(lambda: stream, one_by_one=True)
                self._read = tuple(stream.manifests), stream.config
        # All of it has arrived: after a failure at the end, or for a further tag, it need not be streamed again.
        manifests, config = self._read
        if manifests:
            return self._put(target, manifests)
        return self._made(target, image, config)

    def from_archive(self, target: Reference, stored: StoredImage) -> Manifest:
        """Push what an archive or a layout holds.

        Args:
            target: Where to push.
            stored: The image.

        Returns:
            The manifest that is now under the tag.

        Raises:
            PipeError: The image did not arrive.
        """
        # The largest first: it would else go up alone at the end.
        self._send(lambda: sorted(stored.blobs, key=lambda blob: -blob.size), one_by_one=False)
        if stored.manifests:
            return self._put(target, stored.manifests)
        return self._made(target, stored.images[0], stored.config)

    def _send(self, source: Callable[[], Iterable[SourceBlob]], *, one_by_one: bool) -> None:
        self.watch.progress.restart()
        self.transfer.run(source, _Observer(self, self.watch.progress.image_layers), one_by_one=one_by_one)

    def _made(self, target: Reference, image: Image, config: bytes) -> Manifest:
        """Put the manifest of an image of which only config and layers are there."""
        blob = in_memory("the image's configuration", DOCKER_CONFIG, config)
        descriptor = blob.descriptor
        if descriptor is None or descriptor.digest != image.id:
            raise ContentMismatchError(
                f"its configuration has the digest {descriptor and descriptor.digest}, but its ID is {image.id}.",
                fix="Build the image again.",
            )
        self.transfer.run(lambda: [blob], _Observer(self, ()), one_by_one=False)
        # A layer that is gzipped already is known by its own digest.
        known = [
            self.transfer.known.get(layer.descriptor.digest if layer.descriptor else layer.diff_id)
            for layer in image.layers
        ]
        missing = [layer.label for layer, found in zip(image.layers, known, strict=True) if found is None]
        if missing:
            raise ContentMismatchError(
                f"{', '.join(missing)}: missing from what was read.", fix="Build the image again."
            )
        return self._put(target, (Manifest.of_docker(descriptor, tuple(filter(None, known))),))

    def _put(self, target: Reference, manifests: Sequence[Manifest]) -> Manifest:
        """Put manifests, children first; the last one under the tag."""
        try:
            for child in manifests[:-1]:
                self._registry.push_manifest(child.digest, child)
            self._registry.push_manifest(target.tag, manifests[-1])
        except PipeError as error:
            if _BLOB_UNKNOWN in error.codes:
                # What was said to be there is not: with the next attempt everything is looked at again.
                self.transfer.forget()
                self._read = None
            raise
        return manifests[-1]


class _Observer:
    """Tells the progress and the watch what becomes of the blobs."""

    def __init__(self, push: "DirectPush", layers: Sequence[Layer]) -> None:
        self._push = push
        self._layers: dict[str, list[Layer]] = {}
        for layer in layers:
            self._layers.setdefault(layer.diff_id, []).append(layer)
            if layer.descriptor is not None:
                self._layers.setdefault(layer.descriptor.digest, []).append(layer)
            size = layer.descriptor.size if layer.descriptor is not None else layer.size
            if size is not None:
                # One that waits for its turn is to be sent, too.
                push.watch.progress.layers.setdefault(layer.short_id, layer).total = size

    def look(self, blob_uploads: list[BlobUpload]) -> None:
        """Bring the progress up to date, and look at the clocks."""
        watch = self._push.watch
        now = watch.clock()
        for blob_upload in blob_uploads:
            if blob_upload.began is None or blob_upload.blob.is_config:
                continue
            layer = self._of(blob_upload)[0]
            if layer.started != blob_upload.began:
                watch.progress.begin(layer, blob_upload.began)
            layer.sent, layer.total = blob_upload.out, blob_upload.expected
        watch.look(now)

    def check(self, blob_upload: BlobUpload) -> None:
        """Stop the moment a blob is larger than allowed."""
        limit = self._push.max_layer_size
        if blob_upload.stored > limit:
            label = self._of(blob_upload)[0].label
            raise limits.too_large(label, blob_upload.stored, limit, unpacked=False, sent=blob_upload.began is not None)

    def arrived(self, blob_upload: BlobUpload) -> None:
        """Take note of what the registry has."""
        if blob_upload.blob.is_config:
            return
        watch, reusable = self._push.watch, self._push.transfer.reusable or {}
        if not blob_upload.key:
            # It stood for itself until its bytes told which layer it is.
            watch.progress.layers.pop(shorten(blob_upload.blob.name), None)
        for layer in self._of(blob_upload):
            if blob_upload.began is not None:
                layer.started, layer.total = blob_upload.began, blob_upload.stored
            status = LayerStatus.ALREADY_THERE if blob_upload.began is None else LayerStatus.UPLOADED
            watch.progress.finish(layer, status, watch.clock())
            layer.descriptor = blob_upload.descriptor
            there = layer.status is LayerStatus.ALREADY_THERE
            layer.reused = there and (layer.reused or blob_upload.key in reusable)

    def _of(self, blob_upload: BlobUpload) -> list[Layer]:
        """Find the layers that a blob is the content of; a blob that is none of the image's stands for itself."""
        key = blob_upload.key or blob_upload.diff_id or blob_upload.blob.name
        if key not in self._layers:
            self._layers[key] = [Layer(0, key)]
        layers = self._layers[key]
        for layer in layers:
            self._push.watch.progress.layers.setdefault(shorten(layer.diff_id), layer)
        return layers
