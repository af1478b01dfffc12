"""What a manifest names (pure)."""

from __future__ import annotations

import json
import re
from typing import Any

DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def named_digests(body: bytes) -> frozenset[str]:
    """Return the digests of config, layers and child manifests that a manifest or list names.

    Both Docker's and the OCI's manifests and lists are understood; anything else names nothing.
    """
    manifest = _parsed(body)
    return _digests([manifest.get("config"), *_list(manifest, "layers")]) | child_manifests(body)


def child_manifests(body: bytes) -> frozenset[str]:
    """Return the digests of the manifests that a manifest list names; none for a manifest."""
    return _digests(_list(_parsed(body), "manifests"))


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(body)
    except ValueError:
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _list(manifest: dict[str, Any], key: str) -> list[Any]:
    value = manifest.get(key)
    return value if isinstance(value, list) else []


def _digests(entries: list[Any]) -> frozenset[str]:
    digests = (entry.get("digest") for entry in entries if isinstance(entry, dict))
    return frozenset(
        digest for digest in digests if isinstance(digest, str) and DIGEST.fullmatch(digest)
    )
