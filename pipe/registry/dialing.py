"""Connections that survive what lies between the pipe and the registry.

A silent address of a host does not hold up the others, and one that broke a handshake is tried last. A connection that
waits, for an Engine's push or for a registry's answer, is kept alive: routers and firewalls silently drop connections
that are idle for a few minutes. If large packets are lost, as in a tunnel whose routers do not report that, the next
connections send and receive smaller ones.
"""

import errno
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, LocationParseError, NameResolutionError, NewConnectionError

ATTEMPT_DELAY = 0.25
"""Seconds that an address has for itself before the next one is tried, too; source: RFC 8305, section 5."""
KEEP_ALIVE = 15
"""Seconds between probes of an idle connection; source: Go's `net.Dialer`, and so Docker Engine. Routers in clouds drop
connections that are idle for four to six minutes."""
SMALL_SEGMENT = 1220
"""Bytes of a TCP segment that every IPv6 link carries; source: RFC 8200, section 5: packets of 1280 bytes."""
_BEGUN = {0, errno.EINPROGRESS}
_KEPT_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_ALIVE),
)
_SMALL = ((socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT),)
_NO_LIMIT = 60.0
"""Seconds if nothing limits a connection."""


class Address(NamedTuple):
    """An address of a host.

    Attributes:
        family: The address family, such as `socket.AF_INET6`.
        place: What `socket.connect` takes.
    """

    family: int
    place: Any


def resolve(host: str, port: int) -> list[Address]:
    """Return a host's addresses: the families take turns, the preferred one first; source: RFC 8305, section 4.

    Raises:
        socket.gaierror: The name does not resolve.
    """
    families: dict[int, list[Address]] = {}
    for family, _, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        families.setdefault(family, []).append(Address(family, place))
    return [each for each in chain.from_iterable(zip_longest(*families.values())) if each]


def dial(
    addresses: Sequence[Address], timeout: float, options: Iterable[tuple[Any, ...]] = ()
) -> tuple[socket.socket, Address]:
    """Connect to the first address that accepts: each is tried once the one before it has failed, or is slow.

    Args:
        addresses: At least one.
        timeout: Seconds for all of them; afterwards, for each call to the socket.
        options: What `socket.setsockopt` takes.

    Returns:
        The connection and its address.

    Raises:
        TimeoutError: None has accepted in time.
        OSError: All have failed; the error is that of the first.
    """
    deadline = time.monotonic() + timeout
    waiting, failures = deque(addresses), list[OSError]()
    with selectors.DefaultSelector() as attempts:
        try:
            while waiting or attempts.get_map():
                if waiting:
                    _begin(waiting.popleft(), options, attempts, failures)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError("timed out")
                connected = _connected(attempts, min(left, ATTEMPT_DELAY) if waiting else left, failures)
                if connected is not None:
                    connected[0].settimeout(timeout)
                    return connected
        finally:
            for key in list(attempts.get_map().values()):
                key.data[0].close()
    raise failures[0]


def _begin(
    address: Address, options: Iterable[tuple[Any, ...]], attempts: selectors.BaseSelector, failures: list[OSError]
) -> None:
    """Begin an attempt, or note why it failed at once, such as without a route."""
    try:
        attempt = socket.socket(address.family, socket.SOCK_STREAM)
    except OSError as error:
        failures.append(error)
        return
    for option in options:
        attempt.setsockopt(*option)
    attempt.settimeout(0)
    code = attempt.connect_ex(address.place)
    if code in _BEGUN:
        attempts.register(attempt, selectors.EVENT_WRITE, (attempt, address))
    else:
        attempt.close()
        failures.append(OSError(code, os.strerror(code)))


def _connected(
    attempts: selectors.BaseSelector, seconds: float, failures: list[OSError]
) -> tuple[socket.socket, Address] | None:
    """Return the first attempt that succeeds within some seconds; note and drop those that fail."""
    if not attempts.get_map():
        return None
    for key, _ in attempts.select(seconds):
        attempt, address = key.data
        attempts.unregister(attempt)
        code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            return attempt, address
        attempt.close()
        failures.append(OSError(code, os.strerror(code)))
    return None


_losing = set[tuple[str, int]]()
"""Hosts and ports to or from which large packets are lost."""
_broken = dict[Address, float]()
"""Times at which addresses last broke a handshake."""


class DialedConnection(HTTPConnection):
    """A connection to the first address of its host that accepts; its errors are those of urllib3."""

    address: Address | None = None

    def broke(self) -> None:
        """Note that the address of this connection must be tried after the others, such as that of a dead backend."""
        if self.address:
            _broken[self.address] = time.monotonic()

    def lost_large_packets(self) -> None:
        """Note that further connections to this host must send and receive small packets."""
        _losing.add((self._dns_host, self.port))

    def _new_conn(self) -> socket.socket:
        host = self._dns_host.strip("[]")
        small = _SMALL if (self._dns_host, self.port) in _losing else ()
        options = (*(self.socket_options or ()), *_KEPT_ALIVE, *small)
        try:
            addresses = sorted(resolve(host, self.port), key=lambda address: _broken.get(address, 0.0))
            connected, self.address = dial(addresses, float(self.timeout or _NO_LIMIT), options)
        except UnicodeError as error:
            raise LocationParseError(host) from error
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"{self.host} did not accept a connection in time") from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error
        return connected
