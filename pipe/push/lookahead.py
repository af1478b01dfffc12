"""The images of a release that are prepared while another one is pushed, and the one whose blobs are sent already."""

from collections.abc import Sequence
from concurrent import futures
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pipe.threads import Cancel, Pool, wait

if TYPE_CHECKING:
    from concurrent.futures import Future

PREPARED = 3
"""Images that are prepared at the same time: their requests are answered in the time of one image's."""
STAGED = 2
"""Images that the Engine stages ahead: each takes the space of a copy."""
CLOSING = 5.0
"""Seconds for the end of a transfer, which looks every quarter of a second whether it was cancelled."""


class Prepared(Protocol):
    """What can be done for one push of a release before its turn; see `pipe.push.preparation`."""

    @property
    def is_needed(self) -> bool:
        """Whether the push sends anything, as far as `ahead` found out."""

    def find(self) -> None:
        """Find the image."""

    def ahead(self) -> None:
        """Find the image and ask the registry about it."""

    def stage_ahead(self) -> None:
        """Let the Engine stage the image if `ahead` found that this may pay."""

    def send_ahead(self, cancel: Cancel, *, is_next: bool) -> "Future[None] | None":
        """Begin to send the image's blobs, and return the end of that; None if it may not be done now."""


class Lookahead:
    """Prepares the pushes that follow the current one."""

    def __init__(self, parts: Sequence[Prepared]) -> None:
        """Nothing happens before `find` or `begin`; `parts` are those of all pushes, in their order."""
        self._parts = parts
        self._preparing = Pool(PREPARED, "preparation")
        self._staging = Pool(1, "staging")
        self._planning = Pool(1, "planning")
        self._cancel = Cancel()
        self._prepared: dict[int, Future[None]] = {}
        self._staged: dict[int, Future[None]] = {}
        self._planned: Future[None] | None = None
        self._sent: dict[int, Future[None]] = {}

    def find(self) -> None:
        """Find the first images, all at the same time: which layers they share decides how the Engine stages them."""
        self._preparing.gather([part.find for part in self._parts[: 1 + PREPARED]])

    def begin(self, index: int) -> None:
        """Prepare the pushes after the one with this index, which the registry has allowed."""
        parts = self._parts
        for number in range(index + 1, min(len(parts), index + 1 + PREPARED)):
            if number not in self._prepared:
                self._prepared[number] = self._preparing.submit(parts[number].ahead)
        for number in range(index + 1, min(len(parts), index + 1 + STAGED)):
            if number not in self._staged:
                self._staged[number] = self._staging.submit(partial(self._stage, number))

    def send(self, index: int) -> None:
        """Send the blobs of the pushes after the one with this index, whose own have arrived.

        The link and the registry would wait while the manifest of that one is put and read back: two round trips.
        """
        self._planned = self._planning.submit(partial(self._send, index))

    def wait(self, index: int) -> None:
        """Wait until the push with this index is prepared, if that has begun; in the main thread, a signal interrupts.

        Blobs that are being sent are waited for by the push itself, which logs before that.

        Raises:
            Exception: Whatever the preparation raised.
        """
        if index in self._prepared:
            wait(self._prepared[index])
        if self._planned is not None:
            wait(self._planned)

    def close(self) -> None:
        """End the threads once they have finished their calls, a transfer at once: it leaves nothing in the Engine."""
        self._cancel.cancel()
        for pool in (self._preparing, self._staging, self._planning):
            pool.close()
        futures.wait(list(self._sent.values()), CLOSING)

    def _stage(self, number: int) -> None:
        self._prepared[number].result()
        self._parts[number].stage_ahead()

    def _send(self, index: int) -> None:
        """Begin to send what can be sent now: the next image once it is staged, a further one if it is by then.

        An image that is sent only in its turn brings layers then that those after it may share: they wait for it.
        """
        for number in range(index + 1, index + 1 + STAGED):
            if number in self._sent:
                continue
            staged, is_next = self._staged.get(number), number == index + 1
            # What went wrong unexpectedly is raised in the turn of that image.
            if staged is None or not (is_next or staged.done()) or staged.exception():
                return
            part = self._parts[number]
            sent = part.send_ahead(self._cancel, is_next=is_next)
            if sent is not None:
                self._sent[number] = sent
            elif part.is_needed:
                return
