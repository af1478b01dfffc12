"""The exports of the images of one run: those of several images are one if that saves the Engine work."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from pipe.oci.image import Image

if TYPE_CHECKING:
    from pipe.source.engine_source import Export
    from pipe.source.shared_export import SharedExport


class Saver(Protocol):
    """An Engine, as far as it exports images."""

    def saved(self, image: Image, *others: Image) -> "Export":
        """Prepare an export of one or several images."""


class Exports:
    """The exports of one run."""

    def __init__(self, engine: Saver, together: Callable[[Sequence[Image]], slice]) -> None:
        """Nothing is exported yet; `together` returns which images one export should have."""
        self._engine = engine
        self._together = together
        self._lock = threading.Lock()
        self._found: dict[int, Image] = {}
        self._is_decided = False
        self._shared: SharedExport | None = None

    def found(self, number: int, image: Image) -> None:
        """Note that an image is in the Engine, and will probably be exported; `number` is that of its turn."""
        with self._lock:
            self._found[number] = image

    def staged(self, image: Image) -> "Export":
        """Prepare an export that an image may share with others that are staged while it is pushed.

        The first call decides which of the images that were found so far share one. If the images before this one need
        none, it counts as the first.
        """
        with self._lock:
            if not self._is_decided:
                self._is_decided = True
                self._shared = self._decided(image)
            shared = self._shared
        if shared is None or image.id not in {each.id for each in shared.images}:
            return self._engine.saved(image)
        return shared.reader(image, lambda: self._engine.saved(image))

    def _decided(self, image: Image) -> "SharedExport | None":
        images = [self._found[number] for number in sorted(self._found)]
        turn = next((number for number, each in enumerate(images) if each.id == image.id), len(images))
        span = self._together(images)
        if turn > span.start:
            # Those before need no export.
            images = images[turn:]
            span = self._together(images)
        together = images[span]
        if len(together) < 2:  # noqa: PLR2004 # several
            return None
        from pipe.source.shared_export import SharedExport  # noqa: PLC0415

        # One image may be pushed to several packages.
        distinct = tuple({each.id: each for each in together}.values())
        return SharedExport(self._engine.saved(*distinct), distinct)
