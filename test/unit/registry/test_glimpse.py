"""Repositories that are read by chance: one token for all, each question once, and no harm to the push itself."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from unit.http import HUNG, Outcome, Reply, Sent, cut, error_reply, sha256
from unit.registry.support import BASE, PATH, Registry

from pipe.errors import PipeError
from pipe.registry.glimpse import GLIMPSE_TIMEOUT, glimpse

REALM = f"{BASE}/token"
OTHERS = ("acme/one", "acme/two")
OWN = f"repository:{PATH}:pull,push"
ALL = [OWN, "repository:acme/one:pull", "repository:acme/two:pull"]
DIGEST = "sha256:" + "0" * 64


class Glimpsed(Registry):
    """A client whose push has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.server.realm = REALM
        self.repository.stat(DIGEST)
        self.others = glimpse(self.client, PATH, OTHERS)

    @property
    def requested(self) -> list[list[str]]:
        """The scopes of each token that was requested."""
        return [scopes(sent) for sent in self.server.matching("GET", "/token")]

    def tokens(self, method: str, path: str) -> list[str]:
        """Return the tokens of requests."""
        return [sent.authorization for sent in self.server.matching(method, path)]


def scopes(sent: Sent) -> list[str]:
    """Return the scopes that a token is requested for."""
    return parse_qs(urlsplit(sent.url).query)["scope"]


def failed(call: Callable[[], object]) -> bool:
    """Return whether a call fails."""
    try:
        call()
    except PipeError:
        return True
    return False


def test_one_token_serves_all_of_them_and_the_mounts_but_not_the_push() -> None:
    setup = Glimpsed()
    assert [other.manifest("1") for other in setup.others] == [None, None]
    for other in OTHERS:
        setup.repository.mount(DIGEST, other)
    setup.repository.stat(DIGEST)
    assert setup.requested == [[OWN], ALL]
    assert set(setup.tokens("GET", "*/manifests/1")) == {"Bearer token-2"}
    assert setup.tokens("POST", f"/v2/{PATH}/*") == ["Bearer token-2"] * 2
    assert setup.tokens("HEAD", f"/v2/{PATH}/*")[-1] == "Bearer token-1"


@pytest.mark.parametrize(
    "answer",
    [
        *(pytest.param(status, id=str(status)) for status in (400, 401, 403, 404, 500)),
        pytest.param(cut(), id="no-answer"),
    ],
)
def test_a_token_that_is_not_granted_is_requested_once(answer: Outcome) -> None:
    setup = Glimpsed()
    setup.server.on("GET", "/token", lambda sent: answer if len(scopes(sent)) > 1 else None)
    for other in setup.others:
        assert failed(lambda: other.manifest("1"))  # noqa: B023
    assert setup.requested == [[OWN], ALL]
    assert not setup.server.matching("GET", "*/manifests/1")
    setup.repository.stat(DIGEST)
    assert setup.tokens("HEAD", f"/v2/{PATH}/*")[-1] == "Bearer token-1"


@pytest.mark.parametrize("status", [403, 500])
def test_a_token_that_is_not_granted_does_not_matter_for_a_repository_that_is_known_otherwise(status: int) -> None:
    setup = Glimpsed()
    setup.server.on("GET", "/token", lambda sent: status if "repository:acme/two:pull" in scopes(sent) else None)
    assert failed(lambda: setup.others[0].manifest("1"))
    setup.server.mountable[OTHERS[0], sha256(b"layer")] = b"layer"
    assert setup.repository.mount(sha256(b"layer"), OTHERS[0])
    assert setup.requested == [[OWN], ALL, ALL[:2]]


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_does_not_allow_one_of_them_serves_the_other(status: int) -> None:
    setup = Glimpsed()
    challenge = f'Bearer realm="{REALM}",service="registry"'
    setup.server.on("GET", "/v2/acme/one/*", error_reply(status, "DENIED", WWW_Authenticate=challenge))
    one, two = setup.others
    assert failed(lambda: one.manifest("1"))
    assert two.manifest("1") is None
    assert setup.requested == [[OWN], ALL]


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(503, id="unavailable"),
        pytest.param(Reply(429, headers={"Retry-After": "7"}), id="too-many-requests"),
        pytest.param(cut(), id="cut"),
    ],
)
def test_a_question_is_sent_once_and_logs_nothing(outcome: Outcome) -> None:
    setup = Glimpsed()
    setup.server.on("GET", "/v2/acme/one/*", outcome)
    assert failed(lambda: setup.others[0].manifest("1"))
    assert len(setup.server.matching("GET", "/v2/acme/one/*")) == 1
    assert setup.clock.slept == []
    assert setup.messages.of("WARNING") + setup.messages.of("INFO") == []


@pytest.mark.parametrize("path", ["/v2/acme/one/*", "/token"], ids=["answer", "token"])
def test_a_slow_answer_is_not_awaited(path: str) -> None:
    setup = Glimpsed()
    setup.server.on("GET", path, HUNG)
    began = setup.clock()
    assert failed(lambda: setup.others[0].manifest("1"))
    assert setup.clock() - began <= GLIMPSE_TIMEOUT


def test_without_tokens_nothing_more_is_sent() -> None:
    setup = Registry()
    others = glimpse(setup.client, PATH, OTHERS)
    assert [other.manifest("1") for other in others] == [None, None]
    assert not setup.repository.mount(DIGEST, OTHERS[0])
    assert not setup.server.matching("GET", "/token")


def test_a_token_that_has_expired_is_renewed() -> None:
    setup = Glimpsed()
    setup.others[0].manifest("1")
    setup.clock.pass_by(3600)
    setup.others[1].manifest("1")
    assert setup.requested == [[OWN], ALL, ALL]


def test_the_next_image_has_a_token_that_serves_its_mounts() -> None:
    setup = Glimpsed()
    setup.others[0].manifest("1")
    [again] = glimpse(setup.client, "acme/next", OTHERS[:1])
    again.manifest("1")
    setup.client.repository("acme/next").mount(DIGEST, OTHERS[0])
    assert setup.requested == [[OWN], ALL, ["repository:acme/next:pull,push", "repository:acme/one:pull"]]


def test_a_token_that_was_not_granted_for_an_earlier_image_does_not_matter() -> None:
    setup = Glimpsed()
    setup.server.on("GET", "/token", lambda sent: 403 if len(scopes(sent)) > 2 else None)
    assert failed(lambda: setup.others[0].manifest("1"))
    [again] = glimpse(setup.client, PATH, OTHERS[:1])
    assert again.manifest("1") is None
    assert setup.requested == [[OWN], ALL, ALL[:2]]
