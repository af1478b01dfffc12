"""What a registry's status and words mean: the kind of error, and what to do (pure)."""

from dataclasses import dataclass
from http import HTTPStatus

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
from pipe.text import clean

_TEMPORARY_STATUSES = frozenset((HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS))
_LOST = frozenset(("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"))
"""Codes of what a registry had before: it comes again with the next attempt."""
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
            " accept. Use the step's own BITBUCKET_PACKAGES_TOKEN, or an API token with scope write:package:bitbucket."
        )
    else:
        fix = (
            "In a pipeline, pass on the step's own values (BITBUCKET_PACKAGES_USERNAME: $BITBUCKET_PACKAGES_USERNAME,"
            " and likewise the token). Elsewhere, use your Atlassian account's e-mail address and an API token with the"
            " scope write:package:bitbucket that has not expired."
        )
    return CredentialsRefusedError(f"{target.domain} says: {clean(words)}", fix=fix)


def push_denied(target: Reference, words: str) -> PushDeniedError:
    """Make the error for credentials that may not push to the package."""
    return PushDeniedError(
        f"{target.domain} says about {target.path}: {clean(words)}",
        fix="Pushing requires write access to the repository that the package is linked to. A step's own credentials"
        " reach only packages linked to the repository whose pipeline runs: link the package to it, or use credentials"
        " that may write there.",
    )


def package_not_found(target: Reference, words: str) -> PackageNotFoundError:
    """Make the error for a package that was never created."""
    workspace, _, package = target.path.partition("/")
    return PackageNotFoundError(
        f"{target.domain} says about {target.path}: {clean(words)}",
        fix=f"Create it once, in Bitbucket: workspace '{workspace}', Create → Package, name '{package}', and link it to"
        " the repository whose pipeline pushes. If it exists under another name, set PACKAGE_NAME.",
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is not a success.

    Attributes:
        status: The HTTP status.
        message: What the registry said with it.
        codes: The codes of its errors, such as `BLOB_UPLOAD_UNKNOWN`.
        retry_after: The seconds that the registry asked to wait.
    """

    status: int
    message: str
    codes: tuple[str, ...] = ()
    retry_after: float | None = None

    @property
    def said(self) -> str:
        """What the registry said, fit to be shown."""
        return clean(self.message) or f"HTTP {self.status}"


def from_status(target: Reference, refusal: Refusal, token: str = "") -> PipeError:
    """Tell what an HTTP status that is not a success means.

    Args:
        target: Where to push.
        refusal: What the registry answered.
        token: The one that was sent.

    Returns:
        The error, with status and codes kept; temporary for 408, 429 and 5xx, and for what is said
        of an upload or a blob that the registry does not know any more.
    """
    error = _of_status(target, refusal, token)
    error.status, error.codes = refusal.status, refusal.codes
    return error


def _of_status(target: Reference, refusal: Refusal, token: str) -> PipeError:
    status, said = refusal.status, refusal.said
    lost = status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND} and bool(_LOST & set(refusal.codes))
    if status == HTTPStatus.UNAUTHORIZED:
        return credentials_refused(target, said, token)
    if status == HTTPStatus.FORBIDDEN:
        return push_denied(target, said)
    if status == HTTPStatus.NOT_FOUND and not lost:
        return package_not_found(target, said)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return too_large(target, f"answered 413: {said}")
    if lost or status in _TEMPORARY_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        numbered = said if said.startswith(f"HTTP {status}") else f"HTTP {status}: {said}"
        return registry_failed(target, numbered, retry_after=refusal.retry_after)
    return ImageRefusedError(
        f"{target.domain} answered {status} for {target.path}: {said}",
        fix="Pushing it again will not help. Check that REGISTRY is Bitbucket's container registry.",
    )


def registry_failed(target: Reference, words: str, *, retry_after: float | None = None) -> RegistryFailedError:
    """Make the error for a failure that may pass."""
    return RegistryFailedError(
        f"{target.domain}: {clean(words)}",
        fix="Run the step again later. If it fails again, check Bitbucket's status page.",
        retry_after=retry_after,
    )


def unreachable(target: Reference, words: str) -> RegistryUnreachableError:
    """Make the error for a registry that no connection can be made to."""
    return RegistryUnreachableError(
        f"{target.domain}: {clean(words)}",
        fix="Check REGISTRY for a typo, and the network's DNS, firewall and proxy.",
    )


def certificate(target: Reference, words: str) -> CertificateError:
    """Make the error for a TLS connection that cannot be trusted."""
    return CertificateError(
        f"{target.domain}: {clean(words)}",
        fix="If the registry or a proxy has a private certificate authority, mount its certificate and name the file in"
        " REQUESTS_CA_BUNDLE; the Engine needs it too (/etc/docker/certs.d/<registry>/ca.crt).",
    )


def too_large(target: Reference, words: str) -> LayerTooLargeError:
    """Make the error for a layer that the registry calls too large."""
    return LayerTooLargeError(
        f"{target.domain} {clean(words)}", fix="Split the largest layer across several instructions, or add less."
    )
