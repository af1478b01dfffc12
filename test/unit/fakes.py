"""Stand-ins at the seams that push.py and upload.py declare, moved by a clock that no test waits for."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import cast

from pipe.config.settings import Credentials
from pipe.engine.events import Event, Pushed, StreamEnded
from pipe.engine.kind import EngineKind
from pipe.errors import EngineSaveError, EngineUnreachableError, PipeError
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.push.blob_upload import Blobs, BlobUpload
from pipe.push.direct_push import Stream
from pipe.registry.blobs import Chunking
from pipe.source.blob import SourceBlob

Line = tuple[float, Event]
"""Seconds since the push began, and what the Engine says then."""

ENDED = StreamEnded()
"""The end of a stream that did not break off."""


class Clock:
    """Time that passes only when something waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass, and remember."""
        self.slept.append(seconds)
        self.now += seconds


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
        """Return the next event where its time comes within `timeout` seconds; with no end, silence goes on."""
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
class Told:
    """What people were told."""

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
        """Remember what no output may show."""
        self.hidden.append(secret)

    def of(self, level: str) -> list[str]:
        """Return what was told at a level."""
        return [line.removeprefix(f"{level} ") for line in self.lines if line.startswith(f"{level} ")]


class FakeRegistry:
    """A registry that keeps what it is given, and answers as a test wants."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.manifests: dict[str, Manifest] = {}
        self.check: list[PipeError | None] = []
        """What becomes of the first checks; later ones pass."""
        self.put: list[bool | PipeError] = []
        """What becomes of the first manifests put; later ones are taken."""
        self.read_back: list[str | PipeError | None] = []
        """What the first questions for a tag that exists are answered; later ones truly."""
        self.asked: list[str] = []

    def keep(self, tag: str, manifest: Manifest) -> None:
        """Store a manifest under a tag."""
        self.tags[tag] = manifest.digest
        self.manifests[manifest.digest] = manifest

    def check_push(self) -> None:
        """Allow the push, or not."""
        self.asked.append("check")
        error = self.check.pop(0) if self.check else None
        if error is not None:
            raise error

    def digest(self, reference: str) -> str | None:
        """Say what a tag or digest names."""
        self.asked.append(f"HEAD {reference}")
        if reference in self.manifests or reference in self.tags.values():
            return reference
        return self.tags.get(reference)

    def manifest(self, reference: str) -> Manifest | None:
        """Return what a tag or digest names."""
        self.asked.append(f"GET {reference}")
        if self.read_back and reference in self.tags:
            answer = self.read_back.pop(0)
            if isinstance(answer, PipeError):
                raise answer
            return self.manifests.get(answer or "")
        return self.manifests.get(self.tags.get(reference, reference))

    @property
    def blobs(self) -> Blobs:
        """Have none: who uploads by itself is tested with a real registry."""
        return cast("Blobs", NoBlobs())

    def read_blob(self, digest: str, maximum: int) -> bytes | None:
        """Have no blobs."""
        return None

    def push_manifest(self, reference: str, manifest: Manifest) -> None:
        """Keep a manifest."""
        self.keep(reference, manifest)

    def put_manifest(self, tag: str, manifest: Manifest) -> bool:
        """Keep a manifest, or not."""
        self.asked.append(f"PUT {tag}")
        answer = self.put.pop(0) if self.put else True
        if isinstance(answer, PipeError):
            raise answer
        if answer:
            self.keep(tag, manifest)
        return answer


class NoBlobs:
    """A registry's blobs, of which there are none."""

    def find_chunking(self, watch: BlobUpload) -> Chunking:
        """Take a blob as one stream."""
        del watch
        return Chunking(0)


class Unreadable:
    """A stream that fails with its first blob."""

    def __init__(self, failure: PipeError) -> None:
        self._failure = failure

    def __iter__(self) -> Iterator[SourceBlob]:
        """Fail."""
        raise self._failure


class FakeEngine:
    """An Engine with one image, whose pushes play what a test gives."""

    def __init__(self, clock: Clock, image: Image | PipeError, registry: FakeRegistry) -> None:
        self._clock = clock
        self._image = image
        self._registry = registry
        self.pushes: list[Iterable[Line] | PipeError] = []
        """What each push says, one after the other."""
        self.ends: Iterator[StreamEnded | None] = itertools.repeat(ENDED)
        self.answers = True
        self.unable: PipeError = EngineSaveError("it cannot be streamed.")
        """What becomes of a stream."""
        self.arrives: Callable[[str, str], None] | None = None
        """What the registry gets of a push, instead of the digest under the tag."""
        self.done: list[str] = []
        self.credentials: list[Credentials] = []
        self.streams: list[Player] = []

    def image(self, name: str) -> Image:
        """Return the image, or fail."""
        self.done.append(f"find {name}")
        if isinstance(self._image, PipeError):
            raise self._image
        return self._image

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
            if isinstance(event, Pushed):
                (self.arrives or self._arrive)(target.tag, event.digest)

        self.streams.append(Player(self._clock, lines, next(self.ends), heard=heard))
        return self.streams[-1]

    def _arrive(self, tag: str, digest: str) -> None:
        self._registry.tags[tag] = digest

    def kind(self) -> EngineKind:
        """Be as slow as Bitbucket's."""
        return EngineKind("go1.21", 2)

    @contextmanager
    def _unreadable(self) -> Iterator[Stream]:
        """Stream nothing: that is tested with a real Engine."""
        try:
            yield cast("Stream", Unreadable(self.unable))
        finally:
            self.done.append("end of stream")

    def streamed(self, image: Image, *, ahead: bool = False) -> AbstractContextManager[Stream]:
        """Begin a stream that cannot be read."""
        assert image is self._image
        if ahead:
            self.done.append("stream ahead")
        return self._unreadable()

    def alive(self) -> bool:
        """Tell whether it answers."""
        self.done.append("alive?")
        return self.answers

    def gone(self, cause: str) -> PipeError:
        """Make the error for an Engine that does not."""
        return EngineUnreachableError(cause)
