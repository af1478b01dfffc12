"""The JSON documents of an archive or a layout: bounded, checked against their digests, found by reference."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pipe.errors import ArchiveError
from pipe.oci.config import read_json
from pipe.oci.descriptor import Descriptor, Platform
from pipe.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from pipe.source.files import Files, archive_error

DOCUMENT = 4 * 1024 * 1024
"""Bytes of a document that are read; a registry takes no larger manifest."""
DEPTH = 4
"""Indexes in indexes; more is a mistake, or malice."""
MANIFESTS = 200
"""Manifests of one image, all platforms and attestations together."""
MANIFESTS_SIZE = 16 * 1024 * 1024
"""Bytes of all these manifests, which are in memory together; those of a real image have some thousands each."""
_MANIFESTS = frozenset((DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST))
_INDEXES = frozenset((DOCKER_LIST, OCI_INDEX))


class Documents:
    """Reads documents by name or digest."""

    def __init__(self, path: Path, files: Files) -> None:
        """Read from an archive or a layout.

        Args:
            path: For messages.
            files: What is in it.
        """
        self.path = path
        self.files = files

    def error(self, problem: str) -> ArchiveError:
        """Make the error for what is wrong with the archive."""
        return archive_error(self.path, problem)

    def read(self, name: str) -> bytes:
        """Read a whole document.

        Args:
            name: The entry or file.

        Returns:
            Its bytes.

        Raises:
            ArchiveError: There is none, or it is too large.
        """
        size = self.files.size(name)
        if size is None:
            raise self.error(f"it has no {name}")
        if size > DOCUMENT:
            raise self.error(f"{name} has {size} bytes, more than any image's")
        buffer, filled, reader = memoryview(bytearray(size)), 0, self.files.open(name)
        while filled < size and (length := reader.readinto(buffer[filled:])):
            filled += length
        return bytes(buffer[:filled])

    def object(self, name: str) -> dict[str, object]:
        """Read a document that is a JSON object."""
        try:
            return read_json(self.read(name))
        except ValueError as error:
            raise self.error(f"{name} {error}") from None

    def named(self, descriptor: Descriptor) -> bytes:
        """Read the document that a descriptor names, and compare its digest."""
        content = self.read(blob_name(descriptor.digest))
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if digest != descriptor.digest:
            raise self.error(f"the blob {descriptor.digest} is damaged: its digest is {digest}")
        if len(content) != descriptor.size:
            raise self.error(f"the blob {digest} has {len(content)} bytes, but {descriptor.size} are named")
        return content

    def manifests(self, root: Descriptor) -> list[Manifest]:
        """Read a manifest and all that it names, children before parents, each once.

        Args:
            root: What the tag is to name.

        Returns:
            The manifests.

        Raises:
            ArchiveError: One is missing or damaged, or they are too many or too deep.
        """
        found: dict[str, Manifest] = {}
        size = 0
        for manifest in self._walk(root, frozenset(), found):
            found[manifest.digest] = manifest
            size += len(manifest.body)
            if len(found) > MANIFESTS:
                raise self.error(f"its index names more than {MANIFESTS} manifests")
            if size > MANIFESTS_SIZE:
                raise self.error(f"its manifests have more than {MANIFESTS_SIZE} bytes together")
        return list(found.values())

    def _walk(self, descriptor: Descriptor, above: frozenset[str], found: dict[str, Manifest]) -> Iterator[Manifest]:
        if descriptor.digest in above:
            raise self.error(f"the index {descriptor.digest} names itself")
        if len(above) > DEPTH:
            raise self.error(f"its indexes are nested deeper than {DEPTH}")
        if self.files.size(blob_name(descriptor.digest)) is None:
            raise self.missing(descriptor.digest, f"the manifest{of_platform(descriptor.platform)}")
        body = self.named(descriptor)
        manifest = Manifest.parse(self._media_type(descriptor, body), body)
        self._check_complete(manifest, descriptor)
        for child in manifest.manifests:
            if child.digest not in found:
                yield from self._walk(child, above | {descriptor.digest}, found)
        yield manifest

    def missing(self, digest: str, what: str) -> ArchiveError:
        """Make the error for what a manifest or an index names and the archive does not hold."""
        return ArchiveError(
            f"{self.path}: {what} ({digest}) is named, but missing.",
            fix="Put every platform that its index names into it, or make one of a single platform.",
        )

    def _check_complete(self, manifest: Manifest, descriptor: Descriptor) -> None:
        """Refuse a manifest of which a registry, or whoever pulls, would read more than was read here."""
        content = read_json(manifest.body)
        is_index = manifest.media_type in _INDEXES
        if is_index == ("layers" in content or "config" in content) or is_index != ("manifests" in content):
            raise self.error(f"{descriptor.digest} is not clearly a manifest or an index")
        key, read = ("manifests", manifest.manifests) if is_index else ("layers", manifest.layers)
        listed = content.get(key, [])
        if not isinstance(listed, list) or len(listed) != len(read):
            raise self.error(f"the manifest {descriptor.digest} lists {key} that have no valid digest and size")
        if not is_index and manifest.config_descriptor is None:
            raise self.error(f"the manifest {descriptor.digest} names no configuration")

    def _media_type(self, descriptor: Descriptor, body: bytes) -> str:
        try:
            content = read_json(body)
        except ValueError as error:
            raise self.error(f"the manifest {descriptor.digest} {error}") from None
        said = content.get("mediaType") or descriptor.media_type
        if said and said not in _MANIFESTS:
            raise self.error(f"{descriptor.digest} is {said}, which is not an image")
        return str(said) if said else OCI_INDEX if "manifests" in content else OCI_MANIFEST


def of_platform(platform: Platform | None) -> str:
    """Return whose something is, "" where nobody says."""
    return f" for {platform}" if platform else ""


def blob_name(digest: str) -> str:
    """Return where a layout keeps a blob."""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
