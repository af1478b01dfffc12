"""Calls that a signal is to interrupt: what waits for a name to resolve hears of none, so another thread does it."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

LOOK_UP = 0.25
"""Seconds after which the main thread looks for signals while it waits."""
Value = TypeVar("Value")


class Aside:
    """A thread that works for the main one, which waits and hears signals; a program's end does not wait for it."""

    def __init__(self) -> None:
        """Begin nothing before the first call."""
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._started = False

    def run(self, call: Callable[[], Value]) -> Value:
        """Call a function in the thread where the main one asks for it, else where it is asked for.

        Args:
            call: The function.

        Returns:
            What it returns; what it raises is raised.
        """
        if threading.current_thread() is not threading.main_thread():
            return call()
        if not self._started:
            self._started = True
            threading.Thread(target=self._work, name="requests", daemon=True).start()
        future: Future[Value] = Future()
        self._calls.put(lambda: _settle(future, call))
        while not future.done():
            # A signal that comes just before the wait begins is heard only when it ends.
            wait([future], LOOK_UP)
        return future.result()

    def _work(self) -> None:
        while True:
            self._calls.get()()


def _settle(future: "Future[Value]", call: Callable[[], Value]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001
        future.set_exception(error)
