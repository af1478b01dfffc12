"""Manifests as a registry stores them: digest, config, layers (pure).

Source: opencontainers/image-spec, `manifest.md` and `image-index.md`, and CNCF Distribution,
`spec/manifest-v2-2.md`.
"""

import hashlib
import json
from dataclasses import dataclass

from pipe.oci.descriptor import Descriptor

MEDIA_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
"""All that a tag may name; a registry answers 404 for a type that is not asked for."""


MANIFEST_MAXIMUM = 4 * 1024 * 1024
"""Bytes of a manifest or a config that are read; source: distribution-spec, a registry accepts at least 4 MiB."""
DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX = MEDIA_TYPES
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, or a list of manifests, with the bytes that its digest is made of.

    Attributes:
        media_type: As the registry names it.
        body: The bytes, unchanged.
        config: Digest of the image's configuration, None in a list.
        config_descriptor: How it is named.
        layers: From the base up, none in a list.
        manifests: What a list names, attestations included.
    """

    media_type: str
    body: bytes
    config: str | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    config_descriptor: Descriptor | None = None

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
        config = _descriptor(content.get("config"))
        return cls(
            media_type,
            body,
            config.digest if config else None,
            _descriptors(content, "layers"),
            _descriptors(content, "manifests"),
            config,
        )

    @classmethod
    def of_docker(cls, config: Descriptor, layers: tuple[Descriptor, ...]) -> "Manifest":
        """Make the manifest of an image, as Docker Engine does (schema 2).

        Args:
            config: Of the image's configuration.
            layers: From the base up.

        Returns:
            The manifest; the same image has the same bytes.
        """
        content = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": {"mediaType": DOCKER_CONFIG, "size": config.size, "digest": config.digest},
            "layers": [{"mediaType": DOCKER_LAYER, "size": layer.size, "digest": layer.digest} for layer in layers],
        }
        return cls.parse(DOCKER_MANIFEST, json.dumps(content, indent=3).encode())

    @property
    def images(self) -> tuple[str, ...]:
        """The digests of the images that a list names, attestations left out."""
        return tuple(named.digest for named in self.manifests if not named.is_attestation)

    @property
    def digest(self) -> str:
        """The digest of the bytes."""
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"


def _descriptors(content: dict[str, object], key: str) -> tuple[Descriptor, ...]:
    """Read the descriptors of a list; what is none is left out."""
    value = content.get(key)
    found = map(_descriptor, value if isinstance(value, list) else ())
    return tuple(descriptor for descriptor in found if descriptor)


def _descriptor(value: object) -> Descriptor | None:
    try:
        return Descriptor.parse(value)
    except ValueError:
        return None
