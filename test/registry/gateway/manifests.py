"""What a manifest names: the blobs of an image, or the manifests of a list (pure)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One entry of a manifest, as the OCI image specification's `descriptor.md` defines it."""

    digest: str
    size: int
    """Bytes, as the manifest states them."""
    platform: str | None
    """`os/architecture[/variant]`, in lists only."""
    attestation: bool
    """BuildKit's provenance, which rides in a list beside the images it describes."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest (`config` and `layers`) or a manifest list (`manifests`)."""

    media_type: str
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The configuration and the layers."""
        return (self.config, *self.layers) if self.config else self.layers

    @property
    def named(self) -> frozenset[str]:
        """The digests of all that this manifest needs to be there."""
        return frozenset(entry.digest for entry in (*self.blobs, *self.manifests))


NOTHING = Manifest("", None, (), ())


def parse_manifest(body: bytes) -> Manifest:
    """Read a manifest of any of the four media types.

    What is no manifest names nothing: judging bodies is Distribution's part.
    """
    try:
        document = json.loads(body)
    except ValueError:
        return NOTHING
    if not isinstance(document, dict):
        return NOTHING
    configs = _descriptors([document.get("config")])
    layers = _descriptors(document.get("layers"))
    manifests = _descriptors(document.get("manifests"))
    media_type = document.get("mediaType")
    if not isinstance(media_type, str):
        # The OCI specification leaves the field optional.
        kind = "index" if manifests else "manifest"
        media_type = f"application/vnd.oci.image.{kind}.v1+json"
    return Manifest(media_type, configs[0] if configs else None, layers, manifests)


def named_digests(body: bytes) -> frozenset[str]:
    """Return the digests of config, layers and child manifests that a manifest or list names."""
    return parse_manifest(body).named


def child_manifests(body: bytes) -> tuple[str, ...]:
    """Return the digests of the manifests that a list names."""
    return tuple(entry.digest for entry in parse_manifest(body).manifests)


def platform_name(fields: object) -> str | None:
    """Return `linux/arm64/v8` for a list's `platform` or an image's configuration."""
    if not isinstance(fields, dict):
        return None
    parts = [fields.get(key) for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if isinstance(part, str) and part) or None


def _descriptors(entries: object) -> tuple[Descriptor, ...]:
    if not isinstance(entries, list):
        return ()
    return tuple(
        _descriptor(entry)
        for entry in entries
        if isinstance(entry, dict) and DIGEST.fullmatch(str(entry.get("digest")))
    )


def _descriptor(entry: dict[str, Any]) -> Descriptor:
    size, annotations = entry.get("size"), entry.get("annotations")
    kind = annotations.get("vnd.docker.reference.type") if isinstance(annotations, dict) else None
    return Descriptor(
        digest=entry["digest"],
        size=size if isinstance(size, int) else 0,
        platform=platform_name(entry.get("platform")),
        attestation=kind == "attestation-manifest",
    )
