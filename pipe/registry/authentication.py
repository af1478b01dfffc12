"""Credentials for requests: Basic, or bearer tokens by scope, renewed as the registry's challenges demand.

Source: CNCF Distribution, `spec/auth/token.md`.
"""

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple, Protocol
from urllib.parse import SplitResult, urlsplit

from pipe.config.settings import Credentials
from pipe.errors import CertificateError, PipeError
from pipe.oci.reference import Reference
from pipe.registry import errors
from pipe.registry.answer import Answer
from pipe.registry.challenge import Challenge, parse_challenges
from pipe.registry.environment import is_loopback
from pipe.registry.location import display_host, origin, resolve_location, untrusted
from pipe.registry.transport import Basic, Bearer, Request, Transport
from pipe.report import Report

TOKEN_LIFETIME = 60.0
"""Seconds that a bearer token is valid if the answer does not say; source: `spec/auth/token.md`."""
TOKEN_LIFETIME_MAXIMUM = 86400.0
"""Seconds after which a token is renewed in any case."""
TOKEN_MARGIN = 0.9
"""Share of its lifetime during which a token is used."""
TOKEN_SIZE = 64 * 1024
"""Maximum characters of a token: servers accept no longer header."""
_REJECTED = frozenset((HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED))
_NOT_GRANTED = _REJECTED | {HTTPStatus.NOT_FOUND}
"""Statuses of a token server that may be about one of several scopes, such as that of a package that does not exist."""
Authorization = Basic | Bearer
Left = Callable[[], float]
"""Returns the seconds that remain for a request."""
Scope = tuple[str, ...]
"""What a token must allow, such as `repository:acme/app:pull,push`."""


class Listener(Report, Protocol):
    """Receives the log lines and secrets of a registry client."""

    def hide(self, secret: str) -> None:
        """Redact a secret from all output."""


class _Token(NamedTuple):
    authorization: Bearer
    expires: float


class Authentication:
    """What the requests to one registry authenticate with, renewed by any thread for all."""

    def __init__(
        self,
        domain: str,
        credentials: Credentials,
        transport: Transport,
        listener: Listener,
        clock: Callable[[], float],
    ) -> None:
        """Create it; nothing is sent yet, and no request has credentials before a challenge."""
        self._target = Reference(domain, "")
        self._credentials = credentials
        self._transport = transport
        self._listener = listener
        self._clock = clock
        self._lock = threading.Lock()
        self._basic: Basic | None = None
        self._challenge: Challenge | None = None
        self._base = ""
        self._tokens: dict[Scope, _Token] = {}
        self._refused: dict[Scope, PipeError] = {}
        self._announced: set[str] = set()
        self._shared: Scope = ()
        self._alone: set[Scope] = set()
        self._lent: list[Scope] = []

    def share(self, scope: Scope) -> None:
        """Request one token for all of these scopes; a request that it does not allow gets a separate one."""
        with self._lock:
            self._shared = scope

    def lend(self, scope: Scope) -> None:
        """Request one token for requests that these scopes allow, except those that the first one alone allows.

        It is requested once: if the registry does not grant it, these requests fail, and no other ones. Those that the
        first scope is needed for, too, get separate ones then.
        """
        with self._lock:
            self._lent.append(scope)

    def authorize(self, scope: Scope, left: Left) -> tuple[Authorization, bool]:
        """Return what a request authenticates with, and whether that was renewed for it.

        Raises:
            PipeError: The token server rejects the credentials, is not trusted, or returns no token.
        """
        with self._lock:
            if self._basic is not None:
                return self._basic, False
            scope = self._granted_with(scope, left)
            token = self._tokens.get(scope)
            if self._challenge is None or (token is not None and self._clock() < token.expires):
                return token.authorization if token else Bearer(), False
            try:
                return self._log_in(self._challenge, scope, left), token is not None
            except PipeError as error:
                if scope in self._lent:
                    self._refused[scope] = error
                raise

    def _granted_with(self, scope: Scope, left: Left) -> Scope:
        """Return the scope of the token for a request: the shared one, as long as the registry grants that."""
        if scope in self._alone or not _covers(self._shared, scope):
            lent = (each for each in reversed(self._lent) if scope != each[:1] and _covers(each, scope))
            found = next(lent, scope)
            # A mount from a repository that was not guessed does not depend on those that were.
            return scope if found in self._refused and scope[:1] == found[:1] else found
        if self._shared not in self._tokens and self._challenge is not None:
            try:
                self._log_in(self._challenge, self._shared, left)
            except PipeError as error:
                if error.status not in _NOT_GRANTED:
                    raise
                # Perhaps the token server only rejects one of the scopes, or several at once.
                self._shared = ()
                return scope
        return self._shared

    def take(self, challenged: Answer, base: str) -> None:
        """Take the challenge of a first answer, a 401, without logging in yet; `base` is the registry's URL."""
        with self._lock:
            self._take(challenged, base)

    def renew(
        self, challenged: Answer, base: str, scope: Scope, sent: Authorization, left: Left
    ) -> Authorization | None:
        """Answer the challenge of a request that was rejected with a 401.

        Returns:
            What to send instead, None if there is nothing else.

        Raises:
            PipeError: The registry rejects the credentials, or refers them to an untrusted host.
        """
        with self._lock:
            granted_with = self._granted_with(scope, left)
            token = self._tokens.get(granted_with)
            current = self._basic or (token.authorization if token else sent)
            if current is not sent:
                return current
            if granted_with in self._lent:
                # The token server has granted a part of it.
                return None
            self._take(challenged, base)
            if self._basic is not None:
                return None if sent is self._basic else self._basic
            challenges = parse_challenges(challenged.headers.get("WWW-Authenticate", ""))
            self._alone.add(scope)
            return self._log_in(challenges["bearer"], scope, left) if "bearer" in challenges else None

    def _take(self, challenged: Answer, base: str) -> None:
        self._base = base
        challenges = parse_challenges(challenged.headers.get("WWW-Authenticate", ""))
        if "bearer" in challenges:
            self._challenge, self._basic = challenges["bearer"], None
        elif "basic" in challenges and self._basic is None:
            self._challenge, self._basic = None, Basic(self._credentials)

    def _log_in(self, challenge: Challenge, scope: Scope, left: Left) -> Bearer:
        """Request a token from the realm that the challenge names; credentials that it rejected are not sent again."""
        if scope in self._refused:
            raise self._refused[scope]
        realm = resolve_location(self._target, f"{self._base}/v2/", challenge.parameters.get("realm", ""))
        foreign = self._check_realm(realm)
        query = tuple((name, value) for name, value in challenge.parameters.items() if name == "service")
        query += tuple(("scope", each) for each in scope)
        requested = self._clock()
        try:
            answer = self._transport.send(
                Request("GET", realm.geturl(), query=query).within(left()),
                Basic(self._credentials),
            )
        except CertificateError as error:
            if foreign:
                raise untrusted(self._target, realm, "for a token, but its certificate is not trusted") from error
            raise
        if answer.status in _REJECTED:
            refused = errors.credentials_refused(self._target, answer.message, self._credentials.token)
            self._refused[scope] = errors.answered(refused, answer)
            raise self._refused[scope]
        token, lifetime = _token(answer)
        if answer.status != HTTPStatus.OK or not token:
            message = f"{display_host(realm)} returned no token: HTTP {answer.status}"
            failed = errors.registry_failed(self._target, message, retry_after=answer.retry_after)
            raise errors.answered(failed, answer)
        self._listener.hide(token)
        self._tokens[scope] = _Token(Bearer(token), requested + TOKEN_MARGIN * lifetime)
        return self._tokens[scope].authorization

    def _check_realm(self, realm: SplitResult) -> bool:
        """Return whether the realm is on another host; raise if that host must not receive the credentials."""
        base = urlsplit(self._base)
        if origin(realm) == origin(base):
            return False
        if is_loopback(realm.hostname or "") and is_loopback(base.hostname or ""):
            return True
        if realm.scheme != "https" or base.scheme != "https":
            raise untrusted(self._target, realm, "for a token, but not over TLS all the way")
        if display_host(realm) not in self._announced:
            self._announced.add(display_host(realm))
            self._listener.info(
                f"Sending the credentials to {display_host(realm)}, the token server of {self._target.domain}."
            )
        return True


def scope_of(path: str, actions: str = "pull,push") -> Scope:
    """Return the scope of requests to a repository."""
    return (f"repository:{path}:{actions}",)


def _covers(granted: Scope, wanted: Scope) -> bool:
    """Return whether a token for some scopes allows what others do; one that allows pushes allows pulls."""
    return all(each in granted or each.replace(":pull", ":pull,push") in granted for each in wanted)


def _token(answer: Answer) -> tuple[str, float]:
    """Return a token and its lifetime in seconds; "" if the answer has none."""
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
