"""Threads that a signal can interrupt: Python delivers signals to the main thread only, and not within a blocking call.

A DNS lookup or a wait for a socket cannot be interrupted, so a pool thread makes it while the main thread waits in
short steps.
"""

import queue
import threading
from collections.abc import Callable, Iterable
from concurrent import futures
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

STEP = 0.25
"""Seconds after which a waiting main thread handles signals: one that arrives just before a wait begins is
delivered only when that wait ends."""
Value = TypeVar("Value")


class CancelledError(Exception):
    """The work was cancelled while this thread was still busy with it."""


class Cancel:
    """A request to stop, shared by the threads that work on the same thing."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask every thread to stop."""
        self._event.set()

    def check(self) -> None:
        """Raise `CancelledError` if the work was cancelled."""
        if self._event.is_set():
            raise CancelledError

    def wait(self, seconds: float) -> None:
        """Wait, and raise `CancelledError` as soon as the work is cancelled."""
        if self._event.wait(seconds):
            raise CancelledError


class Pool:
    """A fixed number of daemon threads, started on demand; the end of the program does not wait for them."""

    def __init__(self, size: int, name: str) -> None:
        """Create a pool without threads.

        Args:
            size: Maximum number of threads.
            name: Prefix of the threads' names.
        """
        self._size = size
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._unfinished = 0

    def submit(self, call: Callable[[], Value]) -> Future[Value]:
        """Call a function in a pool thread."""
        future: Future[Value] = Future()
        with self._lock:
            self._unfinished += 1
            if len(self._threads) < min(self._size, self._unfinished):
                thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.add(thread)
                thread.start()
        self._calls.put(lambda: self._settle(future, call))
        return future

    def run(self, call: Callable[[], Value]) -> Value:
        """Call a function and return its result: in a pool thread if this is the main thread, else directly."""
        return wait(self.submit(call)) if _is_main() else call()

    def gather(self, calls: Iterable[Callable[[], Value]]) -> list[Value]:
        """Call functions at the same time.

        Within a thread of this pool, which must not wait for the others, they are called one after the other.

        Returns:
            The results, in the order of the functions. The first failure is raised; calls not yet begun are dropped.
        """
        if threading.current_thread() in self._threads:
            return [call() for call in calls]
        submitted = [self.submit(call) for call in calls]
        try:
            pending = set(submitted)
            while pending:
                timeout = STEP if _is_main() else None
                done, pending = futures.wait(pending, timeout, futures.FIRST_EXCEPTION)
                for future in submitted:
                    if future in done and (error := future.exception()):
                        raise error
        finally:
            for future in submitted:
                future.cancel()
        return [future.result() for future in submitted]

    def close(self) -> None:
        """End the threads once they have made the calls submitted so far; no further call is made."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
        # The other threads end, too, also one that is started only now.
        self._calls.put(None)

    def _settle(self, future: Future[Value], call: Callable[[], Value]) -> None:
        settle: Callable[[], object] = future.done
        try:
            if future.set_running_or_notify_cancel():
                settle = partial(future.set_result, call())
        except BaseException as error:  # noqa: BLE001 # the thread that waits raises it
            settle = partial(future.set_exception, error)
        # Before the waiting thread can submit the next call: this thread is free for it.
        with self._lock:
            self._unfinished -= 1
        settle()


def apart(call: Callable[[], Value]) -> Future[Value]:
    """Call a function in another thread, which may wait for any pool."""
    pool = Pool(1, "apart")
    try:
        return pool.submit(call)
    finally:
        pool.close()


def wait(future: Future[Value]) -> Value:
    """Wait for a result; in the main thread, a signal interrupts the wait."""
    while _is_main() and not future.done():
        futures.wait([future], STEP)
    return future.result()


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
