"""What the kernel knows of a connection. Real connections: `integration/test_connections.py`."""

import math
from typing import TYPE_CHECKING, cast

import pytest

from pipe.registry.tcp import shortest_round_trip

if TYPE_CHECKING:
    import socket


class Strange:
    """A connection of a system that knows less."""

    def __init__(self, answer: bytes | OSError) -> None:
        self._answer = answer

    def getsockopt(self, *_: int) -> bytes:
        """Return what the system knows."""
        if isinstance(self._answer, OSError):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        pytest.param(bytes(148) + (1500).to_bytes(4, "little"), 0.0015, id="known"),
        pytest.param(bytes(152), math.inf, id="not-measured"),
        pytest.param(bytes(104), math.inf, id="an-older-system"),
        pytest.param(OSError(92, "Protocol not available"), math.inf, id="no-such-option"),
    ],
)
def test_what_is_not_known_is_infinite(answer: bytes | OSError, seconds: float) -> None:
    assert shortest_round_trip(cast("socket.socket", Strange(answer))) == seconds
