"""The registry's HTTP API: may I push, what does a tag hold, put a manifest under a tag.

Source: opencontainers/distribution-spec, `spec.md`, and CNCF Distribution, `spec/auth/token.md`.
"""

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import SplitResult, urljoin, urlsplit

from pipe.config.settings import Credentials
from pipe.errors import (
    CertificateError,
    ImageRefusedError,
    PipeError,
    UntrustedHostError,
)
from pipe.oci.manifest import MEDIA_TYPES, Manifest
from pipe.oci.reference import Reference, is_digest
from pipe.registry import errors
from pipe.registry.challenge import Challenge, parse_challenges
from pipe.registry.transport import Answer, Basic, Bearer, NoTLSError, Request, Transport, is_loopback
from pipe.retry import retry_after
from pipe.text import clean

MANIFEST_BODY = 4 * 1024 * 1024
"""Bytes of a manifest that are read; source: distribution-spec, a registry takes at least 4 MiB."""
TOKEN_LIFETIME = 60.0
"""Seconds that a bearer token lives where the answer does not say; source: `spec/auth/token.md`."""
TOKEN_MARGIN = 0.9
"""Share of a token's life after which it is not shown any more."""
_NOT_THIS_WAY = frozenset(
    (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    )
)
_PORTS = {"http": 80, "https": 443}


class Registry:
    """One repository of a registry, with credentials that may push to it."""

    def __init__(
        self,
        target: Reference,
        credentials: Credentials,
        transport: Transport,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            target: The repository.
            credentials: For this registry only.
            transport: Sends the requests.
            tell: Is told which other host gets the credentials.
            clock: Returns seconds that never go back.
        """
        self._target = target
        self._credentials = credentials
        self._transport = transport
        self._tell = tell
        self._clock = clock
        self._base = ""
        self._auth: Basic | Bearer = Bearer()
        self._challenge: Challenge | None = None
        self._expires = 0.0

    def check_push(self) -> None:
        """Ask whether a push is allowed: open an upload, and leave it to the registry to forget it.

        Raises:
            PipeError: It is not, or there is no telling.
        """
        answer = self._call("POST", "blobs/uploads/")
        if answer.status != HTTPStatus.ACCEPTED:
            raise self._error(answer)
        location = self._place(answer.url, answer.headers.get("Location", ""))
        if _origin(location) != _origin(urlsplit(self._base)):
            raise self._untrusted(location, "to send the layers there")

    def digest(self, reference: str) -> str | None:
        """Ask what a tag or digest names.

        Args:
            reference: A tag or a digest.

        Returns:
            The manifest's digest, None where there is none.

        Raises:
            PipeError: The registry does not answer the question.
        """
        answer = self._call("HEAD", f"manifests/{reference}")
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise self._error(answer)
        digest = answer.headers.get("Docker-Content-Digest", "")
        if is_digest(digest):
            return digest
        manifest = self.manifest(reference)
        return manifest.digest if manifest else None

    def manifest(self, reference: str) -> Manifest | None:
        """Read a manifest.

        Args:
            reference: A tag or a digest.

        Returns:
            The manifest, None where there is none.

        Raises:
            PipeError: The registry does not answer the question.
        """
        answer = self._call("GET", f"manifests/{reference}", maximum=MANIFEST_BODY)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise self._error(answer)
        return Manifest.parse(answer.headers.get("Content-Type", ""), answer.body)

    def put_manifest(self, tag: str, manifest: Manifest) -> bool:
        """Put a manifest under a tag.

        Args:
            tag: The tag.
            manifest: One whose blobs the registry has.

        Returns:
            Whether the registry took it; False where it does not take it this way (400, 404, 405,
            415), which an Engine's push may still achieve.

        Raises:
            PipeError: The registry refuses or fails.
        """
        answer = self._call("PUT", f"manifests/{tag}", {"Content-Type": manifest.media_type}, manifest.body)
        if answer.status not in {HTTPStatus.CREATED, *_NOT_THIS_WAY}:
            raise self._error(answer)
        return answer.status == HTTPStatus.CREATED

    def _call(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"", maximum: int = 0
    ) -> Answer:
        """Send a request to the repository, once more with a new token where the old one has run out."""
        if not self._base:
            self._connect()
        headers = headers or {"Accept": ", ".join(MEDIA_TYPES)}
        url = f"{self._base}/v2/{self._target.path}/{path}"
        request = Request(method, url, headers, {}, body, *([maximum] if maximum else []))
        renewed = self._challenge is not None and self._clock() >= self._expires
        if renewed and self._challenge:
            self._log_in(self._challenge)
        answer = self._transport.send(request, self._auth)
        if answer.status == HTTPStatus.UNAUTHORIZED and not renewed and self._challenged(answer):
            answer = self._transport.send(request, self._auth)
        return answer

    def _connect(self) -> None:
        """Find out how the registry speaks: TLS, or plain HTTP on a loopback host without TLS."""
        try:
            answer = self._greet("https")
        except NoTLSError:
            answer = self._greet("http")
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._challenged(answer)
        elif answer.status == HTTPStatus.NOT_FOUND:
            raise ImageRefusedError(
                f"{self._target.domain} answers 404 for /v2/: it is no container registry.", fix="Check REGISTRY."
            )
        elif answer.status != HTTPStatus.OK:
            raise self._error(answer)

    def _greet(self, scheme: str) -> Answer:
        base = f"{scheme}://{self._target.domain}"
        answer = self._transport.send(Request("GET", f"{base}/v2/", {}, {}), self._auth)
        self._base = base
        return answer

    def _challenged(self, answer: Answer) -> bool:
        """Take up the challenge of a 401, and tell whether there is something new to show."""
        challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
        if "bearer" in challenges:
            self._log_in(challenges["bearer"])
            return True
        if "basic" in challenges and not isinstance(self._auth, Basic):
            self._auth = Basic(self._credentials)
            return True
        return False

    def _log_in(self, challenge: Challenge) -> None:
        """Get a bearer token from the realm that the challenge names."""
        realm = self._place(f"{self._base}/v2/", challenge.parameters.get("realm", ""))
        foreign = self._check_realm(realm)
        query = {name: value for name, value in challenge.parameters.items() if name == "service"}
        query["scope"] = f"repository:{self._target.path}:pull,push"
        asked = self._clock()
        try:
            answer = self._transport.send(Request("GET", realm.geturl(), {}, query), Basic(self._credentials))
        except CertificateError as error:
            if foreign:
                raise self._untrusted(realm, "for a token, and its certificate is not trusted") from error
            raise
        if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED}:
            raise errors.credentials_refused(self._target, answer.words, self._credentials.token)
        token, lifetime = _token(answer)
        if answer.status != HTTPStatus.OK or not token:
            words = f"no token from {_host(realm)}: HTTP {answer.status}"
            raise errors.registry_failed(self._target, words, retry_after=_wait(answer))
        self._challenge, self._auth = challenge, Bearer(token)
        self._expires = asked + TOKEN_MARGIN * lifetime

    def _place(self, base: str, address: str) -> SplitResult:
        """Read an address that the registry names, relative to where it did."""
        try:
            place = urlsplit(urljoin(base, address))
            _origin(place)
        except ValueError as error:
            raise errors.registry_failed(self._target, f"it names an address that is none: {address}") from error
        return place

    def _check_realm(self, realm: SplitResult) -> bool:
        """Tell whether the realm is on another host, and refuse one that may not see the credentials."""
        base = urlsplit(self._base)
        if _origin(realm) == _origin(base):
            return False
        if is_loopback(realm.hostname or "") and is_loopback(base.hostname or ""):
            return True
        if realm.scheme != "https" or base.scheme != "https":
            raise self._untrusted(realm, "for a token, not all of it over TLS")
        self._tell(f"{self._target.domain} has its tokens made by {_host(realm)}, which receives the credentials.")
        return True

    def _untrusted(self, place: SplitResult, why: str) -> UntrustedHostError:
        return UntrustedHostError(
            f"{self._target.domain} names {place.scheme}://{_host(place)} {why}. Nothing was sent to it.",
            fix="Check REGISTRY and the proxy in front of it: credentials go to the registry's own host, and to"
            " another one only over verified TLS.",
        )

    def _error(self, answer: Answer) -> PipeError:
        if "insufficient_scope" in answer.headers.get("WWW-Authenticate", ""):
            return errors.push_denied(self._target, answer.words)
        return errors.from_status(
            self._target,
            answer.status,
            answer.words,
            token=self._credentials.token,
            retry_after=_wait(answer),
        )


def _origin(url: SplitResult) -> tuple[str, str, int | None]:
    return url.scheme, (url.hostname or "").lower(), url.port or _PORTS.get(url.scheme)


def _host(url: SplitResult) -> str:
    return clean(url.netloc.rpartition("@")[2], lines=1)


def _wait(answer: Answer) -> float | None:
    return retry_after(answer.headers.get("Retry-After", ""), time.time())


def _token(answer: Answer) -> tuple[str, float]:
    """Read a token and the seconds of its life; "" where there is none."""
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return "", 0.0
    token = content.get("token") or content.get("access_token")
    lifetime = content.get("expires_in")
    seconds = float(lifetime) if isinstance(lifetime, int | float) and lifetime > 0 else TOKEN_LIFETIME
    return (token if isinstance(token, str) else ""), seconds
