"""The results of an image's layers, from the progress and the manifest in the registry."""

from collections.abc import Sequence

from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image, Layer, shorten
from pipe.oci.manifest import Manifest
from pipe.push.progress import Snapshot
from pipe.push.result import LayerResult, LayerStatus, TagResult, TagStatus


def layer_results(
    image: Image, progress: Snapshot, manifest: Manifest | None, tags: Sequence[TagResult]
) -> tuple[LayerResult, ...]:
    """Return the result of each layer, from the lowest up.

    Args:
        image: What was pushed.
        progress: Of the push; a containerd Engine names layers by their blobs, so the manifest is needed to find them.
        manifest: Of the image in the registry, None if it is unknown.
        tags: If nothing was uploaded, they decide: all layers are there, or none.
    """
    blobs: Sequence[Descriptor | None] = [None] * len(image.layers)
    if manifest is not None and len(manifest.layers) == len(image.layers):
        blobs = manifest.layers
    usual = LayerStatus.WAITING if any(each.status is not LayerStatus.WAITING for each in progress.values()) else None
    usual = usual or _common_status(tags)
    return tuple(_result(layer, blob, progress, usual) for layer, blob in zip(image.layers, blobs, strict=True))


def _result(layer: Layer, blob: Descriptor | None, progress: Snapshot, usual: LayerStatus) -> LayerResult:
    by_blob = progress.get(shorten(blob.digest)) if blob else None
    one = progress.get(layer.short_id) or by_blob
    if one is None or (one.status is LayerStatus.WAITING and by_blob is None):
        return LayerResult(layer, usual, blob or layer.descriptor)
    return LayerResult(layer, one.status, blob or one.descriptor or layer.descriptor, one.seconds, one.reused)


def _common_status(tags: Sequence[TagResult]) -> LayerStatus:
    if any(tag.arrived for tag in tags):
        return LayerStatus.ALREADY_THERE
    would = any(tag.status is TagStatus.WOULD_PUSH for tag in tags)
    return LayerStatus.WOULD_UPLOAD if would else LayerStatus.WAITING


def forecast(image: Image, present: frozenset[str]) -> tuple[LayerResult, ...]:
    """Return the expected outcome for each layer, given the diffIDs of those that the registry has."""
    return tuple(
        LayerResult(
            layer,
            LayerStatus.ALREADY_THERE if layer.diff_id in present else LayerStatus.WOULD_UPLOAD,
            layer.descriptor,
        )
        for layer in image.layers
    )
