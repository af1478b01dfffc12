"""The limits of Bitbucket's container registry, and the errors for what exceeds them.

Source: Atlassian, "Working with the container registry" (Bitbucket Cloud support): a layer may
have at most 32 GB, an upload times out after 7 minutes.
"""

from collections.abc import Sequence

from pipe.errors import EngineGaveUpError, LayerTooLargeError, PipeError, UploadTooSlowError
from pipe.oci.image import Image, Layer
from pipe.units import format_duration, format_size

REGISTRY_LIMIT = 32 * 10**9
"""Bytes of the largest layer that the registry accepts."""
ENDED_BY_REGISTRY = 0.9
"""Share of the time limit after which a failed upload counts as ended by the registry's timer: that timer
starts with the upload's first request, before an Engine reports a byte."""
WARN_AFTER = 0.25
"""Share of the time limit after which a rate is steady enough for an estimate."""


def oversized(image: Image, limit: int) -> Layer | None:
    """Return the first layer whose uncompressed size exceeds the limit, None if there is none.

    A graphdriver Engine knows uncompressed sizes only. A layer within the limit also fits when compressed.
    """
    return next((layer for layer in image.layers if layer.size is not None and layer.size > limit), None)


def too_large_unpacked(label: str, size: int, limit: int) -> LayerTooLargeError:
    """Return the error for a layer whose compressed size cannot be known before an Engine sends it."""
    return LayerTooLargeError(
        f"{label}: {_sizes(size, 'uncompressed', limit)} Nothing was uploaded.",
        fix=f"{_SPLIT} If it compresses below the registry's 32 GB, raise MAX_LAYER_SIZE.",
    )


def too_large(label: str, size: int, limit: int, *, sent: bool) -> LayerTooLargeError:
    """Return the error for a layer whose stored size exceeds the limit; `sent`: it is being uploaded."""
    what = "The upload was stopped." if sent else "Nothing was uploaded."
    return LayerTooLargeError(f"{label}: {_sizes(size, 'stored', limit)} {what}", fix=_SPLIT)


def grown_too_large(label: str, size: int, limit: int, *, sent: bool) -> LayerTooLargeError:
    """Return the error for a layer that exceeds the limit while it is compressed, `size` bytes so far."""
    what = "The upload was stopped." if sent else "Nothing of it was uploaded."
    return LayerTooLargeError(
        f"{label}: more than {format_size(limit)} ({limit} bytes) compressed, the limit set by MAX_LAYER_SIZE;"
        f" {format_size(size)} when the pipe stopped reading it. {what}",
        fix=_SPLIT,
    )


_SPLIT = (
    "Split this instruction into several, or add fewer files; or set SPLIT_LAYERS: auto, which splits the layer and"
    " thereby changes the image's ID."
)


def _sizes(size: int, kind: str, limit: int) -> str:
    return f"{format_size(size)} {kind} ({size} bytes); the limit is {format_size(limit)} (MAX_LAYER_SIZE)."


def too_slow(label: str, sizes: tuple[int, int], seconds: float, limit: float) -> UploadTooSlowError:
    """Return the error for an upload that exceeds the registry's time limit.

    Args:
        label: The layer.
        sizes: Bytes sent so far, and bytes of the layer (0 if unknown).
        seconds: Duration of the upload.
        limit: Seconds that an upload may take.
    """
    sent, size = sizes
    rate = sent / seconds if seconds > 0 else 0.0
    if 0 < size <= sent:
        needed = "; the registry has not confirmed it"
    else:
        needed = f"; the whole layer would take {format_duration(size / rate)}" if rate and size else ""
    of = f" of {format_size(size)}" if size else ""
    return UploadTooSlowError(
        f"{label}: {format_size(sent)}{of} sent in {format_duration(seconds)}, {format_size(rate)}/s{needed}."
        f" The registry times out after {format_duration(limit)} (UPLOAD_TIMEOUT).",
        fix="Make the layer smaller: split its instruction into several, leave out what the image does not need"
        " (.dockerignore, a multi-stage build), or push from a machine with a faster link; or set SPLIT_LAYERS: auto,"
        " which splits the layer and thereby changes the image's ID.",
    )


def rejected_as_too_large(error: LayerTooLargeError, labels: Sequence[str]) -> LayerTooLargeError:
    """Return the error for a layer that the registry rejected, with the layers that it may have meant."""
    if not labels:
        return error
    return LayerTooLargeError(f"{error.cause} (during the upload of {', '.join(labels)})", fix=error.fix)


def given_up(error: PipeError, layer: Layer, retries: int, *, sent: bool) -> EngineGaveUpError:
    """Return the error for a layer that the Engine retried as often as it does: another push will not help.

    `error` is the meaning of the last failure; `sent` if any byte of the layer was.
    """
    what = f"restarted the upload of {layer.label}" if sent else f"tried to upload {layer.label}"
    times = retries if sent else retries + 1
    return EngineGaveUpError(f"{error.cause.rstrip('.')}. Docker Engine {what} {times} times.", fix=error.fix)
