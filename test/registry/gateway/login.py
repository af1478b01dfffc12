"""Login by user name and token, as HTTP Basic carries it."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

    from registry.gateway.world import Account, World


def check(world: World, name: str, token: str) -> Account | None:
    """Return the account with that name and token, or None; takes the same time for any token."""
    account = world.accounts.get(name)
    expected = account.token if account else ""
    matches = hmac.compare_digest(expected.encode(), token.encode("utf-8", "surrogateescape"))
    return account if matches else None


def authenticate(request: web.Request, world: World) -> Account | None:
    """Return whose Basic credentials a request carries; None without, or with wrong ones."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, separator, token = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return check(world, name, token) if separator else None
