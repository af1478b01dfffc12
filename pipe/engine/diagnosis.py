"""What the Engine's words mean: the kind of error (pure)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from pipe.errors import EngineError, ImageRefusedError, PipeError, StatusLostError
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
"""Characters of the Engine's words that are looked at: they may repeat a registry's whole answer."""
_TOKEN = re.compile(r"[^\s\"'<>]+")
_HOST_LOOKED_UP = re.compile(r"\blookup \S+")
_REF = re.compile(r"\bref \"[^\"]*\"")
FILE = r"(?<!\S)/[^\s:]*: (?:\w+: )?"
_AGAIN = "Pushing it again will not help: build the image again, and check that REGISTRY is the one you mean."

STATUSES = (
    r"\bstatus(?: code)?:? ([45]\d\d)\b",
    r"\bstatus from \w+ request to \S+ ([45]\d\d)\b",
    r"\bHTTP ([45]\d\d)\b",
    r": ([45]\d\d) [A-Z][\w-]+(?: [A-Z][\w-]+)*$",
    r"<\w[^>]*>\s*([45]\d\d) [A-Z]",
)
"""Where the Engine's words hold the status that a registry answered."""


def _engine_error(_target: Reference, words: str) -> EngineError:
    return EngineError(clean(words), fix="Run the step again. If it fails again, look at the Engine's own log.")


def _tag_lost(_target: Reference, words: str) -> EngineError:
    """Make the error for a tag that the pipe had set: another pipe on this Engine has taken it away since."""
    return EngineError(
        clean(words),
        fix="Run the step again. Let no other program change this tag in Docker Engine meanwhile.",
        temporary=True,
    )


def _too_large(target: Reference, words: str) -> PipeError:
    return too_large(target, f"says: {words}")


def _refused(target: Reference, words: str) -> ImageRefusedError:
    return ImageRefusedError(f"{target.domain} says about {target.path}: {clean(words)}", fix=_AGAIN)


def _status_lost(target: Reference, words: str) -> StatusLostError:
    return StatusLostError(f"{target.domain} says about {target.path}: {clean(words)}", fix=_AGAIN)


@dataclass(frozen=True, slots=True)
class Rule:
    """Words and their meaning.

    Attributes:
        make: Makes the error.
        alternatives: Patterns, one of which has to be found, in any case of letters.
    """

    make: Callable[[Reference, str], PipeError]
    alternatives: tuple[str, ...]


RULES = (
    # Of a file or a socket of the Engine's own machine, whose paths begin with a slash.
    Rule(_engine_error, (rf"{FILE}permission denied", rf"{FILE}no space left on device")),
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
            r"dial tcp.*i/o timeout",
            r"dial tcp.*no route",
            r"dial tcp.*unreachable",
            r"dial tcp.*permission denied",
        ),
    ),
    Rule(registry_failed, (r"too ?many ?requests",)),
    # What the registry had before comes again with the next attempt; a length that is wrong is a broken upload.
    Rule(registry_failed, (r"\bblob upload (?:unknown|invalid)\b", r"\bblob unknown\b", r"\bsize invalid\b")),
    Rule(_refused, (r"\bmanifest[ _]invalid\b", r"\bdigest invalid\b", r"\bname invalid\b", r"\btag invalid\b")),
    Rule(credentials_refused, (r"\bunauthorized\b", r"authentication required", r"no basic auth credentials")),
    Rule(push_denied, (r"\bdenied\b", r"\bforbidden\b")),
    Rule(
        registry_failed,
        (r"\bunavailable\b", r"\btime(?:d )?out\b", r"\btry again\b", r"\binternal (?:server )?error\b"),
    ),
    # Of a registry that answered: graphdriver Engines begin so where the status was 4xx and its code is none they
    # know, containerd stores of Engine 28 with every status that came with an error in JSON.
    Rule(_status_lost, (r"^unknown:", r"\berror from registry:")),
)
"""What the Engine's words mean, the first rule that fits; whatever fits none may pass."""


def from_engine(
    target: Reference, message: str, *, statuses: Sequence[str] = STATUSES, rules: Sequence[Rule] = RULES
) -> PipeError:
    """Tell what the error at the end of a push stream means.

    The same refusal is worded differently by the two image stores, and a registry's words may
    stand anywhere in the message; what the registry said decides, not the prefix. A bare 404 may
    be an upload that broke off (CNCF Distribution 2.8), so only words make it a missing package.

    Args:
        target: Where to push.
        message: The Engine's words, as they came.
        statuses: Where a status may stand; each has one group.
        rules: What words mean.

    Returns:
        The error; where nothing is known of the words (`EOF`, `broken pipe` …), a temporary failure of the registry.
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
    """Take out URLs, hosts and the names of what is pushed: a package may be called `denied-party-list`."""
    workspace, _, package = target.path.partition("/")
    # A plain word is left in: it may be the registry's own.
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
