"""A stream of an image that breaks off, which two threads may find out."""

from http.client import IncompleteRead
from typing import TYPE_CHECKING, cast

import pytest

from pipe.engine.save import SaveStream
from pipe.errors import EngineSaveError

if TYPE_CHECKING:
    from docker import APIClient


class Broken:
    """An Engine's answer that breaks off between two chunks, and is at its end from then on."""

    status_code = 200
    base_url = api_version = ""

    def __init__(self) -> None:
        self.raw = self
        self._original_response = self
        self._reads = 0

    def get(self, _url: str, *, stream: bool) -> "Broken":
        """Answer."""
        assert stream
        return self

    def readinto(self, buffer: memoryview) -> int:
        """Give some bytes, then break off as `http.client` does."""
        self._reads += 1
        if self._reads == 2:
            raise IncompleteRead(b"")
        return len(buffer) if self._reads == 1 else 0


def test_a_stream_that_broke_off_never_looks_as_if_it_had_ended() -> None:
    stream = SaveStream(cast("APIClient", Broken()), "app")
    buffer = memoryview(bytearray(10))
    assert stream.readinto(buffer) == 10
    for _ in range(2):
        with pytest.raises(EngineSaveError, match="broke off") as raised:
            stream.readinto(buffer)
        assert raised.value.temporary
