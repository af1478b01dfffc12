"""Streams of bytes in memory, read in odd pieces."""

from collections.abc import Callable

from pipe.splitting.blocks import TarStream


class Pieces:
    """Returns at most some bytes with each read."""

    def __init__(self, data: bytes, offset: int = 0, most: int = 7001) -> None:
        self._rest = memoryview(data)[offset:]
        self._most = most
        self.count = 0

    def readinto(self, buffer: memoryview, /) -> int:
        length = min(len(buffer), len(self._rest), self._most)
        buffer[:length], self._rest = self._rest[:length], self._rest[length:]
        self.count += length
        return length


def opener(data: bytes) -> Callable[[int], TarStream]:
    """Return what opens some bytes at an offset."""
    return lambda offset: Pieces(data, offset)


def read(stream: TarStream, most: int = 5003) -> bytes:
    """Read a stream to its end."""
    buffer, found = memoryview(bytearray(most)), bytearray()
    while length := stream.readinto(buffer):
        found += buffer[:length]
    return bytes(found)
