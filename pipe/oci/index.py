"""Entries of an index that joins images. Source: opencontainers/image-spec, `image-index.md` and `config.md`."""

from collections.abc import Mapping

from pipe.oci.descriptor import Descriptor, Platform
from pipe.oci.fields import members, read_json, text, texts
from pipe.oci.manifest import Manifest

_UNKNOWN = "unknown"
_TEXTS = ("architecture", "os", "os.version", "variant")
_USUAL = {"arm": "v7"}
"""The variant of an architecture that names none; source: containerd, `platforms/database.go`."""
_SUPERFLUOUS = frozenset((("arm64", "v8"), ("arm64", "8"), ("amd64", "v1")))
"""Variants that mean the same as none; source: the same file."""


def platform_of(config: bytes) -> dict[str, object]:
    """Return the `platform` of an image's entry, as its config has it; {} if it names no platform."""
    try:
        found = members(read_json(config))
    except ValueError:
        return {}
    if not name_of(found):
        return {}
    version, features, variant = text(found.get("os.version")), texts(found.get("os.features")), found.get("variant")
    platform: dict[str, object] = {"architecture": found["architecture"], "os": found["os"]}
    platform |= {"os.version": version} if version else {}
    platform |= {"os.features": features} if features else {}
    return platform | ({"variant": variant} if text(variant) else {})


def name_of(platform: object) -> str:
    """Return the name by which clients select an image, equal for equal platforms; "" if it is not complete.

    Args:
        platform: An entry's `platform`, or the members of a config.
    """
    found = members(platform)
    parsed = Platform.parse(found)
    if parsed is None or not parsed.os or not parsed.architecture or _UNKNOWN in {parsed.os, parsed.architecture}:
        return ""
    variant = parsed.variant or _USUAL.get(parsed.architecture, "")
    if (parsed.architecture, variant) in _SUPERFLUOUS:
        variant = ""
    version = text(found.get("os.version"))
    return f"{Platform(parsed.os, parsed.architecture, variant)}{f' {version}' if version else ''}"


def is_platform(value: object) -> bool:
    """Return whether an entry's `platform` is complete and valid; if it is not, clients reject the whole index."""
    found = members(value)
    features = found.get("os.features", [])
    are_texts = all(isinstance(found.get(key, ""), str) for key in _TEXTS) and texts(features) == features
    return are_texts and bool(name_of(found))


def entry_of(manifest: Manifest, platform: Mapping[str, object]) -> dict[str, object]:
    """Return the entry of an image that no index lists yet."""
    content: dict[str, object] = {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.body),
    }
    return content | ({"platform": dict(platform)} if platform else {})


def entries_of(index: Manifest) -> list[tuple[dict[str, object], Descriptor]]:
    """Return the entries of an index as they are written, and parsed; those that are not valid are left out."""
    try:
        listed = members(read_json(index.body)).get("manifests")
    except ValueError:
        return []
    found = []
    for entry in listed if isinstance(listed, list) else []:
        try:
            found.append((entry, Descriptor.parse(entry)))
        except ValueError:
            continue
    return found
