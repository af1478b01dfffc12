"""How far each layer has come, told by whoever uploads it → a line now and then (pure, the clock is passed in)."""

from dataclasses import replace

from pipe.oci.image import ARRIVED, Image, Layer, LayerStatus
from pipe.units import format_clock, format_size


class Progress:
    """The state of a push, over all its attempts.

    Attributes:
        image_layers: The image's layers, from the base up.
        layers: Those that an uploader has named so far, by its own names, in that order.
        arrived: When the last layer arrived, by the clock; None where none did in this attempt.
    """

    def __init__(self, image: Image, *, engine: bool = True) -> None:
        """Begin with what is known of the image, and whether an Engine has it."""
        self._idle = "waiting for Docker Engine" if engine else "nothing sent yet"
        self.image_layers = tuple(replace(layer) for layer in image.layers)
        self.layers: dict[str, Layer] = {}
        self.arrived: float | None = None
        self._line_at: float | None = None
        self._line_bytes = 0

    def restart(self) -> None:
        """Begin another attempt: what is done stays done, all else begins again."""
        self.arrived = self._line_at = None
        for layer in self.layers.values():
            if layer.status not in ARRIVED:
                layer.status, layer.started, layer.sent, layer.retries = LayerStatus.WAITING, None, 0, 0

    def begin(self, layer: Layer, now: float) -> None:
        """Take note that a layer's upload begins."""
        layer.status, layer.started, layer.sent = LayerStatus.UPLOADING, now, 0

    def finish(self, layer: Layer, status: LayerStatus, now: float) -> None:
        """Take note that the registry has a layer.

        Args:
            layer: The layer.
            status: How it came there; one that was uploaded stays so.
            now: The clock, in seconds.
        """
        self.arrived = now
        if layer.status is LayerStatus.UPLOADED:
            return
        if status is LayerStatus.UPLOADED and layer.started is not None:
            layer.seconds = now - layer.started
        layer.status, layer.sent = status, layer.total

    @property
    def uploading(self) -> list[Layer]:
        """The layers whose uploads are under way."""
        return [layer for layer in self.layers.values() if layer.status is LayerStatus.UPLOADING]

    @property
    def complete(self) -> bool:
        """Whether every layer that was named has arrived, and there are some."""
        return bool(self.layers) and all(layer.status in ARRIVED for layer in self.layers.values())

    def line(self, now: float, timeout: float) -> str:
        """Tell how far the push has come.

        Args:
            now: The clock, in seconds.
            timeout: Seconds that one upload may last.

        Returns:
            Bytes, rate since the last such line, layers done, the slowest layer's clock.
        """
        to_send = [
            layer
            for layer in self.layers.values()
            if layer.status not in {LayerStatus.ALREADY_THERE, LayerStatus.MOUNTED}
        ]
        sent, total = sum(layer.sent for layer in to_send), sum(layer.total for layer in to_send)
        done = sum(layer.status in ARRIVED for layer in self.layers.values())
        every = max(len(self.layers), len(self.image_layers))
        if not sent and not self.uploading:
            return f"{self._idle} ({done} of {every} layers checked)"
        parts = [f"{format_size(sent)} of at most {format_size(total)}"] if total else []
        if self._line_at is not None and now > self._line_at:
            parts.append(f"{format_size(max(0, sent - self._line_bytes) / (now - self._line_at))}/s")
        parts.append(f"{done} of {every} layers")
        slowest = max(self.uploading, key=lambda layer: layer.elapsed(now), default=None)
        clock = ""
        if slowest:
            clock = f"; {slowest.name} at {format_clock(slowest.elapsed(now))} of {format_clock(timeout)}"
        self._line_at, self._line_bytes = now, sent
        return ", ".join(parts) + clock
