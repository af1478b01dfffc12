"""The JSON documents of an archive or a layout, of bounded size and with verified digests."""

from pathlib import Path

from pipe.errors import ArchiveError
from pipe.oci.descriptor import Descriptor, digest_of
from pipe.oci.fields import members, read_json
from pipe.source.blob import read_up_to
from pipe.source.files import Files, archive_error

DOCUMENT = 4 * 1024 * 1024
"""Bytes of the largest manifest or index that is read; registries do not accept larger ones."""


class Documents:
    """Reads documents by name or digest."""

    def __init__(self, path: Path, files: Files) -> None:
        self.path = path
        self.files = files

    def blob_name(self, digest: str) -> str:
        """Return the name of the file that holds a blob."""
        return f"blobs/sha256/{digest.removeprefix('sha256:')}"

    def error(self, problem: str, fix: str = "") -> ArchiveError:
        """Return the error for an archive that cannot be used."""
        return archive_error(self.path, problem, fix)

    def has(self, name: str) -> bool:
        """Return whether there is a file of that name."""
        return self.files.size(name) is not None

    def read(self, name: str, maximum: int = DOCUMENT) -> bytes:
        """Return the content of a file of at most `maximum` bytes.

        Raises:
            ArchiveError: It does not exist, or it is too large.
        """
        size = self.files.size(name)
        if size is None:
            raise self.error(f"it has no {name}")
        if size > maximum:
            raise self.error(f"{name} is too large: it has {size} bytes, the limit is {maximum}")
        return read_up_to(self.files.open(name), size)

    def object(self, name: str) -> dict[str, object]:
        """Return the members of a JSON object; see `pipe.oci.fields`."""
        try:
            return members(read_json(self.read(name)))
        except ValueError as error:
            raise self.error(f"{name} {error}") from None

    def named(self, descriptor: Descriptor, maximum: int = DOCUMENT) -> bytes:
        """Return the verified document that a descriptor refers to."""
        content = self.read(self.blob_name(descriptor.digest), maximum)
        digest = digest_of(content)
        if digest != descriptor.digest:
            raise self.error(f"the blob {descriptor.digest} is damaged: its digest is {digest}")
        if len(content) != descriptor.size:
            raise self.error(f"the blob {digest} has {len(content)} bytes, but its descriptor says {descriptor.size}")
        return content

    def missing(self, digest: str, what: str, fix: str = "") -> ArchiveError:
        """Return the error for a missing blob."""
        return self.error(f"{what} ({digest}) is listed but missing", fix)


class DirectoryTransport(Documents):
    """Reads skopeo's `dir:`; source: containers/image, `directory/directory_transport.go`."""

    def blob_name(self, digest: str) -> str:
        """Return the name of the file that holds a blob or manifest."""
        name = digest.removeprefix("sha256:")
        return next((each for each in (f"{name}.manifest.json", name) if self.has(each)), "manifest.json")
