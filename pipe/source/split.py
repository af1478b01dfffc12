"""An image with layers that were split: the parts, and the config and manifests that name them.

What is not split keeps its bytes. The cut depends on the layer and the size of a part alone, so the same layer gives
the same parts.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from pipe.errors import CannotSplitError, ContentMismatchError
from pipe.oci.config import image_of
from pipe.oci.descriptor import Descriptor, digest_of
from pipe.oci.image import Image, Layer, labelled
from pipe.oci.manifest import Manifest
from pipe.oci.part_marks import PartMark, marked
from pipe.source.blob import Reader, SourceBlob, StoredImage, in_memory, read_up_to
from pipe.source.compressible import PLAIN_LAYERS
from pipe.source.files import Part
from pipe.source.plain import opened_at, plain_pieces
from pipe.source.rewriting import Entry, entries, identity, with_children, with_layers
from pipe.source.spool import Spool, folder, pieces_of
from pipe.splitting.config import split_config
from pipe.splitting.cut import cut
from pipe.splitting.entries import scan
from pipe.splitting.parts import LayerPart
from pipe.threads import Pool, wait

if TYPE_CHECKING:
    from concurrent.futures import Future

Log = Callable[[str], None]
_AGAIN = "The image was damaged in transit or in its store: build it again."
_UNSPLIT = "Build the image again, or leave SPLIT_LAYERS out."


@dataclass(frozen=True, slots=True)
class SplitLayer:
    """A layer that was split.

    Attributes:
        layer: The layer, as it was.
        diff_ids: Of its parts.
    """

    layer: Layer
    diff_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SplitImage:
    """An image with layers that were split.

    Attributes:
        stored: What is pushed.
        layers: Those that were split, from the lowest up.
        before: The image's ID before: the digest of its config, or of its index.
        checks: Raise ContentMismatchError if a layer is not what the config named; to be called before any manifest is
            put. The layers are hashed while their parts are uploaded.
    """

    stored: StoredImage
    layers: tuple[SplitLayer, ...]
    before: str
    checks: tuple[Callable[[], None], ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """One part as a blob; its `diff_id` is known."""

    blob: SourceBlob
    mark: PartMark


Parts = Mapping[str, Sequence[_Part]]
"""The parts of layers, by the layers' diffIDs."""


def split_image(stored: StoredImage, sizes: Mapping[str, int], log: Log, pool: Pool) -> SplitImage:
    """Split layers.

    Args:
        stored: The image; its blobs can be read several times.
        sizes: Maximum bytes of a part, by diffID of the layers to split.
        log: Receives what takes time.
        pool: Threads that read and hash.

    Returns:
        The image; a layer that fits one part is left as it is.

    Raises:
        CannotSplitError: A layer has an entry that is larger than a part, or the image would have too many layers, or
            its index has attestations.
        SpoolError: A compressed layer does not fit on the disk.
        ContentMismatchError: A layer is damaged.
    """
    blobs = {blob.key: blob for blob in stored.blobs}
    wanted = {layer.diff_id: layer for image in stored.images for layer in image.layers if layer.diff_id in sizes}
    if wanted:
        _refuse_attestations(stored.manifests)
        _refuse_windows(stored.images)
    parts: dict[str, list[_Part]] = {}
    checks: list[Callable[[], None]] = []
    for diff_id, layer in wanted.items():
        blob = blobs[layer.descriptor.digest if layer.descriptor else diff_id]
        cut_parts = _parts(layer, _plain(layer, blob, log), sizes[diff_id], pool, checks)
        if len(cut_parts) > 1:
            parts[diff_id] = cut_parts
    return replace(_with_parts(stored, parts), checks=tuple(checks))


def _refuse_attestations(manifests: Sequence[Manifest]) -> None:
    if any(child.is_attestation for manifest in manifests for child in manifest.manifests):
        raise CannotSplitError(
            "the image's index has attestations (provenance or SBOM), which name the digests of the unsplit image.",
            fix="Build it without them (docker buildx build --provenance=false --sbom=false), or leave SPLIT_LAYERS"
            " out.",
        )


def _refuse_windows(images: Sequence[Image]) -> None:
    """Refuse images of Windows, which reads a layer as a whole; source: hcsshim, `internal/wclayer`."""
    if any(image.platform and image.platform.os == "windows" for image in images):
        raise CannotSplitError("an image for Windows needs its layers as they are.", fix="Leave SPLIT_LAYERS out.")


def _plain(layer: Layer, blob: SourceBlob, log: Log) -> SourceBlob:
    """Return the plain bytes of a layer, of which a copy is made if they are compressed."""
    if layer.descriptor is None or layer.descriptor.digest == layer.diff_id:
        return blob
    log(f"Decompressing {layer.label} to {folder()}, to split it.")
    spool = Spool(f"The decompressed {layer.label}", plain_pieces(blob))
    return SourceBlob(blob.name, spool.size, layer.diff_id, None, spool.open)


def _parts(layer: Layer, plain: SourceBlob, size: int, pool: Pool, checks: list[Callable[[], None]]) -> list[_Part]:
    """Cut one layer, and hash its parts; `checks` receives what is still to be checked."""
    reopen, watch = partial(opened_at, plain.open), _Watch(layer, plain.open)
    whole = pool.submit(lambda: _digest(plain.open))
    try:
        parts = cut(scan(plain.open(), reopen=reopen, size=plain.size), size)
    except CannotSplitError as error:
        raise CannotSplitError(f"{layer.label}: {error.cause.rstrip('.')}.", fix=error.fix or _UNSPLIT) from error
    if len(parts) == 1:
        return []
    opens = [partial(watch.opened, part, reopen) for part in parts]
    diff_ids = pool.gather(partial(_digest, each) for each in opens)
    checks.append(partial(_check_whole, layer, whole))
    mark = PartMark(layer.diff_id, size)
    return [
        _Part(SourceBlob(_name(layer, part), part.size, diff_id, None, each, is_verified=True), mark)
        for part, diff_id, each in zip(parts, diff_ids, opens, strict=True)
    ]


def _check_whole(layer: Layer, digest: "Future[str]") -> None:
    found = wait(digest)
    if found != layer.diff_id:
        raise ContentMismatchError(
            f"{layer.label} has the diffID {found}, but its image names {layer.diff_id}.", fix=_AGAIN
        )


class _Watch:
    """Makes sure that the file of a layer does not change after its parts were hashed."""

    def __init__(self, layer: Layer, open_plain: Callable[[], Reader]) -> None:
        self._label = layer.label
        file = open_plain()
        self._file = file if isinstance(file, Part) else None
        self._modified = self._file.modified if self._file else 0

    def opened(self, part: LayerPart, reopen: Callable[[int], Reader]) -> Reader:
        """Open a part."""
        return _WatchedReader(part.read(reopen), self.check)

    def check(self) -> None:
        """Raise if the file changed."""
        if self._file is not None and self._file.modified != self._modified:
            raise ContentMismatchError(f"The file of {self._label} changed during the push.", fix=_AGAIN)


class _WatchedReader:
    """Reads bytes, and checks at their end that they are still those that were hashed."""

    def __init__(self, reader: Reader, check: Callable[[], None]) -> None:
        self._reader = reader
        self._check = check

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes into the buffer."""
        length = self._reader.readinto(buffer)
        if not length:
            self._check()
        return length


def _name(layer: Layer, part: LayerPart) -> str:
    return f"part {part.number} of {part.count} of {layer.label}"


def _digest(open_bytes: Callable[[], Reader]) -> str:
    digest = hashlib.sha256()
    for piece in pieces_of(open_bytes()):
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def _with_parts(stored: StoredImage, parts: Parts) -> SplitImage:
    """Return the image with parts in place of layers."""
    several = len(stored.images) > 1
    split = tuple(
        SplitLayer(layer, tuple(part.blob.key for part in parts[layer.diff_id]))
        for image in stored.images
        for layer in (labelled(image) if several else image).layers
        if layer.diff_id in parts
    )
    if not split:
        return SplitImage(stored, (), image_id(stored))
    blobs = {blob.key: [blob] for blob in stored.blobs}
    became: dict[str, Manifest] = {}
    images = []
    config = stored.config
    for image in stored.images:
        own = [layer for layer in image.layers if layer.diff_id in parts]
        for layer in own:
            blobs[layer.descriptor.digest if layer.descriptor else layer.diff_id] = [
                part.blob for part in parts[layer.diff_id]
            ]
        manifest = next((each for each in stored.manifests if image.id in {each.digest, each.config}), None)
        if manifest is None or manifest.config_descriptor is None:
            config = _config(image, parts, stored.config)
            images.append(_image(image, parts, config))
        elif own:
            named = manifest.config_descriptor
            [before] = blobs[named.digest]
            new_config = _config(image, parts, read_up_to(before.open(), before.size))
            made = in_memory(before.name, named.media_type, new_config)
            blobs[named.digest] = [made]
            became[manifest.digest] = _manifest(manifest, image, parts, made)
            images.append(_image(image, parts, new_config))
        else:
            images.append(image)
    manifests = []
    for manifest in stored.manifests:
        made_of = with_children(became.get(manifest.digest, manifest), became)
        if made_of is not manifest:
            became[manifest.digest] = made_of
        manifests.append(made_of)
    replaced = tuple(each for blob in stored.blobs for each in blobs[blob.key])
    return SplitImage(StoredImage(tuple(manifests), config, replaced, tuple(images)), split, image_id(stored))


def image_id(stored: StoredImage) -> str:
    """Return an image's ID as Docker counts it: the digest of its config; that of the index if there are several."""
    if len(stored.images) != 1:
        return stored.manifests[-1].digest
    [image] = stored.images
    return next((each.config for each in stored.manifests if image.id == each.digest and each.config), image.id)


def _config(image: Image, parts: Parts, before: bytes) -> bytes:
    numbers = {layer.number: parts[layer.diff_id] for layer in image.layers if layer.diff_id in parts}
    diff_ids = {number: [part.blob.key for part in own] for number, own in numbers.items()}
    marks = [part.mark if part else None for layer in image.layers for part in parts.get(layer.diff_id, [None])]
    named = {number: mark for number, mark in enumerate(marks, start=1) if mark}
    return marked(split_config(before, diff_ids), named)


def _image(image: Image, parts: Parts, config: bytes) -> Image:
    """Return what is known of an image with parts; its config identifies it, since the manifest is not known yet."""
    stored: list[Descriptor | None] = []
    sizes: list[int | None] = []
    for layer in image.layers:
        own = parts.get(layer.diff_id)
        stored += [None] * len(own) if own else [layer.descriptor]
        sizes += [part.blob.size for part in own] if own else [layer.size]
    made = image_of(digest_of(config), config, stored, sizes)
    return image._replace(id=made.id, layers=made.layers, size=image.size)


def _manifest(manifest: Manifest, image: Image, parts: Parts, config: SourceBlob) -> Manifest:
    """Return the manifest with the parts as plain layers; what they are compressed to is not known yet."""
    layers: list[Entry] = []
    for entry, layer in zip(entries(manifest), image.layers, strict=True):
        own = [part.blob for part in parts.get(layer.diff_id, [])]
        plain = PLAIN_LAYERS[manifest.media_type]
        layers += [identity(Descriptor(plain, part.key, part.size)) for part in own] or [entry]
    return with_layers(manifest, layers, config.descriptor)
