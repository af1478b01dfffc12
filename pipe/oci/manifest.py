"""Manifests as a registry stores them: digest, config, layers (pure).

Source: opencontainers/image-spec, `manifest.md` and `image-index.md`, and CNCF Distribution,
`spec/manifest-v2-2.md`.
"""

import hashlib
import json
from dataclasses import dataclass

from pipe.oci.reference import is_digest

MEDIA_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
"""All that a tag may name; a registry answers 404 for a type that is not asked for."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that a manifest names.

    Attributes:
        digest: Of its bytes.
        size: Bytes stored.
    """

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, or a list of manifests, with the bytes that its digest is made of.

    Attributes:
        media_type: As the registry names it.
        body: The bytes, unchanged.
        config: Digest of the image's configuration, None in a list.
        layers: From the base up, none in a list.
        images: Digests of the images of a list; attestations, of platform `unknown`, are left out.
    """

    media_type: str
    body: bytes
    config: str | None = None
    layers: tuple[Blob, ...] = ()
    images: tuple[str, ...] = ()

    @classmethod
    def parse(cls, media_type: str, body: bytes) -> "Manifest":
        """Read a manifest.

        Args:
            media_type: As the registry names it.
            body: Its bytes.

        Returns:
            The manifest; what the bytes do not say is left out.
        """
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            return cls(media_type, body)
        config = _blob(content.get("config"))
        layers = [_blob(item) for item in _items(content, "layers")]
        images = [_blob(item) for item in _items(content, "manifests") if not _is_attestation(item)]
        return cls(
            media_type,
            body,
            config.digest if config else None,
            tuple(layer for layer in layers if layer),
            tuple(image.digest for image in images if image),
        )

    @property
    def digest(self) -> str:
        """The digest of the bytes."""
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"

    def holds(self, image_id: str) -> bool:
        """Tell whether this is the image with that ID.

        Args:
            image_id: The digest of the configuration in a graphdriver store, of the manifest in a
                containerd store.

        Returns:
            Whether it is.
        """
        return image_id in {self.config, self.digest}


def _items(content: dict[str, object], key: str) -> list[object]:
    value = content.get(key)
    return value if isinstance(value, list) else []


def _blob(descriptor: object) -> Blob | None:
    if not isinstance(descriptor, dict):
        return None
    digest, size = descriptor.get("digest"), descriptor.get("size")
    return Blob(digest, size) if isinstance(digest, str) and is_digest(digest) and isinstance(size, int) else None


def _is_attestation(descriptor: object) -> bool:
    platform = descriptor.get("platform") if isinstance(descriptor, dict) else None
    return isinstance(platform, dict) and platform.get("os") == "unknown"
