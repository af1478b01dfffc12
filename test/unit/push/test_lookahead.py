"""Which images of a release are prepared and staged while another one is pushed."""

import threading

import pytest

from pipe.push.lookahead import PREPARED, STAGED, Lookahead

LONG = 60.0
"""Seconds after which a test fails that waits for another thread."""


class Parts:
    """Pushes that record what is done with them.

    Attributes:
        found: Numbers of those that were looked for.
        prepared: Numbers of those that were prepared.
        staged: Numbers of those that were staged, in this order.
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

    def prepare(self) -> None:
        """Wait for the others, and record it."""
        self._parts.barrier.wait(LONG)
        self._parts.prepared.append(self._number)
        if self._parts.raised is not None:
            raise self._parts.raised

    def stage(self) -> None:
        """Record it, after the preparation."""
        with self._parts.changed:
            assert self._number in self._parts.prepared
            self._parts.staged.append(self._number)
            self._parts.changed.notify_all()


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
