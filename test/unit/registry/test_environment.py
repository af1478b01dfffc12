"""Which proxies and certificates requests to a host use, and which proxies the pipe cannot use."""

import pytest
import requests

from pipe.errors import ConfigurationError
from pipe.registry.environment import environment_of

VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
HOST = "crg.apkg.io"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def proxy_of(host: str) -> str | None:
    """Return the proxy of requests to a host over TLS."""
    return requests.utils.select_proxy(
        f"https://{host}", environment_of(requests.Session(), f"https://{host}", host)["proxies"]
    )


@pytest.mark.parametrize(
    "proxy",
    [
        "http://proxy:3128",
        "https://proxy",
        "HTTP://proxy:3128/",
        "proxy:3128",
        "proxy",
        "http://me:s3cr3t@10.0.0.1:3128",
        "http://me:s3cr3t%2F%40@[2001:db8::1]:3128",
    ],
)
@pytest.mark.parametrize("variable", VARIABLES)
def test_the_environment_names_a_proxy(monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str) -> None:
    monkeypatch.setenv(variable, proxy)
    assert proxy_of(HOST) == proxy
    assert proxy_of("localhost") is proxy_of("127.0.0.1") is None


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize(
    ("hosts", "direct"),
    [
        ("", False),
        ("example.com", False),
        ("kg.io", False),
        (HOST, True),
        ("example.com, apkg.io", True),
        (".apkg.io", True),
        ("*.apkg.io", True),
        ("*.example.com,*.apkg.io", True),
        ("*", True),
    ],
)
def test_hosts_without_a_proxy(monkeypatch: pytest.MonkeyPatch, name: str, hosts: str, direct: bool) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv(name, hosts)
    assert (proxy_of(HOST) is None) is direct


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        *(
            pytest.param(
                f"{scheme}://me:s3cr3t@proxy:1080", f"must begin with http:// or https://, not with {scheme}://."
            )
            for scheme in ("socks5", "socks5h", "SOCKS4", "ftp")
        ),
        *(
            pytest.param(proxy, "this is not the address of a proxy, such as http://proxy.example.com:3128.")
            for proxy in (
                "http://",
                "http://:3128",
                "http://proxy:port",
                "http://proxy:99999",
                "http://proxy:0",
                "http://proxy:3128\n",
                "http://proxy 3128",
                "http://[::1:3128",
                "http://a..b:3128",
                "http://me:s3cr3t/@proxy:3128",
                "me:s3cr3t#@proxy:3128",
                "me:s3cr3t://@proxy:3128",
                " ",
            )
        ),
    ],
)
@pytest.mark.parametrize("variable", VARIABLES)
def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str, words: str) -> None:
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(ConfigurationError) as raised:
        proxy_of(HOST)
    assert f"{variable}: " in str(raised.value)
    assert words in str(raised.value)
    assert str(raised.value).endswith(f"If {HOST} needs no proxy, add it to NO_PROXY.")
    assert "s3cr3t" not in str(raised.value)
    monkeypatch.setenv("NO_PROXY", HOST)
    assert proxy_of(HOST) is None
