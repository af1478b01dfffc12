"""A push stream whose reader fails in a way that nobody foresaw ends at once, for whoever follows it."""

from typing import Any, cast

import pytest

from pipe.config.settings import Credentials
from pipe.engine.stream import PushStream
from pipe.oci.reference import Reference


class Broken:
    """An Engine's client with a defect."""

    def __init__(self) -> None:
        self.hooks: dict[str, list[Any]] = {"response": []}

    def push(self, *_: object, **__: object) -> None:
        """Fail."""
        raise RecursionError("a defect")


def test_what_nobody_foresaw_reaches_whoever_follows_the_push() -> None:
    stream = PushStream(cast("Any", Broken()), Reference("h:1", "a/b", "latest"), Credentials("user", "token"))
    with pytest.raises(RecursionError, match="a defect"):
        stream.next(timeout=5)
