"""What failures of a connection mean, and what an answer says; requests themselves are tested with a registry."""

import socket
import ssl

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
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
from pipe.registry.transport import Answer, Basic, Bearer, NoTLSError, is_loopback, no_answer

TARGET = Reference("crg.apkg.io", "acme/app", "1")
CONNECTION = HTTPConnection("crg.apkg.io")
POOL = HTTPConnectionPool("crg.apkg.io")


def answer(body: bytes, status: int = 404) -> Answer:
    """Make an answer."""
    return Answer(status, {}, body, "https://crg.apkg.io/v2/")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b'{"errors":[{"code":"DENIED","message":"no"}]}', "no", id="message"),
        pytest.param(b'{"errors":[{"code":"DENIED","message":""}]}', "DENIED", id="code"),
        pytest.param(b'{"errors":[{"code":"A","message":"a"},{"code":"B","message":"b"}]}', "a; b", id="two"),
        pytest.param(b'{"errors":[]}', "HTTP 404", id="no-errors"),
        pytest.param(b"", "HTTP 404", id="nothing"),
        pytest.param(b"<html>\x1b[31m404</html>", "<html>404</html>", id="html"),
        pytest.param(b'{"message":"no"}', '{"message":"no"}', id="another-object"),
        pytest.param(b'{"errors":{"code":"x"}}', '{"errors":{"code":"x"}}', id="errors-of-another-type"),
        pytest.param(b'{"errors":[null]}', '{"errors":[null]}', id="null"),
        pytest.param(b"\xff\xfe", "\ufffd\ufffd", id="not-utf-8"),
        pytest.param(b"[" * 50_000, "[" * 299 + "…", id="deep"),
        pytest.param(b'{"errors":[{"message":"see https://h/p?_state=x"}]}', "see https://h/p?…", id="query"),
    ],
)
def test_the_words_of_an_answer(body: bytes, words: str) -> None:
    assert answer(body).message == words


@given(st.binary(max_size=100))
def test_any_answer_has_words(body: bytes) -> None:
    assert answer(body).message


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
RESET = ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        pytest.param(
            requests.ConnectionError(given_up(UNRESOLVED)), RegistryUnreachableError, "Name or service", id="no-name"
        ),
        pytest.param(
            requests.ConnectionError(given_up(refused())), RegistryUnreachableError, "Connection refused", id="refused"
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
            ReadTimeoutError(POOL, "/", "Read timed out."), RegistryFailedError, "timed out", id="body-timeout"
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
            requests.exceptions.ProxyError(given_up(refused())),
            RegistryFailedError,
            "the proxy of HTTPS_PROXY failed: Connection refused",
            id="proxy-refused",
        ),
        pytest.param(
            requests.exceptions.InvalidURL("http://h:port/"), RegistryFailedError, "http://h:port/", id="no-address"
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
