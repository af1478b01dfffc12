"""An image in a file or a directory, in any form."""

import json
from pathlib import Path
from typing import Protocol

from pipe.errors import ArchiveError
from pipe.oci.reference import Reference
from pipe.source.blob import StoredImage
from pipe.source.docker_archive import MANIFEST, read_docker_archive
from pipe.source.documents import DirectoryTransport, Documents
from pipe.source.layout import INDEX, read_directory_transport, read_layout
from pipe.source.opening import open_files

_FILE_SYSTEM = (
    *(".dockerenv", "etc/hostname", "etc/hosts", "etc/passwd", "etc/os-release", "usr/lib/os-release"),
    *("bin/sh", "usr/bin/sh"),
)
"""Files of a container; `docker export` writes the first three for every one, other programs none of them."""


class ArchiveLog(Protocol):
    """Receives lines for the report."""

    def info(self, text: str, /) -> None:
        """Log what happens."""

    def warning(self, text: str, /) -> None:
        """Log what users should know."""

    def debug(self, text: str, /) -> None:
        """Log a detail."""


def open_image(path: Path, name: Reference, report: ArchiveLog) -> StoredImage:
    """Return the image in an archive or a layout.

    Many tools write both forms into one archive. With compressed layers it is a layout; with plain ones, which
    are compressed for the push, a docker archive. If one form is incomplete, the other one is used.

    Raises:
        ArchiveError: There is no image, or it is damaged.
    """
    documents = Documents(path, open_files(path, report.info))
    has_manifest, has_index = documents.has(MANIFEST), documents.has(INDEX)
    if has_manifest and _is_registry_manifest(documents):
        if not has_index:
            return read_directory_transport(DirectoryTransport(path, documents.files), MANIFEST, report.warning)
        has_manifest = False
    if has_index and has_manifest:
        return _of_both_forms(documents, name, report)
    if has_index:
        return read_layout(documents, name, report.warning)
    if has_manifest:
        return read_docker_archive(documents, name)
    raise _no_image(documents)


def _of_both_forms(documents: Documents, name: Reference, report: ArchiveLog) -> StoredImage:
    stored = None
    try:
        stored = read_layout(documents, name, report.warning)
        if not _is_plain(stored):
            return stored
    except ArchiveError as error:
        report.debug(f"Reading {MANIFEST} instead of {INDEX}. {error.summary}")
    try:
        return read_docker_archive(documents, name)
    except ArchiveError as error:
        if stored is None:
            raise
        report.debug(f"Reading {INDEX} instead of {MANIFEST}. {error.summary}")
        return stored


def _is_plain(stored: StoredImage) -> bool:
    types = [layer.descriptor.media_type for image in stored.images for layer in image.layers if layer.descriptor]
    return len(stored.manifests) == 1 and any(each.endswith(".tar") for each in types)


def _is_registry_manifest(documents: Documents) -> bool:
    """Return whether manifest.json is a manifest and not a list of images."""
    try:
        return isinstance(json.loads(documents.read(MANIFEST)), dict)
    except (ArchiveError, ValueError, RecursionError):
        return False


def _no_image(documents: Documents) -> ArchiveError:
    if any(documents.has(each) for each in _FILE_SYSTEM):
        return documents.error(
            "it contains the files of a container, as `docker export` writes them, and not an image",
            fix="Save the image with `docker save` (`podman save`), and set IMAGE_ARCHIVE to that file.",
        )
    kind = "directory is not an OCI layout" if documents.path.is_dir() else "archive contains no image"
    return documents.error(f"the {kind}: it has neither {INDEX} nor {MANIFEST}")
