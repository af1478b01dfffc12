"""One token for several repositories, as far as the registry grants it."""

from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

import pytest
from unit.http import Reply, Sent, error_reply
from unit.registry.support import BASE, Registry

from pipe.errors import CredentialsRefusedError
from pipe.registry.client import SHARED

REALM = f"{BASE}/token"
PATHS = ("acme/api", "acme/worker")


def scope(path: str, actions: str = "pull,push") -> str:
    """Return the scope of requests to a repository."""
    return f"repository:{path}:{actions}"


BOTH = [scope(path) for path in PATHS]


class Shared(Registry):
    """A client that shares its token between repositories."""

    def __init__(self, paths: Sequence[str] = PATHS) -> None:
        super().__init__()
        self.server.realm = REALM
        self.client.share_token(paths)

    @property
    def requested(self) -> list[list[str]]:
        """The scopes of each token that was requested."""
        return [scopes(sent) for sent in self.server.matching("GET", "/token")]

    def tokens(self, path: str) -> list[str]:
        """Return the tokens of the requests to a repository."""
        return [sent.authorization for sent in self.server.matching("HEAD", f"/v2/{path}/*")]


def scopes(sent: Sent) -> list[str]:
    """Return the scopes that a token is requested for."""
    return parse_qs(urlsplit(sent.url).query)["scope"]


def stat(setup: Shared, *paths: str) -> None:
    """Ask each repository for a blob."""
    for path in paths:
        setup.client.repository(path).stat("sha256:" + "0" * 64)


def test_one_token_serves_all_repositories_and_mounts_between_them() -> None:
    setup = Shared()
    stat(setup, *PATHS)
    setup.client.repository(PATHS[1]).mount("sha256:" + "0" * 64, PATHS[0])
    assert setup.requested == [BOTH]
    assert {token for path in PATHS for token in setup.tokens(path)} == {"Bearer token-1"}


def test_another_repository_gets_its_own_token() -> None:
    setup = Shared()
    stat(setup, PATHS[0], "acme/other")
    setup.client.repository(PATHS[0]).mount("sha256:" + "0" * 64, "acme/other")
    assert setup.requested == [BOTH, [scope("acme/other")], [BOTH[0], scope("acme/other", "pull")]]


def test_a_repository_that_the_token_does_not_allow_gets_its_own() -> None:
    setup = Shared()

    def rejected(sent: Sent) -> Reply | None:
        if sent.authorization == "Bearer token-1":
            return error_reply(401, "UNAUTHORIZED", WWW_Authenticate=f'Bearer realm="{REALM}",service="registry"')
        return None

    setup.server.on("HEAD", f"/v2/{PATHS[1]}/*", rejected)
    stat(setup, *PATHS, *PATHS)
    assert setup.requested == [BOTH, [BOTH[1]]]
    assert setup.tokens(PATHS[0]) == ["Bearer token-1"] * 2
    assert setup.tokens(PATHS[1]) == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_token_server_that_grants_no_common_token_is_asked_for_single_ones(status: int) -> None:
    setup = Shared()
    setup.server.on("GET", "/token", lambda sent: status if len(scopes(sent)) > 1 else None)
    stat(setup, *PATHS)
    assert setup.requested == [BOTH, [BOTH[0]], [BOTH[1]]]


def test_credentials_that_are_rejected_are_sent_once_more_for_each_repository() -> None:
    setup = Shared()
    setup.server.on("GET", "/token", 401)
    for path in (PATHS[0], *PATHS):
        with pytest.raises(CredentialsRefusedError):
            stat(setup, path)
    assert setup.requested == [BOTH, [BOTH[0]], [BOTH[1]]]


def test_an_expired_token_is_renewed_for_all() -> None:
    setup = Shared()
    stat(setup, PATHS[0])
    setup.clock.now += 60
    stat(setup, *PATHS)
    assert setup.requested == [BOTH, BOTH]
    assert setup.tokens(PATHS[1]) == ["Bearer token-2"]


def test_the_scopes_of_a_common_token_are_limited() -> None:
    paths = [f"acme/{number}" for number in range(SHARED + 1)]
    setup = Shared(paths)
    stat(setup, paths[0], paths[-1])
    assert setup.requested == [[scope(path) for path in paths[:SHARED]], [scope(paths[-1])]]


def test_one_repository_needs_no_more_than_its_own_token() -> None:
    setup = Shared((PATHS[0],))
    stat(setup, PATHS[0])
    assert setup.requested == [[BOTH[0]]]
