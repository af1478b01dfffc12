"""Manifests as a registry stores them: digest, config, layers.

Source: opencontainers/image-spec, `manifest.md` and `image-index.md`, and CNCF Distribution,
`spec/manifest-v2-2.md`.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from pipe.oci.descriptor import Descriptor, digest_of
from pipe.oci.fields import members, read_json, text

MEDIA_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
"""Every type that a tag can refer to; a registry returns 404 for a type that the request does not accept."""


DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX = MEDIA_TYPES
INDEXES = frozenset((DOCKER_LIST, OCI_INDEX))
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"


class Manifest(NamedTuple):
    """A manifest or an index, with the bytes that its digest is computed from.

    Attributes:
        config: Digest of the image's configuration, None in an index.
        layers: From the base up, none in an index.
        manifests: Children of an index, including attestations.
    """

    media_type: str
    body: bytes
    config: str | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    config_descriptor: Descriptor | None = None

    @classmethod
    def parse(cls, media_type: str, body: bytes) -> "Manifest":
        """Parse a manifest, without members that are not valid."""
        try:
            content = members(read_json(body))
        except ValueError:
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
        """Make the manifest (schema 2) that Docker Engine makes of these, byte for byte."""
        content = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": {"mediaType": DOCKER_CONFIG, "size": config.size, "digest": config.digest},
            "layers": [{"mediaType": DOCKER_LAYER, "size": layer.size, "digest": layer.digest} for layer in layers],
        }
        return cls.parse(DOCKER_MANIFEST, json.dumps(content, indent=3).encode())

    @classmethod
    def of_oci(cls, config: Descriptor, layers: tuple[Descriptor, ...]) -> "Manifest":
        """Make an image's OCI manifest, which can name layers that Docker's schema 2 cannot.

        Args:
            config: Of the image's configuration.
            layers: From the base up, with their media types.
        """
        content = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": config.digest, "size": config.size},
            "layers": [
                {
                    "mediaType": OCI_LAYER if layer.media_type == DOCKER_LAYER else layer.media_type,
                    "digest": layer.digest,
                    "size": layer.size,
                }
                for layer in layers
            ],
        }
        return cls.parse(OCI_MANIFEST, json.dumps(content, separators=(",", ":")).encode())

    @classmethod
    def of_index(cls, entries: Sequence[dict[str, object]]) -> "Manifest":
        """Make an OCI index of entries; equal ones in equal order make equal bytes."""
        content = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)}
        return cls.parse(OCI_INDEX, json.dumps(content, separators=(",", ":")).encode())

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config, if there is one, and the layers."""
        return (self.config_descriptor, *self.layers) if self.config_descriptor else self.layers

    @property
    def images(self) -> tuple[str, ...]:
        """The digests of an index's images, without attestations."""
        return tuple(named.digest for named in self.manifests if not named.is_attestation)

    @property
    def digest(self) -> str:
        """The digest of the bytes."""
        return digest_of(self.body)


def media_type_of(content: dict[str, object], default: str = "") -> str:
    """Return a manifest's media type: its own, else the default, else the one that its members imply.

    Args:
        content: The manifest's members; see `pipe.oci.fields`.
        default: From the descriptor that refers to it.

    Raises:
        ValueError: The type is not a string; the message completes a sentence.
    """
    named = content.get("mediatype", "")
    if not isinstance(named, str):
        raise ValueError("has a mediaType that is not a string")  # noqa: TRY004
    return text(named) or default or (OCI_INDEX if "manifests" in content else OCI_MANIFEST)


def flaw_of(manifest: Manifest) -> str:
    """Return why a manifest is not as a registry must store it; "" if it is.

    `Manifest.parse` leaves out what is not valid, and a manifest that can be understood in two ways (CVE-2021-41190)
    may name more than was checked.
    """
    if manifest.media_type not in MEDIA_TYPES:
        return f"is {manifest.media_type or 'of no type'}, which is not an image"
    try:
        content = members(read_json(manifest.body))
    except ValueError as error:
        return str(error)
    is_index = manifest.media_type in INDEXES
    if content.keys() & ({"config", "layers"} if is_index else {"manifests"}):
        return "is ambiguous (manifest or index)"
    listed = content.get("manifests" if is_index else "layers", None if is_index else [])
    for each in [*(listed if isinstance(listed, list) else [listed]), *([] if is_index else [content.get("config")])]:
        try:
            Descriptor.parse(each)
        except ValueError as error:
            return f"is not valid: {error}"
    return ""


def _descriptors(content: dict[str, object], key: str) -> tuple[Descriptor, ...]:
    value = content.get(key)
    found = map(_descriptor, value if isinstance(value, list) else ())
    return tuple(descriptor for descriptor in found if descriptor)


def _descriptor(value: object) -> Descriptor | None:
    try:
        return Descriptor.parse(value)
    except ValueError:
        return None
