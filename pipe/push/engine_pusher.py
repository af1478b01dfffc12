"""A push by the Engine: its events, its time limits, its end."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from pipe.config.settings import Credentials
from pipe.engine import events
from pipe.engine.diagnosis import from_engine
from pipe.engine.kind import EngineKind
from pipe.errors import (
    EngineGaveUpError,
    LayerTooLargeError,
    PipeError,
    PushInterruptedError,
    RegistryFailedError,
)
from pipe.oci.image import Image
from pipe.oci.reference import Reference
from pipe.push import limits
from pipe.push.clocks import Clocks
from pipe.push.context import Context, Timing
from pipe.push.engine_progress import ENGINE_ATTEMPTS, EngineProgress
from pipe.push.progress import LayerProgress, Snapshot, is_complete, uploading
from pipe.push.pusher import CannotPushError, Pushed
from pipe.report import Report
from pipe.source.image_source import ImageSource
from pipe.units import format_duration

SILENCE = 60.0
"""Seconds that the Engine may be silent beyond one upload's time limit, for a registry's commit; and in all once
every layer has arrived and only the manifest is left."""
TICK = 0.25
"""Seconds between checks of the clocks while the Engine is silent."""
ALIVE_FOR = 10.0
"""Seconds in which an Engine that ended a connection must answer: a service that restarts is back by then."""
_AGAIN = "Run the step again; uploaded layers will be reused."

HandOver = Callable[[Snapshot, float], str | None]
"""Returns why another pusher should take over, given the progress and the clock; None if the Engine should go on."""


class PushEvents(Protocol):
    """The Engine's push stream."""

    def next(self, timeout: float) -> tuple[float, events.Event] | None:
        """Return the next event and when it was read; None if there is none within `timeout` seconds."""

    def close(self) -> None:
        """End the push, in the Engine too."""


class PushingEngine(Protocol):
    """An Engine, as far as a push needs it; see `pipe.engine.client`."""

    def tagged(self, image: Image, target: Reference, warn: Callable[[str], None]) -> AbstractContextManager[None]:
        """Give an image a name for as long as the context lasts."""

    def push(self, target: Reference, credentials: Credentials) -> PushEvents:
        """Start a push."""

    def alive(self) -> bool:
        """Return whether the Engine answers."""

    def gone(self, cause: str) -> PipeError:
        """Return the error for an Engine that does not."""


class PlannedEngine(PushingEngine, Protocol):
    """An Engine, as far as plans need it."""

    def kind(self) -> EngineKind:
        """Return what determines how fast it pushes."""


class EnginePusher:
    """Pushes through the Engine."""

    def __init__(
        self, context: Context, engine: PushingEngine, clocks: Clocks, hand_over: HandOver | None = None
    ) -> None:
        """Nothing happens before `push`; `hand_over` is called after each event, None if no other pusher follows."""
        self._settings = context.settings
        self._report = context.report
        self._timing = context.timing
        self._engine = engine
        self._clocks = clocks
        self._hand_over = hand_over

    def push(self, source: ImageSource, reference: Reference) -> Pushed:
        """Push one tag.

        Raises:
            CannotPushError: Another pusher would be faster, or the Engine has given up on a layer or did not wait for
                the registry to store it.
            PipeError: The push failed, or exceeds a limit of the registry.
        """
        self._clocks.tracker.restart()
        began = self._timing.clock()
        with self._engine.tagged(source.image, reference, self._report.warning):
            stream = self._engine.push(reference, self._settings.credentials)
            try:
                digest = self._follow(stream, reference)
            except PushInterruptedError as error:
                await_engine(self._engine, error, self._timing)
                raise
            except EngineGaveUpError as error:
                if self._hand_over is None:
                    raise
                raise CannotPushError(f"{error.cause} Uploading directly.", error) from error
            except RegistryFailedError as error:
                if self._hand_over is None or not self._awaits_commit():
                    raise
                raise CannotPushError(
                    f"{error.cause} Uploading directly, since Docker Engine may not wait long enough for the registry"
                    " to store a layer.",
                    error,
                ) from error
            finally:
                stream.close()
        self._report.debug(f"Docker Engine pushed {digest} in {format_duration(self._timing.clock() - began)}.")
        return Pushed(digest)

    def _awaits_commit(self) -> bool:
        """Return whether all bytes of a layer were sent from a containerd store, which does not retry a layer.

        Engines from 29.7 wait 30 s for the registry's answer; source: moby#53700.
        """
        under_way = uploading(self._clocks.tracker.snapshot()).values()
        return any(one.layer.size is None and 0 < one.total <= one.sent for one in under_way)

    def _follow(self, stream: PushEvents, reference: Reference) -> str:
        """Return the digest that the Engine reports at the end."""
        attempt = _Attempt(self._clocks, reference, self._report)
        heard = self._clocks.now()
        while True:
            timed = stream.next(TICK)
            # Events that wait to be processed are not late: the clocks follow the time at which they were read.
            now = timed[0] if timed is not None else self._clocks.now()
            if timed is not None:
                heard, event = timed
                if isinstance(event, events.StreamEnded):
                    return attempt.end(event.reason)
                attempt.apply(event, heard)
            layers = self._clocks.tracker.snapshot()
            self._check_sizes(layers)
            self._clocks.check(now)
            self._check_silence(now - heard, layers)
            if self._hand_over is not None and attempt.is_open and (reason := self._hand_over(layers, now)):
                raise CannotPushError(reason)

    def _check_sizes(self, layers: Snapshot) -> None:
        """Stop as soon as a stored size shows in the stream and exceeds the limit."""
        for one in uploading(layers).values():
            if one.layer.size is None and one.total > self._settings.max_layer_size:
                raise limits.too_large(one.layer.label, one.total, self._settings.max_layer_size, sent=True)

    def _check_silence(self, silent: float, layers: Snapshot) -> None:
        if is_complete(layers) and silent >= SILENCE:
            raise PushInterruptedError(
                f"all layers were uploaded, but the registry did not accept the manifest within"
                f" {format_duration(silent)}.",
                fix=_AGAIN,
            )
        if silent >= self._clocks.timeout + SILENCE:
            raise PushInterruptedError(f"Docker Engine was silent for {format_duration(silent)}.", fix=_AGAIN)


def await_engine(engine: PushingEngine, error: PipeError, timing: Timing) -> None:
    """Wait until an Engine that ended a connection answers again.

    Raises:
        EngineUnreachableError: It does not answer for ten seconds.
    """
    until = timing.clock() + ALIVE_FOR
    while not engine.alive():
        if timing.clock() >= until:
            raise engine.gone(error.cause) from error
        timing.sleep(1)


class _Attempt:
    """One push stream, and the outcome of its events so far."""

    def __init__(self, clocks: Clocks, reference: Reference, report: Report) -> None:
        self._clocks = clocks
        self._reference = reference
        self._report = report
        self._progress = EngineProgress(clocks.tracker)
        self._digest = ""
        self._failure: PipeError | None = None

    @property
    def is_open(self) -> bool:
        """Whether the stream has reported neither a digest nor a failure."""
        return self._failure is None and not self._digest

    def apply(self, event: events.Event, at: float) -> None:
        """Apply an event that was read `at` a time."""
        match event:
            case events.PushDone():
                self._digest = event.digest
            case events.Failed():
                self._failure = self._failure or self._diagnosed(event.message, at)
            case events.Note(text=text) if text:
                self._report.debug(f"Engine: {text}")
            case events.LayerEvent():
                restarted = self._progress.apply(event, at)
                if restarted is not None and isinstance(event, events.Retrying):
                    self._restarted(restarted, event.seconds, at)

    def end(self, reason: str) -> str:
        """Return the digest at the end of the stream, or raise why there is none."""
        if self._failure is not None:
            raise self._failure
        if not self._digest:
            cause = (
                f"Lost the connection to Docker Engine ({reason})."
                if reason
                else "Docker Engine reported neither a digest nor an error."
            )
            raise PushInterruptedError(cause, fix=_AGAIN)
        return self._digest

    def _diagnosed(self, message: str, now: float) -> PipeError:
        """Return the meaning of a failure: the registry's timer, a layer that the Engine gave up, or something else."""
        error = from_engine(self._reference, message)
        if isinstance(error, LayerTooLargeError):
            return limits.rejected_as_too_large(error, self._suspects(message))
        if not error.temporary:
            return error
        for one in uploading(self._clocks.tracker.snapshot()).values():
            if self._clocks.ended_by_registry(one, now):
                return self._clocks.too_slow(one, now)
        exhausted = self._progress.exhausted()
        if exhausted is None:
            return error
        one, sent = exhausted
        return limits.given_up(error, one.layer, one.retries, sent=sent)

    def _suspects(self, message: str) -> list[str]:
        """List the layers that the registry may have rejected: graphdriver Engines do not name it."""
        layers = self._clocks.tracker.snapshot()
        named = [one for name, one in layers.items() if f"sha256:{name}" in message]
        suspects = named or sorted(uploading(layers).values(), key=lambda one: -one.total)[:3]
        return [one.layer.label for one in suspects]

    def _restarted(self, one: LayerProgress, seconds: int, now: float) -> None:
        if self._clocks.ended_by_registry(one, now):
            raise self._clocks.too_slow(one, now)
        self._report.warning(
            f"{one.layer.label}: the upload failed; Docker Engine retries in {seconds} s"
            f" (retry {one.retries} of {ENGINE_ATTEMPTS - 1})."
        )
