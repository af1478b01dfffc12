"""Manifests whose layers, config or children got other digests: all that is not named here stays as it was."""

import json
from collections.abc import Mapping, Sequence

from pipe.oci.descriptor import Descriptor
from pipe.oci.fields import members, objects, read_json
from pipe.oci.manifest import Manifest

Entry = dict[str, object]
"""How a manifest names a blob or a child."""


def identity(descriptor: Descriptor) -> Entry:
    """Return the members that name a blob or a child."""
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}


def entries(manifest: Manifest) -> list[Entry]:
    """Return the entries of a manifest's layers, with all their members."""
    return objects(members(read_json(manifest.body)).get("layers"))


def with_layers(manifest: Manifest, layers: Sequence[Entry], config: Descriptor | None = None) -> Manifest:
    """Return an image's manifest with other layers, and another config if one is given."""
    content = read_json(manifest.body)
    changed: Entry = {"layers": list(layers)}
    if config is not None:
        before = members(content).get("config")
        changed["config"] = (before if isinstance(before, dict) else {}) | identity(config)
    return _made(manifest, content, changed)


def with_children(index: Manifest, became: Mapping[str, Manifest]) -> Manifest:
    """Return an index with other children; those that `became` does not name stay."""
    if not any(child.digest in became for child in index.manifests):
        return index
    content = read_json(index.body)
    listed = objects(members(content).get("manifests"))
    children = [
        entry | {"digest": became[child.digest].digest, "size": len(became[child.digest].body)}
        if child.digest in became
        else entry
        for entry, child in zip(listed, index.manifests, strict=True)
    ]
    return _made(index, content, {"manifests": children})


def _made(manifest: Manifest, content: Entry, changed: Entry) -> Manifest:
    rest = {key: value for key, value in content.items() if key.casefold() not in changed}
    return Manifest.parse(manifest.media_type, json.dumps(rest | changed, separators=(",", ":")).encode())
