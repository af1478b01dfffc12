"""An image's configuration: its diffIDs and its history (pure). Source: opencontainers/image-spec, `config.md`."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipe.oci.descriptor import Descriptor, Platform
from pipe.oci.history import instruction
from pipe.oci.image import Image, Layer
from pipe.oci.reference import is_digest
from pipe.text import clean


def read_json(data: bytes) -> dict[str, object]:
    """Read a JSON object.

    Args:
        data: Its bytes.

    Returns:
        The object.

    Raises:
        ValueError: It is none; the message says so.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004
    return content


def image_of(identifier: str, config: bytes, stored: Sequence[Descriptor | None]) -> Image:
    """Read an image's configuration.

    Args:
        identifier: What the image's ID is.
        config: The configuration.
        stored: How each layer is stored, None where it is plain; as many as there are layers.

    Returns:
        The image. An instruction is told where the history says of every entry whether it made a layer.

    Raises:
        ValueError: The configuration does not fit the layers; the message says why.
    """
    content = read_json(config)
    rootfs = content.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or not all(isinstance(each, str) and is_digest(each) for each in diff_ids):
        raise ValueError("has no list of diffIDs")
    if len(diff_ids) != len(stored):
        raise ValueError(f"has {len(diff_ids)} diffIDs for {len(stored)} layers")
    instructions = _instructions(content.get("history"), len(diff_ids))
    layers = tuple(
        Layer(number, diff_id, None, text, descriptor)
        for number, (diff_id, text, descriptor) in enumerate(zip(diff_ids, instructions, stored, strict=True), start=1)
    )
    size = sum(descriptor.size for descriptor in stored if descriptor)
    return Image(identifier, size, layers, platform=Platform.parse(content))


def _instructions(history: object, layers: int) -> list[str | None]:
    entries = [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []
    made = [entry for entry in entries if not entry.get("empty_layer")]
    if len(made) != layers:
        return [None] * layers
    return [instruction(str(entry.get("created_by") or "")) or None for entry in made]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image comes from, for people.

    Attributes:
        created: When it was built, such as `2026-03-01 12:00 UTC`; "" if unknown.
        revision: The commit that it was built from, "" if no label names it.
    """

    created: str = ""
    revision: str = ""

    @classmethod
    def parse(cls, config: bytes) -> "Origin":
        """Read the origin from a config; fields that are missing or malformed stay empty."""
        try:
            content = read_json(config)
        except ValueError:
            return cls()
        inner = content.get("config")
        labels = inner.get("Labels") if isinstance(inner, dict) else None
        revision = labels.get(REVISION) if isinstance(labels, dict) else None
        created = _TIME.match(str(content.get("created") or ""))
        shown = clean(revision, lines=1, width=_REVISION_WIDTH) if isinstance(revision, str) else ""
        return cls(f"{created[1]} {created[2]} UTC" if created and created[1] > _NEVER else "", shown)


REVISION = "org.opencontainers.image.revision"
"""The label that names an image's commit; source: opencontainers/image-spec, `annotations.md`."""
_REVISION_WIDTH = 64
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}):[0-9]{2}(?:\.[0-9]+)?Z")
_NEVER = "1980-01-02"
"""Reproducible builds set the time to the epoch or to the beginning of 1980."""
