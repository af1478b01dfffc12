"""Events → the state of each layer's upload → a line now and then (pure, the clock is passed in)."""

from dataclasses import dataclass
from enum import Enum

from pipe.engine import events
from pipe.oci.image import Image, Layer
from pipe.units import format_duration, format_size

ENGINE_ATTEMPTS = 5
"""Uploads of one layer before a graphdriver Engine gives up; source: moby, `distribution/xfer/upload.go`."""


class State(Enum):
    """How far a layer has come."""

    WAITING = "waiting"
    UPLOADING = "uploading"
    RETRYING = "retrying"
    UPLOADED = "uploaded"
    ALREADY_THERE = "already there"
    MOUNTED = "mounted"


_DONE = frozenset((State.UPLOADED, State.ALREADY_THERE, State.MOUNTED))


@dataclass(slots=True)
class LayerProgress:
    """The upload of one layer.

    Attributes:
        name: The Engine's short name of it.
        layer: What else is known of it, None in a containerd store.
        state: How far it has come.
        current: Bytes sent since the upload last began.
        total: Bytes of all of it, 0 where not known yet.
        started: When the upload last began, by the clock; None while it has not.
        seconds: How long the upload lasted, None while it is not done and where nobody saw it begin.
        retries: How often the Engine began it again.
        retried: When it last did.
        countdown: Seconds of the Engine's last `Retrying`.
        warned: Whether people were told that it is too slow.
    """

    name: str
    layer: Layer | None
    total: int = 0
    state: State = State.WAITING
    current: int = 0
    started: float | None = None
    seconds: float | None = None
    retries: int = 0
    retried: float = 0.0
    countdown: int = 0
    warned: bool = False

    @property
    def label(self) -> str:
        """The layer as people know it."""
        return self.layer.label if self.layer else f"layer {self.name}"

    def elapsed(self, now: float) -> float:
        """Return the seconds since the upload last began, 0 while it has not."""
        return 0.0 if self.started is None else now - self.started


class Progress:
    """The state of a push, over all its attempts.

    Attributes:
        layers: By the Engine's short names, in the order in which the Engine named them.
    """

    def __init__(self, image: Image) -> None:
        """Begin with what the Engine knows of the image, before it names any layer."""
        self._known = {layer.short_id: layer for layer in reversed(image.layers)}
        self._arrived: float | None = None
        self._line_at: float | None = None
        self._line_bytes = 0
        self.layers: dict[str, LayerProgress] = {}

    def restart(self) -> None:
        """Begin another attempt: what is done stays done, all else begins again."""
        self._arrived = None
        for upload in self.layers.values():
            if upload.state not in _DONE:
                upload.state, upload.started, upload.current, upload.retries = State.WAITING, None, 0, 0

    def apply(self, event: events.Event, now: float) -> LayerProgress | None:
        """Take in one event.

        Args:
            event: What the Engine said.
            now: The clock, in seconds.

        Returns:
            The upload that begins again with this event, None with every other event.
        """
        if not isinstance(event, events.LayerEvent):
            return None
        upload = self._upload(event.layer)
        match event:
            case events.Uploading():
                self._uploading(upload, event, now)
            case events.Uploaded():
                upload.seconds = None if upload.started is None else now - upload.started
                self._finish(upload, State.UPLOADED, now)
            case events.AlreadyThere() if upload.state is not State.UPLOADED:
                self._finish(upload, State.ALREADY_THERE, now)
            case events.Mounted() if upload.state is not State.UPLOADED:
                self._finish(upload, State.MOUNTED, now)
            case events.Retrying(seconds=seconds):
                again = upload.state is not State.RETRYING or seconds > upload.countdown
                if upload.state is not State.UPLOADING:
                    # The upload that failed never came to its first byte.
                    upload.started = None
                upload.state, upload.countdown = State.RETRYING, seconds
                if again:
                    upload.retries += 1
                    upload.retried = now
                    return upload
        return None

    def _upload(self, name: str) -> LayerProgress:
        if name not in self.layers:
            layer = self._known.get(name)
            self.layers[name] = LayerProgress(name, layer, total=(layer.size or 0) if layer else 0)
        return self.layers[name]

    @staticmethod
    def _uploading(upload: LayerProgress, event: events.Uploading, now: float) -> None:
        if upload.state is not State.UPLOADING:
            upload.state, upload.started = State.UPLOADING, now
        upload.current = min(event.current, event.total) if event.total else event.current
        upload.total = event.total or upload.total

    def _finish(self, upload: LayerProgress, state: State, now: float) -> None:
        upload.state, upload.current = state, upload.total
        self._arrived = now

    @property
    def uploading(self) -> list[LayerProgress]:
        """The uploads that are under way."""
        return [upload for upload in self.layers.values() if upload.state is State.UPLOADING]

    @property
    def exhausted(self) -> LayerProgress | None:
        """A layer that the Engine has begun as often as it will, if none arrived since; else None."""
        for upload in self.layers.values():
            arrived_since = self._arrived is not None and self._arrived > upload.retried
            if upload.state not in _DONE and upload.retries >= ENGINE_ATTEMPTS - 1 and not arrived_since:
                return upload
        return None

    def line(self, now: float) -> str:
        """Tell how far the push has come.

        Args:
            now: The clock, in seconds.

        Returns:
            Share, bytes, rate since the last such line, layers done, the slowest layer's clock.
        """
        to_send = [u for u in self.layers.values() if u.state not in {State.ALREADY_THERE, State.MOUNTED}]
        sent, total = sum(u.current for u in to_send), sum(u.total for u in to_send)
        done = sum(u.state in _DONE for u in self.layers.values())
        parts = [f"{100 * sent // total} %", f"{format_size(sent)} of {format_size(total)}"] if total else []
        if self._line_at is not None and now > self._line_at:
            parts.append(f"{format_size(max(0, sent - self._line_bytes) / (now - self._line_at))}/s")
        parts.append(f"{done} of {len(self.layers)} layers done")
        slowest = max(self.uploading, key=lambda upload: upload.elapsed(now), default=None)
        if slowest:
            parts.append(f"{slowest.label} for {format_duration(slowest.elapsed(now))}")
        self._line_at, self._line_bytes = now, sent
        return " · ".join(parts)
