"""Addresses that a registry names: token realms, upload locations, redirects."""

from urllib.parse import SplitResult, urljoin, urlsplit

from pipe.errors import UntrustedHostError
from pipe.oci.reference import Reference
from pipe.registry import errors
from pipe.registry.environment import is_loopback
from pipe.text import clean

_PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int | None]


def resolve_location(target: Reference, base: str, address: str) -> SplitResult:
    """Resolve an address relative to the URL whose answer named it.

    Raises:
        RegistryFailedError: It is not a URL.
    """
    try:
        found = urlsplit(urljoin(base, address))
        origin(found)
    except ValueError as error:
        raise errors.registry_failed(target, f"returned an invalid URL: {address}") from error
    return found


def origin(url: SplitResult) -> Origin:
    """Return scheme, host and port, which are equal for two URLs of the same server."""
    return url.scheme, (url.hostname or "").lower(), url.port or _PORTS.get(url.scheme)


def has_equal_trust(url: SplitResult, base: SplitResult) -> bool:
    """Return whether a registry may redirect to a host: over TLS from TLS, or within this machine."""
    if is_loopback(url.hostname or "") and is_loopback(base.hostname or ""):
        return url.scheme in _PORTS
    return url.scheme == "https" and base.scheme == "https"


def display_host(url: SplitResult) -> str:
    """Return host and port of a URL for a message."""
    return clean(url.netloc.rpartition("@")[2], lines=1)


def untrusted(target: Reference, named: SplitResult, why: str) -> UntrustedHostError:
    """Return the error for a host that must not receive what the registry refers it to."""
    return UntrustedHostError(
        f"{target.domain} refers to {named.scheme}://{display_host(named)} {why}. Nothing was sent to it.",
        fix="Check REGISTRY and any proxy in front of it: credentials go to the registry's own host, and to another one"
        " only over verified TLS; layers go to the registry's own host, or to its redirect's target over verified TLS.",
    )
