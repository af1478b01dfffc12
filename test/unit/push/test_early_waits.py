"""Images that are sent ahead while the image before is still on its way: what that one brings is waited for."""

import threading
from concurrent.futures import Future, wait

import pytest
from unit.http import Sent
from unit.push.test_early_claims import LONG, Gate
from unit.push.test_early_sending import NAMES, Run
from unit.push.test_hints import sha256

from pipe.errors import PipeError
from pipe.push.early_sending import SMALL
from pipe.push.milestones import Milestones
from pipe.push.release import Release
from pipe.push.result import LayerStatus, TagStatus
from pipe.threads import Cancel, CancelledError, apart

UPLOADED, MOUNTED = LayerStatus.UPLOADED, LayerStatus.MOUNTED
API, WORKER, _ = NAMES


def test_the_own_layer_of_the_next_image_is_sent_before_the_layers_of_the_first_have_arrived() -> None:
    run, arrived = Run(), threading.Event()
    configs = [sha256(source.config) for source in run.sources]

    def first(sent: Sent) -> None:
        assert sent.query["digest"] == configs[0] or arrived.wait(LONG), "nothing was sent"

    def second(sent: Sent) -> None:
        if sent.query["digest"] == configs[1]:
            arrived.set()

    run.server.on("PUT", f"/v2/{API}/blobs/uploads/*", first)
    run.server.on("PUT", f"/v2/{WORKER}/blobs/uploads/*", second)
    Release(run.pushes, run.shared, run.log).run()
    assert run.statuses() == [[UPLOADED, UPLOADED], [MOUNTED, UPLOADED], [MOUNTED, UPLOADED]]
    assert [len(run.sent(name)) for name in NAMES] == [3, 2, 2]


def test_a_layer_that_the_image_before_does_not_bring_is_sent_in_the_turn_and_once() -> None:
    run = Run()
    run.server.on("PUT", f"/v2/{API}/blobs/uploads/*", 400)
    with pytest.raises(PipeError):
        Release(run.pushes, run.shared, run.log).run()
    assert [push.result(0).tags[0].status for push in run.pushes] == [TagStatus.FAILED] + [TagStatus.PUSHED] * 2
    assert run.statuses()[1:] == [[UPLOADED, UPLOADED], [MOUNTED, UPLOADED]]
    assert [len(run.sent(name)) for name in NAMES[1:]] == [3, 2]


class Waiting(Run):
    """A run whose first image is on its way."""

    def __init__(self) -> None:
        super().__init__()
        self._gate, read = Gate(), threading.Event()

        def expect() -> None:
            self.shared.expect(self.pushes[0].result(0))
            read.set()

        self.server.on("PUT", f"/v2/{API}/blobs/uploads/*", self._gate)
        self._turn = apart(lambda: self.pushes[0].run(Milestones(read=expect)))
        assert read.wait(LONG)

    def go_on(self) -> None:
        """Let the first image arrive."""
        self._gate.open()
        self._turn.result(LONG)
        self.shared.add(self.pushes[0].result(0))

    def ahead(self, cancel: Cancel | None = None) -> Future[None]:
        """Begin to send the second image, which waits for the first."""
        sending = self.prepared(1).preparation.send_ahead(cancel or Cancel(), is_next=True)
        assert sending is not None
        return sending


def test_a_layer_on_its_way_is_mounted_once_it_has_arrived() -> None:
    run = Waiting()
    sending = run.ahead()
    assert not sending.done()
    run.go_on()
    sending.result(LONG)
    run.pushes[1].run()
    assert run.statuses()[1] == [MOUNTED, UPLOADED]
    assert len(run.sent(WORKER)) == 2


def test_the_wait_for_a_layer_can_be_cancelled() -> None:
    run, cancel = Waiting(), Cancel()
    sending = run.ahead(cancel)
    cancel.cancel()
    assert wait([sending], LONG).done
    assert isinstance(sending.exception(), CancelledError)
    run.go_on()


def test_a_layer_that_cannot_be_mounted_once_it_has_arrived_is_sent_in_the_turn() -> None:
    run = Waiting()
    sending = run.ahead()
    run.server.mounts = False
    run.go_on()
    sending.result(LONG)
    assert len(run.sent(WORKER)) < 3
    run.pushes[1].run()
    assert run.statuses()[1] == [UPLOADED, UPLOADED]
    assert len(run.sent(WORKER)) == 3


def test_nothing_is_waited_for_that_was_read_late_by_a_push_that_has_ended() -> None:
    run = Waiting()
    run.go_on()
    failed = run.pushes[0].result(0)
    layers = tuple(layer._replace(status=LayerStatus.WAITING) for layer in failed.layers)
    run.shared.expect(failed._replace(layers=layers))
    assert run.shared.coming == frozenset()


@pytest.mark.parametrize(
    ("size", "is_sent"),
    [
        pytest.param(SMALL, True, id="small"),
        pytest.param(SMALL + 1, False, id="large"),
        pytest.param(None, False, id="of-unknown-size"),
    ],
)
def test_only_small_images_are_sent_beside_one_that_is_on_its_way(size: int | None, is_sent: bool) -> None:
    run = Waiting()
    source = run.sources[1]
    base, top = source.image.layers
    source.image = source.image._replace(layers=(base, top._replace(size=size)))
    sending = run.prepared(1).preparation.send_ahead(Cancel(), is_next=True)
    assert (sending is not None) is is_sent
    run.go_on()
    if sending is not None:
        sending.result(LONG)
