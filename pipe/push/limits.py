"""The limits of Bitbucket's container registry, and what breaks them (pure).

Source: Atlassian, "Working with the container registry" (Bitbucket Cloud support): a layer may
have at most 32 GB, an upload times out after 7 minutes.
"""

from pipe.errors import EngineGaveUpError, LayerTooLargeError, PipeError, UploadTooSlowError
from pipe.oci.image import Image, Layer
from pipe.units import format_duration, format_size

REGISTRY_LIMIT = 32 * 10**9
"""Bytes of the largest layer that the registry takes."""
ENDED_BY_REGISTRY = 0.9
"""Share of the timeout after which an upload that the registry ended was ended by its timer: that
starts with the upload's first request, before the Engine reports a byte."""
WARN_AFTER = 0.25
"""Share of the timeout after which a rate is steady enough to foretell the end."""


def above(image: Image, limit: int) -> Layer | None:
    """Find a layer that may be too large.

    A layer's unpacked size is what an Engine with graphdrivers knows. One within the limit fits compressed, too.

    Args:
        image: What is known of the image.
        limit: Bytes that a layer may have.

    Returns:
        The first layer whose unpacked size is above the limit, None where there is none.
    """
    return next((layer for layer in image.layers if layer.size is not None and layer.size > limit), None)


def too_large(label: str, size: int, limit: int, *, unpacked: bool, sent: bool = False) -> LayerTooLargeError:
    """Make the error for a layer above the limit.

    Args:
        label: The layer, as people know it.
        size: Bytes of the layer.
        limit: Bytes that a layer may have.
        unpacked: Whether the size is the unpacked one, of which the stored one may be smaller.
        sent: Whether some of it was sent, so that its size is not known yet.

    Returns:
        The error.
    """
    kind = "unpacked" if unpacked else "stored"
    raised = " If it compresses below the registry's 32 GB, raise MAX_LAYER_SIZE." if unpacked else ""
    over = "more than " if sent else ""
    nothing = "The upload was stopped." if sent else "None of it was sent."
    return LayerTooLargeError(
        f"{label}: {over}{format_size(size)} {kind} ({size} bytes); the limit is {format_size(limit)}"
        f" (MAX_LAYER_SIZE). {nothing}",
        fix=f"Split what this instruction adds across several instructions, or add less.{raised}",
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
        fix="Make the layer smaller: split what its instruction adds across several instructions, leave out"
        " what the image does not need (.dockerignore, a multi-stage build), or push from a machine"
        " with a faster link.",
    )


def refused_as_too_large(error: LayerTooLargeError, labels: list[str]) -> LayerTooLargeError:
    """Make the error for a layer that the registry refused, naming those that it may have meant."""
    if not labels:
        return error
    return LayerTooLargeError(f"{error.cause} (during the upload of {', '.join(labels)})", fix=error.fix)


def given_up(error: PipeError, layer: Layer, *, sent: bool) -> EngineGaveUpError:
    """Make the error for a layer that the Engine tried as often as it does: pushing again will not help.

    Args:
        error: What the last failure means.
        layer: The layer.
        sent: Whether any byte of it was sent.

    Returns:
        The error.
    """
    times = layer.retries + 1
    tried = f"sent {layer.label} {times} times from its first byte" if sent else f"tried {layer.label} {times} times"
    return EngineGaveUpError(f"{error.cause.rstrip('.')}. Docker Engine {tried}.", fix=error.fix)
