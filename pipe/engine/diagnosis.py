"""What the Engine's words mean: the kind of error (pure)."""

import re
from collections.abc import Callable
from http import HTTPStatus

from pipe.errors import EngineError, ImageRefusedError, PipeError
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

_STATUS = re.compile(
    r"(?:status(?: code)?:?|status from \w+ request to \S+:|response body|parsing HTTP|returned) ?(?P<a>[45]\d\d)\b"
    r"|\bHTTP (?P<b>[45]\d\d)\b|: (?P<c>[45]\d\d) [A-Z][\w-]+(?: [A-Z][\w-]+)*$|<\w[^>]*>\s*(?P<d>[45]\d\d) [A-Z]"
)
_READ = 16 * 1024
"""Characters of the Engine's words that are looked at: they may repeat a registry's whole answer."""


def _engine_error(_target: Reference, words: str) -> EngineError:
    return EngineError(clean(words), fix="Run the step again; if it lasts, look at the Engine's own log.")


def _refused(target: Reference, words: str) -> ImageRefusedError:
    return ImageRefusedError(
        f"{target.domain} says of {target.path}: {clean(words)}",
        fix="Pushing it again will not help: build the image again, and check that REGISTRY is the one you mean.",
    )


_WORDS: tuple[tuple[str, Callable[[Reference, str], PipeError]], ...] = (
    (r"does not exist in this workspace|name unknown|NAME_UNKNOWN|repository name not known", package_not_found),
    (
        r"too large|(?:larger than|exceeds) the (?:\w+ )?limit",
        lambda target, words: too_large(target, f"says: {words}"),
    ),
    (r"x509:|certificate|tls: ", certificate),
    (r"no such host|connection refused|dial tcp.*(?:i/o timeout|no route|unreachable)", unreachable),
    (r"toomanyrequests|too many requests|TOOMANYREQUESTS", registry_failed),
    (r"manifest invalid|MANIFEST_INVALID|manifest blob unknown|digest invalid|name invalid", _refused),
    (r"\bunauthorized\b|authentication required|no basic auth credentials", credentials_refused),
    (r"\bdenied\b|forbidden", push_denied),
    (r"tag does not exist|does not exist locally|no such image|No such image", _engine_error),
)


def from_engine(target: Reference, message: str) -> PipeError:
    """Tell what the error at the end of a push stream means.

    The same refusal is worded differently by the two image stores, and a registry's words may
    stand anywhere in the message; what the registry said decides, not the prefix. A bare 404 may
    be an upload that broke off (CNCF Distribution 2.8), so only words make it a missing package.

    Args:
        target: Where to push.
        message: The Engine's words, as they came.

    Returns:
        The error; where nothing is known of the words (`EOF`, `broken pipe`, `blob upload invalid` …),
        a temporary failure of the registry.
    """
    message = message[:_READ]
    match = _STATUS.search(message)
    status = next((int(group) for group in match.groups() if group), 0) if match else 0
    if status and status != HTTPStatus.NOT_FOUND:
        return from_status(target, Refusal(status, message))
    for pattern, make in _WORDS:
        if re.search(pattern, message):
            return make(target, message)
    return registry_failed(target, message)
