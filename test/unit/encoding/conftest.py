"""No test of the encoding leaves a thread behind, or a buffer in use."""

import threading
from collections.abc import Iterator

import pytest
from unit.encoding.encoding import POOLS


@pytest.fixture(autouse=True)
def _everything_is_released() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for pool in POOLS:
        pool.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive(), f"the thread {thread.name} goes on"
    assert [pool.free for pool in POOLS] == [pool.buffers for pool in POOLS], "buffers are lost"
    POOLS.clear()
