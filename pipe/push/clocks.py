"""The clocks of a push: the time limits of an upload and of an Engine's silence, and the regular line of progress."""

from collections.abc import Callable

from pipe.errors import EngineSaveError, UploadTooSlowError
from pipe.push import limits
from pipe.push.progress import LayerProgress, ProgressTracker, uploading
from pipe.report import Report
from pipe.units import format_duration

LINE_EVERY = 10.0
"""Seconds between lines of progress: the log of a step has no terminal on which a bar could be redrawn."""
SLOWEST_STAGING = 20e6
"""Bytes a second: an Engine that stages an image silently is given this much time on top of one upload's."""


def check_staging(silent: float, size: int, timeout: float) -> None:
    """Raise `EngineSaveError` if an Engine has sent nothing of an image for longer than its `size` explains."""
    if silent > timeout + size / SLOWEST_STAGING:
        raise EngineSaveError(
            f"Docker Engine sent nothing of the image for {format_duration(silent)}.",
            fix="Run the step again. If it fails again, check the Engine's log.",
            temporary=True,
        )


class Clocks:
    """Checks the uploads of one push, by the Engine or by the pipe."""

    def __init__(
        self,
        tracker: ProgressTracker,
        timeout: float,
        clock: Callable[[], float],
        report: Report,
        *,
        foretells: bool = False,
    ) -> None:
        """Start the clock of the progress lines.

        Args:
            tracker: Has the progress.
            timeout: Seconds that one layer's upload may take.
            clock: Returns seconds.
            report: The log.
            foretells: Whether an upload that will exceed the timeout is ended as soon as that is known.
        """
        self.tracker = tracker
        self.timeout = timeout
        self.foretells = foretells
        self.now = clock
        self._report = report
        self._began = self._last_line = clock()
        self._is_muted = False

    def mute(self) -> None:
        """Log nothing: it is another push's turn."""
        self._is_muted = True

    def unmute(self) -> None:
        """Log again, the next line of progress when one is due."""
        self._is_muted, self._last_line = False, self.now()

    def check(self, now: float) -> None:
        """Check every upload that is under way, and log a line of progress if one is due and the log is this push's.

        Raises:
            UploadTooSlowError: An upload has taken longer than the registry allows, or will.
        """
        for name, one in uploading(self.tracker.snapshot()).items():
            if one.elapsed(now) >= self.timeout:
                raise self.too_slow(one, now)
            needed = self.needed(one, now)
            if needed > self.timeout and self.foretells:
                raise self.too_slow(one, now)
            if needed > self.timeout and not self._is_muted and self.tracker.warn(name):
                self._report.warning(
                    f"{one.layer.label}: at this rate the upload will take {format_duration(needed)}, but the registry"
                    f" times out after {format_duration(self.timeout)}."
                )
        if now - self._last_line >= LINE_EVERY and not self._is_muted:
            self._last_line = now
            self._report.info(f"{now - self._began:.0f} s: {self.tracker.line(now, self.timeout)}")

    def needed(self, one: LayerProgress, now: float) -> float:
        """Return the estimated seconds of a whole upload, 0 until its rate is steady."""
        elapsed = one.elapsed(now)
        if elapsed < limits.WARN_AFTER * self.timeout or not one.sent:
            return 0.0
        return elapsed * one.total / one.sent

    def ended_by_registry(self, one: LayerProgress, now: float) -> bool:
        """Return whether an upload that failed now was ended by the registry's own timer."""
        return one.elapsed(now) >= limits.ENDED_BY_REGISTRY * self.timeout

    def too_slow(self, one: LayerProgress, now: float) -> UploadTooSlowError:
        """Return the error for an upload that exceeds the registry's time limit."""
        error = limits.too_slow(one.layer.label, (one.sent, one.total), one.elapsed(now), self.timeout)
        error.layer = one.layer.diff_id
        return error
