"""The way of one blob's blocks from its reader, by way of the processors, to its sender, in order."""

import hashlib
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from pipe.encoding.codecs import Codec
from pipe.encoding.pool import BlockPool, Share
from pipe.threads import Cancel

_LOOK_UP = 0.2
"""Seconds after which a waiting thread checks whether the run was cancelled."""


class ClosedError(Exception):
    """The lane was closed or has failed; its reader ends."""


@dataclass(slots=True, eq=False)
class Block:
    """A buffer, first with plain bytes, then with the same bytes as they are sent.

    Attributes:
        buffer: Belongs to the pool.
        plain: Number of plain bytes.
        packed: The bytes to send; None until compressed.
    """

    buffer: bytearray
    plain: int = 0
    packed: memoryview | None = None


class Lane:
    """Passes the blocks of one blob on.

    Attributes:
        digest: Of the packed bytes, complete when `next` has returned None.
    """

    def __init__(self, pool: BlockPool, cancel: Cancel, *, compressed: bool) -> None:
        """Prepare.

        Args:
            pool: Owns the buffers and the processors.
            cancel: Ends the waits.
            compressed: Whether blocks are compressed, not sent as they are.
        """
        self.digest = hashlib.sha256()
        self._pool = pool
        self._cancel = cancel
        self._compressed = compressed
        self._share = Share()
        self._group: list[Block] = []
        self._pending: deque[Block] = deque()
        self._ready: deque[Block] = deque()
        self._changed = threading.Condition(pool.lock)
        self._hashing = self._ended = self._closed = False
        self._error: BaseException | None = None

    def take(self) -> Block:
        """Wait for an empty block; for the reader.

        Raises:
            ClosedError: The block is no longer needed.
        """

        def wait(condition: threading.Condition) -> None:
            if self._share.held == len(self._group):  # none of its buffers becomes free without this
                self._submit()
            self._wait(condition)
            self._check_open()

        with self._pool.lock:
            self._check_open()
            return Block(self._pool.take(self._share, wait))

    def put(self, block: Block) -> None:
        """Pass a filled block on; for the reader."""
        with self._pool.lock:
            if self._closed:
                self._pool.give_back(self._share, block.buffer)
                return
            self._pending.append(block)
            if self._compressed:
                self._group.append(block)
                if len(self._group) == self._pool.group:
                    self._submit()
                return
            block.packed = memoryview(block.buffer)[: block.plain]
        self._hand_over()

    def end(self) -> None:
        """Note that no block follows; for the reader."""
        with self._pool.lock:
            self._submit()
            self._ended = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Note what ended the reader or a processor; the first such error reaches the sender."""
        with self._pool.lock:
            self._error = self._error or error
            self._changed.notify_all()
            self._pool.wake()

    def next(self) -> Block | None:
        """Wait for the next block, None at the end; for the sender.

        Raises:
            ClosedError: Another thread closed the lane.
            BaseException: The error of the source, of a codec, or of the cancellation.
        """
        with self._pool.lock:
            self._pool.count(starving=1)
            try:
                while not self._ready or self._error:
                    if self._error:
                        raise self._error
                    self._check_open()
                    if self._ended and not self._pending and not self._hashing:
                        return None
                    self._wait(self._changed)
                return self._ready.popleft()
            finally:
                self._pool.count(starving=-1)

    def release(self, block: Block) -> None:
        """Return a block's buffer to the pool; for the thread that took the block."""
        with self._pool.lock:
            self._pool.give_back(self._share, block.buffer)

    @contextmanager
    def sending(self, size: int) -> Iterator[None]:
        """Note that the sender is sending a chunk of this size."""
        with self._pool.lock:
            self._pool.count(sending=1)
        sent = 0
        try:
            yield
            sent = size
        finally:
            with self._pool.lock:
                self._pool.count(sending=-1, sent=sent)

    def close(self) -> None:
        """Drop all blocks, and end the waits. Threads that use a buffer return it when they are done with it."""
        with self._pool.lock:
            self._closed = True
            for block in (*self._ready, *self._pending):
                if block.packed is not None or block in self._group:
                    self._pool.give_back(self._share, block.buffer)
            self._group = []
            self._ready.clear()
            self._pending.clear()
            self._changed.notify_all()
            self._pool.wake()

    def _wait(self, condition: threading.Condition) -> None:
        if not condition.wait(_LOOK_UP):
            self._cancel.check()

    def _check_open(self) -> None:
        if self._closed or self._error:
            raise ClosedError

    def _submit(self) -> None:
        if self._group:
            self._pool.submit(partial(self._compress, self._group), len(self._group))
            self._group = []

    def _compress(self, group: list[Block], codec: Codec) -> None:
        compressed = codec.compress([memoryview(block.buffer)[: block.plain] for block in group])
        for block in group:
            packed = None
            try:
                if not self._closed and not self._error:
                    packed = _kept(block.buffer, next(compressed))
            except BaseException as error:  # noqa: BLE001 - the sender raises it
                self.fail(error)
            with self._pool.lock:
                if self._closed or packed is None:
                    if block in self._pending:
                        self._pending.remove(block)
                    self._pool.give_back(self._share, block.buffer)
                    continue
                block.packed = packed
            self._hand_over()

    def _hand_over(self) -> None:
        """Hash the blocks whose turn it is, and pass them to the sender. One thread at a time does so."""
        while True:
            with self._pool.lock:
                if self._hashing or not self._pending or self._pending[0].packed is None:
                    return
                self._hashing = True
                block = self._pending.popleft()
            self.digest.update(block.packed or b"")
            with self._pool.lock:
                self._hashing = False
                self._changed.notify_all()
                if not self._closed:
                    self._ready.append(block)
                else:
                    self._pool.give_back(self._share, block.buffer)


def _kept(buffer: bytearray, packed: bytes | bytearray) -> memoryview:
    """Keep a block's bytes in its own buffer, so that memory does not depend on the content."""
    if len(packed) > len(buffer):
        return memoryview(packed)
    buffer[: len(packed)] = packed
    return memoryview(buffer)[: len(packed)]
