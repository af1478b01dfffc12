"""The images of a release that are prepared while another one is pushed."""

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import Protocol

from pipe.threads import Pool, wait

PREPARED = 3
"""Images that are prepared at the same time: their requests are answered in the time of one image's."""
STAGED = 2
"""Images that the Engine stages ahead: each takes the space of a copy."""


class PreparedPart(Protocol):
    """One push of a release, before its turn."""

    def find(self) -> None:
        """Find the image."""

    def prepare(self) -> None:
        """Find the image and ask the registry about it."""

    def stage(self) -> None:
        """Let the Engine stage the image if `prepare` found that this may pay."""


class Lookahead:
    """Prepares the pushes that follow the current one."""

    def __init__(self, parts: Sequence[PreparedPart]) -> None:
        """Nothing happens before `begin`.

        Args:
            parts: All pushes, in their order.
        """
        self._parts = parts
        self._preparing = Pool(PREPARED, "preparation")
        self._staging = Pool(1, "staging")
        self._prepared: dict[int, Future[None]] = {}
        self._staged = 0

    def find(self) -> None:
        """Find the first images, all at the same time: which layers they share decides how the Engine stages them."""
        self._preparing.gather([part.find for part in self._parts[: 1 + PREPARED]])

    def begin(self, index: int) -> None:
        """Prepare the pushes after the one with this index, which the registry has allowed."""
        parts = self._parts
        for number in range(index + 1, min(len(parts), index + 1 + PREPARED)):
            if number not in self._prepared:
                self._prepared[number] = self._preparing.submit(parts[number].prepare)
        for number in range(max(self._staged, index) + 1, min(len(parts), index + 1 + STAGED)):
            self._staged = number
            self._staging.submit(partial(self._stage, self._prepared[number], parts[number]))

    def wait(self, index: int) -> None:
        """Wait until the push with this index is prepared, if that has begun; in the main thread, a signal interrupts.

        Raises:
            Exception: Whatever the preparation raised.
        """
        if index in self._prepared:
            wait(self._prepared[index])

    def close(self) -> None:
        """End the threads once they have finished their calls."""
        self._preparing.close()
        self._staging.close()

    @staticmethod
    def _stage(prepared: Future[None], part: PreparedPart) -> None:
        prepared.result()
        part.stage()
