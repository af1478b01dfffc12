"""Which codec compresses the next block, so that neither the link nor the processors wait for the other.

The link is the bottleneck if compressed blocks fill the buffers, the processors are if the senders have nothing to
send. An image's source can be the bottleneck too; then the codec stays, because another one gains nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipe.encoding.codecs import Codec, Compression

WINDOW = 16
"""Blocks between two decisions: most of what the buffers of a run hold, so that one decision shows before the next."""
STARVED = 0.3
"""The share of the time from which a faster codec is taken: without anything to send or, on a fast link, with blocks
that wait for a processor."""
FAST_LINK = 125_000_000
"""Bytes a second (1 Gbit/s) from which a layer may become larger than `docker push` makes it. On a slower link it never
does once the link's speed is known, even if the processors are slow or busy."""
FADING = 0.8
"""What is left of the highest speed at each decision: threads that wait for a processor make a link look slow, and
nothing makes it look fast."""
BUSY = 0.8
"""The most that a smaller codec may leave the processors to do."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the threads of a run are doing.

    Attributes:
        queued: Groups of plain blocks that wait for a processor.
        idle: Share of the processors that compress nothing.
        sending: Senders that are sending a chunk.
        starving: Senders that wait for a compressed block.
        blocked: Readers that wait for a buffer.
    """

    queued: int = 0
    idle: float = 1.0
    sending: int = 0
    starving: int = 0
    blocked: int = 0

    @property
    def is_starved(self) -> bool:
        """Whether the link is idle because the processors are behind."""
        return bool(self.starving and not self.sending and self.queued)

    @property
    def spare(self) -> float:
        """The share of the processors that is idle because the link is behind: compressed blocks hold the buffers."""
        return self.idle if self.sending and self.blocked and not self.queued else 0.0


@dataclass(frozen=True, slots=True)
class Shares:
    """How the time since the last decisions was used.

    Attributes:
        starved: Share of the time in which the link was idle because the processors were behind.
        queued: Share of the time in which blocks waited for a processor.
        spare: Share of the processors' time in which they were idle because the link was behind.
        speed: Bytes a second that the link can carry: the most that it carried lately while it was in use.
    """

    starved: float
    queued: float
    spare: float
    speed: float


def next_level(compression: Compression, level: int, shares: Shares) -> int:
    """Return the index of the codec for the next blocks.

    Args:
        compression: The codecs to choose from.
        level: Index of the codec in use.
        shares: What was observed.
    """
    if shares.speed >= FAST_LINK:
        if shares.queued >= STARVED:
            return 0
    elif level < compression.thrifty:
        return compression.thrifty
    elif level > compression.thrifty and shares.starved >= STARVED:
        return level - 1
    work = (1 - shares.spare) * compression.codecs[level].speed
    smaller = range(level + 1, len(compression.codecs))
    return max((other for other in smaller if work <= BUSY * compression.codecs[other].speed), default=level)


@dataclass(slots=True)
class _Cycles:
    """Seconds from the end of one chunk to that of another: with each, buffers fill up and processors become idle."""

    observed: float = 0.0
    spare: float = 0.0
    sending: float = 0.0


class Pace:
    """Follows the load of a run and chooses the codec; the caller serializes the calls."""

    def __init__(self, compression: Compression, clock: Callable[[], float]) -> None:
        """Begin.

        Args:
            compression: The codecs to choose from.
            clock: Returns seconds.
        """
        self._compression = compression
        self._clock = clock
        self._load = Load()
        self._since = clock()
        self._observed = self._starved = self._queued = self._spare = self._sent = 0.0
        self._begun, self._whole = _Cycles(), _Cycles()
        self._changed = False
        self._blocks = 0
        self._highest = 0.0
        self._level = compression.start

    def codec(self, *, large: bool = True) -> Codec:
        """Return the codec for the next block.

        Args:
            large: Whether the memory is there for a large one; else the smallest of the others replaces it.
        """
        codecs = self._compression.codecs[: self._level + 1]
        return next(codec for codec in reversed(codecs) if large or not codec.large)

    def observe(self, load: Load) -> None:
        """Count the time since the last call for the load given then, and note the present one."""
        now = self._clock()
        elapsed, self._since = now - self._since, now
        # Until the first chunk is sent, the link's speed is not known, and waiting for it says nothing.
        if self._sent:
            self._observed += elapsed
            self._starved += elapsed * self._load.is_starved
            self._queued += elapsed * bool(self._load.queued)
            self._spare += elapsed * self._load.spare
            self._begun.observed += elapsed
            self._begun.spare += elapsed * self._load.spare
        if self._load.sending:
            self._begun.sending += elapsed
        self._load = load

    def sent(self, size: int) -> None:
        """Count the bytes of a chunk that has been sent."""
        if not size:
            return
        self._sent += size
        begun, self._begun = self._begun, _Cycles()
        self._whole.sending += begun.sending
        if not self._changed:
            self._whole.observed += begun.observed
            self._whole.spare += begun.spare
        self._changed = False

    def compressed(self, blocks: int, under_way: int = 0) -> None:
        """Count blocks, and decide again after every window of them, for the first time when the link is known.

        Args:
            blocks: Compressed since the last call.
            under_way: Blocks that other processors are compressing, with the codec that is in use until now.
        """
        self._blocks += blocks
        if self._blocks < WINDOW or not self._observed:
            return
        self._blocks = 0
        whole = self._whole
        # Whole cycles alone show what the link carries. What is spare counts if it is so lately, too.
        self._highest = max(self._sent / whole.sending if whole.sending else 0.0, FADING * self._highest)
        starved, queued, spare = (time / self._observed for time in (self._starved, self._queued, self._spare))
        spare = min(spare, whole.spare / whole.observed if whole.observed else 0.0)
        shares = Shares(starved, queued, spare, self._highest)
        level = next_level(self._compression, self._level, shares)
        # What was seen fades; how the time was used depends on the level, the link's speed does not.
        keep = 0.5 if level == self._level else 0
        if level != self._level:
            self._blocks, self._changed = -under_way, True
        self._level = level
        self._observed, self._starved = keep * self._observed, keep * self._starved
        self._queued, self._spare = keep * self._queued, keep * self._spare
        self._whole = _Cycles(keep * whole.observed, keep * whole.spare, whole.sending / 2)
        self._sent /= 2
