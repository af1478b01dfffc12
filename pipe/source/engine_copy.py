"""A copy of an Engine's export, which can be read in any order: the export itself passes once."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipe.errors import ArchiveError, EngineSaveError
from pipe.oci.image import Image
from pipe.oci.reference import Reference
from pipe.source.archive import image_in
from pipe.source.blob import Reader, StoredImage
from pipe.source.documents import Documents
from pipe.source.files import Archive
from pipe.source.spool import Spool, check_space, pieces_of

_COPY = "A copy of the image"


def copy_of(export: Reader, image: Image, copied: Callable[[int], None]) -> StoredImage:
    """Copy an export to a temporary file, and return the image in it; `copied` is called with the bytes so far.

    Raises:
        EngineSaveError: The Engine cannot export the image.
        SpoolError: The copy does not fit on the disk.
    """
    check_space(_COPY, image.size)
    spool = Spool(_COPY, _counted(export, copied))
    path = Path("the image of Docker Engine")
    try:
        return image_in(Documents(path, Archive(path, spool.file)), Reference("", "", digest=image.id), _Silent())
    except ArchiveError as error:
        raise EngineSaveError(f"unsupported image stream from Docker Engine: {error.cause}") from error


def _counted(export: Reader, copied: Callable[[int], None]) -> Iterator[memoryview]:
    size = 0
    for piece in pieces_of(export):
        size += len(piece)
        copied(size)
        yield piece


class _Silent:
    """Receives what the reading of an archive logs: an export has nothing that users should know."""

    def info(self, text: str, /) -> None:
        """Log nothing."""

    warning = debug = info
