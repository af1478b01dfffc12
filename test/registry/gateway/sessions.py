"""Who is looking at the pages: a signed cookie, and what keeps other sites from using it."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from registry.gateway.context import CONTEXT
from registry.gateway.forms import read_form
from registry.gateway.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.gateway.world import Account

LIFETIME = 12 * 3600.0
"""Seconds until a visitor has to log in again."""
COOKIE = "registry_session"


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor who has logged in."""

    account: Account
    form_token: str
    """Secret that every form carries: only a page of ours can have put it there."""


class Sessions:
    """Sessions live in their cookies; what is kept here is only which ones were ended."""

    def __init__(self) -> None:
        # A secret of its own: a token for the registry's API is no session.
        self._tokens = Tokens(LIFETIME, time.time)
        self._ended: set[str] = set()

    def find(self, request: web.Request) -> Session | None:
        """Return whose session the request belongs to."""
        token = self._tokens.read(request.cookies.get(COOKIE, ""))
        if token is None or token.identifier in self._ended:
            return None
        account = request.app[CONTEXT].world.accounts.get(token.account)
        return Session(account, token.identifier) if account else None

    def start(self, request: web.Request, response: web.StreamResponse, account: Account) -> None:
        """Log a visitor in."""
        response.set_cookie(
            COOKIE,
            self._tokens.issue(account.name, {}),
            max_age=int(LIFETIME),
            httponly=True,
            samesite="Lax",
            secure=over_tls(request),
        )

    def end(self, session: Session, response: web.StreamResponse) -> None:
        """Log a visitor out, also for whoever kept the cookie."""
        self._ended.add(session.form_token)
        response.del_cookie(COOKIE)


SESSIONS: web.AppKey[Sessions] = web.AppKey("sessions", Sessions)


def over_tls(request: web.Request) -> bool:
    """Tell whether browsers reach this registry by TLS: its own, or that of what stands before it."""
    return request.secure or request.app[CONTEXT].options.url.startswith("https:")


def from_own_page(request: web.Request) -> bool:
    """Tell whether a form was sent from a page of this host, as far as the browser says."""
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    return host != "" and host in (request.host, urlsplit(request.app[CONTEXT].options.url).netloc)


async def checked_form(request: web.Request, session: Session) -> Mapping[str, str] | None:
    """Return a form's fields, or None if another site may have sent it."""
    form = await read_form(request)
    token = form.get("form_token", "").encode()
    genuine = hmac.compare_digest(token, session.form_token.encode())
    return form if genuine and from_own_page(request) else None
