"""Stand-ins for an Engine and the log, moved by a clock that no test waits for."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipe.config.settings import Credentials, PushRequest, Settings
from pipe.engine.events import Event, PushDone, StreamEnded
from pipe.engine.kind import EngineKind
from pipe.errors import EngineSaveError, EngineUnreachableError, PipeError
from pipe.oci.image import Image
from pipe.oci.manifest import DOCKER_LAYER, Manifest
from pipe.oci.reference import Reference
from pipe.source.blob import SourceBlob, StoredImage, in_memory
from pipe.source.image_source import BlobStream
from pipe.threads import Cancel

Line = tuple[float, Event]
"""Seconds since the push began, and what the Engine says then."""

ENDED = StreamEnded()
"""The end of a stream that did not break off."""


class _Unasked(type):
    def __instancecheck__(cls, instance: object) -> bool:
        raise AssertionError(f"{instance!r} is compared with {cls.__name__}")


class Unchecked(metaclass=_Unasked):
    """A protocol that is not checked at run time: the first such check loads Python's parser."""


class Clock:
    """Time that passes only when something waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass, and remember."""
        self.slept.append(seconds)
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        """Let time pass, in any thread."""
        with self._lock:
            self.now += seconds

    def wait(self, cancel: Cancel, seconds: float) -> None:
        """Let time pass in a worker, unless its work is cancelled."""
        cancel.check()
        self.pass_by(seconds)


class Player:
    """A push stream that says each event at its time, then ends."""

    def __init__(
        self,
        clock: Clock,
        lines: Iterable[Line],
        end: StreamEnded | None = ENDED,
        *,
        heard: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._began = clock.now
        self._lines = iter(lines)
        self._next = next(self._lines, None)
        self._end = end
        self._heard = heard
        self.closed = False

    def next(self, timeout: float) -> tuple[float, Event] | None:
        """Return the next event and its time if it comes within `timeout` seconds; with no end, silence goes on."""
        if self._next is None:
            if self._end is None:
                self._clock.now += timeout
                return None
            return self._clock.now, self._end
        at, event = self._next
        if self._began + at > self._clock.now + timeout:
            self._clock.now += timeout
            return None
        read = self._began + at
        self._clock.now = max(self._clock.now, read)
        self._next = next(self._lines, None)
        self._heard(event)
        return read, event

    def close(self) -> None:
        """Remember that the push was ended."""
        self.closed = True


@dataclass
class Messages:
    """The log, and the secrets that no output may show."""

    lines: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def info(self, text: str) -> None:
        """Remember what happens."""
        self.lines.append(f"INFO {text}")

    def warning(self, text: str) -> None:
        """Remember what people should know."""
        self.lines.append(f"WARNING {text}")

    def debug(self, text: str) -> None:
        """Remember what matters only when something is wrong."""
        self.lines.append(f"DEBUG {text}")

    def hide(self, secret: str) -> None:
        """Remember a secret."""
        self.hidden.append(secret)

    def of(self, level: str) -> list[str]:
        """Return the lines of a level."""
        return [line.removeprefix(f"{level} ") for line in self.lines if line.startswith(f"{level} ")]


REQUEST = PushRequest("app", Reference("", "app"), "crg.apkg.io", "acme/app", ("1.0",))
"""The push of `app` to `crg.apkg.io/acme/app:1.0`."""
SETTINGS = Settings(
    requests=(REQUEST,),
    registry="crg.apkg.io",
    credentials=Credentials("me", "s3cr3t-t0ken"),
    max_layer_size=32 * 10**9,
    upload_timeout=420.0,
    max_attempts=3,
    dry_run=False,
    result_file=None,
    variables_file=None,
    debug=False,
    docker={},
    uploader="engine",
    reuse_from=(),
    image_archive=None,
    if_tag_exists="overwrite",
    compression="auto",
)
"""The settings of a run that only makes this push."""


class OneImage:
    """A source whose export fails, or that is only there for its image."""

    def __init__(self, image: Image, failure: PipeError | None = None) -> None:
        self.image = image
        self.replayable = False
        self.present: Manifest | None = None
        self.failure: PipeError | None = failure or EngineSaveError("it cannot be exported.")
        self.done: list[str] = []
        self.copy: StoredImage | None = None
        """What a copy of the export holds."""

    def stored(self, copied: Callable[[int], None]) -> StoredImage:
        """Return the copy, or fail."""
        self.done.append("copy")
        copied(self.image.size)
        if self.copy is None:
            raise EngineSaveError("it cannot be exported.")
        return self.copy

    @contextmanager
    def staged(self) -> Iterator[None]:
        """Remember that the image was staged, and released."""
        self.done.append("stage")
        try:
            yield
        finally:
            self.done.append("end of staging")

    @contextmanager
    def blobs(self, _known: Callable[[], frozenset[str]] = frozenset) -> Iterator[BlobStream]:
        """Export nothing but a small blob, or fail."""
        self.done.append("open")
        try:
            if self.failure is not None:
                raise self.failure
            yield SmallExport()
        finally:
            self.done.append("close")


class SmallExport:
    """An export of one blob that is stored as it is."""

    config = b""
    manifests = ()

    def __iter__(self) -> Iterator[SourceBlob]:
        """Yield the blob."""
        yield in_memory("layer.tar", DOCKER_LAYER, b"layer")


class FakeEngine:
    """An Engine with one image, whose pushes play what a test gives."""

    def __init__(self, clock: Clock, image: Image | PipeError) -> None:
        self._clock = clock
        self._image = image
        self.pushes: list[Iterable[Line] | PipeError] = []
        """The events of each push, one after the other."""
        self.ends: Iterator[StreamEnded | None] = itertools.repeat(ENDED)
        self.answers = True
        self.arrives: Callable[[str, str], None] = lambda _tag, _digest: None
        """What a push that names a digest does to the registry."""
        self.done: list[str] = []
        self.credentials: list[Credentials] = []
        self.streams: list[Player] = []
        self.source: OneImage | None = None
        self.unable: PipeError | None = EngineSaveError("it cannot be exported.")
        """Why an export fails, None if it does not."""
        self.copy: StoredImage | None = None
        """What a copy of the export holds."""

    def find(self) -> OneImage:
        """Return the image as a source that cannot be exported, or fail."""
        self.done.append("find app")
        if isinstance(self._image, PipeError):
            raise self._image
        self.source = OneImage(self._image)
        self.source.failure = self.unable
        self.source.copy = self.copy
        return self.source

    @contextmanager
    def tagged(self, image: Image, target: Reference, tell: Callable[[str], None]) -> Iterator[None]:
        """Remember the name given, and taken away again."""
        assert image is self._image
        self.done.append(f"tag {target}")
        try:
            yield
        finally:
            self.done.append(f"untag {target}")

    def push(self, target: Reference, credentials: Credentials) -> Player:
        """Play the next push."""
        self.done.append(f"push {target}")
        self.credentials.append(credentials)
        lines = self.pushes.pop(0)
        if isinstance(lines, PipeError):
            raise lines

        def heard(event: Event) -> None:
            if isinstance(event, PushDone):
                self.arrives(target.tag, event.digest)

        self.streams.append(Player(self._clock, lines, next(self.ends), heard=heard))
        return self.streams[-1]

    def kind(self) -> EngineKind:
        """Be as slow as Bitbucket's."""
        return EngineKind("go1.21", 2)

    def alive(self) -> bool:
        """Return whether it answers."""
        self.done.append("alive?")
        return self.answers

    def gone(self, cause: str) -> PipeError:
        """Return the error for an Engine that does not."""
        return EngineUnreachableError(cause)
