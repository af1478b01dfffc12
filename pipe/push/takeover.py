"""When the pipe takes over from an Engine that pushes, and prepares for that, decided from the Engine's progress."""

from concurrent.futures import Future, wait
from dataclasses import dataclass

from pipe.engine.kind import EngineKind
from pipe.push.clocks import Clocks
from pipe.push.early_staging import EarlyStaging
from pipe.push.engine_pusher import TICK
from pipe.push.plan import (
    Pending,
    at_once,
    bytes_to_send,
    is_worth_staging,
    pending_layers,
    reason_to_hand_over,
    waits_for_link,
)
from pipe.push.progress import Snapshot, uploading
from pipe.source.image_source import ImageSource

BUFFERS = 16_000_000
"""Bytes that the buffers between an Engine and a registry hold at most, which an Engine counts as sent."""
FILLED = 1.0
"""Seconds after which the buffers count as full: a link that is this slow limits the Engine."""
WINDOW = 0.4
"""Seconds of the shortest measurement: with one core, the decision comes a second after the first byte."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """Uncompressed bytes that an Engine has sent at a time."""

    at: float
    sent: int


class EngineSpeed:
    """Measures how fast an Engine sends once the buffers on the way are full.

    Attributes:
        measured: Whether it is known what the Engine waits for.
        link: Uncompressed bytes a second that the link carries, if the Engine waits for it; else None.
        each: Uncompressed bytes a second of each layer that it sends, if it does not wait for the link; else 0.
    """

    def __init__(self, kind: EngineKind) -> None:
        self.measured = False
        self.link: float | None = None
        self.each = 0.0
        self._kind = kind
        self._first: _Sample | None = None
        self._full: _Sample | None = None
        self._before = (0.0, 0)
        self._uploads = self._upload_seconds = 0.0

    def observe(self, layers: Snapshot, now: float) -> None:
        """Take note of the progress at a time."""
        sample = _Sample(now, sum(one.sent for one in layers.values() if one.started is not None))
        (at, uploads), self._before = self._before, (now, len(uploading(layers)))
        if self._first is None or sample.sent < self._first.sent:
            self._first, self._full = sample, None
        if self._full is None or sample.sent < self._full.sent:
            is_full = sample.sent >= BUFFERS or now - self._first.at >= FILLED
            self._full = sample if is_full else None
            self._upload_seconds = 0.0
            return
        self._upload_seconds += (now - at) * uploads
        seconds, sent = now - self._full.at, sample.sent - self._full.sent
        if seconds >= WINDOW:
            # A small layer that was soon done has left the others a processor that they cannot use. Later, when few
            # layers are left, the link does not become faster.
            average = 0.0 if self.measured else self._upload_seconds / seconds
            self._uploads = max(self._uploads, average, self._before[1], 1)
            self.measured = True
            waits = waits_for_link(sent, seconds, self._uploads, self._kind)
            self.link = sent / seconds if waits else None
            self.each = 0.0 if waits else sent / seconds / at_once(self._kind, self._uploads)


class Takeover:
    """Decides after each event whether the pipe should push in place of the Engine."""

    def __init__(
        self,
        source: ImageSource,
        clocks: Clocks,
        kind: EngineKind,
        known: Future[frozenset[str]],
        staging: EarlyStaging,
    ) -> None:
        """Decide about one push.

        Args:
            source: The image, in the Engine.
            clocks: Of the push.
            kind: What the Engine is.
            known: Will have the diffIDs of layers that the registry has.
            staging: Lets the Engine stage the image for the pipe until it is known that the Engine goes on.
        """
        self._source = source
        self._clocks = clocks
        self._kind = kind
        self._known = known
        self._staging = staging
        self._speed = EngineSpeed(kind)

    def reason(self, layers: Snapshot, now: float) -> str | None:
        """Return why the pipe should take over now, None if the Engine should go on."""
        sending = uploading(layers).values()
        if not sending:
            return None
        self._speed.observe(layers, now)
        # Events are timed when they are read, so a short wait delays nothing.
        if not wait([self._known], TICK).done:
            return None
        speed, timeout = self._speed, self._clocks.timeout
        slow = next((one for one in sending if self._clocks.needed(one, now) > timeout), None)
        if slow is not None and speed.measured and speed.link is None:
            return f"Uploading {slow.layer.label} directly: Docker Engine would not compress it in time."
        image, known = self._source.image, self._known.result()
        pending = Pending(pending_layers(image, layers, known), bytes_to_send(image, known), speed.measured, speed.link)
        kind = self._kind._replace(measured=speed.each)
        reason = reason_to_hand_over(pending, image, kind, timeout)
        if reason is None and speed.measured:
            self._staging.close()
        elif reason is None and is_worth_staging(pending, image, kind, timeout):
            self._staging.begin(self._source)
        return reason
