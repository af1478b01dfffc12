"""Who pushes: whether the pipe's own upload is worth ending the Engine's push for (pure).

An Engine compresses one layer on one core, and forgets with its step what the registry has. The pipe
compresses faster and knows what is there, but has the Engine stage a copy of the whole image first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipe.engine.kind import GO_GZIP, EngineKind
from pipe.units import format_duration

ENGINE_UPLOADS = 5
"""Layers that an Engine pushes at once; source: moby, `distribution/config.go`, `max-concurrent-uploads`."""
STAGING = 130e6
"""Bytes a second at which an Engine stages an image for `GET /images/{name}/get`: 130 to 310 MB measured."""
COMPRESSING = 300e6
"""Unpacked bytes a second that the pipe reads, compresses and sends: 300 to 450 MB measured on two
cores that Engine and registry use, too."""
WORTH = 1.5
"""Times as fast as the Engine that the pipe has to promise before its push is ended."""
WORTH_SECONDS = 3.0
"""Seconds that ending the Engine's push has to save."""
BEGIN_WORTH_SECONDS = 0.2
"""Seconds that not beginning with the Engine has to save: about what else varies between two runs."""
BEGIN_WITHIN = 1.0
"""Seconds that the pipe may need where it begins: so much is lost at most where the Engine alone knew that the
registry has the layers."""

_SHORT, _MINUTE = 10, 59.5


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A layer that the Engine sends now, or is going to.

    Attributes:
        label: The layer as people know it.
        size: Unpacked bytes.
        known: Whether the registry has it, so that the pipe would not send it.
    """

    label: str
    size: int
    known: bool = False


def is_compressing(sent: int, seconds: float, kind: EngineKind) -> bool:
    """Tell whether it is compression that an Engine's upload is slow by, not the link.

    Args:
        sent: Unpacked bytes of the layer that it sent.
        seconds: Since the upload began.
        kind: What the Engine is.

    Returns:
        Whether it goes at least half as fast as such an Engine compresses.
    """
    return not kind.containerd and seconds > 0 and sent / seconds >= kind.rate / 2


def engine_seconds(layers: Sequence[Outstanding], kind: EngineKind) -> float:
    """Estimate how long the Engine compresses.

    Args:
        layers: Those that it sends.
        kind: What it is.

    Returns:
        Seconds; 0 where it has nothing to compress.
    """
    if kind.containerd or not layers:
        return 0.0
    sizes = [layer.size for layer in layers]
    at_once = min(kind.cpus or 1, ENGINE_UPLOADS)
    return max(*sizes, sum(sizes) / at_once) / kind.rate


def pipe_seconds(layers: Sequence[Outstanding], image_size: int) -> float:
    """Estimate how long the pipe's own upload takes, the network apart.

    Args:
        layers: Those that the Engine sends; the pipe sends those of them that the registry does not have.
        image_size: Unpacked bytes of all the image, which the Engine stages.

    Returns:
        Seconds.
    """
    return image_size / STAGING + sum(layer.size for layer in layers if not layer.known) / COMPRESSING


def may_begin(image_size: int) -> bool:
    """Tell whether the pipe may begin with an image of so many unpacked bytes; else nothing need be asked for."""
    return image_size / GO_GZIP >= BEGIN_WORTH_SECONDS and image_size / STAGING <= BEGIN_WITHIN


def reason_to_begin(layers: Sequence[Outstanding], image_size: int, kind: EngineKind) -> str | None:
    """Decide whether the pipe uploads a small image itself, before the Engine has begun to tell what it sends.

    Args:
        layers: Those that the registry is not known to have.
        image_size: Unpacked bytes of all the image.
        kind: What the Engine is.

    Returns:
        Why, for people; None where the Engine is to begin.
    """
    if kind.containerd or pipe_seconds(layers, image_size) > BEGIN_WITHIN:
        return None
    return _gain(layers, image_size, kind, BEGIN_WORTH_SECONDS)


def reason_to_take_over(layers: Sequence[Outstanding], image_size: int, kind: EngineKind, timeout: float) -> str | None:
    """Decide whether the pipe takes over from the Engine.

    Args:
        layers: Those that the Engine sends, or is going to.
        image_size: Unpacked bytes of all the image.
        kind: What the Engine is.
        timeout: Seconds that one layer's upload may last.

    Returns:
        Why, for people; None where the Engine had better go on.
    """
    if kind.containerd or not layers:
        return None
    largest = max(layers, key=lambda layer: layer.size)
    alone = largest.size / kind.rate
    if alone >= timeout:
        return (
            f"Docker Engine would need about {_rounded(alone)} to compress {largest.label}, and the registry"
            f" ends an upload after {format_duration(timeout)}; the pipe uploads it itself."
        )
    return _gain(layers, image_size, kind, WORTH_SECONDS)


def _gain(layers: Sequence[Outstanding], image_size: int, kind: EngineKind, at_least: float) -> str | None:
    engine, pipe = engine_seconds(layers, kind), pipe_seconds(layers, image_size)
    if engine < WORTH * pipe or engine - pipe < at_least:
        return None
    if any(layer.known for layer in layers):
        return "Docker Engine would send layers that the registry has; the pipe uploads only what is missing."
    largest = max(layers, key=lambda layer: layer.size)
    alone = largest.size / kind.rate >= engine
    what, them = (largest.label, "it") if alone else (f"{len(layers)} layers", "them")
    return f"Docker Engine would need about {_rounded(engine)} to compress {what}; the pipe uploads {them} itself."


def _rounded(seconds: float) -> str:
    """Write an estimate, which has no tenths of seconds unless it is short."""
    return f"{seconds:.0f} s" if _SHORT <= seconds < _MINUTE else format_duration(seconds)
