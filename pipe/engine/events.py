"""Typed events from the lines of the Engine's push stream, for both image stores.

Source: moby/moby, `pkg/jsonmessage` and `distribution/push_v2.go` (graphdriver store) and
`daemon/containerd/image_push.go` (containerd store), and recordings of both.
"""

import json
import re
from dataclasses import dataclass

from pipe.oci.reference import is_digest
from pipe.text import clean

_RETRYING = re.compile(r"Retrying in ([0-9]{1,6}) seconds?")
_DIGEST = re.compile(r"(?P<tag>[\w.-]+): digest: (?P<digest>sha256:[0-9a-f]{64}) size: [0-9]+")


@dataclass(frozen=True, slots=True)
class LayerEvent:
    """An event about the layer with a short ID: of its diffID (graphdriver store) or its blob (containerd store)."""

    layer: str


@dataclass(frozen=True, slots=True)
class Waiting(LayerEvent):
    """The layer is queued."""


@dataclass(frozen=True, slots=True)
class Uploading(LayerEvent):
    """`current` of `total` bytes are sent: unpacked (graphdriver store) or stored; a `total` of 0 is unknown."""

    current: int
    total: int


@dataclass(frozen=True, slots=True)
class Uploaded(LayerEvent):
    """The registry accepted the layer."""


@dataclass(frozen=True, slots=True)
class AlreadyThere(LayerEvent):
    """The registry already stores the layer."""


@dataclass(frozen=True, slots=True)
class Mounted(LayerEvent):
    """The registry mounted the layer from another repository."""


@dataclass(frozen=True, slots=True)
class Retrying(LayerEvent):
    """The layer's upload failed; the Engine retries it in `seconds`, and counts down with one event per second."""

    seconds: int


@dataclass(frozen=True, slots=True)
class PushDone:
    """The Engine reports success, with the manifest's digest."""

    digest: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The Engine reports failure, with a message that is not safe to print."""

    message: str


@dataclass(frozen=True, slots=True)
class Note:
    """Any other line, safe to print."""

    text: str


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The end of the stream, and why the connection broke; "" if it did not."""

    reason: str = ""


_KINDS: dict[str, type[LayerEvent]] = {
    "Preparing": Waiting,
    "Waiting": Waiting,
    "Pushed": Uploaded,
    "Layer already exists": AlreadyThere,
    "Already exists": AlreadyThere,
}
Event = LayerEvent | PushDone | Failed | Note | StreamEnded


def parse(line: bytes | str) -> Event:
    """Return the event of one line, a `Note` if it is not a JSON object that the Engine is known to send."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        return Note(clean(text))
    return _failure(message) or _digest(message) or _layer(message) or Note(clean(str(message.get("status") or "")))


def _failure(message: dict[str, object]) -> Event | None:
    if "error" not in message and "errorDetail" not in message:
        return None
    detail = message.get("errorDetail")
    text = detail.get("message") if isinstance(detail, dict) else None
    return Failed(str(text or message.get("error") or "no reason given"))


def _digest(message: dict[str, object]) -> Event | None:
    auxiliary = message.get("aux")
    if isinstance(auxiliary, dict):
        digest = auxiliary.get("Digest")
        return PushDone(digest) if isinstance(digest, str) and is_digest(digest) else None
    match = _DIGEST.fullmatch(str(message.get("status") or ""))
    return PushDone(match["digest"]) if match and not message.get("id") else None


def _layer(message: dict[str, object]) -> Event | None:
    layer, status = message.get("id"), message.get("status")
    if not isinstance(layer, str) or not isinstance(status, str):
        return None
    if status == "Pushing":
        detail = message.get("progressDetail")
        counts = detail if isinstance(detail, dict) else {}
        return Uploading(layer, _count(counts.get("current")), _count(counts.get("total")))
    retrying = _RETRYING.fullmatch(status)
    if retrying:
        return Retrying(layer, int(retrying[1]))
    kind = Mounted if status.startswith("Mounted from ") else _KINDS.get(status)
    return kind(layer) if kind else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
