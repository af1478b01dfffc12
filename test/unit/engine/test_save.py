"""A stream of an image that breaks off, which two threads may find out."""

import threading
from http.client import IncompleteRead
from typing import TYPE_CHECKING, cast

import pytest

from pipe.engine.client import STAGED_AT_ONCE, Engine
from pipe.engine.save import SaveStream
from pipe.errors import EngineSaveError, ImageIncompleteError
from pipe.oci.image import Image

if TYPE_CHECKING:
    from docker import APIClient


class Broken:
    """An Engine's answer that breaks off between two chunks, and is at its end from then on."""

    status_code = 200
    base_url = api_version = ""

    def __init__(self) -> None:
        self.raw = self
        self._original_response = self
        self._reads = 0

    def get(self, _url: str, *, stream: bool) -> "Broken":
        """Answer."""
        assert stream
        return self

    def close(self) -> None:
        """Do nothing."""

    def readinto(self, buffer: memoryview) -> int:
        """Give some bytes, then break off as `http.client` does."""
        self._reads += 1
        if self._reads == 2:
            raise IncompleteRead(b"")
        return len(buffer) if self._reads == 1 else 0


class Slow(Broken):
    """An Engine that stages an image, and tells when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.staged = threading.Event()
        self.questions = 0
        self.urls: list[str] = []

    def get(self, url: str, *, stream: bool) -> "Broken":
        """Answer once it is staged."""
        self.questions += 1
        self.urls.append(url)
        self.asked.set()
        assert self.staged.wait(60)
        return super().get(url, stream=stream)


def test_an_image_is_staged_before_it_is_read_and_only_once() -> None:
    engine = Slow()
    stream = SaveStream(cast("APIClient", engine), "app")
    stream.begin()
    assert engine.asked.wait(60), "the Engine was not asked"
    engine.staged.set()
    assert stream.readinto(memoryview(bytearray(10))) == 10
    assert engine.questions == 1


@pytest.mark.parametrize(
    ("others", "url"),
    [
        pytest.param([], "/v/images/sha256%3Aa/get", id="one"),
        pytest.param(["b&c", "d"], "/v/images/get?names=sha256%3Aa&names=b%26c&names=d", id="several"),
    ],
)
def test_several_images_are_requested_at_once(others: list[str], url: str) -> None:
    engine = Slow()
    engine.staged.set()
    stream = SaveStream(cast("APIClient", engine), "sha256:a", others=others)
    assert stream.readinto(memoryview(bytearray(10))) == 10
    assert engine.urls == [url]


class Turn:
    """A lock of which it is known when a thread wants it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted = threading.Semaphore(0)

    def __enter__(self) -> None:
        """Take it."""
        self.wanted.release()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.wanted.release()
        self.lock.release()


def two_ahead() -> tuple[Turn, Slow, Slow, SaveStream]:
    """Let an Engine stage two images ahead; return the turn, both Engines, and the stream that waits for the first."""
    turn, first, second = Turn(), Slow(), Slow()
    begun, waiting = (SaveStream(cast("APIClient", engine), "app", turn) for engine in (first, second))
    second.staged.set()
    begun.begin(ahead=True)
    assert first.asked.wait(60)
    waiting.begin(ahead=True)
    return turn, first, second, waiting


@pytest.mark.parametrize("closed", [pytest.param(False, id="needed"), pytest.param(True, id="no-longer-needed")])
def test_images_are_staged_ahead_one_after_the_other(closed: bool) -> None:
    turn, first, second, waiting = two_ahead()
    assert turn.wanted.acquire(timeout=60)
    assert turn.wanted.acquire(timeout=60)
    assert second.questions == 0
    if closed:
        waiting.close()
    first.staged.set()
    assert turn.wanted.acquire(timeout=60)
    assert turn.wanted.acquire(timeout=60)
    assert second.questions == (0 if closed else 1)


def test_an_image_that_is_read_does_not_wait_for_the_staging_of_another() -> None:
    _, first, second, waiting = two_ahead()
    assert waiting.readinto(memoryview(bytearray(10))) == 10
    assert second.questions == 1
    first.staged.set()


def test_an_engine_stages_few_images_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = [Slow() for _ in range(STAGED_AT_ONCE + 1)]
    connections, engine = iter(slow), Engine({})
    vars(engine)["_api"] = Broken()
    monkeypatch.setattr(engine, "_connect", lambda _version, _timeout: next(connections))
    streams = [engine.saved(Image("app", 1, ())) for _ in slow]
    for stream, each in zip(streams[:-1], slow, strict=False):
        stream.begin(ahead=True)
        assert each.asked.wait(60)
    streams[-1].begin(ahead=True)
    assert not slow[-1].asked.is_set()
    slow[0].staged.set()
    assert slow[-1].asked.wait(60)
    for each in slow:
        each.staged.set()


class Unable(Broken):
    """An Engine that cannot stage an image."""

    status_code = 500

    def json(self) -> dict[str, str]:
        """Say why."""
        return {"message": "no space left on device"}


class Full(Slow):
    """An Engine whose disk is full until other images were read."""

    def get(self, url: str, *, stream: bool) -> "Broken":
        """Fail once."""
        self.status_code = 200 if self.questions else 500
        return super().get(url, stream=stream)

    def json(self) -> dict[str, str]:
        """Say why."""
        return {"message": "no space left on device"}


def test_an_image_that_could_not_be_staged_ahead_is_requested_again_in_its_turn() -> None:
    turn, engine = Turn(), Full()
    engine.staged.set()
    stream = SaveStream(cast("APIClient", engine), "app", turn)
    stream.begin(ahead=True)
    assert turn.wanted.acquire(timeout=60)
    assert turn.wanted.acquire(timeout=60)
    assert stream.readinto(memoryview(bytearray(10))) == 10
    assert engine.questions == 2


def test_why_an_image_could_not_be_staged_is_told_who_reads() -> None:
    stream = SaveStream(cast("APIClient", Unable()), "app")
    stream.begin()
    for _ in range(2):
        with pytest.raises(EngineSaveError, match="no space left on device"):
            stream.readinto(memoryview(bytearray(10)))


class Incomplete(Broken):
    """An Engine whose store lacks a blob."""

    status_code = 404

    def json(self) -> dict[str, str]:
        """Say so."""
        return {"message": f"content digest sha256:{'0' * 64}: not found"}


def test_an_image_that_the_store_holds_in_part_is_the_images_fault() -> None:
    stream = SaveStream(cast("APIClient", Incomplete()), "app")
    for _ in range(2):
        with pytest.raises(ImageIncompleteError, match="content digest"):
            stream.readinto(memoryview(bytearray(10)))


def test_a_stream_that_broke_off_never_looks_as_if_it_had_ended() -> None:
    stream = SaveStream(cast("APIClient", Broken()), "app")
    buffer = memoryview(bytearray(10))
    assert stream.readinto(buffer) == 10
    for _ in range(2):
        with pytest.raises(EngineSaveError, match="closed the image stream unexpectedly") as raised:
            stream.readinto(buffer)
        assert raised.value.temporary
