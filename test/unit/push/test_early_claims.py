"""Images that are sent ahead: what they share is sent once, and what they are not sent for is decided in their turn."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
from unit.fakes import REQUEST, SETTINGS, Clock, FakeEngine, Messages
from unit.http import Outcome, Sent
from unit.packages import Packages
from unit.runs import connected, encoder

from pipe.oci.image import Image, Layer
from pipe.oci.manifest import Manifest
from pipe.push.context import Context, Timing
from pipe.push.early_sending import SMALL
from pipe.push.preparation import FRESH
from pipe.push.pushers import Pushers
from pipe.push.result import LayerStatus, TagStatus
from pipe.push.reuse import Place
from pipe.push.run import Push
from pipe.push.shared_layers import SharedLayers
from pipe.source.blob import SourceBlob, StoredImage, in_memory
from pipe.threads import Cancel, CancelledError, apart

LONG = 60.0
"""Seconds after which a test fails that waits for another thread."""
SIZE = 4 * 10**6
"""Bytes that each layer counts as: the images are worth the pipe's push."""
BASE, COMMON, ONE, TWO = (hashlib.sha512(name).digest() * 50 for name in (b"base", b"common", b"one", b"two"))


def digest(data: bytes) -> str:
    """Return a digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Source:
    """An image that an Engine streams.

    Attributes:
        opened: How often it was opened.
    """

    manifests: tuple[Manifest, ...] = ()
    present: Manifest | None = None
    replayable = False

    def __init__(self, *contents: bytes, size: int = SIZE) -> None:
        self._contents = contents
        diff_ids = [digest(each) for each in contents]
        self.config = json.dumps({"rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
        layers = tuple(Layer(n, diff_id, size) for n, diff_id in enumerate(diff_ids, 1))
        self.opened = 0
        self.image = Image(digest(self.config), size * len(layers), layers)

    def __iter__(self) -> Iterator[SourceBlob]:
        """Yield the layers."""
        for data in self._contents:
            yield SourceBlob("layer", len(data), digest(data), None, in_memory("layer", "", data).open)

    def blobs(self, known: Callable[[], frozenset[str]] = frozenset) -> AbstractContextManager["Source"]:
        """Open the image."""
        known()
        self.opened += 1
        return nullcontext(self)

    def stored(self, _copied: Callable[[int], None]) -> StoredImage:
        """Return nothing: no layer is split."""
        return StoredImage((), b"", (), ())

    def staged(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


class Run:
    """Pushes of one run to the packages `acme/1`, `acme/2` and so on."""

    def __init__(self, uploader: str = "pipe") -> None:
        self.registry, self.log, self.clock = Packages("acme/1", "acme/2", "acme/3"), Messages(), Clock()
        self.shared = SharedLayers()
        self.settings = SETTINGS._replace(uploader=uploader, max_attempts=1)
        self.client = connected(self.clock, self.log, self.registry)

    def push(self, number: int, source: Source) -> Push:
        """Prepare a push ahead."""
        path = f"acme/{number}"
        repository = self.client.repository(path)
        timing = Timing(self.clock, self.clock.sleep, lambda: 0.0, self.clock.wait)
        request = REQUEST._replace(image=path, repository=path)
        context = Context(self.settings, request, repository, self.log, timing, self.shared)
        engine = FakeEngine(self.clock, source.image)
        pushers = Pushers(context, [Place(repository, "1.0")], encoder, engine)
        push = Push(context, lambda: source, pushers)
        push.preparation.ahead()
        return push

    def wait(self, *, sent_by_others: Source) -> None:
        """Let so much time pass that answers are old; another run pushes an image to `acme/1` then."""
        self.clock.pass_by(FRESH + 1)
        other = Run()
        other.finish(other.push(1, sent_by_others))
        here, there = self.registry["acme/1"], other.registry["acme/1"]
        here.manifests |= there.manifests
        here.tags |= there.tags
        here.blobs |= there.blobs

    def finish(self, push: Push) -> list[LayerStatus]:
        """Do what the turn of a push does, and return the status of each layer."""
        push.run()
        result = push.result(0)
        self.shared.add(result)
        return [layer.status for layer in result.layers]


class Gate:
    """Holds requests back until it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._held = threading.Semaphore(0)

    def __call__(self, _: Sent) -> Outcome | None:
        """Wait, then let the request go on."""
        self._held.release()
        assert self._opened.wait(LONG)
        return None

    def wait_for(self, count: int) -> None:
        """Wait until so many requests are held back."""
        for _ in range(count):
            assert self._held.acquire(timeout=LONG)

    def open(self) -> None:
        """Let all go on."""
        self._opened.set()


UPLOADED, MOUNTED = LayerStatus.UPLOADED, LayerStatus.MOUNTED


def test_a_layer_that_another_image_is_bringing_is_mounted_in_the_turn() -> None:
    run, gate = Run(), Gate()
    one, two = run.push(1, Source(COMMON, ONE)), run.push(2, Source(COMMON, TWO))
    run.registry.on("P*", "/v2/acme/1/blobs/uploads/*", gate)
    assert one.preparation.send_ahead(Cancel(), is_next=True) is not None
    assert two.preparation.send_ahead(Cancel(), is_next=False) is None
    gate.open()
    assert run.finish(one) == [UPLOADED, UPLOADED]
    assert run.finish(two) == [MOUNTED, UPLOADED]


def test_a_layer_that_has_arrived_ahead_is_not_sent_again_before_the_turn_of_its_image() -> None:
    run = Run()
    one, two = run.push(1, Source(COMMON, ONE)), run.push(2, Source(COMMON, TWO))
    under_way = one.preparation.send_ahead(Cancel(), is_next=True)
    assert under_way is not None
    under_way.result(LONG)
    assert two.preparation.send_ahead(Cancel(), is_next=False) is None
    assert run.finish(one) == [UPLOADED, UPLOADED]
    assert run.finish(two) == [MOUNTED, UPLOADED]


@pytest.mark.parametrize("is_next", [pytest.param(True, id="the-next"), pytest.param(False, id="a-further-one")])
def test_a_large_image_is_not_sent_beside_another_one(is_next: bool) -> None:
    run = Run()
    large = run.push(1, Source(*(bytes([number]) for number in range(SMALL // SIZE + 1))))
    under_way = large.preparation.send_ahead(Cancel(), is_next=is_next)
    assert (under_way is not None) is is_next
    assert run.finish(large) == [UPLOADED] * 3


def test_an_image_that_the_engine_would_push_is_planned_again_once_others_have_brought_its_layers() -> None:
    run = Run("auto")
    two = run.push(2, Source(COMMON, TWO, size=10**7))
    assert two.preparation.send_ahead(Cancel(), is_next=True) is None
    run.settings = run.settings._replace(uploader="pipe")
    assert run.finish(run.push(1, Source(COMMON, ONE))) == [UPLOADED, UPLOADED]
    assert run.finish(two) == [MOUNTED, UPLOADED]


def test_an_image_is_not_opened_after_the_end_of_the_run() -> None:
    run, source, cancel = Run(), Source(COMMON, ONE), Cancel()
    push = run.push(1, source)
    cancel.cancel()
    under_way = push.preparation.send_ahead(cancel, is_next=True)
    assert under_way is not None
    with pytest.raises(CancelledError):
        under_way.result(LONG)
    assert source.opened == 0


def test_answers_that_are_old_are_asked_for_again_before_blobs_are_sent() -> None:
    run, source = Run(), Source(COMMON, ONE)
    push = run.push(1, source)
    run.wait(sent_by_others=Source(COMMON, ONE))
    assert push.preparation.send_ahead(Cancel(), is_next=True) is None
    assert not push.preparation.is_needed
    assert run.finish(push) == [LayerStatus.ALREADY_THERE] * 2
    assert source.opened == 0


def test_a_push_whose_blobs_are_sent_ahead_ends_although_another_run_has_pushed_the_image() -> None:
    run, gate = Run(), Gate()
    push = run.push(1, Source(COMMON, ONE))
    run.registry.on("PUT", "/v2/acme/1/blobs/uploads/*", gate)
    under_way = push.preparation.send_ahead(Cancel(), is_next=True)
    assert under_way is not None
    gate.wait_for(2)
    run.wait(sent_by_others=Source(COMMON, ONE))
    turn = apart(lambda: run.finish(push))
    gate.open()
    assert turn.result(LONG) == [UPLOADED, UPLOADED]
    assert under_way.done()
    assert [tag.status for tag in push.result(0).tags] == [TagStatus.PUSHED]
