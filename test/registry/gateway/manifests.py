"""What a manifest names: the blobs of an image, or the manifests of a list (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.gateway.documents import read_object

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_ENTRIES = 1000
"""How many blobs or manifests a manifest may name; our choice. Docker's images have at most 127 layers."""
MOST_CHILDREN = 250
"""How many manifests a list may lead to; our choice. An image for 20 platforms with provenance has 40."""
MOST_BELOW = 5000
"""How many blobs and manifests all that a list leads to may name, repetitions included; our choice."""
MOST_LEVELS = 4
"""How deep manifests may lie, an image being one level; our choice. What Docker makes has two."""
_IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
ONLY_SHA256 = "this registry knows digests by sha256 only"
_SCHEMA = 2
_LARGEST_CLOSURE = 8 << 20
# What a type, or a part of a platform's name, may have of letters: RFC 6838 has 127 for either half of a type.
_LONGEST_TYPE = 255
_LONGEST_PART = 32
# Distribution itself takes negative sizes.
_LARGEST_SIZE = (1 << 63) - 1
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
    artifact_type: str = ""
    """What it holds if that is no image."""

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
    document = read_object(body)
    if document is None:
        return NOTHING
    configs = _descriptors([document.get("config")])
    layers = _descriptors(document.get("layers"))
    manifests = _descriptors(document.get("manifests"))
    media_type = document.get("mediaType")
    if not isinstance(media_type, str) or len(media_type) > _LONGEST_TYPE:
        # The OCI specification leaves the field optional.
        kind = "index" if manifests else "manifest"
        media_type = f"application/vnd.oci.image.{kind}.v1+json"
    return Manifest(media_type, configs[0] if configs else None, layers, manifests, _artifact_type(document))


@dataclass(slots=True)
class Closure:
    """All that a manifest leads to."""

    digests: set[str] = field(default_factory=set)
    """Manifests, configurations and layers."""
    manifests: int = 0
    entries: int = 0
    """Blobs and manifests that all of them name, repetitions included."""
    levels: int = 0
    size: int = 0
    """Bytes of the manifests that were read."""

    @property
    def too_much(self) -> bool:
        """Whether it is more than a manifest may lead to; the rest of it is then not looked at."""
        return (
            self.levels > MOST_LEVELS
            or self.manifests > MOST_CHILDREN
            or self.entries > MOST_BELOW
            or self.size > _LARGEST_CLOSURE
        )


def closure_of(body: bytes, read: Callable[[str], bytes]) -> Closure:
    """Return what a manifest leads to; `read` returns a stored one or b""."""
    found = Closure()
    level = {body}
    while level and not found.too_much:
        found.levels += 1
        children = {digest for body in level for digest in _look_at(body, found)}
        found.manifests += len(children)
        level = set()
        for digest in children:
            if not found.too_much:
                level.add(content := read(digest))
                found.size += len(content)
    return found


def _look_at(body: bytes, found: Closure) -> set[str]:
    """Add what one manifest names; return its children."""
    manifest = parse_manifest(body)
    found.digests |= manifest.named
    found.entries += len(manifest.blobs) + len(manifest.manifests)
    return {child.digest for child in manifest.manifests}


def problem_of(body: bytes) -> str:
    """Say why a manifest is not taken, for what Distribution would not say or not say clearly."""
    document = read_object(body)
    if document is None:
        return "the manifest is no JSON object, or too deep, or made of too many parts"
    if document.get("schemaVersion") != _SCHEMA:
        return f"this registry takes manifests of schemaVersion {_SCHEMA} only"
    for entry in _entries(document):
        digest, media_type = str(entry.get("digest", "")), str(entry.get("mediaType", ""))
        if digest.startswith("sha512:"):
            return ONLY_SHA256
        if "nondistributable" in media_type or ".foreign." in media_type:
            return "this registry takes no layers that are stored elsewhere (non-distributable, foreign)"
    if len(_entries(document)) > MOST_ENTRIES:
        return f"a manifest may name {MOST_ENTRIES} others at most"
    return ""


def media_types_of(body: bytes) -> frozenset[str]:
    """Return the media types that a manifest names: its own, and those of all its entries."""
    document = read_object(body) or {}
    named = (each.get("mediaType") for each in (document, *_entries(document)))
    return frozenset(each for each in named if isinstance(each, str))


def platform_name(fields: object) -> str | None:
    """Return `linux/arm64/v8` for a list's `platform` or an image's configuration."""
    if not isinstance(fields, dict):
        return None
    parts = [fields.get(key) for key in ("os", "architecture", "variant")]
    return "/".join(part[:_LONGEST_PART] for part in parts if isinstance(part, str) and part) or None


def _artifact_type(document: dict[str, Any]) -> str:
    """Return what an artifact says it is, by OCI's image specification 1.1, or as its predecessors said it."""
    config = document.get("config")
    of_config = config.get("mediaType") if isinstance(config, dict) else None
    stated = document.get("artifactType")
    if isinstance(stated, str) and stated:
        return stated[:_LONGEST_TYPE]
    return of_config[:_LONGEST_TYPE] if isinstance(of_config, str) and of_config not in _IMAGE_CONFIGS else ""


def _entries(document: dict[str, Any]) -> list[dict[str, Any]]:
    lists = (document.get(key) for key in ("layers", "manifests", "blobs"))
    found = [document.get("config"), *(entry for each in lists if isinstance(each, list) for entry in each)]
    return [entry for entry in found if isinstance(entry, dict)]


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
        size=size if isinstance(size, int) and 0 <= size <= _LARGEST_SIZE else 0,
        platform=platform_name(entry.get("platform")),
        attestation=kind == "attestation-manifest",
    )
