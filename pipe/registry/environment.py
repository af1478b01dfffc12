"""What the environment says about requests to one host: proxies and certificates."""

import ipaddress
import os
from typing import TypedDict

import requests
from requests.utils import select_proxy

from pipe.errors import ConfigurationError

_PROXY_SCHEMES = {"http", "https"}


class Environment(TypedDict):
    """What requests takes for each request to a host."""

    proxies: dict[str, str]
    verify: bool | str
    cert: None


def environment_of(session: requests.Session, base: str, host: str) -> Environment:
    """Read proxies and certificates for a host; `base` is its URL without a path.

    Raises:
        ConfigurationError: The proxy is of a kind that the pipe cannot use.
    """
    # As in Docker, requests to the same machine never go through a proxy.
    direct = {"no_proxy": host} if is_loopback(host) else {}
    found = session.merge_environment_settings(base, direct, stream=True, verify=None, cert=None)
    proxies = dict(found["proxies"])
    _check(select_proxy(base, proxies), host)
    return Environment(proxies=proxies, verify=found["verify"] or True, cert=None)


def _check(proxy: str | None, host: str) -> None:
    scheme, separator, _ = (proxy or "").partition("://")
    if separator and scheme.lower() not in _PROXY_SCHEMES:
        variable = next((name for name, value in os.environ.items() if value == proxy), "HTTPS_PROXY")
        problem = f"{variable}: the address of a proxy must begin with http:// or https://, not with {scheme}://."
        raise ConfigurationError([f"{problem} If {host} needs no proxy, add it to NO_PROXY."])


def is_loopback(host: str) -> bool:
    """Return whether a host, without a port, is `localhost` or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
