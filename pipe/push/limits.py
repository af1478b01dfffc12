"""The limits of Bitbucket's container registry, and what breaks them (pure).

Source: Atlassian, "Working with the container registry" (Bitbucket Cloud support): a layer may
have at most 32 GB, an upload times out after 7 minutes.
"""

from pipe.errors import LayerTooLargeError, UploadTooSlowError
from pipe.oci.image import Image
from pipe.units import format_duration, format_size

ENDED_BY_REGISTRY = 0.9
"""Share of the timeout after which an upload that the registry ended was ended by its timer: that
starts with the upload's first request, before the Engine reports a byte."""
WARN_AFTER = 0.25
"""Share of the timeout after which a rate is steady enough to foretell the end."""


def check_layers(image: Image, limit: int) -> None:
    """Refuse an image with a layer that cannot fit, before a byte is sent.

    A layer's unpacked size is what the Engine knows. One within the limit fits compressed, too.

    Args:
        image: What the Engine says of the image.
        limit: Bytes that a layer may have.

    Raises:
        LayerTooLargeError: A layer's unpacked size is above the limit.
    """
    for layer in image.layers:
        if layer.size is not None and layer.size > limit:
            raise too_large(layer.label, layer.size, limit, unpacked=True)


def too_large(label: str, size: int, limit: int, *, unpacked: bool) -> LayerTooLargeError:
    """Make the error for a layer above the limit.

    Args:
        label: The layer, as people know it.
        size: Bytes of the layer.
        limit: Bytes that a layer may have.
        unpacked: Whether the size is the unpacked one, of which the stored one may be smaller.

    Returns:
        The error.
    """
    kind = "unpacked" if unpacked else "stored"
    raised = " If it compresses below the registry's 32 GB, raise MAX_LAYER_SIZE." if unpacked else ""
    return LayerTooLargeError(
        f"{label} has {format_size(size)} {kind} ({size} bytes); the limit is {format_size(limit)}"
        f" (MAX_LAYER_SIZE). Nothing of it was sent.",
        fix=f"Split what this instruction adds over several instructions, or add less.{raised}",
    )


def too_slow(label: str, sizes: tuple[int, int], seconds: float, limit: float) -> UploadTooSlowError:
    """Make the error for an upload that passes the registry's timeout.

    Args:
        label: The layer, as people know it.
        sizes: Bytes sent so far, and bytes of the layer, 0 where unknown.
        seconds: How long the upload lasted.
        limit: Seconds that an upload may last.

    Returns:
        The error.
    """
    sent, size = sizes
    rate = sent / seconds if seconds > 0 else 0.0
    if 0 < size <= sent:
        needed = "; the registry has not confirmed it"
    else:
        needed = f"; all of it would need {format_duration(size / rate)}" if rate and size else ""
    of = f" of {format_size(size)}" if size else ""
    return UploadTooSlowError(
        f"{label}: {format_size(sent)}{of} sent in {format_duration(seconds)}, {format_size(rate)}/s{needed}."
        f" The registry ends an upload after {format_duration(limit)} (UPLOAD_TIMEOUT).",
        fix="Make the layer smaller: split what its instruction adds over several instructions, leave out"
        " what the image does not need (.dockerignore, a multi-stage build), or push from a machine"
        " with a faster link.",
    )
