"""What failures of a connection mean, and what the environment may say about requests."""

import math
import os
import socket
import ssl
from typing import cast

import pytest
import requests
from unit.fakes import Unchecked
from unit.http import FakeHTTP, Reply, Sent
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from pipe.config.settings import Credentials
from pipe.errors import (
    CertificateError,
    ConfigurationError,
    RegistryFailedError,
    RegistryUnreachableError,
)
from pipe.oci.reference import Reference
from pipe.registry.environment import is_loopback
from pipe.registry.transport import Basic, Bearer, NoTLSError, Request, Transport, no_answer

TARGET = Reference("crg.apkg.io", "acme/app", "1")
CONNECTION = HTTPConnection("crg.apkg.io")
POOL = HTTPConnectionPool("crg.apkg.io")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        pytest.param("localhost", True, id="name"),
        pytest.param("127.0.0.1", True, id="address"),
        pytest.param("127.9.9.9", True, id="another-address-of-it"),
        pytest.param("::1", True, id="ipv6"),
        pytest.param("crg.apkg.io", False, id="registry"),
        pytest.param("localhost.evil.com", False, id="beginning-of-a-name"),
        pytest.param("127.0.0.1.evil.com", False, id="beginning-like-an-address"),
        pytest.param("10.0.0.1", False, id="private-address"),
        pytest.param("0.0.0.0", False, id="any-address"),  # noqa: S104
        pytest.param("2130706433", False, id="number"),
        pytest.param("", False, id="empty"),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


class Proxies(FakeHTTP):
    """Keeps the proxies and certificates of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.proxies: list[object] = []
        self.verify: list[object] = []

    def reply(self, sent: Sent) -> Reply:
        return Reply(200, b"x" * 100)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: object = None,
        verify: object = True,
        cert: object = None,
        proxies: object = None,
    ) -> requests.Response:
        self.proxies.append(requests.utils.select_proxy(str(request.url), cast("dict[str, str]", proxies)))
        self.verify.append(verify)
        return super().send(request, stream, timeout, verify, cert, proxies)


class Silent(FakeHTTP):
    """Never answers."""

    def reply(self, sent: Sent) -> Reply:
        raise requests.ConnectionError("reset")


def test_the_environment_names_proxies_and_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "https_proxy", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/ca.pem")
    network = Proxies()
    transport = Transport("crg.apkg.io", "test/1", 5, trace=lambda _: None, adapter=network)
    for base in ("https://crg.apkg.io", "https://127.0.0.1:5000", "http://localhost:5000", "https://[::1]:5000"):
        transport.send(Request("GET", f"{base}/v2/"), Bearer())
    assert network.proxies == ["http://proxy:3128", None, None, None]
    assert network.verify == ["/ca.pem"] * 4
    assert "no_proxy" not in os.environ


@pytest.mark.parametrize(
    ("query", "url"),
    [
        pytest.param((), "https://crg.apkg.io/v2/?n=1", id="none"),
        pytest.param(
            (("mount", "sha256:1"), ("from", "a/b c")),
            "https://crg.apkg.io/v2/?n=1&mount=sha256%3A1&from=a%2Fb+c",
            id="two",
        ),
    ],
)
def test_requests_need_not_find_out_what_can_be_read(
    monkeypatch: pytest.MonkeyPatch, query: tuple[tuple[str, str], ...], url: str
) -> None:
    monkeypatch.setattr("requests.models._SupportsRead", Unchecked)
    network = Proxies()
    transport = Transport("crg.apkg.io", "test/1", 5, trace=lambda _: None, adapter=network)
    transport.send(Request("GET", "https://crg.apkg.io/v2/?n=1", query=query), Bearer())
    assert network.sent[0].url == url


@pytest.mark.parametrize(
    ("maximum", "body", "complete"),
    [
        pytest.param(101, 100, True, id="smaller"),
        pytest.param(100, 100, True, id="exactly"),
        pytest.param(99, 99, False, id="cut"),
    ],
)
def test_a_body_is_cut_and_says_so(maximum: int, body: int, complete: bool) -> None:
    transport = Transport("crg.apkg.io", "test/1", 5, trace=lambda _: None, adapter=Proxies())
    answer = transport.send(Request("GET", "https://crg.apkg.io/v2/", maximum=maximum), Bearer())
    assert (len(answer.body), answer.complete) == (body, complete)


@pytest.mark.parametrize(
    ("timeout", "limit", "waited"),
    [
        pytest.param(30.0, None, 30.0, id="answer-only"),
        pytest.param(30.0, 420.0, 30.0, id="long-limit"),
        pytest.param(60.0, 12.0, 12.0, id="short-limit"),
        pytest.param(60.0, -3.0, 0.001, id="no-time-left"),
        pytest.param(float("inf"), float("inf"), 86400.0, id="for-ever"),
    ],
)
def test_an_answer_is_awaited_for_as_long_as_both_limits_allow(
    timeout: float, limit: float | None, waited: float
) -> None:
    network = Proxies()
    transport = Transport("crg.apkg.io", "test/1", 5, trace=lambda _: None, adapter=network)
    transport.send(Request("GET", "https://crg.apkg.io/v2/", timeout=timeout, limit=limit), Bearer())
    assert network.sent[0].timeout == waited


def test_the_fastest_answer_counts() -> None:
    times = iter([0.0, 0.3, 0.3, 1.0, 1.08, 1.08, 2.0, 2.5, 2.5])
    transport = Transport(
        "crg.apkg.io", "test/1", 5, trace=lambda _: None, clock=lambda: next(times), adapter=Proxies()
    )
    assert transport.fastest == math.inf
    seen = []
    for _ in range(3):
        transport.send(Request("GET", "https://crg.apkg.io/v2/"), Bearer())
        seen.append(round(transport.fastest, 2))
    assert seen == [0.3, 0.08, 0.08]


def test_a_request_without_an_answer_shows_no_round_trip() -> None:
    transport = Transport("crg.apkg.io", "test/1", 5, trace=lambda _: None, adapter=Silent())
    with pytest.raises(RegistryFailedError):
        transport.send(Request("GET", "https://crg.apkg.io/v2/"), Bearer())
    assert transport.fastest == math.inf


def test_bearer_shows_a_token_or_nothing() -> None:
    request = requests.Request("GET", "https://h/").prepare()
    assert "Authorization" not in Bearer()(request).headers
    assert Bearer("t")(request).headers["Authorization"] == "Bearer t"


def test_basic_is_in_utf_8() -> None:
    request = requests.Request("GET", "https://h/").prepare()
    assert Basic(Credentials("mé", "tökén$"))(request).headers["Authorization"] == "Basic bcOpOnTDtmvDqW4k"


def given_up(reason: Exception) -> MaxRetryError:
    """Wrap a reason as urllib3 does after its last retry."""
    return MaxRetryError(POOL, "/v2/", reason)


def refused() -> NewConnectionError:
    """Make what urllib3 raises for a refused connection."""
    error = NewConnectionError(CONNECTION, "Failed to establish a new connection: [Errno 111] Connection refused")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    return error


def no_route() -> NewConnectionError:
    """Make what urllib3 raises where there is no route."""
    error = NewConnectionError(CONNECTION, "Failed to establish a new connection: [Errno 113] No route to host")
    error.__cause__ = OSError(113, "No route to host")
    return error


UNRESOLVED = NameResolutionError("crg.apkg.io", CONNECTION, socket.gaierror(-2, "Name or service not known"))
UNTRUSTED = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1000)")
NO_TLS = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1000)")
END = ssl.SSLEOFError(8, "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)")
RESET = ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        pytest.param(
            requests.ConnectionError(given_up(UNRESOLVED)), RegistryUnreachableError, "Name or service", id="no-name"
        ),
        pytest.param(
            requests.ConnectionError(given_up(refused())), RegistryUnreachableError, "io refuses", id="refused"
        ),
        pytest.param(
            requests.ConnectTimeout(given_up(ConnectTimeoutError(CONNECTION, "timed out"))),
            RegistryUnreachableError,
            "timed out",
            id="connect-timeout",
        ),
        pytest.param(requests.ConnectionError(given_up(no_route())), RegistryFailedError, "No route", id="no-route"),
        pytest.param(requests.ReadTimeout("x"), RegistryFailedError, "no answer in time", id="read-timeout"),
        pytest.param(
            ReadTimeoutError(POOL, "/", "Read timed out."), RegistryFailedError, "complete in time", id="body-timeout"
        ),
        pytest.param(requests.ConnectionError(RESET), RegistryFailedError, "reset by peer", id="reset"),
        pytest.param(
            requests.exceptions.ChunkedEncodingError(ProtocolError("IncompleteRead")),
            RegistryFailedError,
            "the connection broke: IncompleteRead",
            id="broke-off",
        ),
        pytest.param(
            requests.exceptions.SSLError(given_up(UNTRUSTED)), CertificateError, "verify failed", id="untrusted"
        ),
        pytest.param(requests.exceptions.SSLError(given_up(NO_TLS)), CertificateError, "WRONG_VERSION", id="no-tls"),
        pytest.param(
            requests.exceptions.SSLError(given_up(END)), RegistryFailedError, "connection broke: [SSL", id="tls-ends"
        ),
        pytest.param(
            requests.exceptions.ProxyError(given_up(refused())),
            RegistryFailedError,
            "the proxy of HTTPS_PROXY failed: Connection refused\nCheck HTTPS_PROXY, and run the step again.",
            id="proxy-refused",
        ),
        pytest.param(
            requests.exceptions.InvalidURL("http://h:port/"), RegistryFailedError, "http://h:port/", id="no-address"
        ),
        pytest.param(
            requests.exceptions.SSLError(given_up(ssl.SSLError(1, "[X509] PEM lib"))),
            ConfigurationError,
            "REQUESTS_CA_BUNDLE names a file without a certificate in PEM form: [X509] PEM lib",
            id="no-certificate",
        ),
        pytest.param(
            OSError("Could not find a suitable TLS CA certificate bundle, invalid path: /gone"),
            ConfigurationError,
            "REQUESTS_CA_BUNDLE names a file that cannot be read",
            id="no-bundle",
        ),
    ],
)
def test_why_there_is_no_answer(error: Exception, kind: type[Exception], words: str) -> None:
    found = no_answer(error, TARGET, "crg.apkg.io", tls=True)
    assert type(found) is kind
    assert words in str(found)


def test_another_host_that_refuses_connections_is_named() -> None:
    found = no_answer(requests.ConnectionError(given_up(refused())), TARGET, "auth.example", tls=True)
    assert "crg.apkg.io: auth.example: Connection refused" in str(found)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(requests.exceptions.SSLError(given_up(NO_TLS)), NoTLSError, id="no-tls"),
        pytest.param(requests.ConnectionError(RESET), NoTLSError, id="reset"),
        pytest.param(requests.exceptions.SSLError(given_up(UNTRUSTED)), CertificateError, id="untrusted"),
        pytest.param(requests.ConnectionError(given_up(refused())), RegistryUnreachableError, id="refused"),
        pytest.param(requests.ReadTimeout("x"), RegistryFailedError, id="read-timeout"),
    ],
)
def test_only_a_loopback_host_that_speaks_no_tls_is_asked_in_plain_http(
    error: Exception, kind: type[Exception]
) -> None:
    assert type(no_answer(error, TARGET, "127.0.0.1", tls=True)) is kind
    assert not isinstance(no_answer(error, TARGET, "127.0.0.1", tls=False), NoTLSError)
    assert not isinstance(no_answer(error, TARGET, "10.0.0.1", tls=True), NoTLSError)
