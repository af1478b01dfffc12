"""The addresses to which a registry refers: which are trusted, and what is sent there."""

import threading
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

from pipe.oci.reference import Reference
from pipe.registry.answer import Answer
from pipe.registry.authentication import Listener
from pipe.registry.location import Origin, display_host, has_equal_trust, origin, resolve_location, untrusted
from pipe.registry.transport import Request

_SAME_METHOD = frozenset((HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT))


class Redirects:
    """The hosts to which one registry has redirected uploads, for all threads."""

    def __init__(self, domain: str, listener: Listener) -> None:
        self._target = Reference(domain, "")
        self._listener = listener
        self._lock = threading.Lock()
        self._trusted: set[Origin] = set()

    def location(self, answer: Answer, base: str) -> str:
        """Return the address that an answer names for the next request of an upload.

        Raises:
            UntrustedHostError: It is on another host, which must receive neither credentials nor layers.
            RegistryFailedError: It is not a URL.
        """
        found = resolve_location(self._target, answer.url, answer.headers.get("Location", ""))
        if origin(found) not in {origin(urlsplit(base)), *self._trusted}:
            raise untrusted(self._target, found, "for the upload")
        return found.geturl()

    def followed(self, request: Request, answer: Answer, base: str) -> Request | None:
        """Return the request as a redirect demands it, None if the answer is not a redirect that is followed.

        Raises:
            UntrustedHostError: The other host is less trusted than the registry.
        """
        reading = request.method in {"GET", "HEAD"}
        if not request.follow or not answer.redirects or not (reading or answer.status in _SAME_METHOD):
            return None
        found = resolve_location(self._target, answer.url, answer.headers["Location"])
        own = urlsplit(base)
        if origin(found) != origin(own):
            if not has_equal_trust(found, own):
                raise untrusted(self._target, found, f"by a redirect of {request.method}")
            if not reading:
                self._trust(found)
        return request._replace(url=found.geturl(), query=())

    def _trust(self, place: SplitResult) -> None:
        """Accept a host that the registry redirects uploads to; it never receives credentials."""
        with self._lock:
            new = origin(place) not in self._trusted
            self._trusted.add(origin(place))
        if new:
            self._listener.info(f"Uploading to {display_host(place)}, to which {self._target.domain} redirects.")
