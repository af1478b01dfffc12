"""One line of the Engine's push stream → a typed event, for both image stores (pure).

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
    """Something happened to one layer.

    Attributes:
        layer: The Engine's short name of it: of the diffID in a graphdriver store, of the blob's
            digest in a containerd store.
    """

    layer: str


@dataclass(frozen=True, slots=True)
class Waiting(LayerEvent):
    """The layer waits for its turn."""


@dataclass(frozen=True, slots=True)
class Uploading(LayerEvent):
    """Bytes of the layer are on their way.

    Attributes:
        current: Bytes so far, unpacked in a graphdriver store, stored in a containerd store.
        total: Bytes of the layer, counted likewise, 0 where the Engine does not say.
    """

    current: int
    total: int


@dataclass(frozen=True, slots=True)
class Uploaded(LayerEvent):
    """The registry has taken the layer."""


@dataclass(frozen=True, slots=True)
class AlreadyThere(LayerEvent):
    """The registry had the layer before."""


@dataclass(frozen=True, slots=True)
class Mounted(LayerEvent):
    """The registry took the layer from another of its repositories."""


@dataclass(frozen=True, slots=True)
class Retrying(LayerEvent):
    """The layer's upload failed, and the Engine will begin it again.

    Attributes:
        seconds: Until then; the Engine counts down, one event a second.
    """

    seconds: int


@dataclass(frozen=True, slots=True)
class Pushed:
    """The Engine calls the push done.

    Attributes:
        digest: Of the manifest that it put under the tag.
    """

    digest: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The Engine gives up.

    Attributes:
        message: Its words, as they came.
    """

    message: str


@dataclass(frozen=True, slots=True)
class Note:
    """Anything else that the Engine says.

    Attributes:
        text: Its words, fit to be shown.
    """

    text: str


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """Nothing follows.

    Attributes:
        reason: Why, where the stream broke off; "" where it ended in order.
    """

    reason: str = ""


_KINDS: dict[str, type[LayerEvent]] = {
    "Preparing": Waiting,
    "Waiting": Waiting,
    "Pushed": Uploaded,
    "Layer already exists": AlreadyThere,
    "Already exists": AlreadyThere,
}
Event = LayerEvent | Pushed | Failed | Note | StreamEnded


def parse(line: bytes | str) -> Event:
    """Read one line of the stream.

    Args:
        line: One JSON object; whatever else it is becomes a `Note`.

    Returns:
        The event.
    """
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
        return Pushed(digest) if isinstance(digest, str) and is_digest(digest) else None
    match = _DIGEST.fullmatch(str(message.get("status") or ""))
    return Pushed(match["digest"]) if match and not message.get("id") else None


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
