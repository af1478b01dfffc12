"""An image in a Docker Engine as a source: the Engine's export streams, each of which passes once."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Protocol

from pipe.errors import EngineSaveError
from pipe.oci.image import Image
from pipe.source.blob import Reader, StoredImage
from pipe.source.image_source import BlobStream
from pipe.threads import apart, wait

if TYPE_CHECKING:
    from pipe.oci.manifest import Manifest
    from pipe.source.daemon import DaemonStream


class Export(Reader, Protocol):
    """The bytes of an export that contains an image; see `pipe.engine.save` and `pipe.source.shared_export`."""

    @property
    def others(self) -> Sequence[Image]:
        """The other images in it."""

    def begin(self, *, ahead: bool = False) -> None:
        """Let the Engine stage the image, in another thread; `ahead` if it waits for its turn."""

    def close(self) -> None:
        """End the export, in the Engine too."""


class Exporter(Protocol):
    """An Engine, as far as a source needs it."""

    def saved(self, image: Image) -> Export:
        """Prepare an export of an image."""

    def staged(self, image: Image) -> Export:
        """Prepare an export of an image, and perhaps of others that are staged while it is pushed."""

    def prefixes(self, image: Image, known: frozenset[str]) -> AbstractContextManager[tuple[Image, ...]]:
        """Provide temporary images of the first layers; none if the Engine does not support them.

        Layers with the `known` diffIDs need not come early.
        """

    def check(self, error: EngineSaveError) -> None:
        """Handle the error of an export that ended early; raise if the Engine is gone."""

    def sweep(self) -> None:
        """Remove what killed runs left in the Engine."""


class EngineSource:
    """An image in an Engine.

    Attributes:
        image: What the Engine reports of it.
        replayable: Never: a blob passes once, and must be read before the next one comes.
        present: Never known.
    """

    def __init__(self, image: Image, engine: Exporter, *, containerd: bool = False) -> None:
        """Nothing is requested before `blobs` or `staged` is entered; `containerd` if blobs come as they are stored."""
        self.image = image
        self.replayable = False
        self.present: Manifest | None = None
        self._engine = engine
        self._containerd = containerd
        self._staged: Export | None = None

    @contextmanager
    def staged(self) -> Iterator[None]:
        """Let the Engine stage the image while the context lasts; a stream that was not used is ended."""
        self._staged = self._engine.staged(self.image)
        self._staged.begin(ahead=True)
        try:
            yield
        finally:
            if self._staged is not None:
                self._staged.close()
                self._staged = None

    @contextmanager
    def blobs(self, known: Callable[[], frozenset[str]] = frozenset) -> Iterator[BlobStream]:
        """Open the export; the first layers of a large image come early, while the Engine stages the rest.

        `known` returns the diffIDs of layers that need not come early; it is called once the Engine stages the image.

        Raises:
            EngineSaveError: The Engine cannot export the image.
            EngineUnreachableError: The Engine is gone.
        """
        from pipe.source.prefixed import PrefixedStream  # noqa: PLC0415

        export, self._staged = self._staged, None
        try:
            with ExitStack() as stack:
                if export is None:
                    export = self._engine.saved(self.image)
                    export.begin()
                # The Engine has time for it: nothing flows before it has staged the first layers.
                swept = apart(self._engine.sweep)
                whole = self._stream(stack, export, self.image)
                prefixes = stack.enter_context(self._engine.prefixes(self.image, known()))
                first = []
                for prefix in prefixes:
                    early = self._engine.saved(prefix)
                    early.begin()
                    first.append(self._stream(stack, early, prefix))
                ended = threading.Event()
                stack.callback(ended.set)
                yield PrefixedStream(first, whole, lambda: self._again(stack, ended)) if first else whole
        except EngineSaveError as error:
            self._engine.check(error)
            raise
        wait(swept)

    def stored(self, copied: Callable[[int], None]) -> StoredImage:
        """Copy the export to a temporary file, and return the image in it; `copied` is called with the bytes so far.

        Raises:
            EngineSaveError: The Engine cannot export the image.
            EngineUnreachableError: The Engine is gone.
            SpoolError: The copy does not fit on the disk.
        """
        from pipe.source.engine_copy import copy_of  # noqa: PLC0415 # needed only if a layer is split

        export, self._staged = self._staged or self._engine.saved(self.image), None
        try:
            with closing(export):
                stored = copy_of(export, self.image, copied)
        except EngineSaveError as error:
            self._engine.check(error)
            raise
        self._engine.sweep()
        return stored

    def _again(self, stack: ExitStack, ended: threading.Event) -> "DaemonStream":
        export = self._engine.saved(self.image)
        stream = self._stream(stack, export, self.image)
        if ended.is_set():
            # A thread that still reads has met the end, not a failure; nothing else would close this export.
            export.close()
            raise EngineSaveError("the export of Docker Engine is no longer needed.")
        return stream

    def _stream(self, stack: ExitStack, export: Export, image: Image) -> "DaemonStream":
        from pipe.source.daemon import DaemonStream  # noqa: PLC0415

        stack.enter_context(closing(export))
        others = [each.diff_ids for each in export.others]
        return DaemonStream(export, image.id, image.diff_ids, others=others, containerd=self._containerd)
