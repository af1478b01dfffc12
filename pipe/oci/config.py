"""An image's configuration: its diffIDs and its history. Source: opencontainers/image-spec, `config.md`."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from pipe.oci.descriptor import SHA512, Descriptor, Platform
from pipe.oci.fields import members, read_json, text
from pipe.oci.history import instruction
from pipe.oci.image import Image, Layer
from pipe.oci.reference import is_digest
from pipe.text import clean

CONFIG_SIZE = 8 * 1024 * 1024
"""Bytes of the largest configuration that is read; old buildpacks wrote several megabytes of labels."""


def image_of(
    identifier: str, config: bytes, stored: Sequence[Descriptor | None], sizes: Sequence[int | None] = ()
) -> Image:
    """Return the image that a configuration describes.

    Args:
        identifier: The image's ID.
        config: The configuration.
        stored: The blob of each layer, None for one that is still to be compressed.
        sizes: The uncompressed bytes of each layer, if known.

    Raises:
        ValueError: The configuration does not match the layers; the message completes a sentence.
    """
    content = members(read_json(config))
    diff_ids = _diff_ids(content)
    if len(diff_ids) != len(stored):
        raise ValueError(f"has {len(diff_ids)} diffIDs for {len(stored)} layers")
    instructions = _instructions(content.get("history"), len(diff_ids))
    rows = zip(diff_ids, sizes or [None] * len(diff_ids), instructions, stored, strict=True)
    layers = tuple(Layer(number, *row) for number, row in enumerate(rows, start=1))
    size = sum(descriptor.size for descriptor in stored if descriptor)
    return Image(
        identifier,
        size,
        layers,
        platform=Platform.parse(content),
        origins=base_names(content.get("config")),
        revision=revision_of(content),
    )


def _diff_ids(content: dict[str, object]) -> list[str]:
    rootfs = content.get("rootfs", {})
    diff_ids = members(rootfs).get("diff_ids", [])
    if not isinstance(rootfs, dict) or not isinstance(diff_ids, list):
        raise ValueError("has no list of diffIDs")  # noqa: TRY004
    if any(re.fullmatch(SHA512, text(each)) for each in diff_ids):
        raise ValueError("has SHA-512 diffIDs, which are not supported; use SHA-256")
    if not all(is_digest(text(each)) for each in diff_ids):
        raise ValueError("has a diffID that is not 'sha256:' and 64 hexadecimal digits")
    return diff_ids


def base_names(config: object) -> tuple[str, ...]:
    """Return the name of the base image, if a label of the inner `config` has it."""
    labels = config.get("Labels") if isinstance(config, dict) else None
    name = labels.get(BASE_NAME) if isinstance(labels, dict) else None
    return (name,) if isinstance(name, str) and name else ()


def _instructions(history: object, layers: int) -> list[str | None]:
    entries = [members(entry) for entry in history] if isinstance(history, list) else []
    made = [entry for entry in entries if not entry.get("empty_layer")]
    if len(made) != layers:
        return [None] * layers
    return [instruction(text(entry.get("created_by"))) or None for entry in made]


class Origin(NamedTuple):
    """The build that an image comes from, for people.

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
        created = re.match(_TIME, str(content.get("created") or ""))
        built = f"{created[1]} {created[2]} UTC" if created and created[1] > _NEVER else ""
        return cls(built, revision_of(members(content)))


def revision_of(content: dict[str, object]) -> str:
    """Return the commit that a label names, for the log; "" if none does.

    Args:
        content: The `members` of a config, or of an Engine's description of an image, which has the same fields.
    """
    labels = members(members(content.get("config")).get("labels"))
    return clean(text(labels.get(REVISION)), lines=1, width=_REVISION_WIDTH).partition("\n")[0]


BASE_NAME = "org.opencontainers.image.base.name"
"""The label that names the base image; source: opencontainers/image-spec, `annotations.md`."""
REVISION = "org.opencontainers.image.revision"
"""The label that names an image's commit; source: opencontainers/image-spec, `annotations.md`."""
_REVISION_WIDTH = 64
_TIME = r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}):[0-9]{2}(?:\.[0-9]+)?Z"
_NEVER = "1980-01-02"
"""Reproducible builds set the time to the epoch or to the beginning of 1980."""
