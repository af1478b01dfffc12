"""What the environment says about requests to one host: proxies and certificates."""

import functools
import ipaddress
import os
import re
import ssl
import threading
from typing import TypedDict
from urllib.parse import urlsplit

import requests
from requests.utils import select_proxy
from urllib3.exceptions import SSLError
from urllib3.util.ssl_ import create_urllib3_context

from pipe.errors import ConfigurationError

_PROXY_SCHEMES = {"http", "https"}
_EXAMPLE = "http://proxy.example.com:3128"
_reading = threading.Lock()
_ODD = r"[\s\x00-\x1f]"


class Environment(TypedDict):
    """What requests takes for each request to a host."""

    proxies: dict[str, str]
    verify: bool | str
    cert: None


def environment_of(session: requests.Session, base: str, host: str) -> Environment:
    """Read proxies and certificates for a host; `base` is its URL without a path.

    Raises:
        ConfigurationError: The address of the proxy is not valid, or the pipe cannot use a proxy of its kind.
    """
    # As in Docker, requests to the same machine never go through a proxy, and `*.example.com` stands for subdomains.
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    direct = {"no_proxy": host if is_loopback(host) else listed.replace("*.", ".")}
    found = session.merge_environment_settings(base, direct, stream=True, verify=None, cert=None)
    proxies = dict(found["proxies"])
    proxy = select_proxy(base, proxies)
    if proxy is not None:
        _check(proxy, host)
    return Environment(proxies=proxies, verify=found["verify"] or True, cert=None)


def _check(proxy: str, host: str) -> None:
    """Raise an error for a proxy that cannot be used; requests would call that a failure of the registry."""
    scheme, separator, rest = proxy.partition("://")
    known = not separator or scheme.lower() in _PROXY_SCHEMES
    if not known and scheme.isalnum():
        problem = f"the address of a proxy must begin with http:// or https://, not with {scheme}://."
    elif not known or not _is_authority(rest if separator else proxy):
        # Nothing of it is shown: a password may be a part.
        problem = f"this is not the address of a proxy, such as {_EXAMPLE}. A password must be percent-encoded."
    else:
        return
    variable = next((name for name, value in os.environ.items() if value == proxy), "HTTPS_PROXY")
    raise ConfigurationError([f"{variable}: {problem} If {host} needs no proxy, add it to NO_PROXY."])


def _is_authority(text: str) -> bool:
    """Return whether a text is a host with an optional port and credentials, perhaps with a path."""
    try:
        place = urlsplit(f"//{text}")
        return bool(place.hostname and place.port != 0 and place.hostname.encode("idna") and not re.search(_ODD, text))
    except ValueError:
        return False


def trusting(file: str | None, directory: str | None) -> ssl.SSLContext:
    """Return a context that trusts authorities; it is the same for all connections, since reading them takes a while.

    Raises:
        SSLError: They cannot be read.
    """
    with _reading:
        return _read(file, directory)


@functools.cache
def _read(file: str | None, directory: str | None) -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    try:
        context.load_verify_locations(file, directory)
    except OSError as error:
        raise SSLError(error) from error
    return context


def is_loopback(host: str) -> bool:
    """Return whether a host, without a port, is `localhost` or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
