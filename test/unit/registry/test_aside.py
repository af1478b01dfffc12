"""Calls in another thread, for which the main one waits."""

import os
import signal
import threading

import pytest

from pipe.registry.aside import Aside


class StopError(BaseException):
    """What the handler of a signal raises."""


def stop(*_: object) -> None:
    """End what the main thread does."""
    raise StopError


def test_values_and_errors_come_back() -> None:
    aside = Aside()
    assert aside.run(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        aside.run(lambda: 1 // 0)
    assert aside.run(threading.current_thread) is aside.run(threading.current_thread)
    assert aside.run(threading.current_thread) is not threading.main_thread()


def test_other_threads_call_themselves() -> None:
    aside, found = Aside(), []
    thread = threading.Thread(target=lambda: found.append(aside.run(threading.current_thread)))
    thread.start()
    thread.join()
    assert found == [thread]


def test_a_signal_is_heard_while_the_call_goes_on() -> None:
    free, done, aside = threading.Event(), list[str](), Aside()

    def call() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        done.append("the call" if free.wait(10) else "a call that no signal interrupted")

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(StopError):
            aside.run(call)
    finally:
        free.set()
        signal.signal(signal.SIGUSR1, before)
    aside.run(lambda: done.append("the next"))
    assert done == ["the call", "the next"]
