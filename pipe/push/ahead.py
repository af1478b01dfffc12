"""Questions about the next blobs, asked at the same time, and while earlier blobs are on their way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import TypeVar

from pipe.push.admission import TICK
from pipe.source.blob import SourceBlob
from pipe.threads import Pool

AHEAD = 12
"""Blobs that are asked for before their turn: twice the connections, none of which waits for the next question."""
Answer = TypeVar("Answer")


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
