"""The contents of a source: blobs that can be opened, and the image that they make up."""

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, Protocol

from pipe.oci.descriptor import Descriptor, digest_of
from pipe.oci.image import Image
from pipe.oci.manifest import DOCKER_CONFIG, OCI_CONFIG, Manifest


class Reader(Protocol):
    """A stream of bytes."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes into the buffer, and return their number; 0 only at the end."""


def read_up_to(reader: Reader, size: int) -> bytes:
    """Return the next bytes of a stream, fewer than `size` only at its end."""
    buffer, filled = memoryview(bytearray(size)), 0
    while filled < size and (length := reader.readinto(buffer[filled:])):
        filled += length
    return bytes(buffer[:filled])


class SourceBlob(NamedTuple):
    """The bytes of one layer, or of another blob, in a source.

    Attributes:
        name: The entry or file, for messages.
        size: Number of bytes that a reader returns.
        diff_id: The digest of the uncompressed bytes; None if only the bytes reveal it, or if it is no layer.
        descriptor: The descriptor of these bytes if they are sent as they are; None if the push compresses them.
        open: Opens the bytes: those of an archive or layout any number of times, in any order, in any thread; those of
            an Engine's stream once, before the next blob is requested.
        repository: The path of the registry's repository that has the blob, from which it can be mounted; "" if it is
            not in the registry.
        is_verified: Whether the bytes were compared with `diff_id` in this run; they are not hashed again.
    """

    name: str
    size: int
    diff_id: str | None
    descriptor: Descriptor | None
    open: Callable[[], Reader]
    repository: str = ""
    is_verified: bool = False

    @property
    def key(self) -> str:
        """The digest of a blob that is sent as it is, otherwise the diffID of the layer; "" if unknown."""
        return self.descriptor.digest if self.descriptor else self.diff_id or ""

    @property
    def is_config(self) -> bool:
        """Whether it is an image's config, which does not count as a layer."""
        return self.descriptor is not None and self.descriptor.media_type in {DOCKER_CONFIG, OCI_CONFIG}


class StoredImage(NamedTuple):
    """One image in an archive or a layout.

    Attributes:
        manifests: As they are stored, children before parents, the tag's own last; empty if the manifest must be made,
            as that of a docker archive.
        config: The config of a docker archive's image; b"" if it is one of the `blobs`.
        blobs: The layers of a docker archive, from the lowest up; otherwise every config and layer of every platform,
            each once.
        images: One for each platform.
        referrers: Artifacts of a layout that refer to one of the manifests, or to another of these artifacts.
    """

    manifests: tuple[Manifest, ...]
    config: bytes
    blobs: tuple[SourceBlob, ...]
    images: tuple[Image, ...]
    referrers: tuple["Referrer", ...] = ()


class Referrer(NamedTuple):
    """An artifact that refers to a manifest, which does not refer to it: a signature, a software bill, a statement.

    Attributes:
        descriptor: Of its manifest.
        subject: The digest of the manifest that it refers to.
        kind: Its artifact type.
        annotations: Of its manifest.
        read: Reads its manifests and blobs.
    """

    descriptor: Descriptor
    subject: str
    kind: str
    annotations: Mapping[str, str]
    read: Callable[[], StoredImage]

    @property
    def digest(self) -> str:
        """The digest of its manifest."""
        return self.descriptor.digest


def in_memory(name: str, media_type: str, data: bytes) -> SourceBlob:
    """Return a blob of bytes in memory, to be sent as they are; `name` is for messages."""
    descriptor = Descriptor(media_type, digest_of(data), len(data))
    return SourceBlob(name, len(data), None, descriptor, partial(io.BytesIO, data))
