"""One HTTP request to a registry: limited in time and size, its failures classified."""

import math
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import SplitResult, urlencode, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from requests.cookies import RequestsCookieJar
from requests.utils import select_proxy
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from pipe.config.settings import Credentials
from pipe.errors import ConfigurationError, PipeError
from pipe.oci.reference import Reference
from pipe.registry import errors
from pipe.registry.answer import Answer
from pipe.registry.deadline import DeadlineAdapter, limited
from pipe.registry.environment import Environment, environment_of, is_loopback
from pipe.text import causes, clean, root_cause

Adapter = BaseAdapter
CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection, and for each part of a body to be accepted."""
READ_TIMEOUT = 30.0
"""Seconds to wait for a whole answer."""
LIMIT_MAXIMUM = 24 * 3600.0
"""Seconds that no request lasts; sockets take no unlimited timeout."""
ERROR_BODY = 64 * 1024
"""Bytes of an error's body that are read."""
_PIECE = 16 * 1024


class NoTLSError(Exception):
    """A server on a loopback host does not speak TLS."""


Body = bytes | Iterable[memoryview]


class Request(NamedTuple):
    """A request.

    Attributes:
        method: The HTTP method.
        url: Absolute, or a path of the registry; may have a query, to which `query` is added.
        headers: In addition to those of every request.
        query: Parameters of the URL.
        body: Bytes, or pieces that are sent one after the other, with `Content-Length` if the object has a `len()`,
            else with `Transfer-Encoding: chunked`.
        maximum: Bytes of the answer's body to read.
        timeout: Seconds for the whole answer, counted from the end of the body.
        limit: Seconds for the body and the answer; None if only `timeout` applies.
        follow: Whether a redirect to a trusted host is followed.
    """

    method: str
    url: str
    headers: Mapping[str, str] = MappingProxyType({})
    query: tuple[tuple[str, str], ...] = ()
    body: Body = b""
    maximum: int = ERROR_BODY
    timeout: float = READ_TIMEOUT
    limit: float | None = None
    follow: bool = False

    @property
    def whole(self) -> float:
        """Seconds for the body and the answer."""
        return self.timeout if self.limit is None else self.limit

    def within(self, seconds: float) -> "Request":
        """Return the request with at most so many seconds for the body and the answer."""
        return self._replace(limit=min(self.whole, seconds))


class Basic(HTTPBasicAuth):
    """Sends user name and token in UTF-8; requests would encode text in Latin-1."""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials.username.encode(), credentials.token.encode())


class Bearer(AuthBase):
    """Sends a bearer token or nothing; any such object keeps requests from reading ~/.netrc."""

    def __init__(self, token: str = "") -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header `Authorization`."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _NoCookies(RequestsCookieJar):
    """Drops every cookie: upload state belongs into the URLs."""

    def set_cookie(self, *_: object, **__: object) -> None:
        """Drop a cookie."""


class Transport:
    """Sends the requests of all threads over one pool of connections; redirects are answers like any other.

    Attributes:
        fastest: Seconds of the fastest answer so far, infinite before the first.
    """

    def __init__(  # noqa: PLR0913 # time and the network are passed in
        self,
        domain: str,
        user_agent: str,
        connections: int,
        *,
        trace: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        adapter: BaseAdapter | None = None,
    ) -> None:
        """Create a transport; nothing is sent yet.

        Args:
            domain: Host of the registry, for messages.
            user_agent: Header of each request.
            connections: Maximum number of connections to one host.
            trace: Receives a line for each request: method, path, status and time, never a query or a header.
            clock: Monotonic clock in seconds.
            adapter: Sends the requests instead of the network.
        """
        self._target = Reference(domain, "")
        self._trace = trace
        self._clock = clock
        self._session = requests.Session()
        self._session.headers["User-Agent"] = user_agent
        self._session.cookies = _NoCookies()
        self._adapter = adapter or DeadlineAdapter(connections)
        self._lock = threading.Lock()
        self.fastest = math.inf
        self._environments: dict[str, Environment] = {}

    def send(self, request: Request, auth: AuthBase) -> Answer:
        """Send one request, with an absolute URL, and return the answer, whatever its status.

        Raises:
            NoTLSError: A loopback host does not speak TLS.
            PipeError: There is no answer.
        """
        place = urlsplit(request.url)
        began = self._clock()
        whole = max(0.001, min(LIMIT_MAXIMUM, request.whole))
        answered = max(0.001, min(whole, request.timeout))
        outcome = "no answer"
        try:
            prepared = self._session.prepare_request(
                requests.Request(
                    request.method,
                    request.url,
                    headers=dict(request.headers),
                    # To find out whether anything but text can be read, requests loads Python's parser.
                    params=urlencode(request.query),
                    data=request.body,
                    auth=auth,
                )
            )
            timeout = min(CONNECT_TIMEOUT, whole), answered
            with (
                limited(whole, answered),
                self._adapter.send(prepared, stream=True, timeout=timeout, **self._environment(place)) as response,
            ):
                outcome = str(response.status_code)
                body, complete = _body(response, request.maximum)
            with self._lock:
                self.fastest = min(self.fastest, self._clock() - began)
            return Answer(response.status_code, response.headers, body, request.url, request.method, complete)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise no_answer(error, self._target, place.hostname or "", tls=place.scheme == "https") from error
        finally:
            self._trace(f"{request.method} {place.path} {outcome} {self._clock() - began:.3f} s")

    def open_ahead(self, base: str) -> None:
        """Open the connections to a host ahead of their requests, unless they go through a proxy."""
        environment = self._environment(urlsplit(base))
        if isinstance(self._adapter, DeadlineAdapter) and not select_proxy(base, environment["proxies"]):
            self._adapter.open_others(base, environment["verify"], CONNECT_TIMEOUT)

    def round_trip(self, base: str) -> float:
        """Return the shortest round trip of TCP to a host, in seconds; infinite if unknown, such as behind a proxy."""
        environment = self._environment(urlsplit(base))
        if not isinstance(self._adapter, DeadlineAdapter) or select_proxy(base, environment["proxies"]):
            return math.inf
        return self._adapter.round_trip(base, environment["verify"])

    def _environment(self, place: SplitResult) -> Environment:
        """Return a host's proxies and certificates; the environment is read once, since reading changes it briefly."""
        base = f"{place.scheme}://{place.netloc}"
        with self._lock:
            if base not in self._environments:
                self._environments[base] = environment_of(self._session, base, place.hostname or "")
            return self._environments[base]


def _body(response: requests.Response, maximum: int) -> tuple[bytes, bool]:
    """Read at most `maximum` bytes; return them, and whether they are all."""
    if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and response.request.method == "GET":
        # CNCF Distribution 2.8 announces the length of the blob here, and sends no body.
        return b"", False
    body = bytearray()
    while len(body) <= maximum:
        piece = response.raw.read1(min(_PIECE, maximum + 1 - len(body)), decode_content=True)
        if not piece:
            return bytes(body), True
        body += piece
    return bytes(body[:maximum]), False


def no_answer(error: Exception, target: Reference, host: str, *, tls: bool) -> Exception:
    """Return the error to raise for one that requests, or a library below it, raised.

    It is a `PipeError`, or `NoTLSError` if plain HTTP may work. `host` is the request's, and `target` is for messages.
    """
    reason = root_cause(error)
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return errors.certificate(target, reason)
    if tls and is_loopback(host) and isinstance(error, requests.ConnectionError) and not _never_connected(error):
        return NoTLSError(reason)
    if reason.startswith("[X509"):
        return ConfigurationError([f"REQUESTS_CA_BUNDLE names a file without a certificate in PEM form: {reason}"])
    if isinstance(error, requests.exceptions.SSLError) and not isinstance(causes(error)[-1], ssl.SSLEOFError):
        return errors.certificate(target, reason)
    if not isinstance(error, requests.RequestException | HTTPError):
        return ConfigurationError([f"REQUESTS_CA_BUNDLE names a file that cannot be read: {clean(str(error))}"])
    return _failure(error, target, host, reason)


def _never_connected(error: BaseException) -> bool:
    """Return whether a name did not resolve, a connection was refused, or connecting timed out."""
    for cause in causes(error):
        if isinstance(cause, NameResolutionError | ConnectionRefusedError):
            return True
        # In urllib3 a connection that fails for any other reason is a timeout as well.
        if isinstance(cause, ConnectTimeoutError) and not isinstance(cause, NewConnectionError):
            return True
    return False


def _failure(error: BaseException, target: Reference, host: str, reason: str) -> PipeError:
    """Return the error for a connection that was not made, or did not carry the whole answer in time."""
    if isinstance(error, requests.exceptions.ProxyError):
        return errors.proxy_failed(target, host, reason)
    if _never_connected(error):
        elsewhere = host != urlsplit(f"//{target.domain}").hostname
        return errors.unreachable(target, f"{host}: {reason}" if elsewhere else reason)
    words = f"the connection broke: {reason}"
    if isinstance(error, requests.Timeout):
        words = "no answer in time"
    elif isinstance(error, ReadTimeoutError):
        words = "the answer was not complete in time"
    return errors.registry_failed(target, words)
