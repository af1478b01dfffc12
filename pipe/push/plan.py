"""Which pushers bring an image to the registry, and when an Engine's push is worth ending: decisions on facts only.

An Engine compresses each layer on one core, and does not know what the registry has. The pipe compresses
faster and knows what is there, but makes the Engine stage a copy of the image first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from pipe.engine.kind import GO_GZIP, EngineKind
from pipe.oci.image import Image
from pipe.push import limits
from pipe.push.progress import Snapshot, uploading
from pipe.push.result import ARRIVED, LayerStatus
from pipe.units import format_duration

ENGINE_UPLOADS = 5
"""Layers that an Engine pushes at once; source: moby, `distribution/config.go`, `max-concurrent-uploads`."""
STAGING = 130e6
"""Bytes a second at which an Engine stages an image for `GET /images/{name}/get`: 130 to 310 MB measured."""
COMPRESSING = 300e6
"""Uncompressed bytes a second that the pipe reads, compresses and sends: 300 to 450 MB measured on two
cores that it shares with Engine and registry."""
WORTH = 1.5
"""How many times faster than the Engine the pipe must be before the Engine's push is ended."""
WORTH_SECONDS = 3.0
"""Seconds that ending the Engine's push must save."""
BEGIN_WORTH_SECONDS = 0.2
"""Seconds that not starting with the Engine must save: about the variation between two runs."""
BEGIN_WITHIN = 1.0
"""Seconds that the pipe may need if it starts: the most that is lost if only the Engine knew that the registry has
the layers."""
_SHORT, _MINUTE = 10, 59.5


class Kind(Enum):
    """Who pushes."""

    ENGINE = "engine"
    REGISTRY = "pipe"


@dataclass(frozen=True, slots=True)
class Step:
    """One pusher of a plan.

    Attributes:
        kind: Who pushes.
        reason: Why, for the log; "" if there is nothing to explain.
        hands_over: Whether an Engine's push ends if the next pusher would be clearly faster.
    """

    kind: Kind
    reason: str = ""
    hands_over: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that a plan depends on.

    Attributes:
        image: The image.
        uploader: The user's choice: "auto", "engine" or "pipe".
        in_engine: Whether an Engine has the image.
        reachable: Whether the pipe itself reaches the registry.
        max_layer_size: Bytes that a stored layer may have.
        kind: What the Engine is; only looked at for small images.
        known: DiffIDs of layers that the registry has; only looked at for small images.
    """

    image: Image
    uploader: str
    in_engine: bool
    reachable: bool
    max_layer_size: int
    kind: EngineKind = field(default_factory=EngineKind)
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PendingLayer:
    """A layer that the Engine is sending or will send.

    Attributes:
        label: The layer.
        size: Uncompressed bytes that are left.
        known: Whether the registry has it, so that the pipe would not send it.
    """

    label: str
    size: int
    known: bool = False


def plan(facts: Facts) -> tuple[Step, ...]:
    """Return the pushers to try, in order: the next one is tried if one cannot push."""
    if not facts.in_engine or facts.uploader == "pipe":
        return (Step(Kind.REGISTRY),)
    if facts.uploader == "engine" or not facts.reachable:
        return (Step(Kind.ENGINE),)
    layer = limits.oversized(facts.image, facts.max_layer_size)
    if layer is not None:
        return Step(Kind.REGISTRY, f"Uploading directly, to check the compressed size of {layer.label}."), _ENGINE
    if may_start(facts.image):
        missing = [
            PendingLayer(each.label, each.size or 0) for each in facts.image.layers if each.diff_id not in facts.known
        ]
        reason = reason_to_start(missing, facts.image.size, facts.kind)
        if reason is not None:
            return Step(Kind.REGISTRY, reason), _ENGINE
    return Step(Kind.ENGINE, hands_over=True), Step(Kind.REGISTRY), _ENGINE


_ENGINE = Step(Kind.ENGINE)


def may_start(image: Image) -> bool:
    """Return whether the pipe may push an image before an Engine has tried; if not, no further facts are needed."""
    small = image.size / GO_GZIP >= BEGIN_WORTH_SECONDS and image.size / STAGING <= BEGIN_WITHIN
    return small and all(layer.size is not None for layer in image.layers)


def reason_to_start(layers: Sequence[PendingLayer], image_size: int, kind: EngineKind) -> str | None:
    """Return why the pipe pushes a small image from the start; None if the Engine should.

    Args:
        layers: Those that the registry is not known to have.
        image_size: Uncompressed bytes of the whole image.
        kind: What the Engine is.
    """
    if kind.containerd or pipe_seconds(layers, image_size) > BEGIN_WITHIN:
        return None
    return _gain(layers, image_size, kind, BEGIN_WORTH_SECONDS)


def reason_to_hand_over(
    layers: Sequence[PendingLayer], image_size: int, kind: EngineKind, timeout: float
) -> str | None:
    """Return why the pipe should push in place of the Engine, which has begun; None if the Engine should go on.

    Args:
        layers: Those that the Engine is sending or will send.
        image_size: Uncompressed bytes of the whole image.
        kind: What the Engine is.
        timeout: Seconds that one layer's upload may take.
    """
    if kind.containerd or not layers:
        return None
    largest = max(layers, key=lambda layer: layer.size)
    alone = largest.size / kind.rate
    if alone >= timeout:
        return (
            f"Uploading {largest.label} directly: Docker Engine would take about {_rounded(alone)} to compress it, and"
            f" the registry times out after {format_duration(timeout)}."
        )
    return _gain(layers, image_size, kind, WORTH_SECONDS)


def pending_layers(image: Image, layers: Snapshot, known: frozenset[str]) -> list[PendingLayer]:
    """List the layers that an Engine has not sent yet.

    Layers that the registry has and that wait for their turn count as present, unless the Engine is already
    sending such a layer: then it does not know that the registry has them, and will send them all.
    """
    unaware = any(one.layer.diff_id in known for one in uploading(layers).values())
    pending = []
    for layer in image.layers:
        one = layers.get(layer.short_id)
        status, sent = (one.status, one.sent) if one else (LayerStatus.WAITING, 0)
        if status in ARRIVED or (status is LayerStatus.WAITING and layer.diff_id in known and not unaware):
            continue
        pending.append(PendingLayer(layer.label, max(0, (layer.size or 0) - sent), layer.diff_id in known))
    return pending


def is_compressing(sent: int, seconds: float, kind: EngineKind) -> bool:
    """Return whether compression, not the link, limits an Engine's upload: it is at least half as fast as its gzip.

    Args:
        sent: Uncompressed bytes of the layer that it sent.
        seconds: Since the upload began.
        kind: What the Engine is.
    """
    return not kind.containerd and seconds > 0 and sent / seconds >= kind.rate / 2


def engine_seconds(layers: Sequence[PendingLayer], kind: EngineKind) -> float:
    """Estimate the seconds that the Engine needs to compress layers; 0 if there is nothing to compress."""
    if kind.containerd or not layers:
        return 0.0
    sizes = [layer.size for layer in layers]
    at_once = min(kind.cpus or 1, ENGINE_UPLOADS)
    return max(*sizes, sum(sizes) / at_once) / kind.rate


def pipe_seconds(layers: Sequence[PendingLayer], image_size: int) -> float:
    """Estimate the seconds of the pipe's own upload on a fast link, with the staging of an image of `image_size`."""
    return image_size / STAGING + sum(layer.size for layer in layers if not layer.known) / COMPRESSING


def _gain(layers: Sequence[PendingLayer], image_size: int, kind: EngineKind, at_least: float) -> str | None:
    engine, pipe = engine_seconds(layers, kind), pipe_seconds(layers, image_size)
    if engine < WORTH * pipe or engine - pipe < at_least:
        return None
    if any(layer.known for layer in layers):
        return "Uploading directly: Docker Engine would send layers that the registry already has."
    largest = max(layers, key=lambda layer: layer.size)
    alone = largest.size / kind.rate >= engine
    what, them = (largest.label, "it") if alone else (f"{len(layers)} layers", "them")
    return f"Uploading {what} directly: Docker Engine would take about {_rounded(engine)} to compress {them}."


def _rounded(seconds: float) -> str:
    """Write an estimate, without tenths of seconds unless it is short."""
    return f"{seconds:.0f} s" if _SHORT <= seconds < _MINUTE else format_duration(seconds)
