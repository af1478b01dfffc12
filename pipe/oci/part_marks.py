"""What the history of a config says about layers that were split: of which layer each is a part, and how it was cut.

The next push of the same layer reads it, so that it cuts alike. Nothing else relies on it: anybody who may push could
write such a comment.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipe.oci.fields import members, objects, read_json, text

_MARK = re.compile(r"from (sha256:[0-9a-f]{64}), at most ([0-9]{1,18}) bytes$")


@dataclass(frozen=True, slots=True)
class PartMark:
    """How a layer was cut.

    Attributes:
        diff_id: Of the layer that was split.
        size: Maximum bytes of a part.
    """

    diff_id: str
    size: int

    def __str__(self) -> str:
        """Return the words of the comment."""
        return f"from {self.diff_id}, at most {self.size} bytes"


def marked(config: bytes, marks: Mapping[int, PartMark]) -> bytes:
    """Return a config whose history comments say how layers were cut; unchanged if its history names other layers.

    Args:
        config: Of the image with the parts.
        marks: By the number of the part's layer.
    """
    content = read_json(config)
    made, diff_ids = _made(content), members(members(content).get("rootfs")).get("diff_ids")
    if not isinstance(diff_ids, list) or len(made) != len(diff_ids):
        return config
    for number, mark in marks.items():
        entry = made[number - 1]
        entry["comment"] = "; ".join(filter(None, (text(members(entry).get("comment")), str(mark))))
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def marks_in(config: bytes) -> dict[str, int]:
    """Return the sizes of parts by the diffIDs of the layers that were split."""
    try:
        found = [_MARK.search(text(members(entry).get("comment"))) for entry in _made(read_json(config))]
    except ValueError:
        return {}
    return {mark[1]: int(mark[2]) for mark in found if mark}


def _made(content: dict[str, object]) -> list[dict[str, object]]:
    """Return the entries of history that made a layer."""
    return [entry for entry in objects(members(content).get("history")) if not members(entry).get("empty_layer")]
