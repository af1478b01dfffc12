"""Meaning of a registry's status, codes and words: the kind of error, and what to do about it."""

import re
from http import HTTPStatus
from typing import NamedTuple, TypeVar

from pipe.errors import (
    CertificateError,
    CredentialsRefusedError,
    ImageRefusedError,
    LayerTooLargeError,
    PackageNotFoundError,
    PipeError,
    PushDeniedError,
    RegistryFailedError,
    RegistryUnreachableError,
)
from pipe.oci.reference import Reference
from pipe.registry.answer import Answer
from pipe.text import clean

_PERMANENT_FAILURES = frozenset((501, 505, 507))
LOST = frozenset(("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"))
"""Codes about what the registry had before: the next attempt sends it again."""
_ACCESS_TOKEN = "ATCTT"  # noqa: S105
_QUOTA = r"(?i)quota|storage (?:limit|resource)|upper limit|out of storage|billing"
_ACCESS = r"(?i)denied|permission|access|forbidden|unauthori[sz]ed|scope|not allowed|may not|^HTTP 403$"
_ACCESS_CODES = frozenset(("DENIED", "UNAUTHORIZED"))
NO_ANSWER = (RegistryFailedError, RegistryUnreachableError)
"""A registry that restarts first breaks connections, then refuses them for a while."""
Error = TypeVar("Error", bound=PipeError)


def is_temporary(status: int) -> bool:
    """Return whether a request that was answered with this status is worth repeating: the only table of statuses."""
    return status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _PERMANENT_FAILURES
    )


def answered(error: Error, answer: Answer) -> Error:
    """Return the error with the status and codes of the answer that it was made from."""
    error.status, error.codes = answer.status, answer.codes
    return error


def recast(kind: type[Error], error: PipeError) -> Error:
    """Return an error as one of another kind, with the same words, status and codes."""
    found = kind(error.cause, fix=error.fix, retry_after=error.retry_after)
    found.status, found.codes = error.status, error.codes
    return found


def credentials_refused(target: Reference, words: str, token: str = "") -> CredentialsRefusedError:
    """Return the error for credentials that the registry rejects.

    Args:
        target: The registry.
        words: The registry's.
        token: The rejected token, of which only the kind is used: the registry rejects repository and workspace
            access tokens, which begin with ATCTT (as reported by its users).
    """
    if token.startswith(_ACCESS_TOKEN):
        fix = (
            "The token is a repository or workspace access token (it begins with ATCTT), which the registry does not"
            " accept. Use the step's own BITBUCKET_PACKAGES_TOKEN, or an API token with scope write:package:bitbucket."
        )
    else:
        fix = (
            "In a pipeline, pass on the step's own values (BITBUCKET_PACKAGES_USERNAME: $BITBUCKET_PACKAGES_USERNAME,"
            " and likewise the token). Elsewhere, use your Atlassian account's e-mail address and an API token with the"
            " scope write:package:bitbucket that has not expired."
        )
    return CredentialsRefusedError(f"{target.domain} answered: {clean(words)}", fix=fix)


def push_denied(target: Reference, words: str, codes: tuple[str, ...] = ()) -> PushDeniedError:
    """Return the error for a push that is forbidden; advice on access only if that is what the words are about."""
    words = clean(words)
    if re.search(_QUOTA, " ".join((words, *codes))):
        fix = "Delete images that are no longer needed, or ask the registry's administrator for more storage."
    elif re.search(_ACCESS, words) or _ACCESS_CODES & set(codes):
        fix = (
            "Pushing requires write access to the repository that the package is linked to. A step's own credentials"
            " reach only packages linked to the repository whose pipeline runs: link the package to it, or use"
            " credentials with write access."
        )
    else:
        fix = "The registry's message gives the reason. Pushing again without a change will not help."
    return PushDeniedError(f"{target.domain} answered for {target.path}: {words}", fix=fix)


def read_denied(target: Reference, words: str) -> PushDeniedError:
    """Return the error for credentials that may not read manifests and blobs of the package."""
    return PushDeniedError(
        f"{target.domain} does not allow reading {target.path}: {clean(words)}",
        fix="The pipe reads manifests and blobs to verify the push, so the credentials need read (pull) access as well"
        " as write access. Grant both.",
    )


def package_not_found(target: Reference, words: str) -> PackageNotFoundError:
    """Return the error for a package that was never created."""
    workspace, _, package = target.path.partition("/")
    return PackageNotFoundError(
        f"{target.domain} answered for {target.path}: {clean(words)}",
        fix=f"Create it once, in Bitbucket: workspace '{workspace}', Create → Package, name '{package}', and link it to"
        " the repository whose pipeline pushes. If it exists under another name, set PACKAGE_NAME.",
    )


class Refusal(NamedTuple):
    """An answer that is not a success.

    Attributes:
        status: The HTTP status.
        message: The registry's words.
        codes: The codes of its errors, such as `BLOB_UPLOAD_UNKNOWN`.
        retry_after: The seconds that the registry asked to wait.
        is_html: Whether the answer is a web page.
        location: Address that a redirect names.
        reading: Whether the request only read.
        foreign: Whether the words are not a registry's, but a proxy's.
    """

    status: int
    message: str
    codes: tuple[str, ...] = ()
    retry_after: float | None = None
    is_html: bool = False
    location: str = ""
    reading: bool = False
    foreign: bool = False

    @property
    def said(self) -> str:
        """The registry's words, for a message."""
        return clean(self.message) or f"HTTP {self.status}"


def from_answer(target: Reference, answer: Answer, token: str = "") -> PipeError:
    """Return the error that an answer of a registry means; see `from_status`."""
    refusal = Refusal(
        answer.status,
        answer.message,
        answer.codes,
        answer.retry_after,
        answer.is_html,
        answer.headers.get("Location", ""),
        answer.method in {"GET", "HEAD"},
        foreign=not answer.codes,
    )
    challenge = answer.headers.get("WWW-Authenticate", "")
    if answer.status == HTTPStatus.UNAUTHORIZED and "insufficient_scope" in challenge:
        reading, words = refusal.reading, answer.message
        return answered(read_denied(target, words) if reading else push_denied(target, words, ("DENIED",)), answer)
    return from_status(target, refusal, token)


def from_status(target: Reference, refusal: Refusal, token: str = "") -> PipeError:
    """Return the error that an HTTP status other than a success means; `token` is the one that was sent.

    Returns:
        The error with its status and codes; temporary as in `is_temporary`, and for what is said of an upload or a
        blob that the registry no longer knows.
    """
    error = _of_status(target, refusal, token)
    error.status, error.codes = refusal.status, refusal.codes
    return error


def _of_status(target: Reference, refusal: Refusal, token: str) -> PipeError:  # noqa: PLR0911 # a table
    status, said = refusal.status, refusal.said
    lost = status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND} and bool(LOST & set(refusal.codes))
    if status == HTTPStatus.UNAUTHORIZED:
        return credentials_refused(target, said, token)
    if status == HTTPStatus.FORBIDDEN:
        return read_denied(target, said) if refusal.reading else push_denied(target, said, refusal.codes)
    if refusal.location and HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return redirected(target, status, refusal.location)
    if status == HTTPStatus.NOT_FOUND and refusal.is_html:
        return not_a_registry(target, f"404 for {target.path} with a web page: {said}")
    if status == HTTPStatus.NOT_FOUND and not lost:
        return package_not_found(target, said)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        words = f"answered 413: {said}"
        return body_too_large(target, words) if refusal.foreign else too_large(target, words)
    numbered = said if said.startswith(f"HTTP {status}") else f"HTTP {status}: {said}"
    if lost or is_temporary(status):
        return registry_failed(target, numbered, retry_after=refusal.retry_after)
    if status in _PERMANENT_FAILURES:
        return RegistryFailedError(
            f"{target.domain}: {numbered}",
            fix="The registry cannot process this request, and retrying will not help: contact its operator.",
            temporary=False,
        )
    reason = ", without a reason." if said == f"HTTP {status}" else f": {said}"
    return ImageRefusedError(
        f"{target.domain} answered {status} for {target.path}{reason}",
        fix="Pushing it again will not help. Check that REGISTRY is Bitbucket's container registry.",
    )


def registry_failed(target: Reference, words: str, *, retry_after: float | None = None) -> RegistryFailedError:
    """Return the error for a failure that may be temporary."""
    return RegistryFailedError(
        f"{target.domain}: {clean(words)}",
        fix="Run the step again later. If it fails again, check Bitbucket's status page.",
        retry_after=retry_after,
    )


def proxy_failed(target: Reference, host: str, words: str) -> RegistryFailedError:
    """Return the error for a proxy that does not connect to a host."""
    return RegistryFailedError(
        f"{target.domain}: the proxy of HTTPS_PROXY failed: {clean(words)}",
        fix=f"Check HTTPS_PROXY, and run the step again. If {host} needs no proxy, add it to NO_PROXY.",
    )


def unreachable(target: Reference, words: str) -> RegistryUnreachableError:
    """Return the error for a registry that does not accept a connection."""
    # Docker Engine names the address that it requested, which can be that of a token server.
    own = words == "Connection refused" or f"//{target.domain}/" in words
    refused = own and words.lower().endswith("connection refused")
    return RegistryUnreachableError(
        f"{target.domain} refuses connections." if refused else f"{target.domain}: {clean(words)}",
        fix="Check REGISTRY for a typo, and the network's DNS, firewall and proxy.",
    )


def certificate(target: Reference, words: str) -> CertificateError:
    """Return the error for a TLS connection that cannot be trusted."""
    return CertificateError(
        f"{target.domain}: {clean(words)}",
        fix="If the registry or a proxy has a private certificate authority, mount its certificate and name the file in"
        " REQUESTS_CA_BUNDLE; the Engine needs it too (/etc/docker/certs.d/<registry>/ca.crt).",
    )


def not_a_registry(target: Reference, words: str) -> ImageRefusedError:
    """Return the error for a server that is not a container registry."""
    return ImageRefusedError(
        f"{target.domain} answered {words}. This is not a container registry.",
        fix="Check REGISTRY, and any proxy in front of it.",
    )


def redirected(target: Reference, status: int, location: str) -> ImageRefusedError:
    """Return the error for a redirect that is not followed."""
    return ImageRefusedError(
        f"{target.domain} answered {status} for {target.path}: a redirect to {clean(location, lines=1)}.",
        fix="Check REGISTRY, and any proxy in front of it: a login page, for example, is not a container registry.",
    )


def too_large(target: Reference, words: str) -> LayerTooLargeError:
    """Return the error for a layer that exceeds the registry's limit."""
    return LayerTooLargeError(
        f"{target.domain} {clean(words)}",
        fix="Split the largest layer across several instructions, add less, or set SPLIT_LAYERS, which splits the layer"
        " and thereby changes the image's ID.",
    )


def body_too_large(target: Reference, words: str) -> LayerTooLargeError:
    """Return the error for a request that exceeds the limit of a proxy, whose words are not a registry's."""
    return LayerTooLargeError(
        f"{target.domain} {clean(words)}. This is not a registry's own error: a proxy in front of it limits the size"
        " of request bodies.",
        fix="Raise the proxy's limit (nginx: client_max_body_size) or push without the proxy. If the registry itself"
        " has the limit, split the largest layer across several instructions, add less, or set SPLIT_LAYERS.",
    )
