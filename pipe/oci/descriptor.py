"""Descriptors: how manifests and indexes refer to blobs and manifests.

Source: opencontainers/image-spec, `descriptor.md`, and CNCF Distribution, `spec/manifest-v2-2.md`.
"""

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Self

from pipe.oci.fields import annotations, members, text, texts
from pipe.oci.reference import is_digest

SHA512 = r"sha512:[0-9a-f]{128}"
"""The other algorithm that the specification registers."""
_WORD = r"[A-Za-z0-9._-]{1,64}"
"""The characters of Go's names for systems and architectures."""
_ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}


def digest_of(data: bytes) -> str:
    """Return the SHA-256 digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Platform(NamedTuple):
    """The system that an image runs on; `unknown` for an attestation."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, value: object) -> "Platform | None":
        """Parse a platform or a configuration; None if it is not an object."""
        if not isinstance(value, dict):
            return None
        found = members(value)
        parts = (text(found.get(name)) for name in ("os", "architecture", "variant"))
        return cls(*(part if re.fullmatch(_WORD, part) else "" for part in parts))

    def __str__(self) -> str:
        """Return the platform as Docker writes it, such as `linux/arm/v7`."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


class Descriptor(NamedTuple):
    """A reference to a blob or a manifest.

    Attributes:
        media_type: "" if not given.
        size: Bytes.
        platform: Of an image in an index.
        urls: Other locations of a non-distributable layer.
    """

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def parse(cls, value: object) -> Self:
        """Parse a descriptor.

        Raises:
            ValueError: The message is the rule that the value breaks.
        """
        if not isinstance(value, dict):
            raise ValueError("a descriptor must be an object")  # noqa: TRY004
        found = members(value)
        digest, size, media_type = found.get("digest"), found.get("size"), found.get("mediatype", "")
        if isinstance(digest, str) and re.fullmatch(SHA512, digest):
            raise ValueError("SHA-512 digests are not supported; use SHA-256")
        if not isinstance(digest, str) or not is_digest(digest):
            raise ValueError("a descriptor's digest must be 'sha256:' and 64 hexadecimal digits")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**63:
            raise ValueError("a descriptor's size must be a number of bytes")
        if not isinstance(media_type, str):
            raise ValueError("a descriptor's mediaType must be a string")  # noqa: TRY004
        platform = Platform.parse(found.get("platform"))
        urls, notes = tuple(texts(found.get("urls"))), annotations(found.get("annotations"))
        return cls(media_type, digest, size, platform, urls, notes)

    @property
    def is_attestation(self) -> bool:
        """Whether this refers to BuildKit's statements about an image."""
        if self.platform is not None and self.platform.os == "unknown":
            return True
        return _ATTESTATION.items() <= self.annotations.items()
