"""A push by the Engine: its events, its clocks, its end."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from pipe.config.settings import Credentials
from pipe.engine import events
from pipe.engine.diagnosis import from_engine
from pipe.errors import LayerTooLargeError, PipeError, PushInterruptedError
from pipe.oci.image import Image, Layer
from pipe.oci.reference import Reference
from pipe.push import limits
from pipe.push.engine_progress import ENGINE_ATTEMPTS, EngineProgress
from pipe.push.report import Report, Timing
from pipe.push.watch import Watch
from pipe.units import format_duration

SILENCE = 60.0
"""Seconds that the Engine may be silent beyond one upload's timeout, for a registry's commit; and in all once
every layer has arrived and only the manifest is to be put."""
TICK = 0.25
"""Seconds between looks at the clocks while the Engine is silent."""
ALIVE_FOR = 10.0
"""Seconds for which an Engine that broke off is asked whether it is there: a service that restarts, or a
connection that was interrupted, is back by then."""
_AGAIN = "Run the step again; layers that arrived are not sent again."


class TakeOver(Exception):  # noqa: N818
    """The Engine's push was ended, for the pipe to upload the image itself."""

    def __init__(self, reason: str) -> None:
        """Say why, for people."""
        super().__init__(reason)
        self.reason = reason


class Stream(Protocol):
    """The Engine's push stream."""

    def next(self, timeout: float) -> tuple[float, events.Event] | None:
        """Return the next event and the clock when it was read, None if none arrives within `timeout` seconds."""

    def close(self) -> None:
        """End the push in the Engine, too."""


class Engine(Protocol):
    """What a push needs of the Docker Engine."""

    def tagged(self, image: Image, target: Reference, tell: Callable[[str], None]) -> AbstractContextManager[None]:
        """Give an image a name for a while."""

    def push(self, target: Reference, credentials: Credentials) -> Stream:
        """Begin a push."""

    def alive(self) -> bool:
        """Tell whether the Engine answers."""

    def gone(self, cause: str) -> PipeError:
        """Make the error for an Engine that does not."""


class EnginePush:
    """Lets the Engine push."""

    def __init__(
        self, engine: Engine, credentials: Credentials, max_layer_size: int, report: Report, timing: Timing
    ) -> None:
        """Prepare; nothing happens yet.

        Args:
            engine: Has the image.
            credentials: For the registry.
            max_layer_size: Bytes that one layer may have.
            report: Tells people what happens.
            timing: Time.
        """
        self._engine = engine
        self._credentials = credentials
        self._max_layer_size = max_layer_size
        self._report = report
        self._timing = timing

    def push(
        self,
        target: Reference,
        image: Image,
        watch: Watch,
        decide: Callable[[EngineProgress, float], str | None] = lambda _progress, _now: None,
    ) -> str:
        """Push one tag.

        Args:
            target: Where to push.
            image: The image.
            watch: Keeps the clocks, over all attempts.
            decide: Says why the push is better ended, None where it is not; asked after each event.

        Returns:
            The digest that the Engine names.

        Raises:
            PipeError: The push failed, or breaks a limit of the registry.
            TakeOver: `decide` had a reason.
        """
        watch.progress.restart()
        began = self._timing.clock()
        with self._engine.tagged(image, target, self._report.warning):
            stream = self._engine.push(target, self._credentials)
            try:
                digest = _Attempt(self, target, watch, decide).follow(stream)
            except PushInterruptedError as error:
                self.await_engine(error)
                raise
            finally:
                stream.close()
        self._report.debug(f"The Engine pushed {digest} in {format_duration(self._timing.clock() - began)}.")
        return digest

    def await_engine(self, error: PipeError) -> None:
        """Tell an Engine that ended from a connection that was interrupted.

        Args:
            error: What broke off.

        Raises:
            EngineUnreachableError: It does not answer for ten seconds.
        """
        until = self._timing.clock() + ALIVE_FOR
        while not self._engine.alive():
            if self._timing.clock() >= until:
                raise self._engine.gone(error.cause) from error
            self._timing.sleep(1)

    def check_size(self, layer: Layer) -> None:
        """Stop at once where a stored size first shows in the stream."""
        if layer.size is None and layer.total > self._max_layer_size:
            raise limits.too_large(layer.label, layer.total, self._max_layer_size, unpacked=False)

    def tell(self, text: str, *, warning: bool = False) -> None:
        """Tell people."""
        (self._report.warning if warning else self._report.debug)(text)


class _Attempt:
    """One push stream, followed to its end."""

    def __init__(
        self,
        push: EnginePush,
        target: Reference,
        watch: Watch,
        decide: Callable[[EngineProgress, float], str | None],
    ) -> None:
        self._push = push
        self._target = target
        self._watch = watch
        self._decide = decide
        self._progress = EngineProgress(watch.progress)
        self._digest = ""
        self._failure: PipeError | None = None

    def follow(self, stream: Stream) -> str:
        """Return the digest that the Engine names at the end."""
        heard = self._watch.clock()
        while True:
            # While events wait in the queue, time is when they were read: what follows may already be there.
            now, event = stream.next(TICK) or (self._watch.clock(), None)
            heard = now if event is not None else heard
            if isinstance(event, events.StreamEnded):
                return self._end(event.reason)
            self._take(event, now)
            for layer in self._watch.progress.uploading:
                self._push.check_size(layer)
            self._watch.look(now)
            self._check_silence(now - heard)
            reason = None if self._failure or self._digest else self._decide(self._progress, now)
            if reason is not None:
                raise TakeOver(reason)

    def _take(self, event: events.Event | None, now: float) -> None:
        match event:
            case events.Pushed():
                self._digest = event.digest
            case events.Failed():
                self._failure = self._failure or self._diagnosed(event.message, now)
            case events.Note(text=text) if text:
                self._push.tell(f"Engine: {text}")
            case events.LayerEvent():
                again = self._progress.apply(event, now)
                if again is not None and isinstance(event, events.Retrying):
                    self._retrying(again, event.seconds, now)

    def _check_silence(self, silent: float) -> None:
        if self._watch.progress.complete and silent >= SILENCE:
            raise PushInterruptedError(
                f"every layer has arrived, but the registry did not accept the manifest within"
                f" {format_duration(silent)}.",
                fix=_AGAIN,
            )
        if silent >= self._watch.timeout + SILENCE:
            raise PushInterruptedError(f"Docker Engine was silent for {format_duration(silent)}.", fix=_AGAIN)

    def _end(self, reason: str) -> str:
        if self._failure is not None:
            raise self._failure
        if not self._digest:
            cause = (
                f"Docker Engine's stream broke off ({reason})."
                if reason
                else "Docker Engine reported neither a digest nor an error."
            )
            raise PushInterruptedError(cause, fix=_AGAIN)
        return self._digest

    def _diagnosed(self, message: str, now: float) -> PipeError:
        """Tell a registry's own timer from a temporary failure, and what the Engine tried in vain."""
        error = from_engine(self._target, message)
        if isinstance(error, LayerTooLargeError):
            return limits.refused_as_too_large(error, self._suspects(message))
        if not error.temporary:
            return error
        for layer in self._watch.progress.uploading:
            if self._watch.ended_by_registry(layer, now):
                return self._watch.too_slow(layer, now)
        exhausted = self._progress.exhausted
        if exhausted is None:
            return error
        return limits.given_up(error, exhausted, sent=self._progress.was_sent(exhausted))

    def _suspects(self, message: str) -> list[str]:
        """Name the layer that the registry refused, or those that it may have meant: graphdriver Engines do not say."""
        progress = self._watch.progress
        named = [layer for name, layer in progress.layers.items() if f"sha256:{name}" in message]
        return [layer.label for layer in named or sorted(progress.uploading, key=lambda u: -u.total)[:3]]

    def _retrying(self, layer: Layer, seconds: int, now: float) -> None:
        if self._watch.ended_by_registry(layer, now):
            raise self._watch.too_slow(layer, now)
        self._push.tell(
            f"{layer.label}: its upload failed; Docker Engine tries again in {seconds} s"
            f" (retry {layer.retries} of {ENGINE_ATTEMPTS - 1}).",
            warning=True,
        )
