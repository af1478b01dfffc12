"""Faults that tests ask for: which requests they strike, and what they do (pure)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from registry.gateway.request_log import Entry

_ANSWER_KEYS = {"status": int, "headers": dict, "body": str, "body_bytes": int}
_CUTS = ("reset", "close")
_MOUNTS = ("ignored", "challenged")


class FaultError(ValueError):
    """A fault's description cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in place of the real one; `body_bytes` bytes are made up after `body`."""

    status: int
    headers: Mapping[str, str]
    body: str
    body_bytes: int


@dataclass(slots=True)
class Fault:
    """What happens to the requests it matches (globs; `skip` are let through, then `times`)."""

    identifier: int
    method: str = "*"
    path: str = "*"
    user_agent: str = "*"
    account: str = "*"
    content_range: str = "*"
    mounts: str = "*"
    media_type: str = "*"
    patches: int = 0
    skip: int = 0
    times: int | None = None
    wait: float = 0.0
    hold: float = 0.0
    bytes_per_second: float | None = None
    after: int = 0
    answer: Answer | None = None
    cut: str | None = None
    hang: bool = False
    replace_headers: Mapping[str, str] = field(default_factory=dict)
    upload: Mapping[str, Any] = field(default_factory=dict)
    mount: str | None = None
    matched: int = 0
    struck: int = 0
    removed: bool = False

    def matches(self, entry: Entry) -> bool:
        """Tell whether a request is of the kind this fault strikes."""
        return (
            fnmatchcase(entry.method, self.method)
            and fnmatchcase(entry.path, self.path)
            and fnmatchcase(entry.user_agent, self.user_agent)
            and fnmatchcase(entry.account, self.account)
            and fnmatchcase(entry.content_range, self.content_range)
            and fnmatchcase(entry.mounts, self.mounts)
            and entry.patches >= self.patches
        )

    def matches_content(self, entry: Entry, media_types: Collection[str]) -> bool:
        """Return whether this fault strikes manifests like one of a request, which names these media types."""
        return (
            self.media_type != "*"
            and any(fnmatchcase(media_type, self.media_type) for media_type in media_types)
            and self.matches(entry)
        )

    def due(self) -> bool:
        """Count a matching request; tell whether the fault strikes it."""
        self.matched += 1
        strikes = self.matched > self.skip and (self.times is None or self.struck < self.times)
        self.struck += strikes
        return strikes

    @property
    def ends(self) -> bool:
        """Tell whether the fault ends the request in place of the registry."""
        return self.hang or self.cut is not None or self.answer is not None


class Faults:
    """All faults in force, oldest first; the first that is due strikes."""

    def __init__(self) -> None:
        """Start without any."""
        self.active: list[Fault] = []
        self._last = 0

    def add(self, description: object) -> Fault:
        """Add a fault from its JSON description and return it.

        Raises:
            FaultError: the description cannot be used.

        """
        self._last += 1
        fault = read_fault(self._last, description)
        self.active.append(fault)
        return fault

    def clear(self) -> None:
        """Remove every fault; requests that hang are let go."""
        for fault in self.active:
            fault.removed = True
        self.active.clear()

    def strike(self, entry: Entry) -> Fault | None:
        """Return the fault that strikes a request, if any."""
        return next((f for f in self.active if f.media_type == "*" and f.matches(entry) and f.due()), None)

    def strike_content(self, entry: Entry, media_types: Collection[str]) -> Fault | None:
        """Return the fault that strikes a manifest for a media type that it names, if any."""
        return next((f for f in self.active if f.matches_content(entry, media_types) and f.due()), None)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "method": (str,),
    "path": (str,),
    "user_agent": (str,),
    "account": (str,),
    "content_range": (str,),
    "mounts": (str,),
    "media_type": (str,),
    "patches": (int,),
    "skip": (int,),
    "times": (int,),
    "wait": (int, float),
    "hold": (int, float),
    "bytes_per_second": (int, float),
    "after": (int,),
    "answer": (dict,),
    "cut": (str,),
    "hang": (bool,),
    "replace_headers": (dict,),
    "upload": (dict,),
    "mount": (str,),
}
_EFFECTS = ("wait", "hold", "bytes_per_second", "replace_headers", "upload", "mount")
_UPLOAD_KINDS: Mapping[str, tuple[type, ...]] = {"checked": (bool,), "by_request": (bool,), "least_chunk": (int,)}


def read_fault(identifier: int, description: object) -> Fault:
    """Return the fault that a JSON object describes.

    Raises:
        FaultError: an unknown key, a value of the wrong kind, or a fault that does nothing.

    """
    values = _checked(description, _KINDS, "a fault")
    if "answer" in values:
        values["answer"] = _answer(values["answer"])
    _check_headers(values.get("replace_headers", {}))
    _checked(values.get("upload", {}), _UPLOAD_KINDS, "an upload")
    fault = Fault(identifier, **values)
    if fault.cut not in (None, *_CUTS):
        raise FaultError(f"cut takes {' or '.join(_CUTS)}, not {fault.cut!r}")
    if fault.mount not in (None, *_MOUNTS):
        raise FaultError(f"mount takes {' or '.join(_MOUNTS)}, not {fault.mount!r}")
    if fault.media_type != "*" and not fault.ends:
        raise FaultError("media_type goes with answer, cut or hang")
    if fault.bytes_per_second is not None and fault.bytes_per_second <= 0:
        raise FaultError("bytes_per_second must be above 0")
    if sum((fault.hang, fault.cut is not None, fault.answer is not None)) > 1:
        raise FaultError("a fault has at most one of answer, cut and hang")
    if not (fault.ends or any(getattr(fault, name) for name in _EFFECTS)):
        raise FaultError(f"a fault needs one of answer, cut, hang, {', '.join(_EFFECTS)}")
    return fault


def _answer(description: dict[str, Any]) -> Answer:
    values = _checked(description, {key: (kind,) for key, kind in _ANSWER_KEYS.items()}, "an answer")
    status = values.get("status", 0)
    if not 200 <= status <= 599:  # noqa: PLR2004 - the statuses that end an HTTP exchange
        raise FaultError("an answer needs a status from 200 to 599")
    headers = values.get("headers", {})
    _check_headers(headers)
    return Answer(status, headers, values.get("body", ""), values.get("body_bytes", 0))


def _checked(description: object, kinds: Mapping[str, tuple[type, ...]], what: str) -> dict[str, Any]:
    if not isinstance(description, dict):
        raise FaultError(f"{what} is a JSON object")
    for key, value in description.items():
        if key not in kinds:
            raise FaultError(f"unknown key {key!r} in {what}; known are {', '.join(kinds)}")
        if type(value) not in kinds[key]:
            wanted = " or ".join(kind.__name__ for kind in kinds[key])
            raise FaultError(f"{key} takes {wanted}, not {json.dumps(value)}")
        if type(value) is not str and isinstance(value, int | float) and value < 0:
            raise FaultError(f"{key} cannot be negative")
    return dict(description)


def _check_headers(headers: Mapping[Any, Any]) -> None:
    for name, value in headers.items():
        if not isinstance(value, str) or not str(name).isascii() or "\n" in f"{name}{value}":
            raise FaultError("headers are texts of one line")
