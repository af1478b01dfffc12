"""What became of each layer, once the manifest in the registry is known (pure)."""

from collections.abc import Sequence

from pipe.oci.image import Layer, LayerStatus, shorten
from pipe.oci.manifest import Manifest
from pipe.push.progress import Progress
from pipe.push.result import TagResult, TagStatus


def settled_layers(
    progress: Progress | None, manifest: Manifest | None, tags: Sequence[TagResult]
) -> tuple[Layer, ...]:
    """Bring together what is known of each layer.

    Args:
        progress: Of the push, None where the image was not found.
        manifest: Of the image in the registry, None where it is not known.
        tags: What became of the tags.

    Returns:
        The layers, from the base up.
    """
    if progress is None:
        return ()
    layers = progress.image_layers
    if manifest is not None and len(manifest.layers) == len(layers):
        for layer, descriptor in zip(layers, manifest.layers, strict=True):
            layer.descriptor = descriptor
            _take_over(layer, progress.layers.get(shorten(descriptor.digest)))
    for layer in layers:
        _take_over(layer, progress.layers.get(layer.short_id))
    if not progress.layers and not any(layer.status is LayerStatus.WOULD_UPLOAD for layer in layers):
        status = _common_status(tags)
        for layer in layers:
            layer.status = status or layer.status
    return layers


def _take_over(layer: Layer, named: Layer | None) -> None:
    """Take what the Engine said of a layer that it names by its blob, or that is twice in the image."""
    if named is not None and named is not layer:
        layer.status, layer.seconds, layer.started = named.status, named.seconds, named.started


def _common_status(tags: Sequence[TagResult]) -> LayerStatus | None:
    """Tell the status of every layer where nothing was uploaded: all are there, or none."""
    if any(tag.arrived for tag in tags):
        return LayerStatus.ALREADY_THERE
    return LayerStatus.WOULD_UPLOAD if any(tag.status is TagStatus.WOULD_PUSH for tag in tags) else None
