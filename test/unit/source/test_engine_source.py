"""An Engine's image as a source: what is requested, and in which order."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipe.errors import EngineSaveError
from pipe.oci.image import Image, Layer
from pipe.source.engine_source import EngineSource

IMAGE = Image("sha256:whole", 3, (Layer(1, "sha256:1", 1), Layer(2, "sha256:2", 2)))
PREFIX = Image("sha256:prefix", 1, IMAGE.layers[:1])
KNOWN = frozenset({"sha256:2"})


class Export:
    """An export whose bytes nothing reads."""

    others = ()

    def __init__(self, name: str, done: list[str]) -> None:
        self._name = name
        self._done = done

    def begin(self, *, ahead: bool = False) -> None:
        """Note that the Engine stages the image."""
        self._done.append(f"begin {self._name}")

    def close(self) -> None:
        """Note the end."""
        self._done.append(f"close {self._name}")

    def readinto(self, _buffer: memoryview, /) -> int:
        """Return nothing."""
        return 0


class Exporter:
    """An Engine with one prefix."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.known: list[frozenset[str]] = []
        self.saved_images: list[str] = []

    def saved(self, image: Image) -> Export:
        """Prepare an export."""
        self.saved_images.append(image.id)
        return Export(image.id, self.done)

    def staged(self, image: Image) -> Export:
        """Prepare an export that several images may share."""
        self.done.append(f"stage {image.id}")
        return self.saved(image)

    @contextmanager
    def prefixes(self, image: Image, known: frozenset[str]) -> Iterator[tuple[Image, ...]]:
        """Provide a prefix."""
        assert image is IMAGE
        self.known.append(known)
        self.done.append("load")
        yield (PREFIX,)
        self.done.append("remove")

    def check(self, error: EngineSaveError) -> None:
        """Fail: no export ends early."""
        raise error

    def sweep(self) -> None:
        """Do nothing."""


def test_the_engine_stages_the_image_while_the_known_layers_are_looked_up() -> None:
    engine = Exporter()

    def known() -> frozenset[str]:
        engine.done.append("look up")
        return KNOWN

    with EngineSource(IMAGE, engine).blobs(known):
        engine.done.append("read")
    assert engine.known == [KNOWN]
    assert engine.done == [
        "begin sha256:whole",
        "look up",
        "load",
        "begin sha256:prefix",
        "read",
        "close sha256:prefix",
        "remove",
        "close sha256:whole",
    ]


def test_an_image_that_is_staged_already_is_not_staged_again() -> None:
    engine = Exporter()
    source = EngineSource(IMAGE, engine)
    with source.staged(), source.blobs():
        pass
    assert engine.done[0] == "stage sha256:whole"
    assert engine.done.count("begin sha256:whole") == 1
    assert engine.known == [frozenset()]


def test_a_thread_that_reads_on_after_the_end_leaves_no_export_open() -> None:
    """Its stream ends like one that an Engine has no space for."""
    engine = Exporter()
    with EngineSource(IMAGE, engine).blobs() as blobs:
        pass
    with pytest.raises(EngineSaveError):
        list(blobs)
    assert sorted(each for each in engine.done if each.startswith("close")) == sorted(
        f"close {image}" for image in engine.saved_images
    )
    assert engine.done.count("begin sha256:whole") == 1
