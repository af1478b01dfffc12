"""The clocks of a push under way: each layer's own, and the line of progress; the same whoever uploads."""

from collections.abc import Callable

from pipe.errors import UploadTooSlowError
from pipe.oci.image import Layer
from pipe.push import limits
from pipe.push.progress import Progress
from pipe.push.report import Report
from pipe.units import format_duration

LINE_EVERY = 10.0
"""Seconds between lines of progress: a step's log has no terminal to redraw a bar on."""


class Watch:
    """Looks at the uploads of one push."""

    def __init__(self, progress: Progress, timeout: float, clock: Callable[[], float], report: Report) -> None:
        """Begin.

        Args:
            progress: Of the layers.
            timeout: Seconds that one layer's upload may last.
            clock: Returns seconds that never go back.
            report: Tells people what happens.
        """
        self.progress = progress
        self.timeout = timeout
        self.clock = clock
        self._report = report
        self._began = self._told = clock()

    def look(self, now: float) -> None:
        """Look at every clock.

        Args:
            now: The clock, in seconds.

        Raises:
            UploadTooSlowError: An upload has lasted longer than the registry allows.
        """
        for layer in self.progress.uploading:
            if layer.elapsed(now) >= self.timeout:
                raise self.too_slow(layer, now)
            self._foretell(layer, now)
        if now - self._told >= LINE_EVERY:
            self._told = now
            self._report.info(f"{now - self._began:.0f} s: {self.progress.line(now, self.timeout)}")

    def needed(self, layer: Layer, now: float) -> float:
        """Return the seconds that an upload will have lasted at its end, 0 while its rate is not steady."""
        elapsed = layer.elapsed(now)
        if elapsed < limits.WARN_AFTER * self.timeout or not layer.sent:
            return 0.0
        return elapsed * layer.total / layer.sent

    def ended_by_registry(self, layer: Layer, now: float) -> bool:
        """Tell whether an upload that failed now was ended by the registry's own timer."""
        return layer.elapsed(now) >= limits.ENDED_BY_REGISTRY * self.timeout

    def too_slow(self, layer: Layer, now: float) -> UploadTooSlowError:
        """Make the error for an upload that passes the registry's timeout."""
        return limits.too_slow(layer.label, (layer.sent, layer.total), layer.elapsed(now), self.timeout)

    def _foretell(self, layer: Layer, now: float) -> None:
        needed = self.needed(layer, now)
        if needed > self.timeout and not layer.warned:
            layer.warned = True
            self._report.warning(
                f"{layer.label}: at this rate the upload will take {format_duration(needed)}, but the registry"
                f" ends an upload after {format_duration(self.timeout)}."
            )
