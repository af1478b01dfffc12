"""Questions about the next blobs, asked at the same time, and while earlier blobs are on their way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

from pipe.errors import PipeError
from pipe.oci.image import Image
from pipe.push.admission import TICK
from pipe.registry.repository import Repository
from pipe.source.blob import SourceBlob
from pipe.threads import Pool

AHEAD = 12
"""Blobs that are asked for before their turn: twice the connections, none of which waits for the next question."""
UNASKED = 2_000_000
"""Bytes up to which a layer takes no longer to send than to ask for: a round trip of 80 ms, at 200 Mbit/s."""
Answer = TypeVar("Answer")


class Novelty:
    """Whether blobs that were just made are new to a repository.

    One early question about the config reveals whether the image was pushed there before, under whichever tag. If it
    was not, its small layers are new, too: to ask for each would take a round trip, and seldom save one. Once this run
    has sent blobs, every blob is asked for.
    """

    def __init__(self, repository: Repository, image: Image) -> None:
        """Ask for the config of an image with layers whose digests are not known; its ID is the config's digest."""
        self._repository = repository
        self._config = image.id
        self._asked: Future[int | None] | None = None
        if repository.is_untouched and any(layer.descriptor is None for layer in image.layers):
            self._asked = repository.pool.submit(partial(repository.stat, image.id))

    def answers_for(self, digest: str) -> bool:
        """Return whether a blob is the config, and was asked for."""
        return self._asked is not None and digest == self._config

    def is_new(self, digest: str, size: int, check: Callable[[], None]) -> bool:
        """Return whether the repository lacks a blob; `check` raises if the work was cancelled.

        Raises:
            PipeError: The registry does not answer.
        """
        if self.answers_for(digest) or size <= UNASKED:
            was_pushed = self._was_pushed(check)
            if was_pushed is not None and (not was_pushed or digest == self._config):
                return not was_pushed
        return self._repository.stat(digest) is None

    def _was_pushed(self, check: Callable[[], None]) -> bool | None:
        """Return whether the repository has the config, None if it did not answer, or was not asked.

        A question that still waits for a thread of the pool is withdrawn: all may wait to ask again.
        """
        if self._asked is None:
            return None
        while not wait([self._asked], TICK).done and not self._asked.cancel():
            check()
        if self._asked.cancelled():
            return None
        try:
            return self._asked.result() is not None
        except PipeError:
            return None


def distinct(blobs: Iterable[SourceBlob]) -> Iterator[SourceBlob]:
    """Yield each blob once; one without a key may be any."""
    seen: set[str] = set()
    for blob in blobs:
        if blob.key not in seen:
            seen.update({blob.key} - {""})
            yield blob


def answered(
    pool: Pool,
    blobs: Iterable[SourceBlob],
    question: Callable[[SourceBlob], Callable[[], Answer | None] | None],
    check: Callable[[], None],
    most: int,
) -> Iterator[tuple[SourceBlob, Answer | None]]:
    """Yield blobs in their order, each with the answer to a question about it.

    Args:
        pool: Asks.
        blobs: The blobs.
        question: Returns what asks about a blob, None if nothing need be asked: then the answer is None.
        check: Raises if the work was cancelled.
        most: Blobs that are requested before the first of them is yielded.

    Raises:
        PipeError: A question failed.
    """
    asked: deque[tuple[SourceBlob, Future[Answer | None] | None]] = deque()
    for blob in blobs:
        call = question(blob)
        asked.append((blob, pool.submit(call) if call is not None else None))
        if len(asked) == most:
            yield _next(asked, check)
    while asked:
        yield _next(asked, check)


def _next(
    asked: deque[tuple[SourceBlob, Future[Answer | None] | None]], check: Callable[[], None]
) -> tuple[SourceBlob, Answer | None]:
    blob, answer = asked.popleft()
    if answer is None:
        return blob, None
    while not wait([answer], TICK).done:
        check()
    return blob, answer.result()
