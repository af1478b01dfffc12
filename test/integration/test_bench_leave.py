"""Pieces that leave the bench's proxy, for a receiver that may be gone."""

import asyncio
import errno

import pytest
from bench.forward import leave


class Sink(asyncio.StreamWriter):
    """Keeps the pieces, and fails in one of its methods."""

    def __init__(self, failing: str, error: Exception | None) -> None:
        self.pieces: list[bytes] = []
        self._errors = {failing: error}

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._maybe_fail("write")
        self.pieces.append(bytes(data))

    async def drain(self) -> None:
        self._maybe_fail("drain")

    def write_eof(self) -> None:
        self._maybe_fail("write_eof")
        self.pieces.append(b"")

    def __del__(self, warnings: object = None) -> None:
        """Close nothing: there is no transport."""

    def _maybe_fail(self, method: str) -> None:
        error = self._errors.get(method)
        if error is not None:
            raise error


@pytest.mark.parametrize(
    ("failing", "error", "left"),
    [
        pytest.param("", None, [b"one", b"two", b""], id="receiver-listens"),
        pytest.param("write", RuntimeError("closed"), [], id="writer-closed"),
        pytest.param("drain", ConnectionResetError(), [b"one"], id="connection-reset"),
        pytest.param("write_eof", OSError(errno.ENOTCONN, "not connected"), [b"one", b"two"], id="not-connected"),
    ],
)
def test_pieces_leave_in_order_while_there_is_a_receiver(
    failing: str, error: Exception | None, left: list[bytes]
) -> None:
    async def run() -> list[bytes]:
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        for piece in (b"one", b"two", b""):
            pieces.put_nowait((0.0, piece))
        sink = Sink(failing, error)
        await leave(pieces, sink)
        return sink.pieces

    assert asyncio.run(run()) == left
