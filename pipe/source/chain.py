"""Which layer a directory of an old Engine's archive holds, proven before its bytes are read (pure).

Engines up to 24 name a layer's directory by a "v1 ID": the SHA-256 of the directory's own `json`, without
`id` and `parent`, with `layer_id` (the chain ID of the layers up to this one) and `parent` instead, keys in
order. Source: moby, `image/v1/imagev1.go` (`CreateID`) and `image/tarexport/save.go`; chain IDs:
opencontainers/image-spec, `config.md`, "Layer ChainID".
"""

import hashlib
import json
from collections.abc import Sequence

_DECODER = json.JSONDecoder()


def diff_id_of(directory: str, description: bytes, diff_ids: Sequence[str]) -> str | None:
    """Tell which layer a directory holds.

    Args:
        directory: Its name, 64 hexadecimal digits.
        description: Its file `json`.
        diff_ids: Of the image, from the base up.

    Returns:
        The layer's diffID; None where that cannot be proven.
    """
    try:
        members = _members(description.decode())
        parent = json.loads(members.pop("parent", '""'))
    except (ValueError, RecursionError, LookupError):
        return None
    members.pop("id", None)
    if parent:
        members["parent"] = f'"sha256:{parent}"'
    # All but the last layer's get their `os` after the ID was made.
    for named in (members, {name: value for name, value in members.items() if name != "os"}):
        for diff_id, chain_id in zip(diff_ids, _chain_ids(diff_ids), strict=True):
            if _v1_id(named | {"layer_id": f'"{chain_id}"'}) == directory:
                return diff_id
    return None


def _v1_id(members: dict[str, str]) -> str:
    text = ",".join(f'"{name}":{members[name]}' for name in sorted(members))
    return hashlib.sha256(f"{{{text}}}".encode()).hexdigest()


def _members(text: str) -> dict[str, str]:
    """Split a JSON object into its members, each value as it is spelled: another spelling has another hash."""
    members: dict[str, str] = {}
    position = text.index("{") + 1
    while text[position:].lstrip()[:1] not in {"}", ""}:
        position += len(text[position:]) - len(text[position:].lstrip(" ,\n\t\r"))
        name, position = _DECODER.raw_decode(text, position)
        position = text.index(":", position) + 1
        _, end = _DECODER.raw_decode(text, position)
        members[str(name)] = text[position:end]
        position = end
    return members


def _chain_ids(diff_ids: Sequence[str]) -> list[str]:
    chain: list[str] = []
    for diff_id in diff_ids:
        joined = f"{chain[-1]} {diff_id}" if chain else ""
        chain.append(f"sha256:{hashlib.sha256(joined.encode()).hexdigest()}" if chain else diff_id)
    return chain
