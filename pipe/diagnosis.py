"""What the Engine's or the registry's words mean: the kind of error, and what to do (pure)."""

import re
from collections.abc import Callable
from http import HTTPStatus

from pipe.errors import (
    CertificateError,
    CredentialsRefusedError,
    EngineError,
    ImageRefusedError,
    LayerTooLargeError,
    PackageNotFoundError,
    PipeError,
    PushDeniedError,
    RegistryFailedError,
    RegistryUnreachableError,
    clean,
)
from pipe.reference import Reference

_TEMPORARY_STATUSES = frozenset((HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS))
_STATUS = re.compile(
    r"(?:status(?: code)?:?|status from \w+ request to \S+:|response body|parsing HTTP|returned) ?(?P<a>[45]\d\d)\b"
    r"|\bHTTP (?P<b>[45]\d\d)\b|: (?P<c>[45]\d\d) [A-Z][\w-]+(?: [A-Z][\w-]+)*$|<\w[^>]*>\s*(?P<d>[45]\d\d) [A-Z]"
)
_READ = 16 * 1024
"""Characters of the Engine's words that are looked at: they may repeat a registry's whole answer."""
_ACCESS_TOKEN = "ATCTT"  # noqa: S105


def credentials_refused(target: Reference, words: str, token: str = "") -> CredentialsRefusedError:
    """Make the error for credentials that the registry does not accept.

    Args:
        target: Where to push.
        words: The registry's.
        token: The one that was refused, of which only the kind is looked at. Repository and
            workspace access tokens begin with ATCTT and are refused (seen by users of the registry).

    Returns:
        The error.
    """
    if token.startswith(_ACCESS_TOKEN):
        fix = (
            "The token is a repository or workspace access token (it begins with ATCTT), which the registry does not"
            " take. Use the step's own BITBUCKET_PACKAGES_TOKEN, or an API token with scope write:package:bitbucket."
        )
    else:
        fix = (
            "In a pipeline, do not set BITBUCKET_PACKAGES_USERNAME and BITBUCKET_PACKAGES_TOKEN yourself: the step has"
            " them. Elsewhere use your Atlassian account's e-mail address and an API token with scope"
            " write:package:bitbucket that has not expired."
        )
    return CredentialsRefusedError(f"{target.domain} says: {clean(words)}", fix=fix)


def push_denied(target: Reference, words: str) -> PushDeniedError:
    """Make the error for credentials that may not push to the package."""
    return PushDeniedError(
        f"{target.domain} says of {target.path}: {clean(words)}",
        fix="Pushing needs Write on the repository that the package is linked to. A step's own credentials reach only"
        " packages linked to the repository whose pipeline runs: link the package to it, or use credentials"
        " that may write there.",
    )


def package_not_found(target: Reference, words: str) -> PackageNotFoundError:
    """Make the error for a package that was never created."""
    workspace, _, package = target.path.partition("/")
    return PackageNotFoundError(
        f"{target.domain} says of {target.path}: {clean(words)}",
        fix=f"Create it once, in Bitbucket: workspace '{workspace}', Create → Package, name '{package}', and link it to"
        " the repository whose pipeline pushes. If it exists under another name, set PACKAGE_NAME.",
    )


def from_status(
    target: Reference, status: int, words: str, *, token: str = "", retry_after: float | None = None
) -> PipeError:
    """Tell what an HTTP status that is not a success means.

    Args:
        target: Where to push.
        status: The HTTP status.
        words: What the registry said with it.
        token: The one that was sent.
        retry_after: The seconds that the registry asked to wait.

    Returns:
        The error, temporary for 408, 429 and 5xx.
    """
    said = clean(words) or f"HTTP {status}"
    if status == HTTPStatus.UNAUTHORIZED:
        return credentials_refused(target, said, token)
    if status == HTTPStatus.FORBIDDEN:
        return push_denied(target, said)
    if status == HTTPStatus.NOT_FOUND:
        return package_not_found(target, said)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _too_large(target, f"answers 413: {said}")
    if status in _TEMPORARY_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        numbered = said if said.startswith(f"HTTP {status}") else f"HTTP {status}: {said}"
        return registry_failed(target, numbered, retry_after=retry_after)
    return ImageRefusedError(
        f"{target.domain} answers {status} for {target.path}: {said}",
        fix="Pushing it again will not help. Check that REGISTRY is Bitbucket's container registry.",
    )


def registry_failed(target: Reference, words: str, *, retry_after: float | None = None) -> RegistryFailedError:
    """Make the error for a failure that may pass."""
    return RegistryFailedError(
        f"{target.domain}: {clean(words)}",
        fix="Run the step again later; if it lasts, look at Bitbucket's status page.",
        retry_after=retry_after,
    )


def unreachable(target: Reference, words: str) -> RegistryUnreachableError:
    """Make the error for a registry that no connection can be made to."""
    return RegistryUnreachableError(
        f"{target.domain}: {clean(words)}",
        fix="Check REGISTRY for a slip of the pen, and the network's DNS, firewall and proxy.",
    )


def certificate(target: Reference, words: str) -> CertificateError:
    """Make the error for a TLS connection that cannot be trusted."""
    return CertificateError(
        f"{target.domain}: {clean(words)}",
        fix="If the registry or a proxy has a private certificate authority, mount its certificate and name the file in"
        " REQUESTS_CA_BUNDLE; the Engine needs it too (/etc/docker/certs.d/<registry>/ca.crt).",
    )


def _too_large(target: Reference, words: str) -> LayerTooLargeError:
    return LayerTooLargeError(
        f"{target.domain} {clean(words)}", fix="Split the largest layer over several instructions, or add less."
    )


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
        lambda target, words: _too_large(target, f"says: {words}"),
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
        return from_status(target, status, message)
    for pattern, make in _WORDS:
        if re.search(pattern, message):
            return make(target, message)
    return registry_failed(target, message)
