"""An image with layers that were split as a source."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipe.source.archive_source import ArchiveSource
from pipe.source.split import SplitImage


class SplitSource(ArchiveSource):
    """An image whose blobs are checked once all of them were read."""

    def __init__(self, split: SplitImage) -> None:
        super().__init__(split.stored)
        self._checks = split.checks

    @contextmanager
    def blobs(self, _known: Callable[[], frozenset[str]] = frozenset) -> Iterator["SplitSource"]:
        """Open the image, and make sure at the end that its layers were what the config named.

        Raises:
            ContentMismatchError: One was not.
        """
        yield self
        for check in self._checks:
            check()
