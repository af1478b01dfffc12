"""Reading JSON that anybody may have pushed (pure)."""

from __future__ import annotations

import json
from typing import Any

LARGEST = 4 << 20
"""Bytes; Distribution takes no larger manifest (registry/handlers/manifests.go, maxManifestBodySize)."""
# What is made of more parts than this would keep everyone waiting while it is read; a manifest of
# 1000 layers has some 5000.
_MOST_PARTS = 40_000


def read_object(content: bytes) -> dict[str, Any] | None:
    """Return a JSON object; None for what is none, and for what is too large or too deep to be read at once."""
    if len(content) > LARGEST or sum(map(content.count, (b"{", b"[", b","))) > _MOST_PARTS:
        return None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
