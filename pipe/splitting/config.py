"""The configuration of an image with split layers."""

import base64
import json
from collections.abc import Mapping, Sequence
from itertools import accumulate

from pipe.errors import CannotSplitError
from pipe.oci.fields import read_json, text

LAYERS_MAXIMUM = 125
"""Layers of the largest image that Docker loads; source: moby, `layer/layer_store.go`, `maxLayerDepth`: overlay2 mounts
127, and a container adds two."""
_CACHE = "moby.buildkit.cache.v0"
"""BuildKit's inline cache; source: moby/buildkit, `cache/remotecache/import.go` and `v1/spec.go`."""


def split_config(config: bytes, parts: Mapping[int, Sequence[str]]) -> bytes:
    """Return a configuration with the diffIDs and the history of split layers.

    All else stays as it is, in its order; only BuildKit's inline cache, which refers to layers by their indices, gets
    the new ones, or a later build with this image as its cache would take wrong layers from it.

    Args:
        config: The configuration of the original image.
        parts: The diffIDs of the parts, in order, by the number of the layer that they replace, 1 for the lowest.

    Raises:
        CannotSplitError: The image would have too many layers, or its configuration cannot be changed.
    """
    try:
        content = read_json(config)
        rootfs = content[_key(content, "rootfs")]
    except (ValueError, KeyError):
        content, rootfs = {}, None
    key = _key(rootfs, "diff_ids") if isinstance(rootfs, dict) else ""
    before = rootfs.get(key) if isinstance(rootfs, dict) else None
    if (
        not isinstance(rootfs, dict)
        or not isinstance(before, list)
        or not all(1 <= number <= len(before) for number in parts)
    ):
        raise CannotSplitError("the image's configuration does not list its layers.")
    diff_ids = [list(parts.get(number, [each])) for number, each in enumerate(before, start=1)]
    counts = [len(each) for each in diff_ids]
    check_layers(sum(counts))
    rootfs[key] = [each for layer in diff_ids for each in layer]
    history = _key(content, "history")
    if history in content:
        content[history] = _history(content[history], counts)
    if _CACHE in content:
        content[_CACHE] = _cache(content[_CACHE], counts)
    # Half a surrogate pair can only be written as an escape.
    written = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return written.encode("utf-8", "backslashreplace")


def check_layers(count: int) -> None:
    """Check the number of an image's layers.

    Raises:
        CannotSplitError: There are too many.
    """
    if count > LAYERS_MAXIMUM:
        raise CannotSplitError(
            f"the image would have {count} layers, and Docker accepts at most {LAYERS_MAXIMUM}.",
            fix="Set SPLIT_LAYERS to a larger size, or build the image with fewer layers.",
        )


def _key(content: dict[str, object], name: str) -> str:
    """Return the key that Go's `encoding/json` takes for a name: the last one, in any case."""
    return next((key for key in reversed(content) if key.casefold() == name), name)


def _history(history: object, counts: list[int]) -> object:
    """Repeat the entry of each split layer, if the history has an entry for each layer.

    Some engines reject a configuration with more or fewer entries than layers.
    """
    entries = history if isinstance(history, list) else []
    makers = [entry for entry in entries if isinstance(entry, dict) and not entry.get(_key(entry, "empty_layer"))]
    if len(makers) != len(counts):
        return history
    left = iter(counts)
    found: list[object] = []
    for entry in entries:
        count = next(left) if isinstance(entry, dict) and not entry.get(_key(entry, "empty_layer")) else 1
        found += [entry] if count == 1 else [_numbered(entry, number, count) for number in range(1, count + 1)]
    return found


def _numbered(entry: dict[str, object], number: int, count: int) -> dict[str, object]:
    key = _key(entry, "comment")
    comment = f"{text(entry.get(key))} (part {number} of {count})".lstrip()
    return {**entry, key: comment}


def _cache(cache: object, counts: list[int]) -> object:
    """Give an inline cache the indices of the new layers; drop it if it cannot be read."""
    ends = list(accumulate(counts))
    parts = {
        number: list(range(end - count, end)) for number, (end, count) in enumerate(zip(ends, counts, strict=True))
    }
    try:
        records = json.loads(base64.b64decode(text(cache), validate=True))
        for record in records:
            for result in record.get("layers") or []:
                result["layer"] = parts[result["layer"]][-1]
            for chain in record.get("chains") or []:
                chain["layers"] = [part for index in chain["layers"] for part in parts[index]]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    return base64.b64encode(json.dumps(records, separators=(",", ":")).encode()).decode()
