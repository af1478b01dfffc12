"""The processors and buffers that all blobs of a run share.

Every blob may always hold a few buffers, so a blob whose link stalls cannot stop the others; the rest of the buffers
goes to whichever blob asks first.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pipe.encoding.codecs import BLOCK, Codec, Compression
from pipe.encoding.pace import Load, Pace

MOST_PROCESSORS = 16
"""No source delivers more than these compress with the fastest codec of `auto`: 3 GB/s."""
OWN_BUFFERS = 2
"""Buffers that a blob may always hold."""
SHARED_BUFFERS = 24
SHARED_BUFFERS_PER_PROCESSOR = 4
"""With two processors, one blob has 34 buffers: a chunk of 8 MiB, compressed to a quarter, waits while the one before
is being sent. With 22, a link of 200 Mbit/s was idle for a tenth of the time."""
MOST_LARGE = 2
"""Groups that a large codec compresses at a time: the memory of a run must not grow with it on many processors."""
SLACK = 4096
"""Bytes by which a block that does not compress may grow within its buffer."""


@dataclass(slots=True)
class Share:
    """The number of buffers that one blob holds."""

    held: int = 0


def processors() -> int:
    """Return the number of processors that this process may use, at most `MOST_PROCESSORS`."""
    return min(len(os.sched_getaffinity(0)), MOST_PROCESSORS)


class BlockPool:
    """Compresses the blocks of all blobs of a run, in a bounded number of buffers and threads.

    Attributes:
        lock: Guards the pool and all lanes. It is held to move blocks, never to read, compress or hash. All methods but
            `close` expect the caller to hold it.
        group: Blocks of a blob that are compressed together.
        buffers: The number of buffers that were made.
    """

    def __init__(
        self, compression: Compression, *, threads: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare; a thread starts when there is a block for it.

        Args:
            compression: The codecs for plain blobs.
            threads: Blocks compressed at a time; as many as there are processors if None.
            clock: Returns seconds.
        """
        self.lock = threading.Lock()
        self.group = compression.group
        self.buffers = 0
        self._most = threads or processors()
        self._shared = SHARED_BUFFERS + SHARED_BUFFERS_PER_PROCESSOR * self._most
        self._pace = Pace(compression, clock)
        self._free: list[bytearray] = []
        self._buffer_freed = threading.Condition(self.lock)
        self._jobs: deque[tuple[Callable[[Codec], None], int]] = deque()
        self._job_added = threading.Condition(self.lock)
        self._threads = self._working = self._large = self._sending = self._starving = self._blocked = 0
        self._closed = False

    @property
    def free(self) -> int:
        """The number of these buffers that no blob holds."""
        return len(self._free)

    def close(self) -> None:
        """End the threads as soon as no block is left."""
        with self.lock:
            self._closed = True
            self._job_added.notify_all()

    def take(self, share: Share, wait: Callable[[threading.Condition], None]) -> bytearray:
        """Wait for a free buffer, and count it.

        Args:
            share: Of the blob that needs the buffer.
            wait: Waits for the condition; raises to end the wait.
        """
        self._blocked += 1
        self._observe()
        try:
            while share.held >= OWN_BUFFERS and not self._shared:
                wait(self._buffer_freed)
        finally:
            self._blocked -= 1
            self._observe()
        self._shared -= share.held >= OWN_BUFFERS
        share.held += 1
        if self._free:
            return self._free.pop()
        self.buffers += 1
        return bytearray(BLOCK + SLACK)

    def give_back(self, share: Share, buffer: bytearray) -> None:
        """Return a buffer that a blob no longer needs."""
        share.held -= 1
        self._shared += share.held >= OWN_BUFFERS
        self._free.append(buffer)
        self.wake()

    def wake(self) -> None:
        """Let the readers that wait for a buffer check whether to go on."""
        self._buffer_freed.notify_all()

    def submit(self, job: Callable[[Codec], None], blocks: int) -> None:
        """Have a thread compress some blocks with the codec that is right by then. The job must not raise."""
        if self._threads < self._most and self._threads <= self._working + len(self._jobs):
            # First, so that a job whose caller gets an error never runs.
            threading.Thread(target=self._work, name="compress", daemon=True).start()
            self._threads += 1
        self._jobs.append((job, blocks))
        self._observe()
        self._job_added.notify()

    def count(self, *, sending: int = 0, sent: int = 0, starving: int = 0) -> None:
        """Count a sender that begins (1) or stops (-1) sending a chunk, or waiting for a block.

        Args:
            sending: The change of the number of senders that send.
            sent: Bytes that one of them has sent.
            starving: The change of the number of senders that wait.
        """
        self._sending += sending
        self._starving += starving
        self._observe()
        self._pace.sent(sent)

    def _observe(self) -> None:
        idle = 1 - self._working / self._most
        self._pace.observe(Load(len(self._jobs), idle, self._sending, self._starving, self._blocked))

    def _work(self) -> None:
        with self.lock:
            while following := self._next_job():
                job, blocks = following
                self._working += 1
                self._observe()
                codec = self._pace.codec(large=self._large < MOST_LARGE)
                self._large += codec.large
                self.lock.release()
                try:
                    job(codec)
                finally:
                    self.lock.acquire()
                    self._working -= 1
                    self._large -= codec.large
                    self._pace.compressed(blocks, self._working * self.group)
                    self._observe()
            self._threads -= 1

    def _next_job(self) -> tuple[Callable[[Codec], None], int] | None:
        while not self._jobs and not self._closed:
            self._job_added.wait()
        return self._jobs.popleft() if self._jobs else None
