"""One push by the Engine, watched: its events, its clocks, its end (no input or output of its own)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pipe.engine import events
from pipe.engine.diagnosis import from_engine
from pipe.errors import LayerTooLargeError, PipeError, PushInterruptedError
from pipe.oci.reference import Reference
from pipe.push import limits
from pipe.push.progress import ENGINE_ATTEMPTS, LayerProgress, Progress
from pipe.units import format_duration

LINE_EVERY = 10.0
"""Seconds between lines of progress: a step's log has no terminal to redraw a bar on."""
SILENCE = 60.0
"""Seconds that the Engine may be silent beyond one upload's timeout, for a registry's commit."""
TICK = 0.25
"""Seconds between looks at the clocks while the Engine is silent."""


class Stream(Protocol):
    """The Engine's push stream."""

    def next(self, timeout: float) -> events.Event | None:
        """Return the next event, None where there is none within `timeout` seconds."""

    def close(self) -> None:
        """End the push in the Engine, too."""


class Report(Protocol):
    """Who tells people what happens."""

    def info(self, text: str) -> None:
        """Tell what happens."""

    def warning(self, text: str) -> None:
        """Tell what people should know."""

    def debug(self, text: str) -> None:
        """Tell what matters only when something is wrong."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What watching one push needs.

    Attributes:
        target: Where to push.
        timeout: Seconds that one layer's upload may last.
        max_layer_size: Bytes that one layer may have.
        undecided: Whether the sizes of layers first show in the stream.
        clock: Returns seconds that never go back.
        report: Who tells people.
    """

    target: Reference
    timeout: float
    max_layer_size: int
    undecided: bool
    clock: Callable[[], float]
    report: Report

    def watch(self, stream: Stream, progress: Progress) -> str:
        """Follow a push to its end.

        Args:
            stream: The Engine's; not closed here.
            progress: Takes in each event.

        Returns:
            The digest that the Engine names.

        Raises:
            PipeError: The push failed, or breaks a limit of the registry.
        """
        digest, failure = "", None
        heard = told = self.clock()
        while True:
            event = stream.next(TICK)
            now = self.clock()
            if event is not None:
                heard = now
            match event:
                case events.StreamEnded():
                    return self._end(digest, failure, event.reason)
                case events.Pushed():
                    digest = event.digest
                case events.Failed():
                    failure = failure or self._failure(event.message, progress, now)
                case events.Note(text=text) if text:
                    self.report.debug(f"Engine: {text}")
                case events.LayerEvent():
                    self._retrying(progress.apply(event, now), now)
            self._check(progress, now)
            if now - heard >= self.timeout + SILENCE:
                raise _interrupted(f"the Engine was silent for {format_duration(now - heard)}.")
            if now - told >= LINE_EVERY:
                told = now
                self.report.info(f"{self.target.tag}: {progress.line(now)}")

    @staticmethod
    def _end(digest: str, failure: PipeError | None, reason: str) -> str:
        if failure is not None:
            raise failure
        if not digest:
            raise _interrupted(f"the Engine's stream broke off ({reason})." if reason else "no digest, no error.")
        return digest

    def _failure(self, message: str, progress: Progress, now: float) -> PipeError:
        """Tell a registry's own timer from a temporary failure, and what the Engine tried in vain."""
        error = from_engine(self.target, message)
        if isinstance(error, LayerTooLargeError):
            return self._named(error, message, progress)
        if not error.temporary:
            return error
        for upload in progress.uploading:
            if self._ended_by_registry(upload, now):
                return self._too_slow(upload, now)
        exhausted = progress.exhausted
        if exhausted is not None:
            error.temporary = False
            error.cause += f". The Engine sent {exhausted.label} {exhausted.retries + 1} times from its first byte."
        return error

    @staticmethod
    def _named(error: LayerTooLargeError, message: str, progress: Progress) -> LayerTooLargeError:
        """Name the layer that the registry refused, or those that it may have meant: graphdriver Engines do not say."""
        named = [upload for upload in progress.layers.values() if f"sha256:{upload.name}" in message]
        labels = [upload.label for upload in named or sorted(progress.uploading, key=lambda u: -u.total)[:3]]
        if labels:
            error.cause += f" (while {', '.join(labels)} went up)"
        return error

    def _retrying(self, upload: LayerProgress | None, now: float) -> None:
        if upload is None:
            return
        if self._ended_by_registry(upload, now):
            raise self._too_slow(upload, now)
        self.report.warning(
            f"{upload.label}: its upload failed; the Engine begins it again in {upload.countdown} s"
            f" (retry {upload.retries} of {ENGINE_ATTEMPTS - 1})."
        )

    def _ended_by_registry(self, upload: LayerProgress, now: float) -> bool:
        return upload.elapsed(now) >= limits.ENDED_BY_REGISTRY * self.timeout

    def _check(self, progress: Progress, now: float) -> None:
        for upload in progress.uploading:
            if self.undecided and upload.total > self.max_layer_size:
                raise limits.too_large(upload.label, upload.total, self.max_layer_size, unpacked=False)
            elapsed = upload.elapsed(now)
            if elapsed >= self.timeout:
                raise self._too_slow(upload, now)
            if elapsed < limits.WARN_AFTER * self.timeout or upload.warned or not upload.current:
                continue
            needed = elapsed * upload.total / upload.current
            if needed > self.timeout:
                upload.warned = True
                self.report.warning(
                    f"{upload.label}: at this rate its upload takes {format_duration(needed)}, and the registry"
                    f" ends an upload after {format_duration(self.timeout)}."
                )

    def _too_slow(self, upload: LayerProgress, now: float) -> PipeError:
        return limits.too_slow(upload.label, (upload.current, upload.total), upload.elapsed(now), self.timeout)


def _interrupted(cause: str) -> PushInterruptedError:
    return PushInterruptedError(cause, fix="Run the step again; layers that arrived are not sent again.")
