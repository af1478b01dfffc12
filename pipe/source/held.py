"""An image in a file or a folder, whatever its form."""

from collections.abc import Callable
from pathlib import Path

from pipe.oci.reference import Reference
from pipe.source.blob import Held
from pipe.source.docker_archive import MANIFEST, read_docker_archive
from pipe.source.documents import Documents
from pipe.source.files import open_files
from pipe.source.layout import INDEX, read_layout


def open_image(path: Path, name: Reference, tell: Callable[[str], None]) -> Held:
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
    if documents.files.size(MANIFEST) is not None and not _is_stored(documents):
        return read_docker_archive(documents, name)
    if documents.files.size(INDEX) is not None:
        return read_layout(documents, name)
    kind = "directory is no OCI layout" if path.is_dir() else "archive holds no image"
    raise documents.error(f"the {kind}: it has neither {INDEX} nor {MANIFEST}")


def _is_stored(documents: Documents) -> bool:
    """Tell a layout of compressed blobs, which keep their digests, from an Engine's plain layers."""
    if documents.files.size(INDEX) is None:
        return False
    held = read_layout(documents, Reference("", "")) if _single(documents) else None
    return held is not None and all("tar+" in each or "tar.gzip" in each for each in _layer_types(held))


def _single(documents: Documents) -> bool:
    listed = documents.object(INDEX).get("manifests")
    return isinstance(listed, list) and len(listed) == 1


def _layer_types(held: Held) -> list[str]:
    return [layer.media_type for manifest in held.manifests for layer in manifest.layers]
