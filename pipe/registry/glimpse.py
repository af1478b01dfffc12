"""Repositories that are read by chance: their answers never delay a push much, and never fail it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipe.registry.answer import Answer
from pipe.registry.authentication import Scope, scope_of
from pipe.registry.repository import Repository
from pipe.registry.transport import Request

if TYPE_CHECKING:
    from pipe.registry.client import Client

GLIMPSE_TIMEOUT = 5.0
"""Seconds for the answer to a question, with its token."""


class _Glimpsed(Repository):
    """A repository that is only read, and each question of which is sent once."""

    def __init__(self, client: "Client", path: str) -> None:
        super().__init__(client, path)
        self._scope = scope_of(path, "pull")
        self._ask = self._ask_once

    def _ask_once(self, request: Request, scope: Scope) -> Answer:
        return self._client.send(request, scope, GLIMPSE_TIMEOUT)


def glimpse(client: "Client", path: str, others: Sequence[str]) -> list[Repository]:
    """Return repositories to read by chance.

    All questions and the mounts of their blobs use one token, which is requested once: if the registry does not grant
    it, they fail, and no other request does. `path` is that of the repository that mounts their blobs.
    """
    client.lend_token(scope_of(path) + tuple(scope for other in others for scope in scope_of(other, "pull")))
    return [_Glimpsed(client, other) for other in others]
