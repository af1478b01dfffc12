"""Which images of a release are prepared and staged while another one is pushed."""

import threading
from concurrent.futures import Future

import pytest

from pipe.push.lookahead import PREPARED, STAGED, Lookahead
from pipe.threads import Cancel, apart

LONG = 60.0
"""Seconds after which a test fails that waits for another thread."""


class Parts:
    """Pushes that record what is done with them.

    Attributes:
        found: Numbers of those that were looked for.
        prepared: Numbers of those that were prepared.
        staged: Numbers of those that were staged, in this order.
        sent: Numbers of those whose blobs were sent, in this order.
        refused: Numbers of those whose blobs must not be sent now.
        unneeded: Numbers of those that send nothing.
        beside: Numbers of those that may only be sent beside another one.
        endless: Whether sending blobs ends only when it is cancelled.
    """

    def __init__(self, count: int, *, together: int = 1, raised: Exception | None = None) -> None:
        """Create them.

        Args:
            count: How many.
            together: How many must be in preparation at the same time before one is prepared.
            raised: What each preparation raises.
        """
        self.found: list[int] = []
        self.prepared: list[int] = []
        self.staged: list[int] = []
        self.sent: list[int] = []
        self.refused: set[int] = set()
        self.unneeded: set[int] = set()
        self.beside: set[int] = set()
        self.endless = False
        self.changed = threading.Condition()
        self.barrier = threading.Barrier(together)
        self.raised = raised
        self.all = [Part(self, number) for number in range(count)]

    def wait_for(self, *, staged: list[int]) -> None:
        """Wait until these were staged."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.staged == staged, LONG), self.staged


class Part:
    """One of them."""

    def __init__(self, parts: Parts, number: int) -> None:
        self._parts = parts
        self._number = number

    def find(self) -> None:
        """Record it."""
        self._parts.found.append(self._number)

    def ahead(self) -> None:
        """Wait for the others, and record it."""
        self._parts.barrier.wait(LONG)
        self._parts.prepared.append(self._number)
        if self._parts.raised is not None:
            raise self._parts.raised

    def stage_ahead(self) -> None:
        """Record it, after the preparation."""
        with self._parts.changed:
            assert self._number in self._parts.prepared
            self._parts.staged.append(self._number)
            self._parts.changed.notify_all()

    @property
    def is_needed(self) -> bool:
        """Whether it sends anything."""
        return self._number not in self._parts.unneeded

    def send_ahead(self, cancel: Cancel, *, is_next: bool) -> Future[None] | None:
        """Record it, after the staging."""
        parts = self._parts
        with parts.changed:
            assert self._number in parts.staged
            parts.beside.update(() if is_next else {self._number})
            if self._number in parts.refused | parts.unneeded:
                return None
            parts.sent.append(self._number)
        return apart(lambda: cancel.wait(LONG) if parts.endless else None)


def test_the_first_images_are_found_before_any_is_pushed() -> None:
    parts = Parts(10)
    lookahead = Lookahead(parts.all)
    lookahead.find()
    assert sorted(parts.found) == list(range(PREPARED + 1))
    assert parts.prepared == []
    lookahead.close()


def test_the_next_images_are_prepared_at_the_same_time() -> None:
    parts = Parts(10, together=PREPARED)
    lookahead = Lookahead(parts.all)
    lookahead.begin(0)
    for number in range(1, PREPARED + 1):
        lookahead.wait(number)
    assert sorted(parts.prepared) == [1, 2, 3]
    lookahead.close()


def test_each_image_is_prepared_and_staged_once_in_order() -> None:
    parts = Parts(6)
    lookahead = Lookahead(parts.all)
    staged: list[int] = []
    for number in range(6):
        lookahead.wait(number)
        lookahead.begin(number)
        for each in range(1, 6):
            lookahead.wait(each)
        assert sorted(parts.prepared) == list(range(1, min(5, number + PREPARED) + 1))
        staged = list(range(1, min(5, number + STAGED) + 1))
        parts.wait_for(staged=staged)
    lookahead.close()


def test_images_whose_turn_came_before_a_push_was_allowed_are_not_prepared() -> None:
    parts = Parts(5)
    lookahead = Lookahead(parts.all)
    lookahead.wait(0)
    lookahead.wait(1)
    lookahead.begin(2)
    for number in (3, 4):
        lookahead.wait(number)
    assert sorted(parts.prepared) == [3, 4]
    parts.wait_for(staged=[3, 4])
    lookahead.close()


def test_an_unexpected_error_of_a_preparation_is_raised_in_the_turn_of_its_image() -> None:
    parts = Parts(2, raised=LookupError("lost"))
    lookahead = Lookahead(parts.all)
    lookahead.begin(0)
    with pytest.raises(LookupError, match="lost"):
        lookahead.wait(1)
    lookahead.close()
    assert parts.staged == []


def test_the_blobs_of_the_next_images_are_sent_once() -> None:
    parts = Parts(6)
    lookahead = Lookahead(parts.all)
    for number in range(6):
        lookahead.wait(number)
        assert parts.sent[:number] == list(range(1, number + 1))
        lookahead.begin(number)
        # The one after the next is sent only if it is staged by then.
        parts.wait_for(staged=list(range(1, min(5, number + STAGED) + 1)))
        # A further attempt sends all again.
        lookahead.send(number)
        lookahead.send(number)
    lookahead.close()
    assert parts.sent == [1, 2, 3, 4, 5]


def test_an_image_that_must_wait_for_another_one_is_sent_after_that() -> None:
    parts = Parts(4)
    parts.refused = {2}
    lookahead = Lookahead(parts.all)
    lookahead.begin(0)
    parts.wait_for(staged=[1, 2])
    lookahead.send(0)
    lookahead.wait(1)
    assert parts.sent == [1]
    parts.refused = set()
    lookahead.send(1)
    lookahead.wait(2)
    assert parts.sent[:2] == [1, 2]
    lookahead.close()


@pytest.mark.parametrize("kind", ["refused", "unneeded"])
def test_an_image_is_not_sent_before_one_that_brings_its_layers_in_its_turn(kind: str) -> None:
    parts = Parts(4)
    getattr(parts, kind).add(1)
    lookahead = Lookahead(parts.all)
    lookahead.begin(0)
    parts.wait_for(staged=[1, 2])
    # The staging of both has ended once that of a third begins.
    lookahead.begin(1)
    parts.wait_for(staged=[1, 2, 3])
    lookahead.send(0)
    lookahead.wait(1)
    assert (parts.sent, parts.beside) == (([], set()) if kind == "refused" else ([2], {2}))
    lookahead.close()


def test_nothing_is_sent_for_an_image_that_was_not_prepared() -> None:
    parts = Parts(3)
    lookahead = Lookahead(parts.all)
    lookahead.send(0)
    lookahead.wait(1)
    lookahead.close()
    assert parts.sent == []


def test_a_transfer_ends_when_the_release_does() -> None:
    parts = Parts(2)
    parts.endless = True
    lookahead = Lookahead(parts.all)
    lookahead.begin(0)
    lookahead.send(0)
    lookahead.wait(1)
    lookahead.close()
    assert parts.sent == [1]
