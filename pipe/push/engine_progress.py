"""The events of an Engine's push stream → the progress of layers."""

from dataclasses import dataclass

from pipe.engine import events
from pipe.push.progress import LayerProgress, ProgressTracker
from pipe.push.result import ARRIVED, LayerStatus

ENGINE_ATTEMPTS = 5
"""Uploads of one layer before a graphdriver Engine gives up; source: moby, `distribution/xfer/upload.go`."""


@dataclass(frozen=True, slots=True)
class _Retry:
    """The last `Retrying` of a layer: its time, its countdown in seconds, whether any byte had been sent."""

    at: float
    countdown: int
    sent: bool


class EngineProgress:
    """Feeds the events of one attempt to the tracker."""

    def __init__(self, tracker: ProgressTracker) -> None:
        self._tracker = tracker
        self._retries: dict[str, _Retry] = {}

    def apply(self, event: events.LayerEvent, at: float) -> LayerProgress | None:
        """Apply an event that was read `at` a time; return the layer that the Engine restarts with it, else None."""
        tracker, name = self._tracker, event.layer
        match event:
            case events.Uploading(current=current, total=total):
                if tracker.of(name).status is not LayerStatus.UPLOADING:
                    tracker.begin(name, at)
                tracker.advance(name, current, total)
            case events.Uploaded():
                tracker.finish(name, LayerStatus.UPLOADED, at)
            case events.AlreadyThere():
                tracker.finish(name, LayerStatus.ALREADY_THERE, at)
            case events.Mounted():
                tracker.finish(name, LayerStatus.MOUNTED, at)
            case events.Retrying(seconds=seconds):
                return self._retrying(name, seconds, at)
            case _:
                tracker.expect(name, 0)
        return None

    def _retrying(self, name: str, seconds: int, at: float) -> LayerProgress | None:
        one, before = self._tracker.of(name), self._retries.get(name)
        again = one.status is not LayerStatus.RETRYING or before is None or seconds > before.countdown
        sent = one.status is LayerStatus.UPLOADING and one.sent > 0
        self._retries[name] = _Retry(
            at if again or before is None else before.at, seconds, sent or (before is not None and before.sent)
        )
        restarted = self._tracker.retry(name, again=again)
        return restarted if again else None

    def exhausted(self) -> tuple[LayerProgress, bool] | None:
        """Return a layer that the Engine will not restart again, if none has arrived since, and whether it was sent."""
        arrived = self._tracker.arrived
        for name, one in self._tracker.snapshot().items():
            retry = self._retries.get(name)
            if one.status in ARRIVED or retry is None or one.retries < ENGINE_ATTEMPTS - 1:
                continue
            if arrived is None or arrived <= retry.at:
                return one, retry.sent
        return None
