"""Bearer tokens: signed, and good for a while.

Flow: distribution/distribution, docs/content/spec/auth/token.md.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_SCOPE = re.compile(r"repository:(?P<name>[^:\s]+):(?P<actions>[a-z*]+(?:,[a-z*]+)*)")
_TEXT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says: whose it is and which actions on which repository it was asked for."""

    identifier: str
    account: str
    access: Mapping[str, frozenset[str]]


class Tokens:
    """Issues and reads tokens. A token lives for `lifetime` seconds of `clock`."""

    def __init__(self, lifetime: float, clock: Callable[[], float]) -> None:
        """Sign with a secret that only this process knows."""
        self.lifetime = lifetime
        self._clock = clock
        self._secret = secrets.token_bytes(32)

    def issue(self, account: str, access: Mapping[str, frozenset[str]]) -> str:
        """Return a new token's text."""
        claims = {
            "id": secrets.token_hex(8),
            "account": account,
            "access": {name: sorted(actions) for name, actions in access.items()},
            "expires": self._clock() + self.lifetime,
        }
        payload = _encode(json.dumps(claims).encode())
        return f"{payload}.{self._signature(payload)}"

    def read(self, text: str) -> Token | None:
        """Return what a token says; None if it is not ours, was changed, or ran out."""
        if _TEXT.fullmatch(text) is None:
            return None
        payload, _, signature = text.partition(".")
        if not hmac.compare_digest(signature, self._signature(payload)):
            return None
        claims = json.loads(_decode(payload))
        if claims["expires"] <= self._clock():
            return None
        access = {name: frozenset(actions) for name, actions in claims["access"].items()}
        return Token(claims["id"], claims["account"], access)

    def _signature(self, payload: str) -> str:
        return _encode(hmac.digest(self._secret, payload.encode(), "sha256"))


def read_scopes(texts: Iterable[str]) -> dict[str, frozenset[str]]:
    """Read `scope` parameters (`repository:<name>:pull,push`, several separated by spaces).

    What is no repository's scope is left out, as the specification lets a server grant less.
    """
    access: dict[str, frozenset[str]] = {}
    for text in texts:
        for part in text.split():
            if match := _SCOPE.fullmatch(part):
                actions = frozenset(match["actions"].split(","))
                access[match["name"]] = access.get(match["name"], frozenset()) | actions
    return access


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
