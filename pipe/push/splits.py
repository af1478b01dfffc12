"""The layers that are split, on demand: which, into parts of which size, and what became of the image."""

from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from functools import partial
from typing import TypeVar

from pipe.errors import LayerTooLargeError, LimitError, PipeError, UploadTooSlowError
from pipe.oci.config import CONFIG_SIZE
from pipe.oci.image import Image, Layer, shorten
from pipe.oci.manifest import Manifest
from pipe.oci.part_marks import marks_in
from pipe.push.clocks import LINE_EVERY, check_staging
from pipe.push.context import Context
from pipe.push.part_size import exceeding, longest, rounded_down, size_of, size_that_fits
from pipe.push.progress import Snapshot
from pipe.push.result import SplitResult
from pipe.push.reuse import MANIFESTS, Place
from pipe.source.archive_source import ArchiveSource
from pipe.source.blob import StoredImage
from pipe.source.image_source import ImageSource
from pipe.source.split import SplitImage, image_id, split_image
from pipe.source.split_source import SplitSource
from pipe.threads import STEP, Pool, apart
from pipe.units import format_size

SMALLEST = 100_000
"""Bytes of the smallest part that helps an upload that is too slow: less needs several minutes only on a dead link."""
THREADS = 4
"""Parts that are hashed at once."""
Value = TypeVar("Value")


class Splits:
    """Splits the layers of one image.

    Attributes:
        result: What was split; None if nothing was.
    """

    def __init__(self, context: Context) -> None:
        """Nothing happens before the first call."""
        self._settings = context.settings
        self._report = context.report
        self._clock = context.timing.clock
        self._pool = context.repository.pool
        self._original: StoredImage | None = None
        self._sizes: dict[str, int] = {}
        self._parts: dict[str, str] = {}
        self._copied = 0
        self.result: SplitResult | None = None

    def in_advance(self, source: ImageSource, read: Mapping[Place, Manifest | None]) -> ImageSource:
        """Return the image with those layers split that are known to exceed a size.

        A layer that `auto` split before, as the manifests in the registry show, is split alike.

        Raises:
            CannotSplitError: A layer cannot be split.
            PipeError: The image cannot be read.
        """
        settings = self._settings
        limit = settings.split_size or settings.max_layer_size
        if any(layer.size is None and layer.descriptor is None for layer in source.image.layers):
            # Only its bytes reveal the sizes of the layers.
            if source.image.size <= limit:
                return source
            source = ArchiveSource(self._stored(source))
        if settings.split_size is not None:
            sizes = exceeding(source.image, limit, limit)
        else:
            marks = self.marks(read)
            sizes = exceeding(source.image, limit, rounded_down(limit), stored=True)
            sizes |= {layer.diff_id: marks[layer.diff_id] for layer in source.image.layers if layer.diff_id in marks}
        return self._split(source, sizes) if sizes else source

    def after(self, source: ImageSource, error: LimitError, layers: Snapshot, now: float) -> ImageSource:
        """Return the image, whose push failed with an error, with those layers split that exceed a limit.

        Raises:
            LimitError: Smaller parts would not help.
            CannotSplitError: A layer cannot be split.
            PipeError: The image cannot be read.
        """
        stored = self._stored(source)
        image = ArchiveSource(stored).image
        failed = self._layer(image, self._parts.get(error.layer, error.layer))
        settings, largest = self._settings, self._settings.max_layer_size
        size = size_that_fits(layers, now, settings.upload_timeout, largest)
        sizes = exceeding(image, largest, size, stored=True)
        if isinstance(error, LayerTooLargeError):
            # The limit may be the registry's own, which is unknown.
            known = failed.descriptor.size if failed.descriptor else failed.size or largest
            size = min(size, rounded_down(known / 2) if known <= largest else size)
        else:
            sizes |= longest(image, layers, now, settings.upload_timeout, size)
        before = self._sizes.get(failed.diff_id)
        is_stalled = isinstance(error, UploadTooSlowError) and size < SMALLEST
        if is_stalled or (before is not None and size >= before):
            raise error
        split = self._split(source, self._sizes | sizes | {failed.diff_id: size})
        if split is source:
            # The layer fits one part: its size is not the reason.
            raise error
        return split

    def marks(self, read: Mapping[Place, Manifest | None]) -> dict[str, int]:
        """Return the sizes of parts by the diffIDs of layers that images in the registry have split."""
        there = [(place.repository, each) for place, each in read.items() if each is not None]
        children = [(repository, digest) for repository, each in there for digest in each.images][:MANIFESTS]
        found = self._quietly([partial(repository.manifest, digest) for repository, digest in children])
        named = [(repository, each.config) for repository, each in there if each.config]
        named += [(children[at][0], each.config) for at, each in enumerate(found) if each and each.config]
        reads = [partial(repository.read, config, CONFIG_SIZE) for repository, config in dict.fromkeys(named)]
        configs = self._quietly(reads[:MANIFESTS])
        return {diff_id: size for config in configs for diff_id, size in marks_in(config or b"").items()}

    def _quietly(self, calls: Sequence[Callable[[], Value | None]]) -> list[Value | None]:
        """Ask the registry; None for what cannot be read."""

        def ask(call: Callable[[], Value | None]) -> Value | None:
            try:
                return call()
            except PipeError as error:
                self._report.debug(f"A config could not be read. {error.summary}")
                return None

        return self._pool.gather([partial(ask, call) for call in calls])

    def _layer(self, image: Image, name: str) -> Layer:
        """Return the layer of a failure; the largest if it is unknown."""
        for layer in image.layers:
            digests = {layer.diff_id, layer.descriptor.digest if layer.descriptor else layer.diff_id}
            if name in digests | {shorten(each) for each in digests}:
                return layer
        return max(image.layers, key=size_of)

    def _stored(self, source: ImageSource) -> StoredImage:
        """Return the image as it was before anything was split; an Engine's is copied, once."""
        if self._original is None:
            if not source.replayable:
                self._report.info(
                    f"Copying the image ({format_size(source.image.size)}) from Docker Engine to a temporary file, to"
                    " split its layers."
                )
            self._original = self._watched(lambda: source.stored(self._count), source.image.size)
        return self._original

    def _count(self, copied: int) -> None:
        self._copied = copied

    def _split(self, source: ImageSource, sizes: Mapping[str, int]) -> ImageSource:
        stored, threads = self._stored(source), Pool(THREADS, "hash")
        split = self._watched(lambda: split_image(stored, sizes, self._report.info, threads))
        threads.close()
        if not split.layers:
            return source
        self._sizes = dict(sizes)
        self._parts = {part: layer.layer.diff_id for layer in split.layers for part in layer.diff_ids}
        made = SplitSource(split)
        self._announce(split)
        self.result = SplitResult(tuple((layer.layer, len(layer.diff_ids)) for layer in split.layers), split.before)
        return made

    def _announce(self, split: SplitImage) -> None:
        for each in split.layers:
            size = format_size(self._sizes[each.layer.diff_id])
            self._report.info(f"Split {each.layer.label} into {len(each.diff_ids)} parts of at most {size}.")
        if len(split.stored.images) == 1:
            self._report.info(f"The image ID changes: {split.before} → {image_id(split.stored)}")
        else:
            self._report.info(f"The digest of the index, {split.before}, changes.")

    def _watched(self, call: Callable[[], Value], staging: int = 0) -> Value:
        """Make a call in another thread, and log that it goes on.

        An Engine may need to stage `staging` bytes before it sends the first one.

        Raises:
            EngineSaveError: Nothing arrives for longer than can be explained.
        """
        future = apart(call)
        began = line = progress = self._clock()
        copied = self._copied = 0
        while not future.done():
            futures.wait([future], STEP)
            now = self._clock()
            if copied != self._copied:
                copied, progress = self._copied, now
            if staging:
                check_staging(now - progress, staging, self._settings.upload_timeout)
            if now - line >= LINE_EVERY:
                line = now
                what = f"{format_size(copied)} of the image copied" if staging else "reading the layers to split"
                self._report.info(f"{now - began:.0f} s: {what}")
        return future.result()
