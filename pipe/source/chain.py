"""The layer in a directory of an old Engine's archive, identified before its bytes are read.

Engines up to 24 name the directory by a "v1 ID": the SHA-256 of its file `json`, without `id`, with `layer_id`
(the chain ID) and `parent`, keys in order. Sources: moby, `image/v1/imagev1.go` (`CreateID`) and
`image/tarexport/save.go`; image-spec, `config.md`, "Layer ChainID".
"""

import hashlib
import json
import re
from collections.abc import Sequence
from functools import lru_cache

from pipe.oci.descriptor import digest_of

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ ,\n\t\r]*")


@lru_cache(maxsize=1024)
def diff_id_of(directory: str, description: bytes, diff_ids: tuple[str, ...]) -> str | None:
    """Return the diffID of the layer in a directory with this file `json`, None if the name does not prove it."""
    try:
        members = _members(description.decode())
        parent = json.loads(members.pop("parent", '""'))
    except (ValueError, RecursionError, LookupError):
        return None
    members.pop("id", None)
    if parent:
        members["parent"] = f'"sha256:{parent}"'
    # Except in the last layer's directory, `os` is added after the ID is computed.
    for named in (members, {name: value for name, value in members.items() if name != "os"}):
        for diff_id, chain_id in zip(diff_ids, _chain_ids(diff_ids), strict=True):
            if _v1_id(named | {"layer_id": f'"{chain_id}"'}) == directory:
                return diff_id
    return None


def _v1_id(members: dict[str, str]) -> str:
    text = ",".join(f'"{name}":{members[name]}' for name in sorted(members))
    return hashlib.sha256(f"{{{text}}}".encode()).hexdigest()


def _members(text: str) -> dict[str, str]:
    """Return an object's members with the spelling of each value, which the hash depends on."""
    members: dict[str, str] = {}
    position = text.index("{") + 1
    while text[position := _after_space(text, position)] != "}":
        name, position = _DECODER.raw_decode(text, position)
        position = text.index(":", position) + 1
        _, end = _DECODER.raw_decode(text, position)
        members[str(name)] = text[position:end]
        position = end
    return members


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _chain_ids(diff_ids: Sequence[str]) -> list[str]:
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain
