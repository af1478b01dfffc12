"""What a registry is shown: Basic credentials or a bearer token, asked for and renewed as its challenges say.

Source: CNCF Distribution, `spec/auth/token.md`.
"""

import json
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from pipe.config.settings import Credentials
from pipe.errors import CertificateError, UntrustedHostError
from pipe.oci.reference import Reference
from pipe.registry import errors
from pipe.registry.challenge import Challenge, parse_challenges
from pipe.registry.transport import Answer, Basic, Bearer, Request, Transport, is_loopback
from pipe.retry import retry_after
from pipe.text import clean

TOKEN_LIFETIME = 60.0
"""Seconds that a bearer token lives where the answer does not say; source: `spec/auth/token.md`."""
TOKEN_LIFETIME_MAXIMUM = 86400.0
"""Seconds after which a token is renewed, however long it is said to live."""
TOKEN_MARGIN = 0.9
"""Share of a token's life after which it is not shown any more."""
TOKEN_SIZE = 64 * 1024
"""Characters of a token that is still one: servers take no longer header."""
_PORTS = {"http": 80, "https": 443}


class Listener(Protocol):
    """Who is told what happens."""

    def info(self, text: str) -> None:
        """Tell what happens."""

    def hide(self, secret: str) -> None:
        """Take note of what no output may show."""


class Authentication:
    """What one repository's requests show, renewed by any thread for all."""

    def __init__(
        self,
        target: Reference,
        credentials: Credentials,
        transport: Transport,
        listener: Listener,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is sent yet, and nothing is shown before a challenge.

        Args:
            target: The repository.
            credentials: For this registry only.
            transport: Sends the requests for tokens.
            listener: Is told which other host gets the credentials, and what must not be shown.
            clock: Returns seconds that never go back.
        """
        self._target = target
        self._credentials = credentials
        self._transport = transport
        self._listener = listener
        self._clock = clock
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._base = ""
        self._expires = 0.0
        self._told: set[str] = set()
        self.shown: Basic | Bearer = Bearer()

    def current(self) -> Basic | Bearer:
        """Return what to show now, a new token where the old one is about to run out."""
        with self._lock:
            if self._challenge is not None and self._clock() >= self._expires:
                self._log_in(self._challenge)
            return self.shown

    def answer(self, challenged: Answer, base: str, shown: Basic | Bearer) -> bool:
        """Take up the challenge of a 401.

        Args:
            challenged: The answer with the challenge.
            base: Scheme and host of the registry.
            shown: What the request had shown.

        Returns:
            Whether there is something new to show.

        Raises:
            PipeError: The registry takes no such credentials, or they would go to a host that is not trusted.
        """
        challenges = parse_challenges(challenged.headers.get("WWW-Authenticate", ""))
        with self._lock:
            if shown is not self.shown:
                return True
            self._base = base
            if "bearer" in challenges:
                self._log_in(challenges["bearer"])
                return True
            if "basic" in challenges and not isinstance(self.shown, Basic):
                self.shown = Basic(self._credentials)
                return True
            return False

    def _log_in(self, challenge: Challenge) -> None:
        """Get a bearer token from the realm that the challenge names."""
        realm = place(self._target, f"{self._base}/v2/", challenge.parameters.get("realm", ""))
        foreign = self._check_realm(realm)
        query = {name: value for name, value in challenge.parameters.items() if name == "service"}
        query["scope"] = f"repository:{self._target.path}:pull,push"
        asked = self._clock()
        try:
            answer = self._transport.send(Request("GET", realm.geturl(), {}, query), Basic(self._credentials))
        except CertificateError as error:
            if foreign:
                raise untrusted(self._target, realm, "for a token, but its certificate is not trusted") from error
            raise
        if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED}:
            raise errors.credentials_refused(self._target, answer.message, self._credentials.token)
        token, lifetime = _token(answer)
        if answer.status != HTTPStatus.OK or not token:
            message = f"{host(realm)} returned no token: HTTP {answer.status}"
            raise errors.registry_failed(self._target, message, retry_after=asked_to_wait(answer))
        self._listener.hide(token)
        self._challenge, self.shown = challenge, Bearer(token)
        self._expires = asked + TOKEN_MARGIN * lifetime

    def _check_realm(self, realm: SplitResult) -> bool:
        """Tell whether the realm is on another host, and refuse one that may not see the credentials."""
        base = urlsplit(self._base)
        if origin(realm) == origin(base):
            return False
        if is_loopback(realm.hostname or "") and is_loopback(base.hostname or ""):
            return True
        if realm.scheme != "https" or base.scheme != "https":
            raise untrusted(self._target, realm, "for a token, but not over TLS all the way")
        if host(realm) not in self._told:
            self._told.add(host(realm))
            self._listener.info(f"Sending the credentials to {host(realm)}, the token server of {self._target.domain}.")
        return True


def place(target: Reference, base: str, address: str) -> SplitResult:
    """Read an address that the registry names, relative to where it did.

    Raises:
        RegistryFailedError: It is none.
    """
    try:
        found = urlsplit(urljoin(base, address))
        origin(found)
    except ValueError as error:
        raise errors.registry_failed(target, f"returned an invalid URL: {address}") from error
    return found


def origin(url: SplitResult) -> tuple[str, str, int | None]:
    """Return what has to be the same for two URLs to be of one host: scheme, name and port."""
    return url.scheme, (url.hostname or "").lower(), url.port or _PORTS.get(url.scheme)


def host(url: SplitResult) -> str:
    """Return a URL's host and port, fit to be shown."""
    return clean(url.netloc.rpartition("@")[2], lines=1)


def untrusted(target: Reference, named: SplitResult, why: str) -> UntrustedHostError:
    """Make the error for a host that must not receive what the registry wants it to."""
    return UntrustedHostError(
        f"{target.domain} refers to {named.scheme}://{host(named)} {why}. Nothing was sent to it.",
        fix="Check REGISTRY and any proxy in front of it: credentials go to the registry's own host, and to"
        " another one only over verified TLS.",
    )


def asked_to_wait(answer: Answer) -> float | None:
    """Return the seconds that the registry asked to wait, None where it asked nothing."""
    return retry_after(answer.headers.get("Retry-After", ""), time.time())


def _token(answer: Answer) -> tuple[str, float]:
    """Read a token and the seconds of its life; "" where there is none."""
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return "", 0.0
    token, lifetime = content.get("token") or content.get("access_token"), content.get("expires_in")
    usable = isinstance(token, str) and token.isascii() and token.isprintable() and len(token) <= TOKEN_SIZE
    if not isinstance(lifetime, int | float) or not lifetime > 0:
        lifetime = TOKEN_LIFETIME
    return (str(token) if usable else ""), float(min(lifetime, TOKEN_LIFETIME_MAXIMUM))
