"""Who sends a request under `/v2/`, and what an answer says to those who may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from registry.gateway.access import allowed_actions
from registry.gateway.errors import oci_error
from registry.gateway.login import authenticate
from registry.gateway.tokens import read_scopes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.gateway.context import Context
    from registry.gateway.tokens import Tokens
    from registry.gateway.world import Account

SERVICE = "bitbucket-packages"
TOKEN_PATH = "/token"  # noqa: S105 - a path, no secret


@dataclass(frozen=True, slots=True)
class Caller:
    """An account, by Basic credentials (`access` is None: no scope narrows it) or by a token."""

    account: Account
    access: Mapping[str, frozenset[str]] | None

    def in_scope(self, repository: str, action: str) -> bool:
        """Tell whether the credentials were asked for this action."""
        return self.access is None or action in self.access.get(repository, ())


class Gate:
    """Knows callers by their `Authorization` header and issues tokens to them."""

    def __init__(self, context: Context, tokens: Tokens) -> None:
        """Accept the world's accounts."""
        self._context = context
        self._tokens = tokens

    def caller(self, request: web.Request) -> Caller | None:
        """Return who sent a request; None without, or with unknown or expired credentials."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            account = authenticate(request, self._context.world)
            return Caller(account, None) if account else None
        token = self._tokens.read(text.strip())
        if token is None:
            return None
        account = self._context.world.accounts[token.account]
        return Caller(account, token.access)

    async def issue(self, request: web.Request) -> web.Response:
        """Answer `GET /token`: a token for what was asked for and is allowed."""
        account = authenticate(request, self._context.world)
        if account is None:
            given = "Authorization" in request.headers
            return oci_error(
                401,
                "UNAUTHORIZED",
                "incorrect user name or token" if given else "nothing can be had here without a login: `docker login`",
                headers={"WWW-Authenticate": f'Basic realm="{SERVICE}"'},
            )
        granted = {
            repository: allowed & actions
            for repository, actions in read_scopes(request.query.getall("scope", [])).items()
            if (allowed := self._allowed(account, repository))
        }
        lifetime = max(1, round(self._tokens.lifetime))
        text = self._tokens.issue(account.name, granted)
        return web.json_response({"token": text, "access_token": text, "expires_in": lifetime})

    def challenge(self, request: web.Request, scope: str, error: str = "") -> web.Response:
        """Answer 401 with where to get a token, and with which scope."""
        url = self._context.options.url or f"{request.scheme}://{request.host}"
        parts = [f'Bearer realm="{url}{TOKEN_PATH}"', f'service="{SERVICE}"']
        if scope:
            parts.append(f'scope="{scope}"')
        if error:
            parts.append(f'error="{error}"')
        return oci_error(
            401,
            "UNAUTHORIZED",
            "authentication required",
            headers={"WWW-Authenticate": ",".join(parts)},
        )

    def _allowed(self, account: Account, repository: str) -> frozenset[str]:
        package = self._context.packages.find(*repository.partition("/")[::2])
        return allowed_actions(account, package) if package else frozenset()
