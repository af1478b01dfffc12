"""An image in a Docker Engine as a source: the Engine's export stream, which passes once."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from pipe.errors import EngineSaveError
from pipe.oci.image import Image
from pipe.source.blob import Reader
from pipe.source.daemon import DaemonStream


class Export(Reader, Protocol):
    """The bytes of an image's export; see `pipe.engine.save`."""

    def begin(self) -> None:
        """Let the Engine stage the image, in another thread."""

    def close(self) -> None:
        """End the export, in the Engine too."""


class EngineSource:
    """An image in an Engine.

    Attributes:
        image: What the Engine reports of it.
        replayable: Never: a blob passes once, and must be read before the next one comes.
    """

    def __init__(
        self,
        image: Image,
        export: Callable[[], Export],
        check_engine: Callable[[EngineSaveError], None],
        *,
        containerd: bool = False,
    ) -> None:
        """Nothing is requested before `blobs` or `staged` is entered.

        Args:
            image: The image.
            export: Prepares an export of it.
            check_engine: Called with the error of an export that ended early; raises if the Engine is gone.
            containerd: Whether the Engine exports blobs as they are stored.
        """
        self.image = image
        self.replayable = False
        self._export = export
        self._check_engine = check_engine
        self._containerd = containerd
        self._staged: Export | None = None

    @contextmanager
    def staged(self) -> Iterator[None]:
        """Let the Engine stage the image while the context lasts; a stream that was not used is ended."""
        self._staged = self._export()
        self._staged.begin()
        try:
            yield
        finally:
            if self._staged is not None:
                self._staged.close()
                self._staged = None

    @contextmanager
    def blobs(self) -> Iterator[DaemonStream]:
        """Open the export.

        Raises:
            EngineSaveError: The Engine cannot export the image.
            EngineUnreachableError: The Engine is gone.
        """
        export, self._staged = self._staged or self._export(), None
        try:
            with closing(export):
                diff_ids = [layer.diff_id for layer in self.image.layers]
                yield DaemonStream(export, self.image.id, diff_ids, containerd=self._containerd)
        except EngineSaveError as error:
            self._check_engine(error)
            raise
