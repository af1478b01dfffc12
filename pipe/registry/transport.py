"""One HTTP request to a registry: bounded in time and size, its failures told apart."""

import contextlib
import ipaddress
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

from pipe.config.settings import Credentials
from pipe.errors import ConfigurationError
from pipe.oci.reference import Reference
from pipe.registry import errors
from pipe.text import causes, clean, root_cause

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection."""
READ_TIMEOUT = 30.0
"""Seconds to wait for an answer, and for the whole of its body."""
ERROR_BODY = 64 * 1024
"""Bytes of an error's body that are read: enough for what a registry has to say."""
_PIECE = 16 * 1024


class NoTLSError(Exception):
    """Something answers on a loopback host, but it does not speak TLS."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send.

    Attributes:
        method: The HTTP method.
        url: Without a query.
        headers: Beside those of every request.
        query: Parameters of the URL.
        body: Bytes, may be empty.
        maximum: Bytes of the answer's body to read; the rest is left.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""
    maximum: int = ERROR_BODY


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: The HTTP status.
        headers: Of the response, in any case of letters.
        body: As much of it as was asked for.
        url: Where it came from.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def words(self) -> str:
        """What the registry says went wrong, in its own words as far as it has any."""
        with contextlib.suppress(ValueError, RecursionError, LookupError, TypeError, AttributeError):
            errors = json.loads(self.body)["errors"]
            words = "; ".join(str(error.get("message") or error["code"]) for error in errors)
            return clean(words) or f"HTTP {self.status}"
        return clean(self.body.decode("utf-8", "replace")) or f"HTTP {self.status}"


class Basic(HTTPBasicAuth):
    """Shows user name and token, in UTF-8 where requests would take text for Latin-1."""

    def __init__(self, credentials: Credentials) -> None:
        """Keep the credentials."""
        super().__init__(credentials.username.encode(), credentials.token.encode())


class Bearer(AuthBase):
    """Shows a bearer token, or nothing; any such object keeps requests from looking into ~/.netrc."""

    def __init__(self, token: str = "") -> None:
        """Keep the token."""
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header that shows the token."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Transport:
    """Sends requests on behalf of one push; redirects are answers like others, never followed."""

    def __init__(self, target: Reference, user_agent: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare; nothing is sent yet.

        Args:
            target: Where to push, for messages.
            user_agent: What the registry's log shall show.
            clock: Returns seconds that never go back.
        """
        self._target = target
        self._clock = clock
        self._session = requests.Session()
        self._session.headers["User-Agent"] = user_agent

    def send(self, request: Request, auth: AuthBase) -> Answer:
        """Send one request.

        Args:
            request: What to send.
            auth: What to show.

        Returns:
            The answer, whatever its status.

        Raises:
            NoTLSError: A loopback host does not speak TLS.
            PipeError: There is no answer.
        """
        host = urlsplit(request.url).hostname or ""
        try:
            with self._session.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                params=dict(request.query),
                data=request.body,
                auth=auth,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                # A proxy never stands between a machine and itself, as Docker has it.
                proxies={"no_proxy": host} if is_loopback(host) else None,
                allow_redirects=False,
                stream=True,
            ) as response:
                return Answer(
                    response.status_code, response.headers, self._body(response, request.maximum), request.url
                )
        except (requests.RequestException, HTTPError, OSError) as error:
            raise no_answer(error, self._target, host, tls=request.url.startswith("https:")) from error

    def _body(self, response: requests.Response, maximum: int) -> bytes:
        body, deadline = b"", self._clock() + READ_TIMEOUT
        while len(body) < maximum:
            piece = response.raw.read1(min(_PIECE, maximum - len(body)), decode_content=True)
            if not piece:
                break
            body += piece
            if self._clock() > deadline:
                raise errors.registry_failed(self._target, "no whole answer in time")
        return body


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself.

    Args:
        host: A name or an address, without a port.

    Returns:
        Whether it is `localhost` or a loopback address.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def no_answer(error: Exception, target: Reference, host: str, *, tls: bool) -> Exception:
    """Tell what it means that there is no answer.

    Args:
        error: What requests, or something below it, raised.
        target: Where to push, for messages.
        host: Where the request went.
        tls: Whether over TLS.

    Returns:
        The error to raise: a `PipeError`, or `NoTLSError` where plain HTTP is worth a try.
    """
    reason = root_cause(error)
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return errors.certificate(target, reason)
    never_connected = _never_connected(error)
    if tls and is_loopback(host) and isinstance(error, requests.ConnectionError) and not never_connected:
        return NoTLSError(reason)
    if isinstance(error, requests.exceptions.SSLError):
        return errors.certificate(target, reason)
    if not isinstance(error, requests.RequestException | HTTPError):
        return ConfigurationError([f"REQUESTS_CA_BUNDLE names a file that cannot be read: {clean(str(error))}"])
    if never_connected and not isinstance(error, requests.exceptions.ProxyError):
        return errors.unreachable(target, reason)
    return errors.registry_failed(target, _told(error, reason))


def _never_connected(error: BaseException) -> bool:
    """Tell whether a name did not resolve, a connection was refused, or none came about in time."""
    for cause in causes(error):
        if isinstance(cause, NameResolutionError | ConnectionRefusedError):
            return True
        # To urllib3 a connection that fails for any other reason is a kind of timeout, too.
        if isinstance(cause, ConnectTimeoutError) and not isinstance(cause, NewConnectionError):
            return True
    return False


def _told(error: BaseException, reason: str) -> str:
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy of HTTPS_PROXY failed: {reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return f"the connection broke: {reason}"
