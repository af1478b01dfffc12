"""The images behind a tag, with what their configurations say of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from registry.gateway.documents import read_object
from registry.gateway.manifests import platform_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.gateway.manifests import Manifest
    from registry.gateway.storage import Storage

REVISION = "org.opencontainers.image.revision"
"""The label of the commit that an image was built from (OCI image specification, `annotations.md`)."""
_MOST_CONFIGURATIONS = 50
"""How many a page reads; our choice. An image for 20 platforms has 20."""
_LONGEST_TEXT = 300
_NOP = re.compile(r"/bin/sh -c #\(nop\)\s*")
_SHELL = re.compile(r"(?:RUN )?/bin/sh -c\s+")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as a registry stores it, and what made it; sizes in bytes."""

    digest: str
    size: int
    instruction: str
    """Of the Dockerfile; empty if the image does not tell."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image behind a tag."""

    digest: str
    platform: str
    layers: tuple[Layer, ...]
    size: int
    created: datetime | None
    revision: str


class Images:
    """Reads images from a registry's storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def platforms(self, digest: str) -> tuple[str, ...]:
        """Return the platforms that a manifest leads to an image for, each once."""
        found = (
            named or self._platform(self._configuration(manifest)) for _, manifest, named in self._manifests(digest)
        )
        return tuple(dict.fromkeys(found))

    def behind(self, digest: str) -> list[Image]:
        """Return all images that a manifest leads to, each once."""
        manifests = self._manifests(digest)
        read = [self._image(*each) for each in islice(manifests, _MOST_CONFIGURATIONS)]
        return read + [_image(digest, manifest, named or "unknown", {}) for digest, manifest, named in manifests]

    def _image(self, digest: str, manifest: Manifest, named: str) -> Image:
        configuration = self._configuration(manifest)
        return _image(digest, manifest, named or self._platform(configuration), configuration or {})

    def _manifests(self, digest: str) -> Iterator[tuple[str, Manifest, str]]:
        """Yield the manifest of each image, and the platforms that lists name for it."""
        manifests: dict[str, Manifest] = {}
        platforms: dict[str, dict[str, None]] = {digest: {}}
        ahead = [digest]
        while ahead:
            digest = ahead.pop()
            manifests[digest] = self._storage.manifest(digest)
            members = [each for each in manifests[digest].manifests if not each.attestation]
            ahead += reversed(dict.fromkeys(each.digest for each in members if each.digest not in platforms))
            for each in members:
                platforms.setdefault(each.digest, {}).update({each.platform: None} if each.platform else {})
        for digest, manifest in manifests.items():
            if manifest.config:
                yield digest, manifest, ", ".join(platforms[digest])

    def _configuration(self, manifest: Manifest) -> dict[str, Any] | None:
        content = self._storage.content(manifest.config.digest) if manifest.config else None
        return read_object(content or b"")

    def _platform(self, configuration: dict[str, Any] | None) -> str:
        return "configuration not readable" if configuration is None else platform_name(configuration) or "unknown"


def _image(digest: str, manifest: Manifest, platform: str, configuration: dict[str, Any]) -> Image:
    steps = instructions(configuration.get("history"))
    told = steps if len(steps) == len(manifest.layers) else [""] * len(manifest.layers)
    return Image(
        digest=digest,
        platform=platform,
        layers=tuple(Layer(layer.digest, layer.size, step) for layer, step in zip(manifest.layers, told, strict=True)),
        size=sum(blob.size for blob in manifest.blobs),
        created=moment(configuration.get("created")),
        revision=_revision(configuration),
    )


def instructions(history: object) -> list[str]:
    """Return the Dockerfile's instruction of each layer, the base first, as an image's `history` has them."""
    if not isinstance(history, list):
        return []
    steps = [step for step in history if isinstance(step, dict) and step.get("empty_layer") is not True]
    return [_instruction(step.get("created_by")) for step in steps]


def moment(text: object) -> datetime | None:
    """Return the time that an image's configuration names; None for none, and for Go's zero time."""
    if not isinstance(text, str):
        return None
    try:
        read = datetime.fromisoformat(text[:_LONGEST_TEXT])
        found = read.replace(tzinfo=read.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year > 1 else None


def _instruction(text: object) -> str:
    if not isinstance(text, str):
        return ""
    # Docker before BuildKit writes the shell that ran an instruction, and BuildKit its own name.
    text = text[: 2 * _LONGEST_TEXT].strip().removesuffix(" # buildkit")
    text = _NOP.sub("", text) if _NOP.match(text) else _SHELL.sub("RUN ", text, count=1)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _revision(configuration: dict[str, Any]) -> str:
    inner = configuration.get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    revision = labels.get(REVISION) if isinstance(labels, dict) else None
    return revision[:_LONGEST_TEXT] if isinstance(revision, str) else ""
