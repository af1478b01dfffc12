"""Client of one registry: authenticated requests of all threads over one pool of connections, retried by one policy.

Source: opencontainers/distribution-spec, `spec.md`.
"""

import math
import random
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipe.config.settings import Credentials
from pipe.errors import PipeError
from pipe.oci.reference import Reference
from pipe.registry import errors
from pipe.registry.answer import Answer
from pipe.registry.authentication import Authentication, Listener, Scope, scope_of
from pipe.registry.environment import is_loopback
from pipe.registry.location import origin, resolve_location
from pipe.registry.redirects import Redirects
from pipe.registry.repository import Repository
from pipe.registry.run_clock import RunClock
from pipe.registry.transport import Adapter, Bearer, NoTLSError, Request, Transport
from pipe.retry import REQUEST_DELAY, RetryPolicy
from pipe.text import clean
from pipe.threads import Pool
from pipe.units import format_duration

if TYPE_CHECKING:
    from concurrent.futures import Future

CONNECTIONS = 6
"""Maximum number of connections: one for each thread that sends blobs (5), and one for questions."""
SHARED = 20
"""Maximum number of repositories for which one token is requested: its scopes stand in the URL."""
QUESTION_TRIES = 3
"""Times that a question is sent before its failure is raised; waits of about 1 and 2 seconds lie between."""
QUESTION_BUDGET = 30.0
"""Seconds after which a question is not sent again; a longer `Retry-After` is for the next attempt of the push."""
NEAR = 0.002
"""Seconds of a round trip within a data centre, and ten times that for an answer."""
_REDIRECTS = 3
"""Redirects of one request that are followed."""


class Client:
    """Sends requests to one registry; all threads may use it at the same time.

    Attributes:
        domain: Host of the registry, with an optional port.
        pool: Threads for questions; `CONNECTIONS` of them.
        clock: Monotonic clock in seconds.
        random: Returns a number from 0 up to 1.
        listener: Receives log lines.
        run_clock: The time of the run for everything but layers.
    """

    def __init__(  # noqa: PLR0913 # time, chance and the network are passed in
        self,
        domain: str,
        credentials: Credentials,
        user_agent: str,
        listener: Listener,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random.random,
        adapter: Adapter | None = None,
        run_clock: RunClock | None = None,
    ) -> None:
        """Create a client; nothing is sent yet.

        Args:
            domain: Host of the registry, with an optional port.
            credentials: For this registry only.
            user_agent: Header of each request.
            listener: Receives log lines, and the secrets that no output may show.
            clock: Monotonic clock in seconds.
            wait: Waits for seconds.
            random: Returns a number from 0 up to 1.
            adapter: Sends the requests instead of the network.
            run_clock: Of the run; a new one with the usual limit if it is None.
        """
        self.domain = domain
        self.pool = Pool(CONNECTIONS, "registry")
        self.clock = clock
        self.random = random
        self.listener = listener
        self.run_clock = run_clock or RunClock(clock)
        self._wait = wait
        self._token = credentials.token
        self._transport = Transport(domain, user_agent, CONNECTIONS, trace=listener.debug, clock=clock, adapter=adapter)
        self._authentication = Authentication(domain, credentials, self._transport, listener, clock)
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._base = ""
        self._early: Future[str] | None = None
        self._redirects = Redirects(domain, listener)
        self._repositories: dict[str, Repository] = {}

    def connect_early(self) -> None:
        """Start to connect in another thread; the first request waits for that, and fails if it fails."""
        self._early = self.pool.submit(self._connect_early)

    def share_token(self, paths: Iterable[str]) -> None:
        """Use one token for pushes to several repositories, if the registry grants it."""
        scopes = dict.fromkeys(scope for path in paths for scope in scope_of(path))
        self._authentication.share(tuple(scopes)[:SHARED])

    def repository(self, path: str) -> Repository:
        """Return the repository with this path, such as `acme/app`; always the same object."""
        with self._lock:
            if path not in self._repositories:
                self._repositories[path] = Repository(self, path)
            return self._repositories[path]

    @property
    def round_trip(self) -> float:
        """Seconds that the link's round trip takes at most: those of the fastest answer so far; 0 before the first."""
        fastest = self._transport.fastest
        return fastest if math.isfinite(fastest) else 0.0

    @property
    def is_near(self) -> bool:
        """Whether the registry, or the edge of its network, is in the same data centre, so that the link is fast."""
        return bool(self._base) and max(self._transport.round_trip(self._base), self.round_trip / 10) < NEAR

    def lend_token(self, scope: Scope) -> None:
        """Request one token, once, for what these scopes allow beyond the first; see `Authentication.lend`."""
        self._authentication.lend(scope)

    def connect(self) -> None:
        """Find out how to reach the registry, which the first request does otherwise.

        Raises:
            PipeError: No registry answers there.
        """
        with self.run_clock.waiting():
            self.pool.run(self._open)

    def ask(self, request: Request, scope: Scope) -> Answer:
        """Send a question, and again if that may help: another attempt of the push costs more.

        Args:
            request: A request that changes nothing, or nothing more if it is sent again.
            scope: What it needs.

        Returns:
            The answer, whose status is not temporary.

        Raises:
            PipeError: There is no answer, or the registry keeps failing.
        """
        retry = RetryPolicy(QUESTION_TRIES, self.random, first=REQUEST_DELAY)
        began = self.clock()
        with self.run_clock.waiting():
            while True:
                try:
                    answer = self._within_run(request, scope)
                    if not errors.is_temporary(answer.status):
                        return answer
                    failure = self.error(answer)
                except errors.NO_ANSWER as error:
                    failure = error
                budget = min(QUESTION_BUDGET - (self.clock() - began), self.run_clock.left())
                delay = retry.next_delay(failure, budget)
                # A registry that has not answered once may be none: the attempts of the push are for that.
                if delay is None or not self._base:
                    raise failure
                self.log_wait(delay, failure)
                self._wait(delay)

    def log_wait(self, seconds: float, failure: PipeError) -> None:
        """Log the wait before a request is sent again; at the usual level if the registry asked for it."""
        log = self.listener.debug if failure.retry_after is None else self.listener.info
        log(f"{failure.cause.rstrip('.')}; retrying in {format_duration(seconds)}.")

    def send(self, request: Request, scope: Scope, limit: float = math.inf) -> Answer:
        """Send a request once, in the time of the run; in the main thread, a signal can interrupt it.

        Args:
            request: Sent again if a token has expired, or after a redirect if the request follows it.
            scope: What it needs.
            limit: Seconds for all of this, with a token.

        Returns:
            The answer, whatever its status.

        Raises:
            RegistryTooSlowError: The run has no time left.
            PipeError: There is no answer.
        """
        with self.run_clock.waiting():
            return self._within_run(request, scope, limit)

    def upload(self, request: Request, scope: Scope) -> Answer:
        """Send a request of an upload once, in the time of its blob: with redirects, at most its `limit`."""
        end = self.clock() + request.whole
        return self.pool.run(partial(self._send, request, scope, lambda: end - self.clock()))

    def error(self, answer: Answer, path: str = "") -> PipeError:
        """Return the error that an answer about a repository means."""
        return errors.from_answer(Reference(self.domain, path), answer, self._token)

    def location(self, answer: Answer) -> str:
        """Return the address that an answer names for the next request of an upload; see `Redirects.location`."""
        return self._redirects.location(answer, self._base)

    @property
    def _target(self) -> Reference:
        return Reference(self.domain, "")

    def _within_run(self, request: Request, scope: Scope, limit: float = math.inf) -> Answer:
        what, end = f"{request.method} {request.url}", self.clock() + limit
        self.run_clock.check(what)
        try:
            return self.pool.run(
                partial(self._send, request, scope, lambda: min(self.run_clock.left(), end - self.clock()))
            )
        except errors.NO_ANSWER:
            # Perhaps the end of the run's time cut the request short.
            self.run_clock.check(what)
            raise

    def _send(self, request: Request, scope: Scope, left: Callable[[], float]) -> Answer:
        """Send a request with credentials to the registry's own host, without them to others."""
        base = self._open()
        if request.url.startswith("/"):
            request = request._replace(url=base + request.url)
        redirects = 0
        while True:
            own = origin(urlsplit(request.url)) == origin(urlsplit(base))
            authorization, renewed = self._authentication.authorize(scope, left) if own else (Bearer(), True)
            try:
                answer = self._transport.send(request.within(left()), authorization)
                if answer.status == HTTPStatus.UNAUTHORIZED and not renewed:
                    other = self._authentication.renew(answer, base, scope, authorization, left)
                    answer = self._transport.send(request.within(left()), other) if other else answer
            except NoTLSError as error:
                raise errors.registry_failed(self._target, f"the connection broke: {error}") from error
            following = self._redirects.followed(request, answer, base)
            if following is None or redirects == _REDIRECTS:
                return answer
            request, redirects = following, redirects + 1

    def _open(self) -> str:
        """Return scheme and host of the registry, found out once.

        Raises:
            PipeError: No registry answers there.
        """
        with self._opening:
            if not self._base:
                early, self._early = self._early, None
                self._base = early.result() if early else self._find_base()
            return self._base

    def _connect_early(self) -> str:
        base = f"https://{self.domain}"
        # A registry on this machine may not speak TLS.
        is_near = is_loopback(urlsplit(base).hostname or "")
        if not is_near:
            self._transport.open_ahead(base)
        found = self._find_base()
        if is_near and found == base:
            self._transport.open_ahead(base)
        return found

    def _find_base(self) -> str:
        try:
            return self._ping("https")
        except NoTLSError:
            return self._ping("http")

    def _ping(self, scheme: str) -> str:
        base = f"{scheme}://{self.domain}"
        answer = self._transport.send(Request("GET", f"{base}/v2/"), Bearer())
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._authentication.take(answer, base)
        elif answer.redirects:
            place = resolve_location(self._target, answer.url, answer.headers["Location"]).geturl()
            other = errors.not_a_registry(
                self._target, f"{answer.status} for /v2/, a redirect to {clean(place, lines=1)}"
            )
            raise errors.answered(other, answer)
        elif answer.status == HTTPStatus.NOT_FOUND or (answer.ok and answer.is_html):
            what = f"{answer.status} for /v2/" + (" with a web page" if answer.is_html else "")
            raise errors.answered(errors.not_a_registry(self._target, what), answer)
        elif answer.status != HTTPStatus.OK:
            raise self.error(answer)
        return base
