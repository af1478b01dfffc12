"""What became of each layer: the Engine's, the registry's and the stream's knowledge brought together (pure)."""

from collections.abc import Sequence

from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image, Layer, shorten
from pipe.oci.manifest import Manifest
from pipe.push.progress import LayerProgress, Progress, State
from pipe.push.result import LayerResult, LayerStatus, TagResult, TagStatus

_STATUS = {
    State.UPLOADED: LayerStatus.UPLOADED,
    State.ALREADY_THERE: LayerStatus.ALREADY_THERE,
    State.MOUNTED: LayerStatus.MOUNTED,
}


def layer_results(
    image: Image | None, progress: Progress | None, manifest: Manifest | None, tags: Sequence[TagResult]
) -> tuple[LayerResult, ...]:
    """Bring together what is known of each layer.

    Args:
        image: From the Engine, None where it was not found.
        progress: Of the push, None where there was none.
        manifest: Of the image in the registry, None where it is not known.
        tags: What became of the tags.

    Returns:
        One result a layer, from the base up.
    """
    if image is None or progress is None:
        return ()
    blobs = manifest.layers if manifest and len(manifest.layers) == len(image.layers) else (None,) * len(image.layers)
    unnamed = None if progress.layers else _unnamed_status(tags)
    return tuple(
        _layer_result(layer, blob, _find(progress, layer, blob), unnamed)
        for layer, blob in zip(image.layers, blobs, strict=True)
    )


def _unnamed_status(tags: Sequence[TagResult]) -> LayerStatus | None:
    """Tell the status of every layer where the Engine pushed nothing: all are there, or none."""
    if any(tag.arrived for tag in tags):
        return LayerStatus.ALREADY_THERE
    return LayerStatus.WOULD_UPLOAD if any(tag.status is TagStatus.WOULD_PUSH for tag in tags) else None


def _find(progress: Progress, layer: Layer, blob: Descriptor | None) -> LayerProgress | None:
    """Find a layer by the name that a graphdriver store gives it, or a containerd store."""
    by_blob = progress.layers.get(shorten(blob.digest)) if blob else None
    return progress.layers.get(layer.short_id) or by_blob


def _layer_result(
    layer: Layer, blob: Descriptor | None, upload: LayerProgress | None, unnamed: LayerStatus | None
) -> LayerResult:
    return LayerResult(
        digest=blob.digest if blob else None,
        size=blob.size if blob else None,
        unpacked_size=layer.size,
        instruction=layer.instruction,
        seconds=round(upload.seconds, 3) if upload and upload.seconds is not None else None,
        status=_STATUS.get(upload.state) if upload else unnamed,
    )
