"""One HTTP request to a registry: bounded in time and size, its failures told apart."""

import contextlib
import ipaddress
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

from pipe.config.settings import Credentials
from pipe.errors import ConfigurationError
from pipe.oci.reference import Reference
from pipe.registry import errors
from pipe.registry.aside import Aside
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
        url: May have a query, to which `query` is added.
        headers: Beside those of every request.
        query: Parameters of the URL.
        body: Bytes, may be empty; or pieces that are sent one after the other, of a length that is
            announced where `len()` tells it, else chunk by chunk (`Transfer-Encoding: chunked`).
        maximum: Bytes of the answer's body to read; the rest is left.
        read_timeout: Seconds to wait for the answer.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes | Iterable[memoryview] = b""
    maximum: int = ERROR_BODY
    read_timeout: float = READ_TIMEOUT


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
    def message(self) -> str:
        """What the registry says went wrong, in its own words as far as it has any."""
        with contextlib.suppress(ValueError, RecursionError, LookupError, TypeError, AttributeError):
            errors = json.loads(self.body)["errors"]
            message = "; ".join(str(error.get("message") or error["code"]) for error in errors)
            return clean(message) or f"HTTP {self.status}"
        return clean(self.body.decode("utf-8", "replace")) or f"HTTP {self.status}"

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the errors that the registry names, such as `BLOB_UPLOAD_UNKNOWN`; none where it names none."""
        with contextlib.suppress(ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return tuple(str(error["code"]) for error in json.loads(self.body)["errors"])
        return ()


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

    def __init__(
        self,
        target: Reference,
        user_agent: str,
        trace: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            target: Where to push, for messages.
            user_agent: What the registry's log shall show.
            trace: Is told of each request: method, path, status and time, never a query or a header.
            clock: Returns seconds that never go back.
        """
        self._target = target
        self._user_agent = user_agent
        self._trace = trace
        self._clock = clock
        self._local = threading.local()
        self._aside = Aside()

    @property
    def _session(self) -> requests.Session:
        """This thread's own session: sessions may not be shared by threads."""
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.headers["User-Agent"] = self._user_agent
        return session

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
        return self._aside.run(lambda: self._send(request, auth))

    def _send(self, request: Request, auth: AuthBase) -> Answer:
        place = urlsplit(request.url)
        host, began = place.hostname or "", self._clock()
        outcome = "no answer"
        try:
            with self._session.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                params=dict(request.query),
                data=request.body,  # type: ignore[arg-type] # the stubs know no memoryview
                auth=auth,
                timeout=(CONNECT_TIMEOUT, request.read_timeout),
                # A proxy never stands between a machine and itself, as Docker has it.
                proxies={"no_proxy": host} if is_loopback(host) else None,
                allow_redirects=False,
                stream=True,
            ) as response:
                outcome = str(response.status_code)
                return Answer(
                    response.status_code, response.headers, self._body(response, request.maximum), request.url
                )
        except (requests.RequestException, HTTPError, OSError) as error:
            raise no_answer(error, self._target, host, tls=request.url.startswith("https:")) from error
        finally:
            self._trace(f"{request.method} {place.path} {outcome} {self._clock() - began:.3f} s")

    def _body(self, response: requests.Response, maximum: int) -> bytes:
        body, deadline = b"", self._clock() + READ_TIMEOUT
        while len(body) < maximum:
            piece = response.raw.read1(min(_PIECE, maximum - len(body)), decode_content=True)
            if not piece:
                break
            body += piece
            if self._clock() > deadline:
                raise errors.registry_failed(self._target, "the answer was not complete in time")
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
