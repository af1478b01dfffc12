"""What is checked before anything is sent: the sizes of layers, as far as the source knows them."""

from pipe.config.settings import Settings
from pipe.errors import EngineSaveError
from pipe.oci.image import Image
from pipe.push import limits
from pipe.report import Report
from pipe.source.image_source import ImageSource


def check_sizes(source: ImageSource, settings: Settings, report: Report) -> None:
    """Make sure that no layer exceeds the limit, before a byte is sent.

    Raises:
        LayerTooLargeError: A layer does.
    """
    image, limit = source.image, settings.max_layer_size
    if settings.uploader == "engine":
        check_unpacked(image, limit)
    stored_only = any(layer.size is None for layer in image.layers)
    if source.replayable or (stored_only and (image.size > limit or limit < limits.REGISTRY_LIMIT)):
        _check_stored(source, limit, report)


def check_unpacked(image: Image, limit: int) -> None:
    """Reject a layer whose uncompressed size exceeds the limit: an Engine does not know its size before it is sent."""
    layer = limits.oversized(image, limit)
    if layer is not None and layer.size is not None:
        raise limits.too_large_unpacked(layer.label, layer.size, limit)


def _check_stored(source: ImageSource, limit: int, report: Report) -> None:
    """Check blobs that are sent as they are; a containerd store streams them without staging."""
    labels = {layer.descriptor.digest: layer.label for layer in source.image.layers if layer.descriptor is not None}
    try:
        with source.blobs() as blobs:
            for blob in blobs:
                if blob.descriptor is not None and blob.size > limit:
                    label = labels.get(blob.descriptor.digest, f"layer {blob.name}")
                    raise limits.too_large(label, blob.size, limit, sent=False)
    except EngineSaveError as error:
        report.warning(f"Cannot determine compressed layer sizes in advance. {error.summary}")
