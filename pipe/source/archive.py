"""An image in a file or a folder, whatever its form."""

from collections.abc import Callable
from pathlib import Path

from pipe.oci.reference import Reference
from pipe.source.blob import StoredImage
from pipe.source.docker_archive import MANIFEST, read_docker_archive
from pipe.source.documents import Documents
from pipe.source.files import open_files
from pipe.source.layout import INDEX, read_layout


def open_image(path: Path, name: Reference, tell: Callable[[str], None]) -> StoredImage:
    """Open the image that an archive or a layout holds.

    Args:
        path: A docker archive, an OCI archive, either gzipped or not, or a directory with an OCI layout.
        name: Which image is meant, where there are several.
        tell: Is told what takes a while.

    Returns:
        The image. Engines since 25 write both forms into one archive, with plain layers: that is a docker archive.

    Raises:
        ArchiveError: There is none, or it is damaged.
    """
    documents = Documents(path, open_files(path, tell))
    has_manifest, has_index = (documents.files.size(name) is not None for name in (MANIFEST, INDEX))
    if has_index:
        stored = read_layout(documents, name)
        if not has_manifest or not _is_plain(stored):
            return stored
    if has_manifest:
        return read_docker_archive(documents, name)
    kind = "directory is not an OCI layout" if path.is_dir() else "archive holds no image"
    raise documents.error(f"the {kind}: it has neither {INDEX} nor {MANIFEST}")


def _is_plain(stored: StoredImage) -> bool:
    """Tell an Engine's layers, which it would compress for a push, from blobs that are stored as they are pushed."""
    types = [layer.descriptor.media_type for image in stored.images for layer in image.layers if layer.descriptor]
    return len(stored.manifests) == 1 and any(each.endswith(".tar") for each in types)
