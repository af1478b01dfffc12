"""The blobs of a release's next images, which are sent before their turn, and whenever that must not happen."""

import threading
from collections.abc import Mapping
from concurrent.futures import wait

import pytest
from unit.fakes import REQUEST, SETTINGS, Clock, FakeEngine
from unit.http import Sent
from unit.packages import Packages
from unit.push.test_hints import Streamed, sha256
from unit.push.test_release import Log
from unit.runs import connected, encoder

from pipe.errors import PipeError
from pipe.push.clocks import LINE_EVERY, Clocks
from pipe.push.context import Context, Timing
from pipe.push.progress import ProgressTracker
from pipe.push.pushers import Pushers
from pipe.push.release import Release
from pipe.push.result import LayerStatus, TagStatus
from pipe.push.reuse import Place
from pipe.push.run import Push
from pipe.push.shared_layers import SharedLayers
from pipe.threads import Cancel, CancelledError

LONG = 60.0
"""Seconds after which a test fails that waits for another thread."""
NAMES = ("acme/api", "acme/worker", "acme/web")


class Run:
    """Pushes of three images on one base, each of which an Engine streams once."""

    def __init__(self, **settings: object) -> None:
        self.clock, self.log, self.server = Clock(), Log(), Packages(*NAMES)
        self.client = connected(self.clock, self.log, self.server)
        self.shared = SharedLayers()
        self.settings = SETTINGS._replace(**{"uploader": "pipe", "max_attempts": 1, **settings})  # type: ignore[arg-type]
        self.sources = [Streamed(top) for top in (b"api", b"worker", b"web")]
        self.pushes = [self.push(name, source) for name, source in zip(NAMES, self.sources, strict=True)]

    def push(self, name: str, source: Streamed) -> Push:
        """Return a push that has not begun."""
        repository, request = self.client.repository(name), REQUEST._replace(image=name, repository=name)
        timing = Timing(self.clock, self.clock.sleep, lambda: 0.0, self.clock.wait)
        context = Context(self.settings, request, repository, self.log, timing, self.shared)
        engine = FakeEngine(self.clock, source.image)
        return Push(context, lambda: source, Pushers(context, [Place(repository, "1.0")], encoder, engine))

    def prepared(self, number: int) -> Push:
        """Return a push that was prepared before its turn."""
        self.pushes[number].preparation.ahead()
        return self.pushes[number]

    def sent(self, name: str) -> list[Sent]:
        """Return the uploads to a package."""
        return self.server.matching("PUT", f"/v2/{name}/blobs/uploads/*")

    def statuses(self) -> list[list[LayerStatus | None]]:
        """Return those of the layers of each image."""
        return [[layer.status for layer in push.result(0).layers] for push in self.pushes]


def test_blobs_are_sent_while_the_manifest_of_the_image_before_is_read_back() -> None:
    run = Run()
    arrived = {name: threading.Event() for name in NAMES}
    tops = {name: sha256(source.config) for name, source in zip(NAMES, run.sources, strict=True)}

    def put(sent: Sent) -> None:
        name = "/".join(sent.path.split("/")[2:4])
        if sent.query["digest"] == tops[name]:
            arrived[name].set()

    def proof(following: str) -> None:
        assert arrived[following].wait(LONG), "nothing was sent"

    run.server.on("PUT", "*/blobs/uploads/*", put)
    # The first questions about the tags come before the push.
    run.server.on("GET", "/v2/acme/api/manifests/1.0", lambda _: proof("acme/worker"), skip=1)
    run.server.on("GET", "/v2/acme/worker/manifests/1.0", lambda _: proof("acme/web"), skip=1)
    Release(run.pushes, run.shared, run.log).run()
    assert [push.result(0).tags[0].status for push in run.pushes] == [TagStatus.PUSHED] * 3
    first, *others = run.statuses()
    assert first == [LayerStatus.UPLOADED, LayerStatus.UPLOADED]
    assert others == [[LayerStatus.MOUNTED, LayerStatus.UPLOADED]] * 2
    # Each layer and each config once.
    assert [len(run.sent(name)) for name in NAMES] == [3, 2, 2]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"if_tag_exists": "skip"}, id="a-tag-may-rule-it-out"),
        pytest.param({"if_tag_exists": "fail"}, id="a-tag-may-forbid-it"),
        pytest.param({"dry_run": True}, id="dry-run"),
        pytest.param({"split_size": 10**6}, id="its-layers-are-split"),
        pytest.param({"split_auto": True}, id="its-layers-may-be-split"),
        pytest.param({"uploader": "engine"}, id="by-the-engine"),
    ],
)
def test_nothing_is_sent_ahead_that_may_not_be_needed(settings: Mapping[str, object]) -> None:
    run = Run(**settings)
    assert run.prepared(1).preparation.send_ahead(Cancel(), is_next=True) is None
    assert run.sources[1].known == []
    assert not run.sent("acme/worker")


@pytest.mark.parametrize("size", [10**6, 10**9], ids=["no-time-is-saved", "the-link-is-taken-from-others"])
def test_an_image_that_is_tiny_or_large_is_not_sent_ahead(size: int) -> None:
    run = Run()
    source = run.sources[1]
    source.image = source.image._replace(size=size)
    assert run.prepared(1).preparation.send_ahead(Cancel(), is_next=True) is None


def test_an_image_that_is_there_is_not_sent_ahead() -> None:
    run = Run()
    run.pushes[1].run()
    run.pushes[1] = run.push("acme/worker", run.sources[1])
    before = len(run.sent("acme/worker"))
    assert run.prepared(1).preparation.send_ahead(Cancel(), is_next=True) is None
    assert len(run.sent("acme/worker")) == before


@pytest.mark.parametrize("has_tag", [False, True])
def test_packages_without_tags_are_known_to_the_other_images(has_tag: bool) -> None:
    run = Run()
    if has_tag:
        run.pushes[0].run()
        run.pushes[0] = run.push(NAMES[0], run.sources[1])
    run.prepared(0)
    assert run.shared.untagged == (set() if has_tag else {NAMES[0]})


def test_an_image_that_shares_a_new_layer_waits_and_mounts_it() -> None:
    run = Run()
    may_end = threading.Event()

    def put(_: Sent) -> None:
        assert may_end.wait(LONG)

    run.server.on("PUT", "/v2/acme/worker/blobs/uploads/*", put)
    sending = run.prepared(1).preparation.send_ahead(Cancel(), is_next=True)
    assert sending is not None
    assert run.prepared(2).preparation.send_ahead(Cancel(), is_next=False) is None
    may_end.set()
    sending.result(LONG)
    run.pushes[1].run()
    run.shared.add(run.pushes[1].result(0))
    sending = run.pushes[2].preparation.send_ahead(Cancel(), is_next=True)
    assert sending is not None
    sending.result(LONG)
    run.pushes[2].run()
    assert run.statuses()[1:] == [
        [LayerStatus.UPLOADED, LayerStatus.UPLOADED],
        [LayerStatus.MOUNTED, LayerStatus.UPLOADED],
    ]


def test_what_fails_ahead_is_done_again_in_its_turn() -> None:
    run = Run()
    run.server.on("PUT", "/v2/acme/worker/blobs/uploads/*", 400, times=1)
    sending = run.prepared(1).preparation.send_ahead(Cancel(), is_next=True)
    assert sending is not None
    sending.result(LONG)
    run.pushes[1].run()
    assert run.pushes[1].result(0).tags[0].status is TagStatus.PUSHED
    assert run.log.of("WARNING") == []


def test_what_fails_in_its_turn_too_fails_the_push_once() -> None:
    run = Run()
    run.server.on("PUT", "/v2/acme/worker/blobs/uploads/*", 400)
    sending = run.prepared(1).preparation.send_ahead(Cancel(), is_next=True)
    assert sending is not None
    with pytest.raises(PipeError):
        run.pushes[1].run()
    assert run.pushes[1].result(0).tags[0].status is TagStatus.FAILED


def test_a_transfer_that_is_cancelled_ends() -> None:
    run = Run()
    under_way, may_end, cancel = threading.Event(), threading.Event(), Cancel()

    def put(_: Sent) -> None:
        under_way.set()
        assert may_end.wait(LONG)

    run.server.on("PUT", "/v2/acme/worker/blobs/uploads/*", put)
    sending = run.prepared(1).preparation.send_ahead(cancel, is_next=True)
    assert sending is not None
    assert under_way.wait(LONG)
    cancel.cancel()
    # Although the registry has not answered.
    assert wait([sending], LONG).done
    assert isinstance(sending.exception(), CancelledError)
    may_end.set()


def test_the_log_is_that_of_the_image_whose_turn_it_is() -> None:
    run = Run()
    image, clock, lines = run.sources[0].image, run.clock, run.log
    tracker = ProgressTracker(image)
    clocks = Clocks(tracker, 420.0, clock, lines)
    tracker.begin(image.layers[0].short_id, clock.now)
    tracker.advance(image.layers[0].short_id, 1, 8_000_000)
    clocks.mute()
    clock.now += 30 * LINE_EVERY
    clocks.check(clock.now)
    assert lines.of("INFO") + lines.of("WARNING") == []
    clocks.unmute()
    clocks.check(clock.now)
    assert len(lines.of("WARNING")) == 1
    assert lines.of("INFO") == []
    clock.now += LINE_EVERY
    clocks.check(clock.now)
    assert len(lines.of("INFO")) == 1
