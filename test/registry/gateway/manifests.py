"""What a manifest names (pure)."""

from __future__ import annotations

import json
import re

DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def named_digests(body: bytes) -> frozenset[str]:
    """Return the digests of config, layers and child manifests that a manifest or list names.

    Both Docker's and the OCI's manifests and lists are understood; anything else names nothing.
    """
    try:
        manifest = json.loads(body)
    except ValueError:
        return frozenset()
    if not isinstance(manifest, dict):
        return frozenset()
    entries = [manifest.get("config")]
    for key in ("layers", "manifests"):
        value = manifest.get(key)
        entries.extend(value if isinstance(value, list) else ())
    digests = (entry.get("digest") for entry in entries if isinstance(entry, dict))
    return frozenset(
        digest for digest in digests if isinstance(digest, str) and DIGEST.fullmatch(digest)
    )
