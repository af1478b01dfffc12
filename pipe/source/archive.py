"""An image in a file or a directory, in any form."""

import json
from pathlib import Path

from pipe.errors import ArchiveError
from pipe.oci.reference import Reference
from pipe.report import Report
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


def open_image(path: Path, name: Reference, report: Report) -> StoredImage:
    """Open an archive or a layout, and return the image in it; see `image_in`."""
    return image_in(opened(path, report), name, report)


def opened(path: Path, report: Report) -> Documents:
    """Open an archive or a layout."""
    return Documents(path, open_files(path, report.info))


def image_in(documents: Documents, name: Reference, report: Report, *, strict: bool = False) -> StoredImage:
    """Return an image of an archive or a layout.

    Many tools write both forms into one archive. With compressed layers it is a layout; with plain ones, which
    are compressed for the push, a docker archive. If one form is incomplete, the other one is used.

    If `strict`, the image must have the name in IMAGE_NAME; see `chosen`.

    Raises:
        ArchiveError: There is no image, or it is damaged.
    """
    has_manifest, has_index = documents.has(MANIFEST), documents.has(INDEX)
    if has_manifest and _is_registry_manifest(documents):
        if not has_index and strict:
            raise documents.error("it has one image without a name", fix="Name only one image in IMAGE_NAME.")
        if not has_index:
            directory = DirectoryTransport(documents.path, documents.files)
            return read_directory_transport(directory, MANIFEST, report.warning)
        has_manifest = False
    if has_index and has_manifest:
        return _of_both_forms(documents, name, report, strict=strict)
    if has_index:
        return read_layout(documents, name, report.warning, strict=strict)
    if has_manifest:
        return read_docker_archive(documents, name, strict=strict)
    raise _no_image(documents)


def _of_both_forms(documents: Documents, name: Reference, report: Report, *, strict: bool) -> StoredImage:
    stored = None
    try:
        stored = read_layout(documents, name, report.warning, strict=strict)
        if not _is_plain(stored):
            return stored
    except ArchiveError as error:
        report.debug(f"Reading {MANIFEST} instead of {INDEX}. {error.summary}")
    try:
        return read_docker_archive(documents, name, strict=strict)
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
