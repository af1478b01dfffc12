"""Which pushers bring an image to the registry, and when an Engine's push is worth ending: decisions on facts only.

An Engine compresses each layer on one core, and does not know what the registry has. The pipe compresses
faster and knows what is there, but makes the Engine stage a copy of the image first.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pipe.engine.kind import GO_GZIP, EngineKind
from pipe.engine.staging import STAGING, first_byte, prefix_bytes
from pipe.oci.image import Image
from pipe.push import limits
from pipe.push.progress import Snapshot, uploading
from pipe.push.result import ARRIVED, LayerStatus
from pipe.push.step import Kind, Step
from pipe.registry.repository import LONG_ROUND_TRIP
from pipe.units import format_duration

ENGINE_UPLOADS = 5
"""Layers that an Engine pushes at once; source: moby, `distribution/config.go`, `max-concurrent-uploads`."""
COMPRESSING = 300e6
"""Uncompressed bytes a second that the pipe reads, compresses and sends: 300 to 450 MB measured on two
cores that it shares with Engine and registry."""
WORTH = 1.5
"""How many times faster than the Engine the pipe must be before the Engine's push is ended."""
WORTH_SECONDS = 2.0
"""Seconds that ending the Engine's push must save."""
LINK_BOUND = 0.5
"""Share of its gzip's rate below which an Engine waits for the link. Engines that share their cores with a registry
reach two thirds of it, a link of 50 Mbit/s lets two cores reach a third."""
BEGIN_WORTH_SECONDS = 0.2
"""Seconds that not starting with the Engine must save: about the variation between two runs."""
BEGIN_WITHIN = 1.0
"""Seconds before the pipe's first byte that are always worth it: on a link that limits both, the most that is lost."""
DELAY = 0.15
"""The same as a share of the Engine's shortest time."""
MOST_STAGED = 2_000_000_000
"""Bytes of an image that an Engine stages while it pushes, perhaps in vain: that saves a second of any image."""
BRIEF = 8_000_000
"""Bytes of a layer that an Engine compresses in a third of a second: before it is known what it waits for."""
ENGINE_TRIPS = 14
"""Round trips of an Engine's push of new layers that follow each other, with the proof of what it pushed; counted with
Engine 20.10, CNCF Distribution and four layers."""
PIPE_TRIPS = 5
"""The same of the pipe's own upload: a blob's HEAD, POST and PUT, the manifest, the proof."""
_KNOWN = "Uploading directly: Docker Engine would send layers that the registry already has."
_FAR = "Uploading directly: the registry takes {:.0f} ms to answer, and the pipe needs fewer answers."
_SHORT, _MINUTE = 10, 59.5


class Facts(NamedTuple):
    """The facts that a plan depends on.

    Attributes:
        image: The image.
        uploader: The user's choice: "auto", "engine" or "pipe".
        in_engine: Whether an Engine has the image.
        reachable: Whether the pipe itself reaches the registry.
        max_layer_size: Bytes that a stored layer may have.
        kind: What the Engine is; only looked at if the pipe may start.
        known: DiffIDs of layers that the registry has; only looked at if the pipe may start.
        by_pipe: DiffIDs of layers that the pipe itself brought there, as far as that is known.
        splits: Whether layers that exceed a limit may be split.
        round_trip: Seconds that the registry takes to answer at least; only looked at if the pipe may start.
    """

    image: Image
    uploader: str
    in_engine: bool
    reachable: bool
    max_layer_size: int
    kind: EngineKind = EngineKind()
    known: frozenset[str] = frozenset()
    by_pipe: frozenset[str] = frozenset()
    splits: bool = False
    round_trip: float = 0.0


class PendingLayer(NamedTuple):
    """A layer that the Engine is sending or will send.

    Attributes:
        label: The layer.
        size: Uncompressed bytes that are left.
        known: Whether the registry has it, so that the pipe would not send it.
    """

    label: str
    size: int
    known: bool = False


class Pending(NamedTuple):
    """What is left of an Engine's push, and what the pipe would send instead.

    Attributes:
        layers: Those that the Engine is sending or will send.
        to_send: Uncompressed bytes that the pipe would send.
        measured: Whether it is known by now what the Engine waits for.
        link: Uncompressed bytes a second that the link carries, if the Engine waits for it; None if it does not.
    """

    layers: Sequence[PendingLayer]
    to_send: int
    measured: bool = True
    link: float | None = None

    @property
    def mostly_known(self) -> bool:
        """Whether the registry has most of what the Engine would send."""
        return sum(layer.size for layer in self.layers if layer.known) * 2 > sum(layer.size for layer in self.layers)


def plan(facts: Facts) -> tuple[Step, ...]:
    """Return the pushers to try, in order: the next one is tried if one cannot push.

    The last one may split layers; see `pipe.push.step`.
    """
    return (*_unsplit(facts), _SPLIT) if facts.splits and facts.reachable else _unsplit(facts)


def _unsplit(facts: Facts) -> tuple[Step, ...]:
    if not facts.in_engine or facts.uploader == "pipe":
        return (Step(Kind.REGISTRY),)
    if facts.uploader == "engine" or not facts.reachable:
        return (Step(Kind.ENGINE),)
    layer = limits.oversized(facts.image, facts.max_layer_size)
    if layer is not None:
        return Step(Kind.REGISTRY, f"Uploading directly, to check the compressed size of {layer.label}."), _ENGINE
    if may_start(facts.image, facts.round_trip):
        # The Engine may know that the registry has a layer; if it sends one nevertheless, the pipe takes over.
        aware = facts.known - facts.by_pipe
        expected = [
            PendingLayer(each.label, each.size or 0, each.diff_id in facts.known)
            for each in facts.image.layers
            if each.diff_id not in aware
        ]
        reason = reason_to_start(expected, facts.image, facts.kind, facts.round_trip)
        if reason is not None:
            return Step(Kind.REGISTRY, reason), _ENGINE
    return Step(Kind.ENGINE, hands_over=True), Step(Kind.REGISTRY), _ENGINE


_ENGINE = Step(Kind.ENGINE)
_SPLIT = Step(Kind.REGISTRY, splits=True)


def may_start(image: Image, round_trip: float = 0.0) -> bool:
    """Return whether the pipe may push an image before an Engine has tried; if not, no further facts are needed."""
    engine = image.size / GO_GZIP + ENGINE_TRIPS * _counted(round_trip)
    return engine >= BEGIN_WORTH_SECONDS and None not in [layer.size for layer in image.layers]


def may_stage(image: Image) -> bool:
    """Return whether the Engine stages an image so fast that it may begin before the plan is made."""
    return may_start(image) and image.size / STAGING <= BEGIN_WITHIN


def reason_to_start(
    layers: Sequence[PendingLayer], image: Image, kind: EngineKind, round_trip: float = 0.0
) -> str | None:
    """Return why the pipe pushes an image from the start; None if the Engine should.

    `layers` are those that the Engine is expected to send, and `round_trip` is the least time in seconds that the
    registry takes to answer. The pipe's first byte must flow soon: on a link that limits both, the delay is what is
    lost.
    """
    delay = first_byte([layer.size for layer in image.layers])
    if kind.containerd or delay > max(BEGIN_WITHIN, DELAY * engine_seconds(layers, kind)):
        return None
    to_send = sum(layer.size for layer in layers if not layer.known)
    pipe = pipe_seconds(to_send, image)
    reason = _gain(layers, pipe, kind, BEGIN_WORTH_SECONDS)
    trip = _counted(round_trip)
    if reason or not layers or not trip:
        return reason
    engine = engine_seconds(layers, kind) + ENGINE_TRIPS * trip
    if not _is_gain(engine, pipe + PIPE_TRIPS * trip, BEGIN_WORTH_SECONDS):
        return None
    return _FAR.format(trip * 1000)


def reason_to_hand_over(pending: Pending, image: Image, kind: EngineKind, timeout: float) -> str | None:
    """Return why the pipe should push in place of the Engine, which has begun; None if the Engine should go on.

    If the Engine waits for the link, only a pipe that sends less can be faster. Until that is measured, the pipe takes
    over if it need not send most of the bytes, or if the Engine would exceed the timeout (the seconds that one layer
    may take) over any link.
    """
    layers = pending.layers
    if kind.containerd or not layers:
        return None
    if pending.link is not None:
        link = max(1.0, pending.link)
        engine = sum(layer.size for layer in layers) / link
        pipe = first_byte([layer.size for layer in image.layers]) + pending.to_send / link
        return _KNOWN if _is_gain(engine, pipe, WORTH_SECONDS) else None
    largest = max(layers, key=lambda layer: layer.size)
    alone = largest.size / kind.rate
    if alone >= timeout:
        return (
            f"Uploading {largest.label} directly: Docker Engine would take about {_rounded(alone)} to compress it, and"
            f" the registry times out after {format_duration(timeout)}."
        )
    if not pending.measured and not pending.mostly_known:
        return None
    return _gain(layers, pipe_seconds(pending.to_send, image), kind, WORTH_SECONDS)


def is_worth_staging(pending: Pending, image: Image, kind: EngineKind, timeout: float) -> bool:
    """Return whether an Engine that pushes should stage the image, too: the pipe gains if the link is not slow.

    One processor must be free of compression: else staging slows down the push, which would look like a slow link.
    """
    busy = min(ENGINE_UPLOADS, sum(layer.size > BRIEF for layer in pending.layers))
    may = image.size <= MOST_STAGED and busy < kind.cpus
    return may and reason_to_hand_over(pending._replace(measured=True), image, kind, timeout) is not None


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


def bytes_to_send(image: Image, known: frozenset[str]) -> int:
    """Return the uncompressed bytes that the pipe would send, layers that only the Engine can name included."""
    return sum(layer.size or 0 for layer in image.layers if layer.diff_id not in known)


def waits_for_link(sent: int, seconds: float, uploads: float, kind: EngineKind) -> bool:
    """Return whether the link, not compression, limits an Engine's uploads: they are less than half as fast as gzip.

    Args:
        sent: Uncompressed bytes that it sent, without those that only filled the buffers on the way.
        seconds: The time that this took.
        uploads: Layers that it sent at the same time, on average.
        kind: What the Engine is.
    """
    return seconds > 0 and sent / seconds < LINK_BOUND * kind.rate * at_once(kind, uploads)


def engine_seconds(layers: Sequence[PendingLayer], kind: EngineKind) -> float:
    """Estimate the seconds that the Engine needs to compress layers; 0 if there is nothing to compress."""
    if kind.containerd or not layers:
        return 0.0
    sizes = [layer.size for layer in layers]
    return max(*sizes, sum(sizes) / at_once(kind, ENGINE_UPLOADS)) / kind.rate


def pipe_seconds(to_send: int, image: Image) -> float:
    """Estimate the seconds of the pipe's own upload on a fast link, with the staging of an image.

    Prefixes are compressed while the Engine stages the rest.
    """
    sizes = [layer.size for layer in image.layers]
    compressed_last = min(to_send, image.size - prefix_bytes(sizes))
    return max(first_byte(sizes) + to_send / COMPRESSING, image.size / STAGING + compressed_last / COMPRESSING)


def at_once(kind: EngineKind, uploads: float) -> float:
    """Return how many layers an Engine compresses at the same time."""
    return min(kind.cpus or 1, ENGINE_UPLOADS, uploads)


def _counted(round_trip: float) -> float:
    return round_trip if round_trip >= LONG_ROUND_TRIP else 0.0


def _is_gain(engine: float, pipe: float, at_least: float) -> bool:
    return engine >= WORTH * pipe and engine - pipe >= at_least


def _gain(layers: Sequence[PendingLayer], pipe: float, kind: EngineKind, at_least: float) -> str | None:
    engine = engine_seconds(layers, kind)
    if not _is_gain(engine, pipe, at_least):
        return None
    if any(layer.known for layer in layers):
        return _KNOWN
    largest = max(layers, key=lambda layer: layer.size)
    alone = largest.size / kind.rate >= engine
    what, them = (largest.label, "it") if alone else (f"{len(layers)} layers", "them")
    return f"Uploading {what} directly: Docker Engine would take about {_rounded(engine)} to compress {them}."


def _rounded(seconds: float) -> str:
    """Write an estimate, without tenths of seconds unless it is short."""
    return f"{seconds:.0f} s" if _SHORT <= seconds < _MINUTE else format_duration(seconds)
