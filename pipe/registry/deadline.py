"""HTTP connections on which a request ends at its deadline, however slowly the other side reads or answers.

A socket's timeout starts again with each byte. Here each call to the socket gets only what is left until the deadline,
so that headers, chunk sizes, trailers and `100 Continue` cannot keep a request alive.
"""

import contextlib
import functools
import io
import math
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

from requests import Request
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import EmptyPoolError, HTTPError

from pipe.registry.dialing import DialedConnection
from pipe.registry.environment import trusting
from pipe.registry.tcp import shortest_round_trip
from pipe.threads import Pool

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from urllib3._base_connection import BaseHTTPConnection


class _Limits(threading.local):
    """Limits in seconds of the request that this thread sends."""

    whole: float = 60.0
    answer: float = 60.0


_limits = _Limits()


@contextlib.contextmanager
def limited(whole: float, answer: float) -> Iterator[None]:
    """Limit the requests that this thread sends within the context.

    Args:
        whole: Seconds for the body and the whole answer.
        answer: Seconds for the whole answer, counted from the end of the body.
    """
    before = _limits.whole, _limits.answer
    _limits.whole, _limits.answer = whole, answer
    try:
        yield
    finally:
        _limits.whole, _limits.answer = before


class DeadlineReader(io.RawIOBase):
    """Reads from a socket until a deadline."""

    def __init__(self, sock: socket.socket, deadline: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket = sock
        # Keeps the socket open until it is closed, also if the connection is closed first.
        self._file = sock.makefile("rb", buffering=0)
        self._deadline = deadline
        self._clock = clock

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Read once, waiting no longer than until the deadline."""
        self._socket.settimeout(left(self._deadline, self._clock))
        return self._file.readinto(buffer)

    def close(self) -> None:
        """Close the file that the socket waits for."""
        self._file.close()
        super().close()


def left(deadline: float, clock: Callable[[], float] = time.monotonic) -> float:
    """Return the seconds until a deadline; raise `TimeoutError` if it has passed."""
    seconds = deadline - clock()
    if seconds <= 0:
        raise TimeoutError("the answer was not complete in time")
    return seconds


class _Response(HTTPResponse):
    """An answer that must be complete at a deadline."""

    def __init__(
        self,
        sock: socket.socket,
        *args: Any,  # noqa: ANN401
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(DeadlineReader(sock, deadline, clock))

    def begin(self) -> None:
        """Read the status and the headers."""
        super().begin()
        # urllib3 would log a warning with the URL of the upload, which has private state, and a traceback.
        self.msg.defects.clear()
        self.msg.set_payload("")


class _Deadline(DialedConnection):
    """A connection that observes the limits of the thread that uses it."""

    deadline = float("inf")

    def connect(self) -> None:
        """Connect; a proxy's answer to CONNECT is part of it."""
        before = self.deadline
        self._until(time.monotonic() + (self.timeout or _limits.answer))
        super().connect()
        self._until(before)

    def request(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        """Send a request."""
        self._until(time.monotonic() + _limits.whole)
        super().request(*args, **options)

    def send(self, data: Any) -> None:  # noqa: ANN401
        """Send bytes; each part must be accepted within the connection's timeout."""
        if self.sock is None:
            self.connect()
        with memoryview(data).cast("B") as view:
            sent = 0
            while sent < len(view):
                self.sock.settimeout(min(self.timeout or _limits.answer, left(self.deadline)))
                try:
                    sent += self.sock.send(view[sent:])
                except TimeoutError:
                    self.lost_large_packets()
                    raise

    def getresponse(self) -> Any:  # noqa: ANN401
        """Read the status and the headers of the answer."""
        self._until(min(self.deadline, time.monotonic() + _limits.answer))
        return super().getresponse()

    def _tunnel(self) -> None:
        """Ask the proxy for a tunnel; urllib3 calls it a failure of the proxy only if the connection is closed."""
        try:
            super()._tunnel()
        except (OSError, HTTPException):
            self.close()
            raise

    def _until(self, deadline: float) -> None:
        self.deadline = deadline
        self.response_class = functools.partial(_Response, deadline=deadline)  # type: ignore[assignment]


class _SecureDeadline(_Deadline, HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        """Connect; all connections share the authorities, which urllib3 would read from their file for each."""
        if self.ssl_context is None and (self.proxy is None or self.proxy.scheme == "http"):
            self.ssl_context = trusting(self.ca_certs, self.ca_cert_dir)
            self.ca_certs = self.ca_cert_dir = None
        try:
            super().connect()
        except (TimeoutError, ConnectionError, ssl.SSLEOFError) as error:
            # Of the handshake: urllib3 has other errors for what comes before it.
            self.broke()
            if isinstance(error, TimeoutError):
                self.lost_large_packets()
            raise

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open: tickets of TLS 1.3 that came before the first answer do not end it."""
        # Asked once: a ticket may come at any moment.
        is_silent = super().is_connected
        if is_silent or not isinstance(self.sock, ssl.SSLSocket):
            return is_silent
        try:
            self.sock.settimeout(0)
            self.sock.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        # The end, or an answer to nothing.
        return False


class _Free(queue.LifoQueue[Any]):
    """Free connections; one that is open is used first, since a registry may not accept another one."""

    def _get(self) -> "BaseHTTPConnection | None":
        found: list[BaseHTTPConnection | None] = self.queue
        is_open = (number for number in reversed(range(len(found))) if (one := found[number]) and one.is_connected)
        return found.pop(next(is_open, -1))


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Deadline
    QueueCls = _Free


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureDeadline
    QueueCls = _Free

    def open_others(self, seconds: float) -> None:
        """Open all connections but the first in other threads; if that fails, a request opens its own."""
        free = []
        with contextlib.suppress(EmptyPoolError):
            while True:
                free.append(self._get_conn(timeout=0))
        # The first is left to the request that finds out what answers there.
        first = next((one for one in free if not one.is_closed), free[0] if free else None)
        others = [one for one in free if one.is_closed and one is not first]
        for one in free:
            if one not in others:
                self._put_conn(one)

        def open_one(connection: "BaseHTTPConnection") -> None:
            # Else it would wait without end; the request that uses the connection sets its own.
            connection.timeout = seconds
            try:
                with limited(seconds, seconds):
                    connection.connect()
            except (HTTPError, OSError):
                connection.close()
            finally:
                self._put_conn(connection)

        openers = Pool(max(1, len(others)), "connection")
        for one in others:
            openers.submit(functools.partial(open_one, one))
        openers.close()


class DeadlineAdapter(HTTPAdapter):
    """Sends requests on such connections, which all threads share."""

    def __init__(self, connections: int) -> None:
        """Create an adapter.

        Args:
            connections: Maximum number of connections to one host; more requests wait for a free one.
        """
        super().__init__(pool_maxsize=connections, pool_block=True)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        """Create the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        _with_deadlines(self.poolmanager)

    def open_others(self, url: str, verify: Any, seconds: float) -> None:  # noqa: ANN401
        """Open all direct connections over TLS but the first in other threads.

        Requests that are sent at the same time would each wait for the handshakes of a connection. If something is
        wrong, such as the authorities, the first request finds that out.

        Args:
            url: Of the host.
            verify: The trusted authorities, as requests takes them.
            seconds: Maximum time that it takes.
        """
        with contextlib.suppress(OSError):
            pool = self.get_connection_with_tls_context(Request("GET", url).prepare(), verify)
            self.cert_verify(pool, url, verify, None)  # type: ignore[no-untyped-call]
            if isinstance(pool, _SecurePool):
                pool.open_others(seconds)

    def round_trip(self, url: str, verify: Any) -> float:  # noqa: ANN401
        """Return the shortest round trip of a free direct connection to a host, infinite if unknown; see `tcp`."""
        pool = self.get_connection_with_tls_context(Request("GET", url).prepare(), verify)
        free = list(pool.pool.queue) if isinstance(pool, HTTPConnectionPool) and pool.pool else []
        return min((shortest_round_trip(one.sock) for one in free if one and one.sock), default=math.inf)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        _with_deadlines(manager)
        return manager


def _with_deadlines(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
