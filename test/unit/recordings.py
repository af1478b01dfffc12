"""The recorded streams beside this folder, and the transcripts that they must become."""

import contextlib
import difflib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from unit.fakes import REQUEST, SETTINGS, Clock, Line, Messages, OneImage, Player

from pipe.config.settings import Credentials
from pipe.engine import events
from pipe.errors import PipeError
from pipe.oci.image import Image
from pipe.oci.reference import Reference
from pipe.push.clocks import Clocks
from pipe.push.context import Context, Timing
from pipe.push.engine_pusher import EnginePusher
from pipe.push.progress import ProgressTracker

if TYPE_CHECKING:
    from pipe.registry.repository import Repository

STREAMS = Path(__file__).parents[1] / "streams"
TARGET = Reference("crg.apkg.io", "acme/app", "1")
UNKNOWN_IMAGE = Image("sha256:" + "0" * 64, 0, ())


@dataclass(frozen=True)
class Recording:
    """One push stream as an Engine sent it."""

    path: Path

    @property
    def engine(self) -> str:
        """The Engine's version and image store."""
        return self.path.parent.name

    @property
    def scenario(self) -> str:
        """What happened to the push."""
        return self.path.stem

    @property
    def containerd(self) -> bool:
        """Whether the Engine has the containerd image store."""
        return self.engine.endswith("containerd")

    def raw(self) -> list[tuple[float, str]]:
        """Return the lines with their times."""
        entries = map(json.loads, self.path.read_text("utf-8").splitlines())
        return [(entry["at"], json.dumps(entry["line"])) for entry in entries]

    def lines(self) -> list[Line]:
        """Return the events with their times."""
        return [(at, events.parse(line)) for at, line in self.raw()]

    @property
    def transcript_path(self) -> Path:
        """Where its transcript is kept."""
        return self.path.with_suffix(".txt")


RECORDINGS = [Recording(path) for path in sorted(STREAMS.glob("*/*.jsonl"))]
each_recording = pytest.mark.parametrize(
    "recording", [pytest.param(each, id=f"{each.engine}/{each.scenario}") for each in RECORDINGS]
)


def recording(engine: str, scenario: str) -> Recording:
    """Find a recording by a part of its Engine's name."""
    (found,) = (each for each in RECORDINGS if engine in each.engine and each.scenario == scenario)
    return found


class OneStream:
    """An Engine whose one push is a stream that is there already."""

    def __init__(self, stream: Player) -> None:
        self._stream = stream

    @contextlib.contextmanager
    def tagged(self, image: Image, target: Reference, tell: Callable[[str], None]) -> Iterator[None]:
        """Give no name."""
        yield

    def push(self, target: Reference, credentials: Credentials) -> Player:
        """Return the stream."""
        return self._stream

    def alive(self) -> bool:
        """Say that it answers."""
        return True

    def gone(self, cause: str) -> PipeError:
        """Make the error for an Engine that does not."""
        raise AssertionError(cause)


def follow(
    stream: Player,
    clock: Clock,
    told: Messages,
    image: Image,
    *,
    timeout: float = 420.0,
    limit: int = 32 * 10**9,
    tracker: ProgressTracker | None = None,
) -> str:
    """Let an Engine push, and return the digest that it names."""
    settings = SETTINGS._replace(max_layer_size=limit, upload_timeout=timeout)
    context = Context(settings, REQUEST, cast("Repository", None), told, Timing(clock, clock.sleep, lambda: 0.0))
    clocks = Clocks(tracker or ProgressTracker(image), timeout, clock, told)
    return EnginePusher(context, OneStream(stream), clocks).push(OneImage(image), TARGET).digest


def transcript(played: Recording) -> str:
    """Write down a push: each event, below it what people are told, and how it ends."""
    clock, told = Clock(), Messages()
    began = clock.now
    told_before = 0
    written: list[str] = []

    def heard(event: events.Event) -> None:
        flush()
        fields = " ".join(str(value) for value in asdict(event).values())
        written.append(f"{clock.now - began:7.3f} {type(event).__name__} {fields}".rstrip())

    def flush() -> None:
        nonlocal told_before
        written.extend(f"        > {line}" for line in told.lines[told_before:])
        told_before = len(told.lines)

    stream = Player(clock, played.lines(), heard=heard)
    try:
        end = follow(stream, clock, told, UNKNOWN_IMAGE)
    except PipeError as error:
        end = f"{type(error).__name__}{' (temporary)' if error.temporary else ''}: {error.summary}"
    flush()
    return "\n".join([*written, f"= {end}", ""])


def difference(expected: str, actual: str) -> str:
    """Show where two texts differ."""
    return "\n".join(
        difflib.unified_diff(expected.splitlines(), actual.splitlines(), "expected", "actual", lineterm="")
    )


def rewrite() -> None:
    """Write all transcripts anew, for a reader to compare with those before."""
    for each in RECORDINGS:
        each.transcript_path.write_text(transcript(each), "utf-8")


if __name__ == "__main__":
    rewrite()
