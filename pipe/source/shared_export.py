"""One export of several images, each of which is read from it: an Engine stages a layer that they share once.

The layers come in any order, and the images are pushed one after the other. So the bytes are copied to a temporary
file as they come, and each image is read from the copy, from its beginning, as if it were an export of that image.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pipe.errors import EngineSaveError, PipeError
from pipe.oci.image import Image

if TYPE_CHECKING:
    from pipe.source.engine_source import Export
    from pipe.source.files import OpenFile

_COPY = "A copy of Docker Engine's export"


class SharedExport:
    """The export of several images, and its copy, which lasts until nothing reads it."""

    def __init__(self, export: "Export", images: Sequence[Image]) -> None:
        """Nothing is requested yet; the export is that of these images, at least one."""
        self.images = images
        self._export = export
        self._size = sum({layer.diff_id: layer.size or 0 for image in images for layer in image.layers}.values())
        self._changed = threading.Condition()
        self._file: OpenFile | None = None
        self._copied = 0
        self._readers = 0
        self._began = self._ended = False
        self._failure: BaseException | None = None

    def reader(self, image: Image, alone: Callable[[], "Export"]) -> "Export":
        """Return the export of one of the images.

        `alone` prepares an export of this image only, which is read if this one fails, or was not needed.
        """
        with self._changed:
            if self._failure or (self._ended and not self._readers):
                return alone()
            self._readers += 1
        return _SharedReader(self, tuple(each for each in self.images if each.id != image.id), alone)

    def begin(self) -> None:
        """Let the Engine stage the images, and copy them, in other threads; once."""
        with self._changed:
            began, self._began = self._began, True
        if not began:
            # The Engine stages the images while the next thread imports what the copy needs.
            self._export.begin(ahead=True)
            threading.Thread(target=self._copy, name="copy", daemon=True).start()

    def read(self, position: int, buffer: memoryview, is_closed: Callable[[], bool]) -> int:
        """Wait for bytes at a position, and return how many were read, 0 at the end.

        Raises:
            PipeError: The export failed, or `is_closed`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._copied > position or self._ended or is_closed())
            copied, file = self._copied, self._file
            # An image that has read nothing yet can be read from another export.
            if is_closed() or (self._failure is not None and (copied <= position or not position)):
                raise self._failure or EngineSaveError("the export of Docker Engine is no longer needed.")
        return os.preadv(file.number, [buffer[: copied - position]], position) if file and copied > position else 0

    def leave(self) -> None:
        """Note that one reader needs nothing more; the last one ends the export."""
        with self._changed:
            self._readers -= 1
            is_last = not self._readers
            if is_last:
                self._ended, self._file = True, None
            self._changed.notify_all()
        if is_last:
            self._export.close()

    def _copy(self) -> None:
        failure: BaseException | None = None
        try:
            self._copy_all()
        except OSError as error:
            # The next attempt exports each image alone, which takes no copy.
            failure = EngineSaveError(f"{_COPY} cannot be written: {error.strerror or error}.", temporary=True)
        except BaseException as error:  # noqa: BLE001 # the readers raise it
            failure = error
        try:
            if failure is not None:
                # The Engine needs the space of its copies for the images that are now exported alone.
                self._export.close()
        finally:
            with self._changed:
                self._ended, self._failure = True, failure
                self._changed.notify_all()

    def _copy_all(self) -> None:
        import tempfile  # noqa: PLC0415 # while the Engine stages the images

        from pipe.source.files import OpenFile  # noqa: PLC0415
        from pipe.source.spool import check_space, pieces_of  # noqa: PLC0415

        check_space(_COPY, self._size)
        with tempfile.TemporaryFile() as file:
            with self._changed:
                if self._ended:
                    return
                self._file = OpenFile(os.dup(file.fileno()))
            for piece in pieces_of(self._export):
                file.write(piece)
                file.flush()
                with self._changed:
                    self._copied += len(piece)
                    self._changed.notify_all()


class _SharedReader:
    """The export as one image's.

    Attributes:
        others: The other images in it.
    """

    def __init__(self, shared: SharedExport, others: Sequence[Image], alone: Callable[[], "Export"]) -> None:
        self.others = others
        self._shared = shared
        self._make = alone
        self._alone: Export | None = None
        self._position = 0
        self._closed = False

    def begin(self, *, ahead: bool = False) -> None:  # noqa: ARG002 # all wait for the same
        """Let the Engine stage the images."""
        self._shared.begin()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as possible; return 0 at the end.

        Raises:
            PipeError: The Engine cannot export the image.
        """
        if self._alone is None:
            try:
                length = self._shared.read(self._position, buffer, lambda: self._closed)
            except PipeError:
                if self._position or self._closed:
                    raise
                # Another image may be the reason, or the space for all of them.
                alone = self._alone = self._make()
                if self._closed:
                    # By another thread, which may not have seen this export.
                    alone.close()
                    raise
            else:
                self._position += length
                return length
        return self._alone.readinto(buffer)

    def close(self) -> None:
        """End the reading, and the export if nothing else reads it."""
        if not self._closed:
            self._closed = True
            self._shared.leave()
            if self._alone is not None:
                self._alone.close()
