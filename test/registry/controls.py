"""Any running registry, as tests see it: its controls, its log of requests, and logins to it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: a certificate with its key, and the authority that clients are to trust."""

    cert: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of the registry's log. Sizes in bytes, times in seconds."""

    method: str
    path: str
    user_agent: str
    account: str
    content_range: str
    patches: int
    mounts: str
    status: int | None
    received: int
    sent: int
    seconds: float
    state: str
    fault: int | None


class Registry:
    """A running registry and its controls: faults, and the log of requests."""

    def __init__(
        self,
        host: str,
        *,
        authority: Path | None = None,
        admin: tuple[str, str] = ("admin", "admin-token"),
    ) -> None:
        """Control the registry at `host` (`address:port`), over TLS if `authority` is given."""
        self.host = host
        self.url = f"{'https' if authority else 'http'}://{host}"
        self.authority = authority
        self._admin = admin

    def session(self, user: str = "", token: str | None = None) -> requests.Session:
        """Return a session to speak HTTP with; `user`'s token is `<user>-token` unless given."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.authority) if self.authority else True
        if user:
            session.auth = (user, f"{user}-token" if token is None else token)
        return session

    def bearer(self, user: str, *scopes: str, token: str | None = None) -> dict[str, str]:
        """Return the header with a new bearer token for `scopes` (`<workspace>/<package>:pull`)."""
        with self.session(user, token) as session:
            answer = session.get(
                f"{self.url}/token",
                params={"scope": [f"repository:{scope}" for scope in scopes]},
                timeout=_ANSWER_SECONDS,
            )
        answer.raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    def fault(self, **description: object) -> None:
        """Add a fault; README.md lists what a description may hold.

        Raises:
            ValueError: the registry does not understand it.

        """
        self._control("POST", "faults", json=description)

    def clear_faults(self) -> None:
        """Remove every fault."""
        self._control("DELETE", "faults")

    def requests(self, *, received: int = 0, **conditions: str) -> list[Entry]:
        """Return the logged requests that match the globs, oldest first."""
        query = {**conditions, "received": str(received)}
        return _entries(self._control("GET", "requests", params=query))

    def wait_for(self, *, count: int = 1, received: int = 0, timeout: float = 30, **conditions: str) -> list[Entry]:
        """Wait until `count` requests match, each with `received` bytes of body, and return them.

        A request that is still under way (`state="open"`) counts.

        Raises:
            TimeoutError: they did not come within `timeout` seconds; holds the whole log.

        """
        query = {
            **conditions,
            "received": str(received),
            "count": str(count),
            "timeout": str(timeout),
        }
        answer = self._control("GET", "requests", timeout, params=query)
        if not answer["met"]:
            log = "\n".join(str(entry) for entry in self.requests())
            raise TimeoutError(f"no {count} requests like {query}; the log:\n{log}")
        return _entries(answer)

    def quiet(self, seconds: float = 2, timeout: float = 30) -> bool:
        """Wait until no request came, moved a byte or ended for `seconds` from now on."""
        query = {"seconds": str(seconds), "timeout": str(timeout)}
        return bool(self._control("GET", "requests/quiet", timeout, params=query)["met"])

    def protect_tags(self, workspace: str, protect: str = "none", **settings: object) -> None:
        """Replace how a workspace protects its tags: by `rules`, `rejection`, `same_digest` as a world has them.

        Raises:
            ValueError: the registry does not understand it.

        """
        self._control("PUT", f"workspaces/{workspace}/tags", json={"protect": protect, **settings})

    @contextlib.contextmanager
    def protected_tags(self, workspace: str, protect: str = "all", **settings: object) -> Iterator[None]:
        """Protect a workspace's tags for a while, then go back to what was before."""
        before = self._control("GET", f"workspaces/{workspace}/tags")
        self.protect_tags(workspace, protect, **settings)
        try:
            yield
        finally:
            self._control("PUT", f"workspaces/{workspace}/tags", json=before)

    def clear(self) -> None:
        """Remove every fault, and every request from the log, those under way included."""
        self.clear_faults()
        self._control("DELETE", "requests")

    def ready(self) -> bool:
        """Tell whether the registry answers."""
        try:
            with self.session() as session:
                answer = session.get(f"{self.url}/v2/", timeout=_ANSWER_SECONDS)
        except requests.ConnectionError:
            return False
        return bool(answer.status_code == HTTPStatus.UNAUTHORIZED)

    def _control(
        self,
        method: str,
        path: str,
        timeout: float = 0,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        with self.session(*self._admin) as session:
            answer = session.request(
                method,
                f"{self.url}/api/{path}",
                params=params,
                json=json,
                timeout=timeout + _ANSWER_SECONDS,
            )
        body: dict[str, Any] = answer.json()
        if answer.status_code == HTTPStatus.BAD_REQUEST:
            raise ValueError(body["error"])
        answer.raise_for_status()
        return body


def _entries(answer: Mapping[str, Any]) -> list[Entry]:
    return [Entry(**entry) for entry in answer["requests"]]
