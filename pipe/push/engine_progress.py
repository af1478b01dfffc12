"""The Engine's events → the progress of layers: the one place that knows layers by the Engine's short names (pure)."""

from dataclasses import dataclass

from pipe.engine import events
from pipe.oci.image import ARRIVED, Layer, LayerStatus
from pipe.push.progress import Progress

ENGINE_ATTEMPTS = 5
"""Uploads of one layer before a graphdriver Engine gives up; source: moby, `distribution/xfer/upload.go`."""


@dataclass(slots=True)
class _Retry:
    """The Engine's last `Retrying` of a layer: when it came, what it counted down from, whether any byte was sent."""

    at: float
    countdown: int
    sent: bool


class EngineProgress:
    """Feeds one attempt's events to the progress."""

    def __init__(self, progress: Progress) -> None:
        """Begin an attempt."""
        self.progress = progress
        self._known = {layer.short_id: layer for layer in reversed(progress.image_layers)}
        self._retries: dict[str, _Retry] = {}

    def apply(self, event: events.Event, now: float) -> Layer | None:
        """Take in one event.

        Args:
            event: What the Engine said.
            now: The clock, in seconds.

        Returns:
            The layer whose upload begins again with this event, None with every other event.
        """
        if not isinstance(event, events.LayerEvent):
            return None
        layer = self._layer(event.layer)
        match event:
            case events.Uploading(current=current, total=total):
                if layer.status is not LayerStatus.UPLOADING:
                    self.progress.begin(layer, now)
                layer.sent, layer.total = min(current, total) if total else current, total or layer.total
            case events.Uploaded():
                self.progress.finish(layer, LayerStatus.UPLOADED, now)
            case events.AlreadyThere():
                self.progress.finish(layer, LayerStatus.ALREADY_THERE, now)
            case events.Mounted():
                self.progress.finish(layer, LayerStatus.MOUNTED, now)
            case events.Retrying(seconds=seconds):
                return self._retrying(layer, event.layer, seconds, now)
        return None

    def _layer(self, name: str) -> Layer:
        layers = self.progress.layers
        if name not in layers:
            layer = layers[name] = self._known.get(name) or Layer(0, name)
            layer.total = layer.total or layer.size or 0
        return layers[name]

    def _retrying(self, layer: Layer, name: str, seconds: int, now: float) -> Layer | None:
        before = self._retries.get(name)
        again = layer.status is not LayerStatus.RETRYING or before is None or seconds > before.countdown
        if layer.status is not LayerStatus.UPLOADING:
            # The upload that failed never came to its first byte.
            layer.started = None
        sent = layer.status is LayerStatus.UPLOADING and layer.sent > 0
        self._retries[name] = _Retry(
            now if again or before is None else before.at, seconds, sent or (before is not None and before.sent)
        )
        layer.status = LayerStatus.RETRYING
        if not again:
            return None
        layer.retries += 1
        return layer

    @property
    def exhausted(self) -> Layer | None:
        """A layer that the Engine has begun as often as it will, if none arrived since; else None."""
        arrived = self.progress.arrived
        for name, layer in self.progress.layers.items():
            retry = self._retries.get(name)
            if layer.status in ARRIVED or retry is None or layer.retries < ENGINE_ATTEMPTS - 1:
                continue
            if arrived is None or arrived <= retry.at:
                return layer
        return None

    def was_sent(self, layer: Layer) -> bool:
        """Tell whether any byte of a layer that was retried had been sent."""
        return any(retry.sent for name, retry in self._retries.items() if self.progress.layers[name] is layer)
