"""Threads that wait for each other, signals and cancellation."""

import os
import signal
import threading
from collections.abc import Callable

import pytest

from pipe.threads import Cancel, CancelledError, Pool, apart, wait


class StopError(BaseException):
    """What the handler of a signal raises."""


def stop(*_: object) -> None:
    """End what the main thread does."""
    raise StopError


def signalled(call: Callable[[Callable[[], None]], object]) -> None:
    """Run a call in the main thread that is given a function to block on, and expect a signal to interrupt it."""
    free = threading.Event()

    def block() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert free.wait(30)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(StopError):
            call(block)
    finally:
        free.set()
        signal.signal(signal.SIGUSR1, before)


def in_thread(call: Callable[[], object]) -> object:
    """Return what a call returns in another thread."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def test_values_and_errors_come_back() -> None:
    pool = Pool(1, "test")
    assert pool.run(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        pool.run(lambda: 1 // 0)
    assert pool.run(threading.current_thread) is not threading.main_thread()
    assert pool.run(lambda: threading.current_thread().daemon)


def test_other_threads_call_directly() -> None:
    pool = Pool(1, "test")
    assert in_thread(lambda: pool.run(threading.current_thread) is threading.current_thread())


def test_signals_interrupt_every_way_to_wait() -> None:
    pool = Pool(3, "test")
    signalled(pool.run)
    signalled(lambda block: pool.gather([block]))
    signalled(lambda block: wait(pool.submit(block)))
    assert pool.run(lambda: "the next") == "the next"


def test_calls_are_made_at_the_same_time_and_results_keep_their_order() -> None:
    pool, meet = Pool(3, "test"), threading.Barrier(3, timeout=30)

    def call(number: int) -> int:
        meet.wait()
        return number

    assert pool.gather([lambda: call(1), lambda: call(2), lambda: call(3)]) == [1, 2, 3]
    assert in_thread(lambda: pool.gather([lambda: call(1), lambda: call(2), lambda: call(3)])) == [1, 2, 3]


def test_no_more_threads_than_its_size_and_calls_at_once_are_started() -> None:
    pool = Pool(2, "test")
    names = {pool.run(lambda: threading.current_thread().name) for _ in range(5)}
    assert names == {"test-0"}
    assert len(set(pool.gather([lambda: threading.current_thread().name] * 20))) <= 2


def test_the_first_failure_is_raised_and_calls_not_yet_begun_are_dropped() -> None:
    pool, made, free = Pool(1, "test"), list[str](), threading.Event()
    calls = [lambda: made.append(str(1 // 0)), lambda: made.append(str(free.wait(30))), lambda: made.append("late")]
    with pytest.raises(ZeroDivisionError):
        pool.gather(calls)
    free.set()
    pool.run(lambda: None)
    assert "late" not in made


def test_a_pool_thread_does_not_wait_for_its_own_pool() -> None:
    pool = Pool(1, "test")
    assert pool.run(lambda: pool.gather([lambda: 1, lambda: 2])) == [1, 2]
    assert pool.run(lambda: pool.run(lambda: 3)) == 3


def test_cancelling_ends_waits_and_checks() -> None:
    cancel = Cancel()
    cancel.check()
    cancel.wait(0)
    cancel.cancel()
    with pytest.raises(CancelledError):
        cancel.check()
    with pytest.raises(CancelledError):
        cancel.wait(3600)


def test_a_pool_that_is_closed_makes_the_calls_before_and_ends_its_threads() -> None:
    pool, go = Pool(2, "closing"), threading.Event()
    futures = [pool.submit(lambda: go.wait(10)) for _ in range(3)]
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("closing-")]
    pool.close()
    go.set()
    for thread in threads:
        thread.join(10)
    assert (len(threads), [thread.is_alive() for thread in threads]) == (2, [False, False])
    assert [future.result(0) for future in futures] == [True] * 3
    late = pool.submit(lambda: True)
    for thread in threading.enumerate():
        if thread.name.startswith("closing-"):
            thread.join(10)
            assert not thread.is_alive()
    assert not late.done()


def test_a_call_apart_may_wait_for_a_pool() -> None:
    pool = Pool(2, "questions")
    both = threading.Barrier(2)
    found = apart(lambda: pool.gather([lambda: both.wait(30), lambda: both.wait(30)]))
    assert sorted(found.result(30)) == [0, 1]


def test_a_failure_apart_is_raised_by_its_result() -> None:
    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        apart(fail).result(30)
