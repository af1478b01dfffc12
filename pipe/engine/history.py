"""What Docker Engine reports about an image, matched with the Dockerfile instruction of each layer."""

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from pipe.oci.config import base_names, revision_of
from pipe.oci.descriptor import Platform
from pipe.oci.fields import members
from pipe.oci.history import BUILDKIT, instruction
from pipe.oci.image import Image, Layer

EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
"""The diffID of a layer without files: the SHA-256 of an empty tar archive (1024 zero bytes)."""

_METADATA = r"ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME"


def image_from(inspected: Mapping[str, object], history: Sequence[Mapping[str, object]] | None) -> Image:
    """Build an `Image` from the Engine's two answers about it.

    Args:
        inspected: `GET /images/{name}/json`, with `Manifests` if the image is an index. Any field may be missing or
            null.
        history: `GET /images/{name}/history`, newest first; null from a containerd store if the config has none.

    Returns:
        The image. Sizes and instructions are set as far as they can be matched with certainty.
    """
    root = inspected.get("RootFS")
    diff_ids = [str(d) for d in (root.get("Layers") or [])] if isinstance(root, dict) else []
    size = _integer(inspected.get("Size"))
    entries = [(str(e.get("CreatedBy") or ""), _integer(e.get("Size"))) for e in reversed(history or []) if e]
    sizes_known = sum(entry_size for _, entry_size in entries) == size
    matched = _match(diff_ids, entries) if sizes_known else []
    layers = tuple(
        Layer(number, diff_id, *(entry or (None, None)))
        for number, (diff_id, entry) in enumerate(zip_longest(diff_ids, matched), start=1)
    )
    platform = Platform.parse({name.lower(): value for name, value in inspected.items()})
    return Image(
        str(inspected.get("Id") or ""),
        size,
        layers,
        _pushed_alone(inspected.get("Manifests")),
        platform if str(platform) else None,
        origins=_origins(inspected, history or []),
        revision=revision_of(members(inspected)),
    )


def _origins(inspected: Mapping[str, object], history: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """Return the names that the image was pushed to, its base image, and other names of it and of its parents."""
    lists = [inspected.get("RepoDigests"), base_names(inspected.get("Config")), inspected.get("RepoTags")]
    lists += [entry.get("Tags") for entry in history if entry]
    names = (name for each in lists if isinstance(each, list | tuple) for name in each)
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


def _pushed_alone(manifests: object) -> frozenset[str]:
    """Return the manifests that the Engine may push instead of an index, because it lacks the other platforms."""
    listed = [each for each in manifests if isinstance(each, dict)] if isinstance(manifests, list) else []
    images = [each for each in listed if each.get("Kind") == "image"]
    available = [each.get("Descriptor") for each in images if each.get("Available")]
    if len(available) == len(images):
        return frozenset()
    return frozenset(str(each.get("digest")) for each in available if isinstance(each, dict))


def _match(diff_ids: list[str], entries: list[tuple[str, int]]) -> list[tuple[int, str | None]]:
    """Pair layers with history entries from the base up, until a pair is uncertain.

    An entry with bytes made a layer, one of a metadata instruction did not. An empty entry of another instruction
    (`WORKDIR`, `RUN rm …`, `RUN true`) may have made one: it did if the number of layers needs all such entries, or if
    BuildKit wrote it and nothing was squashed.
    """
    candidates = [(text, size) for text, size in entries if size > 0 or not re.fullmatch(_METADATA, _verb(text))]
    all_needed = len(candidates) == len(diff_ids)
    squashed = sum(size > 0 or text.endswith(BUILDKIT) for text, size in candidates) > len(diff_ids)
    matched: list[tuple[int, str | None]] = []
    for diff_id, (text, size) in zip(diff_ids, candidates, strict=False):
        certain = all_needed or size > 0 or (text.endswith(BUILDKIT) and not squashed)
        if not certain or (diff_id == EMPTY_LAYER and size > 0):
            break
        matched.append((size, instruction(text) or None))
    return matched


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0


def _verb(created_by: str) -> str:
    words = instruction(created_by, mask=False).split(maxsplit=1)
    return words[0].upper() if words else ""
