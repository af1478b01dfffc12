"""What a source holds: blobs that can be opened, and the image that they make."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image
from pipe.oci.manifest import DOCKER_CONFIG, OCI_CONFIG, Manifest


class Reader(Protocol):
    """Bytes, one after the other."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as there are bytes.

        Args:
            buffer: Takes the bytes.

        Returns:
            The number of bytes; 0 only at the end.
        """


@dataclass(frozen=True, slots=True)
class SourceBlob:
    """The bytes of one layer, or of another blob, in a source.

    Attributes:
        name: The entry or file, for messages.
        size: Bytes that a reader gives.
        diff_id: What the unpacked bytes have to hash to; None where only the bytes tell, or where it is no layer.
        descriptor: How a manifest names these very bytes where they are sent as they are; None where
            they are compressed on their way.
        open: Gives the bytes: of an archive or layout any number of times, in any order, in any
            thread; of an Engine's stream once, before the next blob is asked for.
    """

    name: str
    size: int
    diff_id: str | None
    descriptor: Descriptor | None
    open: Callable[[], Reader]

    @property
    def is_config(self) -> bool:
        """Whether it is an image's configuration, which people do not count as a layer."""
        return self.descriptor is not None and self.descriptor.media_type in {DOCKER_CONFIG, OCI_CONFIG}


@dataclass(frozen=True, slots=True)
class StoredImage:
    """What an archive or a layout holds of one image.

    Attributes:
        manifests: Byte for byte, children before parents, the last is what a tag is to name; none
            where the manifest has to be made, as of a docker archive.
        config: The configuration of a docker archive's image; b"" where `blobs` hold it.
        blobs: Of a docker archive the layers, from the base up; else every configuration and layer
            of every platform, each once.
        images: One a platform, for people.
    """

    manifests: tuple[Manifest, ...]
    config: bytes
    blobs: tuple[SourceBlob, ...]
    images: tuple[Image, ...]


def in_memory(name: str, media_type: str, data: bytes) -> SourceBlob:
    """Make a blob of bytes that are there already, to be sent as they are.

    Args:
        name: For messages.
        media_type: What the bytes are.
        data: The bytes.

    Returns:
        The blob.
    """
    descriptor = Descriptor(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))
    return SourceBlob(name, len(data), None, descriptor, lambda: _Memory(data))


class _Memory:
    """Reads bytes that are in memory."""

    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as there are bytes."""
        length = min(len(buffer), len(self._rest))
        buffer[:length], self._rest = self._rest[:length], self._rest[length:]
        return length
