"""An image from several streams of an Engine: those of its first layers begin long before that of all of it."""

from collections.abc import Callable, Iterator, Sequence

from pipe.errors import EngineSaveError
from pipe.oci.manifest import Manifest
from pipe.source.blob import SourceBlob
from pipe.source.daemon import DaemonStream


class PrefixedStream:
    """An image whose first layers come from separate streams.

    Iterates like `DaemonStream`: each blob must be read before the next one is requested.
    """

    def __init__(
        self, prefixes: Sequence[DaemonStream], whole: DaemonStream, again: Callable[[], DaemonStream]
    ) -> None:
        """Store the streams, at least one of a prefix, the shortest first; the Engine must stage all at the same time.

        `again` requests the stream of the image once more. It is used if the Engine cannot stream it at first, since
        staging takes up to twice the disk space while the prefixes are staged as well.
        """
        self._prefixes = prefixes
        self._whole = whole
        self._again = again

    def __iter__(self) -> Iterator[SourceBlob]:
        """Yield every layer once and the image's configuration.

        Raises:
            EngineSaveError: The stream of the whole image fails, or any stream in the middle of a layer.
        """
        given: set[str] = set()
        for prefix in self._prefixes:
            yield from _layers(prefix, given)
        began = False
        try:
            for blob in _except(self._whole, given):
                began = True
                yield blob
        except EngineSaveError:
            if began:
                raise
        else:
            return
        self._whole = self._again()
        yield from _except(self._whole, given)

    @property
    def config(self) -> bytes:
        """The image's configuration, b"" until it was read."""
        return self._whole.config

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """The image's manifests; none from a graphdriver store."""
        return self._whole.manifests


def _except(whole: DaemonStream, given: set[str]) -> Iterator[SourceBlob]:
    return (blob for blob in whole if blob.diff_id is None or blob.diff_id not in given)


def _layers(prefix: DaemonStream, given: set[str]) -> Iterator[SourceBlob]:
    """Yield a prefix's new layers; one whose diffID is not proven comes again with the whole image."""
    try:
        for blob in prefix:
            if blob.diff_id is not None and blob.diff_id not in given:
                given.add(blob.diff_id)
                yield blob
    except EngineSaveError:
        # The remaining layers come with the next stream.
        return
