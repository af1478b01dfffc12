"""Descriptors: how manifests and indexes name what they are made of (pure).

Source: opencontainers/image-spec, `descriptor.md`, and CNCF Distribution, `spec/manifest-v2-2.md`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from pipe.oci.reference import is_digest

_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What Go's names of systems and architectures are made of."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image of an index runs on.

    Attributes:
        os: Such as `linux`; `unknown` is what an attestation has.
        architecture: Such as `amd64` or `arm64`.
        variant: Such as `v7`, "" where there is none.
    """

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, value: object) -> "Platform | None":
        """Read a platform, of which people are told; None where the value is none."""
        if not isinstance(value, dict):
            return None
        parts = (value.get(name) for name in ("os", "architecture", "variant"))
        return cls(*(part if isinstance(part, str) and _WORD.fullmatch(part) else "" for part in parts))

    def __str__(self) -> str:
        """Return the platform as Docker writes it, such as `linux/arm64` or `linux/arm/v7`."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The name of a blob or a manifest.

    Attributes:
        media_type: What the bytes are, "" where the descriptor does not say.
        digest: Of the bytes.
        size: Bytes.
        platform: What an image of an index runs on.
        urls: Where else the bytes are to be had; only layers that may not be distributed have them.
        annotations: What else is said of them.
    """

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a descriptor.

        Args:
            value: What JSON gave.

        Returns:
            The descriptor.

        Raises:
            ValueError: It is none; the message is the rule that it breaks.
        """
        if not isinstance(value, dict):
            raise ValueError("a descriptor has to be an object")  # noqa: TRY004
        digest, size, media_type = value.get("digest"), value.get("size"), value.get("mediaType", "")
        if not isinstance(digest, str) or not is_digest(digest):
            raise ValueError("a descriptor's digest has to be 'sha256:' and 64 hexadecimal digits")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**63:
            raise ValueError("a descriptor's size has to be a number of bytes")
        if not isinstance(media_type, str):
            raise ValueError("a descriptor's mediaType has to be text")  # noqa: TRY004
        urls, annotations = value.get("urls"), value.get("annotations")
        return cls(
            media_type,
            digest,
            size,
            Platform.parse(value.get("platform")),
            tuple(url for url in urls if isinstance(url, str)) if isinstance(urls, list) else (),
            {k: v for k, v in annotations.items() if isinstance(v, str)} if isinstance(annotations, dict) else {},
        )

    @property
    def is_attestation(self) -> bool:
        """Whether an index names with this what is known of an image, not an image (BuildKit's `unknown/unknown`)."""
        return self.platform is not None and self.platform.os == "unknown"
