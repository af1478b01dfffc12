"""The staging of one image: begun at most once, ended without the loss of a signal."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from unit.fakes import OneImage
from unit.runs import IMAGE

from pipe.errors import StoppedError
from pipe.push.early_staging import EarlyStaging
from pipe.source.image_source import ImageSource


@pytest.mark.parametrize(
    ("steps", "done"),
    [
        pytest.param("begin", ["stage"], id="begun"),
        pytest.param("begin begin", ["stage"], id="begun-once"),
        pytest.param("begin close", ["stage", "end of staging"], id="ended"),
        pytest.param("begin close close", ["stage", "end of staging"], id="ended-once"),
        pytest.param("begin close begin", ["stage", "end of staging"], id="never-again"),
        pytest.param("close begin", [], id="ruled-out"),
    ],
)
def test_an_image_is_staged_at_most_once(steps: str, done: list[str]) -> None:
    source, staging = OneImage(IMAGE), EarlyStaging()
    for step in steps.split():
        if step == "begin":
            staging.begin(source)
        else:
            staging.close()
    assert source.done == done


class Connection:
    """A connection that a signal finds while it is finalized."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGUSR1)


@pytest.fixture
def stopped_by_signal() -> Iterator[None]:
    """Turn a signal into an exception, as the program does."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise StoppedError(signal.SIGTERM)

    before = signal.signal(signal.SIGUSR1, stop)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("stopped_by_signal")
def test_a_signal_that_arrives_while_the_staging_ends_is_not_lost() -> None:
    @contextmanager
    def staged(_source: ImageSource) -> Iterator[None]:
        connection = Connection()
        yield
        del connection

    staging = EarlyStaging(staged)
    staging.begin(OneImage(IMAGE))
    with pytest.raises(StoppedError):
        staging.close()
