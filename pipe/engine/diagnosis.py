"""The kind of error behind a message at the end of a push stream."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from pipe.errors import EngineError, ImageIncompleteError, ImageRefusedError, PipeError, StatusLostError
from pipe.oci.reference import Reference
from pipe.registry.errors import (
    Refusal,
    certificate,
    credentials_refused,
    from_status,
    package_not_found,
    push_denied,
    registry_failed,
    too_large,
    unreachable,
)
from pipe.text import clean

_READ = 16 * 1024
"""Characters of a message that are read; it may contain the registry's whole answer."""
_TOKEN = re.compile(r"[^\s\"'<>]+")
_HOST_LOOKED_UP = re.compile(r"\blookup \S+")
_REF = re.compile(r"\bref \"[^\"]*\"")
MISSING_CONTENT = (r"\bcontent digest sha256:\w+: not found", r"\bNotFound desc = blob sha256:\w+ ")
"""How a containerd store reports that it lacks a blob (26.1: the push by that name, or the file behind it)."""
FILE = r"(?<!\S)/[^\s:]*: (?:\w+: )?"
_AGAIN = "Pushing it again will not help: build the image again, and check that REGISTRY is the one you mean."

STATUSES = (
    r"\bstatus(?: code)?:? ([45]\d\d)\b",
    r"\bstatus from \w+ request to \S+ ([45]\d\d)\b",
    r"\bHTTP ([45]\d\d)\b",
    r": ([45]\d\d) [A-Z][\w-]+(?: [A-Z][\w-]+)*$",
    r"<\w[^>]*>\s*([45]\d\d) [A-Z]",
)
"""Patterns of messages that contain the registry's HTTP status."""


def engine_error(_target: Reference, words: str) -> EngineError:
    """Make the error for a failure of the Engine itself."""
    return EngineError(clean(words), fix="Run the step again. If it fails again, check the Engine's log.")


def _tag_lost(_target: Reference, words: str) -> EngineError:
    """Make the error for a tag that the pipe set and another process removed."""
    return EngineError(
        clean(words),
        fix="Run the step again. Make sure that nothing else changes this tag in Docker Engine during the push.",
        temporary=True,
    )


def image_incomplete(words: str) -> ImageIncompleteError:
    """Make the error for an image whose blobs a containerd store lacks."""
    # Docker 28.5 begins with the kind of the error, which the message names already.
    words = clean(words.removeprefix("NotFound: "), lines=1)
    return ImageIncompleteError(words, fix="Pull the image again, or build it again, before the pipe.")


def _incomplete(_target: Reference, words: str) -> ImageIncompleteError:
    return image_incomplete(words)


def _too_large(target: Reference, words: str) -> PipeError:
    return too_large(target, f"answered: {words}")


def _refused(target: Reference, words: str) -> ImageRefusedError:
    return ImageRefusedError(f"{target.domain} answered for {target.path}: {clean(words)}", fix=_AGAIN)


def _status_lost(target: Reference, words: str) -> StatusLostError:
    return StatusLostError(f"{target.domain} answered for {target.path}: {clean(words)}", fix=_AGAIN)


@dataclass(frozen=True, slots=True)
class Rule:
    """Case-insensitive patterns, of which one match is enough, and the error that they mean."""

    make: Callable[[Reference, str], PipeError]
    alternatives: tuple[str, ...]


RULES = (
    # About a file or socket on the Engine's machine, whose path begins with a slash; and about a layer in its store.
    Rule(
        engine_error,
        (rf"{FILE}permission denied", rf"{FILE}no space left on device", r"\bcould not verify layer data\b"),
    ),
    Rule(_incomplete, MISSING_CONTENT),
    Rule(_tag_lost, (r"tag does not exist", r"does not exist locally", r"no such image")),
    Rule(
        package_not_found,
        (r"does not exist in this workspace", r"\bname[ _]unknown\b", r"repository name not known"),
    ),
    Rule(_too_large, (r"too large", r"larger than the (?:\w+ )?limit", r"exceeds the (?:\w+ )?limit")),
    Rule(certificate, (r"\bx509: ", r"\btls: ")),
    Rule(
        unreachable,
        (
            r"no such host",
            r"connection refused",
            r"dial tcp.{0,300}i/o timeout",
            r"dial tcp.{0,300}no route",
            r"dial tcp.{0,300}unreachable",
            r"dial tcp.{0,300}permission denied",
        ),
    ),
    Rule(registry_failed, (r"too ?many ?requests",)),
    # The next attempt sends again what the registry lost; a wrong length means that an upload was cut.
    Rule(registry_failed, (r"\bblob upload (?:unknown|invalid)\b", r"\bblob unknown\b", r"\bsize invalid\b")),
    Rule(_refused, (r"\bmanifest[ _]invalid\b", r"\bdigest invalid\b", r"\bname invalid\b", r"\btag invalid\b")),
    Rule(credentials_refused, (r"\bunauthorized\b", r"authentication required", r"no basic auth credentials")),
    Rule(push_denied, (r"\bdenied\b", r"\bforbidden\b")),
    Rule(
        registry_failed,
        (r"\bunavailable\b", r"\btime(?:d )?out\b", r"\btry again\b", r"\binternal (?:server )?error\b"),
    ),
    # The registry answered: graphdriver Engines write the first for a 4xx with a code they do not know, containerd
    # stores of Engine 28 the second for any status with an error in JSON.
    Rule(_status_lost, (r"^unknown:", r"\berror from registry:")),
)
"""The first rule that matches decides; a message that matches none is a temporary failure."""


def from_engine(
    target: Reference, message: str, *, statuses: Sequence[str] = STATUSES, rules: Sequence[Rule] = RULES
) -> PipeError:
    """Return the error behind a message of the Engine.

    The image stores word the same rejection differently, and the registry's own words may stand anywhere in the
    message. A bare 404 may be a broken upload (CNCF Distribution 2.8), so only words make it a missing package.

    Every rejection of a manifest becomes an `ImageRefusedError` (`StatusLostError` if the message lost the status) or
    a `PushDeniedError`, whatever its status and code: a caller that needs the reason can read the tag.

    If nothing matches (`EOF`, `broken pipe` …), it is a temporary failure of the registry.
    """
    message = message[:_READ]
    words = _without_names(message, target)
    found = (re.search(pattern, words) for pattern in statuses)
    status = next((int(match[1]) for match in found if match), 0)
    if status and status != HTTPStatus.NOT_FOUND:
        return from_status(target, Refusal(status, message))
    for rule in rules:
        if any(re.search(alternative, words, re.IGNORECASE) for alternative in rule.alternatives):
            return rule.make(target, message)
    return registry_failed(target, message)


def _without_names(message: str, target: Reference) -> str:
    """Remove URLs, hosts and the names of the target: a package may be called `denied-party-list`."""
    workspace, _, package = target.path.partition("/")
    # A name that is a plain word stays: it may be the registry's word.
    names = [name for name in (package, package.rpartition("/")[2], workspace) if not name.isalpha()]
    named = re.compile(
        "|".join(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)" for name in filter(None, names)) or r"(?!)"
    )

    def shorten(token: re.Match[str]) -> str:
        text = token[0]
        if any(part in text for part in ("://", target.path, target.domain)):
            return "…" + text[len(text.rstrip(":;,.")) :]
        return named.sub("…", text)

    return _TOKEN.sub(shorten, _REF.sub("ref …", _HOST_LOOKED_UP.sub("lookup …", message)))
