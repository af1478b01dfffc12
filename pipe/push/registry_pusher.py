"""The pipe's own push: every blob from the source to the registry, then the manifest under its tag."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pipe.errors import (
    BlobMissingError,
    ContentMismatchError,
    EngineSaveError,
    ImageRefusedError,
    PipeError,
    RegistryFailedError,
    UnsupportedError,
)
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image
from pipe.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, OCI_ZSTD_LAYER, Manifest
from pipe.oci.reference import Reference
from pipe.push.clocks import Clocks
from pipe.push.manifests import put_manifests
from pipe.push.pusher import CannotPushError, Pushed
from pipe.push.reuse import Candidates, Stored
from pipe.push.transfer import Transfer
from pipe.registry.errors import recast
from pipe.source.blob import SourceBlob, in_memory
from pipe.source.compressible import compressed
from pipe.source.image_source import BlobStream, ImageSource
from pipe.threads import Cancel

PASSES = 2
"""How often the source of one attempt is read: a second time if a candidate for reuse was wrong."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What the source yields beside its blobs."""

    manifests: Sequence[Manifest]
    config: bytes


class RegistryPusher:
    """Pushes an image straight to the registry."""

    def __init__(self, transfer: Transfer, stored: Callable[[], dict[str, Stored]]) -> None:
        """Nothing happens before `send` or `push`.

        Args:
            transfer: Takes the blobs, and knows over all attempts what has arrived.
            stored: Finds the layers that the registry already stores; called once.
        """
        self._transfer = transfer
        self._find_stored = stored
        self._stored: dict[str, Stored] | None = None
        self._content: _Content | None = None

    @property
    def clocks(self) -> Clocks:
        """The clocks of the push."""
        return self._transfer.clocks

    @property
    def known(self) -> dict[str, Descriptor]:
        """Blobs that the registry has; see `Transfer`."""
        return self._transfer.known

    def send(self, source: ImageSource, cancel: Cancel | None = None) -> None:
        """Bring every blob of an image to the registry, unless that is done; `cancel` ends it from another thread.

        Raises:
            CannotPushError: As for `push`.
            CancelledError: It was cancelled.
            PipeError: A blob did not arrive.
        """
        self._sent(source, cancel or Cancel())

    def push(self, source: ImageSource, reference: Reference) -> Pushed:
        """Push an image under one tag.

        Raises:
            CannotPushError: The Engine cannot export the image, its content is damaged, or the registry does not
                support such uploads.
            PipeError: The push failed.
        """
        content = self._sent(source, Cancel())
        with _falling_back():
            manifest = self._put(reference, content, source.image)
        return Pushed(manifest.digest, manifest)

    def _sent(self, source: ImageSource, cancel: Cancel) -> _Content:
        """Bring every blob to the registry, unless that is done.

        All have arrived if the content is known: a further tag, or an attempt after the manifest alone failed, does not
        read the source again.
        """
        if self._content is None:
            with _falling_back():
                self._content = self._transferred(source, cancel)
        return self._content

    def _transferred(self, source: ImageSource, cancel: Cancel) -> _Content:
        transfer = self._transfer
        transfer.clocks.tracker.restart()
        for _ in range(PASSES):
            # An Engine stages the image while the registry is asked.
            with source.blobs(lambda: frozenset(self._reusable())) as blobs:
                candidates = Candidates(transfer.repository, self._reusable())
                complete = transfer.run(
                    lambda: _all_of(blobs, source), candidates, replayable=source.replayable, cancel=cancel
                )
                content = _Content(tuple(blobs.manifests), blobs.config)
            if complete:
                return content
            self._stored = {}
        raise RegistryFailedError("A layer could not be identified.", fix="Run the step again.")

    def _reusable(self) -> dict[str, Stored]:
        if self._stored is None:
            self._stored = self._find_stored()
        return self._stored

    def _put(self, reference: Reference, content: _Content, image: Image) -> Manifest:
        """Put the manifests, children first; the last one under the tag."""
        manifests = compressed(content.manifests, self._transfer.known) or [self._made(content.config, image)]
        repository = self._transfer.repository
        try:
            put_manifests(repository, manifests[:-1])
            repository.put_manifest(reference.tag, manifests[-1])
        except BlobMissingError:
            self.forget()
            raise
        except PipeError as error:
            if error.status not in _MAY_MEAN_UNSUPPORTED:
                raise
            if self._accepts(manifests[-1]):
                # The registry rejects the tag: neither another compression nor the Engine's manifest would help.
                raise recast(ImageRefusedError, error) from error
            if any(layer.media_type == OCI_ZSTD_LAYER for manifest in manifests for layer in manifest.layers):
                raise _zstd_rejected(error) from error
            raise
        return manifests[-1]

    def _accepts(self, manifest: Manifest) -> bool:
        """Return whether the registry stores a manifest under its digest."""
        try:
            self._transfer.repository.put_manifest(manifest.digest, manifest)
        except PipeError:
            return False
        return True

    def forget(self) -> None:
        """Check everything again with the next push: the registry lacks a blob that it reported."""
        self._transfer.forget()
        self._stored, self._content = {}, None

    def _made(self, config: bytes, image: Image) -> Manifest:
        """Return the manifest of an image of which only config and layers are known, with its config uploaded."""
        blob = _config(config)
        descriptor = blob.descriptor
        if descriptor is None or descriptor.digest != image.id:
            raise ContentMismatchError(
                f"the config has the digest {descriptor and descriptor.digest}, but the image ID is {image.id}.",
                fix="Build the image again.",
            )
        transfer = self._transfer
        if descriptor.digest not in transfer.known:
            transfer.run(lambda: [blob], Candidates(transfer.repository, {}), replayable=True)
        # A layer that is already gzipped is known by its own digest.
        known = [
            transfer.known.get(layer.descriptor.digest if layer.descriptor else layer.diff_id) for layer in image.layers
        ]
        missing = [layer.label for layer, found in zip(image.layers, known, strict=True) if found is None]
        if missing:
            raise ContentMismatchError(f"{', '.join(missing)}: missing from the export.", fix="Build the image again.")
        layers = tuple(filter(None, known))
        is_docker = all(layer.media_type == DOCKER_LAYER for layer in layers)
        return Manifest.of_docker(descriptor, layers) if is_docker else Manifest.of_oci(descriptor, layers)


@contextmanager
def _falling_back() -> Iterator[None]:
    """Leave to the next pusher what this one cannot push."""
    try:
        yield
    except (EngineSaveError, ContentMismatchError, UnsupportedError) as error:
        raise CannotPushError(f"{error.summary}\nFalling back to Docker Engine.", error) from error


def _zstd_rejected(error: PipeError) -> PipeError:
    """Return the error for a manifest with zstd layers that a registry rejects."""
    rejected = ImageRefusedError(
        f"the registry rejects the manifest, whose layers are compressed with zstd: {error.cause}",
        fix="The registry may not support zstd: leave COMPRESSION out, so that layers are compressed with gzip. No tag"
        " was changed.",
    )
    rejected.status, rejected.codes = error.status, error.codes
    return rejected


_MAY_MEAN_UNSUPPORTED = frozenset((400, 404, 405, 415, 422))
"""Statuses with which a registry may reject a media type."""


def _all_of(blobs: BlobStream, source: ImageSource) -> Iterator[SourceBlob]:
    """Yield the blobs, then the config, which needs no further round trips while layers are under way.

    If the order is free, the largest blobs come first: a large one at the end would be sent alone.
    """
    yield from sorted(blobs, key=lambda blob: -blob.size) if source.replayable else blobs
    config = _config(blobs.config)
    if config.descriptor is not None and config.descriptor.digest == source.image.id:
        yield config


def _config(content: bytes) -> SourceBlob:
    return in_memory("the image's config", DOCKER_CONFIG, content)
