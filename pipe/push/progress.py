"""The progress of each layer, over all attempts of a push: one thread-safe writer, frozen snapshots for everyone."""

import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image, Layer
from pipe.push.result import ARRIVED, LayerStatus
from pipe.units import format_clock, format_duration, format_size


class LayerProgress(NamedTuple):
    """How far one layer has come.

    Attributes:
        layer: The layer, or a blob of the push that is no known layer of the image.
        status: How far it has come.
        sent: Bytes sent since its upload last began: uncompressed bytes if a graphdriver Engine pushes, otherwise
            bytes of the blob.
        total: Bytes of the whole layer, counted likewise; 0 if unknown.
        started: When its upload last began, by the clock; None if it has not.
        sending: When the push came to it: an upload can be opened before that.
        seconds: Seconds from then until it was done, None before, or if its start was not seen.
        retries: How often the Engine restarted it.
        warned: Whether a warning said that it is too slow.
        descriptor: The blob that stores it in the registry, None while unknown.
        reused: Whether the registry had it in another image, by which the pipe found it.
    """

    layer: Layer
    status: LayerStatus = LayerStatus.WAITING
    sent: int = 0
    total: int = 0
    started: float | None = None
    sending: float | None = None
    seconds: float | None = None
    retries: int = 0
    warned: bool = False
    descriptor: Descriptor | None = None
    reused: bool = False

    def elapsed(self, now: float) -> float:
        """Return the seconds since the upload last began, 0 if it has not."""
        return 0.0 if self.started is None else now - self.started


class _Line(NamedTuple):
    """The last line of progress: its time, the bytes sent by then, and since when no more were sent."""

    at: float
    sent: int
    since: float


Snapshot = Mapping[str, LayerProgress]
"""The progress of all layers by their short names, in the order in which they appeared."""


class ProgressTracker:
    """The only writer of progress; any thread may call it.

    Layers are named by the first characters of their diffID or, if only the blob is known, of its digest, as an
    Engine's push stream names them.

    Attributes:
        changes: Number of changes so far.
    """

    def __init__(self, image: Image, idle: str = "waiting for Docker Engine") -> None:
        """Start with an image and the words for a push that has not sent anything yet."""
        self._idle = idle
        self._layers = {layer.short_id: layer for layer in reversed(image.layers)}
        self._count = len(image.layers)
        self._lock = threading.Lock()
        self._progress: dict[str, LayerProgress] = {}
        self._arrived: float | None = None
        self._line: _Line | None = None
        self.changes = 0

    def restart(self) -> None:
        """Begin another attempt: layers that arrived stay, all others start again."""
        with self._lock:
            self._arrived = self._line = None
            for name, one in self._progress.items():
                if one.status not in ARRIVED:
                    self._progress[name] = one._replace(status=LayerStatus.WAITING, started=None, sent=0, retries=0)

    def expect(self, name: str, total: int) -> None:
        """Add a layer of `total` bytes that waits for its turn."""
        self._change(name, lambda one: one if one.total else one._replace(total=total))

    def begin(self, name: str, at: float, sending: float | None = None) -> None:
        """Record that a layer's upload began; `sending` is when the push came to it, if that was later."""
        came = at if sending is None else sending
        self._change(name, lambda one: one._replace(status=LayerStatus.UPLOADING, started=at, sending=came, sent=0))

    def advance(self, name: str, sent: int, total: int) -> None:
        """Record the bytes sent, and those of the whole layer (0 if unknown)."""
        self._change(name, lambda one: one._replace(sent=min(sent, total) if total else sent, total=total or one.total))

    def retry(self, name: str, *, again: bool) -> LayerProgress:
        """Record that the Engine waits before it restarts a layer; `again` if this is a new restart."""

        def change(one: LayerProgress) -> LayerProgress:
            # Without a first byte, the upload that failed has no start.
            started = one.started if one.status is LayerStatus.UPLOADING else None
            return one._replace(status=LayerStatus.RETRYING, started=started, retries=one.retries + again)

        return self._change(name, change)

    def warn(self, name: str) -> bool:
        """Record that a warning is due for a slow layer; return False if it was given before."""
        before = self.of(name)
        self._change(name, lambda one: one._replace(warned=True))
        return not before.warned

    def finish(
        self, name: str, status: LayerStatus, at: float, descriptor: Descriptor | None = None, *, reused: bool = False
    ) -> None:
        """Record that the registry has a layer; one that was uploaded stays so."""

        def change(one: LayerProgress) -> LayerProgress:
            one = one._replace(descriptor=descriptor or one.descriptor)
            if one.status is LayerStatus.UPLOADED:
                return one
            uploaded = status is LayerStatus.UPLOADED and one.started is not None
            seconds = at - one.sending if uploaded and one.sending is not None else one.seconds
            total = descriptor.size if uploaded and descriptor is not None else one.total
            kept = status is not LayerStatus.UPLOADED and (one.reused or reused)
            return one._replace(status=status, seconds=seconds, total=total, sent=total, reused=kept)

        self._change(name, change, arrived=at)

    def drop(self, name: str) -> None:
        """Remove a blob that turned out to be a layer with another name."""
        with self._lock:
            self._progress.pop(name, None)

    def of(self, name: str) -> LayerProgress:
        """Return the progress of one layer, also of one that has not been named yet."""
        with self._lock:
            return self._of(name)

    def snapshot(self) -> Snapshot:
        """Return the progress of all layers that were named so far."""
        with self._lock:
            return dict(self._progress)

    @property
    def arrived(self) -> float | None:
        """When the last layer arrived in this attempt, by the clock; None if none did."""
        with self._lock:
            return self._arrived

    def line(self, now: float, timeout: float) -> str:
        """Return the line of progress for the log.

        It has the bytes, the rate since the previous line or the time without any, the number of layers done, and the
        slowest layer's clock.
        """
        layers = self.snapshot()
        to_send = [one for one in layers.values() if one.status not in {LayerStatus.ALREADY_THERE, LayerStatus.MOUNTED}]
        sent, total = sum(one.sent for one in to_send), sum(one.total for one in to_send)
        done = sum(one.status in ARRIVED for one in layers.values())
        every, under_way = max(len(layers), self._count), uploading(layers)
        if not sent and not under_way:
            return f"{self._idle} ({done} of {every} layers checked)"
        parts = [f"{format_size(sent)} of at most {format_size(total)}"] if total else []
        before, since = self._line, now
        if before is not None and now > before.at and sent == before.sent:
            since = before.since
            parts.append(f"{_awaited(under_way)} for {format_duration(now - since)}")
        elif before is not None and now > before.at:
            parts.append(f"{format_size(max(0, sent - before.sent) / (now - before.at))}/s")
        parts.append(f"{done} of {every} layers")
        slowest = max(under_way.values(), key=lambda one: one.elapsed(now), default=None)
        clock = ""
        if slowest:
            clock = f"; {slowest.layer.name} at {format_clock(slowest.elapsed(now))} of {format_clock(timeout)}"
        self._line = _Line(now, sent, since)
        return ", ".join(parts) + clock

    def _of(self, name: str) -> LayerProgress:
        layer = self._layers.get(name) or Layer(0, name)
        return self._progress.get(name) or LayerProgress(layer, total=layer.size or 0)

    def _change(
        self, name: str, change: Callable[[LayerProgress], LayerProgress], arrived: float | None = None
    ) -> LayerProgress:
        with self._lock:
            self.changes += 1
            self._progress[name] = changed = change(self._of(name))
            self._arrived = self._arrived if arrived is None else arrived
            return changed


def _awaited(under_way: Snapshot) -> str:
    """Return what uploads that send nothing wait for, as far as it is certain."""
    all_sent = under_way and all(0 < one.total <= one.sent for one in under_way.values())
    return "no answer from the registry" if all_sent else "nothing sent"


def uploading(layers: Snapshot) -> Snapshot:
    """Return the layers whose uploads are under way."""
    return {name: one for name, one in layers.items() if one.status is LayerStatus.UPLOADING}


def is_complete(layers: Snapshot) -> bool:
    """Return whether every layer that was named has arrived, and there are some."""
    return bool(layers) and all(one.status in ARRIVED for one in layers.values())
