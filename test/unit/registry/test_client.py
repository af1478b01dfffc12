"""Who receives credentials and layers, and how a client authenticates, waits and retries."""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import requests
from unit.fakes import Messages
from unit.http import HUNG, FakeHTTP, Reply, Sent, cut, error_reply, json_reply
from unit.registry.support import BASE, BASIC, CREDENTIALS, DOMAIN, PATH, UPLOADS, Registry, Setup

from pipe.errors import (
    ConfigurationError,
    CredentialsRefusedError,
    ImageRefusedError,
    PackageNotFoundError,
    PipeError,
    PushDeniedError,
    RegistryFailedError,
    RegistryUnreachableError,
    UntrustedHostError,
)
from pipe.registry.client import Client

DIGEST = "sha256:" + "d" * 64
Answers = dict[str, Reply | Exception | list[Reply | Exception]]


class Script(FakeHTTP):
    """Replies from a table: method and URL without the query, or `*` for any other request."""

    def __init__(self, answers: Answers, wait: Callable[[float], None] = lambda _: None) -> None:
        super().__init__(wait)
        self._answers = {key: each if isinstance(each, list) else [each] for key, each in answers.items()}

    def reply(self, sent: Sent) -> Reply:
        answers = self._answers[f"{sent.method} {sent.host}{sent.path}"]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Each request, and the credentials that it had."""
        return [(f"{each.method} {each.host}{each.path}", each.authorization) for each in self.sent]


def reply(status: int, content: object = None, **headers: str) -> Reply:
    """Make an answer."""
    made = json_reply(status, content, **headers)
    return made if content is not None else replace(made, body=b"")


def challenge(realm: str) -> Reply:
    """Demand a bearer token of a realm."""
    return reply(401, WWW_Authenticate=f'Bearer realm="{realm}",service="registry",scope="ignored"')


def scripted(answers: Answers, domain: str = DOMAIN) -> tuple[Setup, Script]:
    """Set up a client of a server that answers so."""
    script = Script(answers)
    setup = Setup(script, domain)
    script._wait = setup.clock.pass_by  # noqa: SLF001
    return setup, script


V2, POST = f"GET {BASE}/v2/", f"POST {BASE}{UPLOADS}"
HEAD, GET = f"HEAD {BASE}/v2/{PATH}/blobs/{DIGEST}", f"GET {BASE}/v2/{PATH}/manifests/1"
ACCEPTED = reply(202, Location=f"{UPLOADS}x?_state=y")
FOUND = reply(200)


def test_basic_credentials_are_sent_after_a_challenge_only() -> None:
    setup, script = scripted({V2: reply(401, WWW_Authenticate='Basic realm="r"'), POST: ACCEPTED})
    setup.repository.check_push()
    assert script.shown == [(V2, ""), (POST, BASIC)]
    assert setup.messages.of("INFO") == []


def test_without_a_challenge_no_credentials_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests.sessions, "get_netrc_auth", lambda _: ("netrc", "secret"))
    setup, script = scripted({V2: reply(200), POST: ACCEPTED})
    setup.repository.check_push()
    assert script.shown == [(V2, ""), (POST, "")]


def test_a_bearer_token_is_requested_for_this_repository() -> None:
    realm = f"{BASE}/token"
    setup, script = scripted({V2: challenge(realm), f"GET {realm}": reply(200, {"token": "t"}), POST: ACCEPTED})
    setup.repository.check_push()
    assert script.shown == [(V2, ""), (f"GET {realm}", BASIC), (POST, "Bearer t")]
    assert urlsplit(script.sent[1].url).query == "service=registry&scope=repository%3Aacme%2Fapp%3Apull%2Cpush"
    assert setup.messages.of("INFO") == []


def test_a_connection_that_was_opened_early_serves_the_first_request() -> None:
    setup, script = scripted({V2: reply(401, WWW_Authenticate='Basic realm="r"'), POST: ACCEPTED})
    setup.client.connect_early()
    setup.client.pool.run(lambda: None)
    setup.repository.check_push()
    assert script.shown == [(V2, ""), (POST, BASIC)]


def test_an_early_failure_is_that_of_the_first_request_only() -> None:
    setup, script = scripted({V2: [reply(404), reply(200)], POST: ACCEPTED})
    setup.client.connect_early()
    with pytest.raises(ImageRefusedError, match="404"):
        setup.repository.check_push()
    assert script.shown == [(V2, "")]
    setup.repository.check_push()
    assert script.shown == [(V2, ""), (V2, ""), (POST, "")]


@pytest.mark.parametrize("early", [False, True], ids=["usual", "early"])
@pytest.mark.parametrize("domain", [DOMAIN, "localhost:1"], ids=["far", "near"])
def test_authorities_that_cannot_be_read_are_explained(
    monkeypatch: pytest.MonkeyPatch, domain: str, early: bool
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/authorities.pem")
    client = Client(domain, CREDENTIALS, "test/1", Messages())
    if early:
        client.connect_early()
    with pytest.raises(ConfigurationError, match=r"REQUESTS_CA_BUNDLE .*/nowhere/authorities\.pem"):
        client.connect()


def test_requests_of_all_threads_wait_for_the_early_connection() -> None:
    setup, script = scripted({V2: reply(200), HEAD: FOUND})
    setup.client.connect_early()
    setup.client.pool.gather([lambda: setup.repository.stat(DIGEST)] * 10)
    assert script.shown == [(V2, ""), *[(HEAD, "")] * 10]


@pytest.mark.parametrize(
    ("realm", "outcome"),
    [
        pytest.param(f"{BASE}/token", None, id="the-registry-itself"),
        pytest.param("/token", None, id="relative"),
        pytest.param("https://CRG.apkg.io:443/token", None, id="the-registry-otherwise-written"),
        pytest.param("https://auth.example.com/token", "auth.example.com", id="another-host-over-tls"),
        pytest.param("https://crg.apkg.io:8443/token", "crg.apkg.io:8443", id="another-port-over-tls"),
        pytest.param("http://crg.apkg.io/token", UntrustedHostError, id="the-registry-without-tls"),
        pytest.param("http://auth.example.com/token", UntrustedHostError, id="another-host-without-tls"),
        pytest.param("http://127.0.0.1/token", UntrustedHostError, id="loopback-from-outside"),
        pytest.param("ftp://auth.example.com/token", UntrustedHostError, id="another-scheme"),
        pytest.param("https://crg.apkg.io@evil.com/token", "evil.com", id="user-in-the-realm"),
        pytest.param("https://[::1/token", RegistryFailedError, id="no-address"),
        pytest.param("https://h:99999/token", RegistryFailedError, id="no-port"),
    ],
)
def test_who_may_receive_the_credentials(realm: str, outcome: str | type[PipeError] | None) -> None:
    class Anywhere(FakeHTTP):
        def reply(self, sent: Sent) -> Reply:
            if sent.path == "/v2/":
                return challenge(realm)
            return ACCEPTED if sent.path == UPLOADS else reply(200, {"token": "t"})

    setup = Setup(Anywhere())
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            setup.repository.check_push()
        assert [each.path for each in setup.server.sent] == ["/v2/"]
        return
    setup.repository.check_push()
    assert [(each.path, each.authorization.partition("@")[0]) for each in setup.server.sent] == [
        ("/v2/", ""),
        ("/token", BASIC),
        (UPLOADS, "Bearer t"),
    ]
    expected = f"Sending the credentials to {outcome}, the token server of {DOMAIN}."
    assert setup.messages.of("INFO") == ([expected] if outcome else [])


NO_TLS = requests.exceptions.SSLError("[SSL: WRONG_VERSION_NUMBER]")
UNTRUSTED = requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED]")


def test_plain_http_is_for_a_loopback_host_without_tls() -> None:
    realm, base = "http://127.0.0.1:5001/token", "http://127.0.0.1:5000"
    setup, script = scripted(
        {
            "GET https://127.0.0.1:5000/v2/": NO_TLS,
            f"GET {base}/v2/": challenge(realm),
            f"GET {realm}": reply(200, {"access_token": "t"}),
            f"POST {base}{UPLOADS}": ACCEPTED,
        },
        "127.0.0.1:5000",
    )
    setup.repository.check_push()
    assert script.shown[-1] == (f"POST {base}{UPLOADS}", "Bearer t")


def test_a_connection_that_breaks_later_is_no_lack_of_tls() -> None:
    setup, _ = scripted(
        {"GET https://127.0.0.1/v2/": reply(200), f"POST https://127.0.0.1{UPLOADS}": cut()}, "127.0.0.1"
    )
    with pytest.raises(RegistryFailedError, match="the connection broke"):
        setup.repository.check_push()


def test_a_foreign_realm_of_a_loopback_registry_is_rejected() -> None:
    setup, script = scripted(
        {"GET https://127.0.0.1/v2/": NO_TLS, "GET http://127.0.0.1/v2/": challenge("https://evil.com/token")},
        "127.0.0.1",
    )
    with pytest.raises(UntrustedHostError):
        setup.repository.check_push()
    assert [shown for _, shown in script.shown] == ["", ""]


@pytest.mark.parametrize(
    ("realm", "words"),
    [
        pytest.param("https://auth.example.com/token", "its certificate is not trusted", id="another-host"),
        pytest.param(f"{BASE}/token", "CERTIFICATE_VERIFY_FAILED", id="the-registry"),
    ],
)
def test_a_realm_with_an_untrusted_certificate(realm: str, words: str) -> None:
    setup, _ = scripted({V2: challenge(realm), f"GET {realm}": UNTRUSTED})
    with pytest.raises(PipeError, match=words):
        setup.repository.check_push()


@pytest.mark.parametrize(
    ("location", "trusted"),
    [
        pytest.param(f"{UPLOADS}x", True, id="relative"),
        pytest.param(f"{BASE}/v2/x?_state=y", True, id="the-registry"),
        pytest.param("", True, id="none"),
        pytest.param("https://evil.com/v2/x", False, id="another-host"),
        pytest.param("http://crg.apkg.io/v2/x", False, id="without-tls"),
        pytest.param("//evil.com/v2/x", False, id="another-host-likewise"),
    ],
)
def test_a_push_whose_layers_would_go_elsewhere_is_not_allowed(location: str, trusted: bool) -> None:
    setup, _ = scripted({V2: reply(200), POST: reply(202, Location=location)})
    if trusted:
        setup.repository.check_push()
    else:
        with pytest.raises(UntrustedHostError) as raised:
            setup.repository.check_push()
        assert raised.value.exit_code == 4


PAGE = Reply(404, b"<html><title>Not found</title>", {"Content-Type": "text/html; charset=utf-8"})
LOGIN = Reply(200, b"<html><title>Log in</title>", {"Content-Type": "text/html"})


@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        pytest.param({POST: reply(401)}, CredentialsRefusedError, "", id="401"),
        pytest.param({POST: reply(403)}, PushDeniedError, "write access", id="403"),
        pytest.param({POST: reply(404)}, PackageNotFoundError, "Create it once", id="404"),
        pytest.param({POST: reply(500)}, RegistryFailedError, "HTTP 500", id="500"),
        pytest.param(
            {POST: reply(301, Location="https://h/login?next=x")},
            ImageRefusedError,
            "to https://h/login",
            id="redirect",
        ),
        pytest.param({POST: reply(200)}, ImageRefusedError, "", id="200-is-no-upload"),
        pytest.param({POST: PAGE}, ImageRefusedError, "Not found. This is not a container registry", id="web-page"),
        pytest.param({V2: reply(404)}, ImageRefusedError, "This is not a container registry", id="no-registry"),
        pytest.param({V2: PAGE}, ImageRefusedError, "with a web page. This is not", id="no-registry-but-a-page"),
        pytest.param({V2: LOGIN}, ImageRefusedError, "with a web page. This is not", id="login-page"),
        pytest.param(
            {V2: reply(302, Location="/login?from=v2")},
            ImageRefusedError,
            "a redirect to https://crg.apkg.io/login?….",
            id="redirect-to-a-login-page",
        ),
        pytest.param({V2: reply(403)}, PushDeniedError, "", id="403-at-once"),
        pytest.param({V2: reply(503)}, RegistryFailedError, "", id="503-at-once"),
        pytest.param(
            {
                POST: reply(401, WWW_Authenticate='Bearer realm="/t",error="insufficient_scope"'),
                f"GET {BASE}/t": reply(200, {"token": "t"}),
            },
            PushDeniedError,
            "write access",
            id="insufficient-scope",
        ),
    ],
)
def test_what_a_check_that_fails_means(answers: Answers, kind: type[PipeError], words: str) -> None:
    setup, script = scripted({V2: reply(200), POST: ACCEPTED} | answers)
    with pytest.raises(PipeError) as raised:
        setup.repository.check_push()
    assert type(raised.value) is kind
    assert words in str(raised.value)
    last = script.sent[-1]
    expected = answers[f"{last.method} {last.host}{last.path}"]
    assert isinstance(expected, Reply)
    assert raised.value.status == expected.status


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(error_reply(401, "UNAUTHORIZED", "bad token"), CredentialsRefusedError, id="401"),
        pytest.param(reply(403), CredentialsRefusedError, id="403"),
        pytest.param(reply(400), CredentialsRefusedError, id="400"),
        pytest.param(reply(500), RegistryFailedError, id="500"),
        pytest.param(reply(200, {}), RegistryFailedError, id="no-token"),
        pytest.param(reply(200, {"token": 3}), RegistryFailedError, id="token-of-another-type"),
        pytest.param(reply(200, {"token": "t" * 65_537}), RegistryFailedError, id="token-too-long"),
        pytest.param(Reply(200, b"<html>"), RegistryFailedError, id="no-json"),
        pytest.param(reply(200, [1]), RegistryFailedError, id="list"),
        pytest.param(reply(302, Location="https://evil.com/"), RegistryFailedError, id="redirect"),
    ],
)
def test_what_a_realm_without_token_means(answer: Reply, kind: type[PipeError]) -> None:
    realm = f"{BASE}/token"
    setup, script = scripted({V2: challenge(realm), f"GET {realm}": answer})
    with pytest.raises(PipeError) as raised:
        setup.repository.check_push()
    assert type(raised.value) is kind
    assert raised.value.status == answer.status
    assert "s3cr3t" not in str(raised.value)
    assert len(script.sent) == 2


@pytest.mark.parametrize(
    ("lifetime", "seconds", "renewed"),
    [
        pytest.param({"expires_in": 100}, 89, False, id="before-nine-tenths"),
        pytest.param({"expires_in": 100}, 90, True, id="at-nine-tenths"),
        pytest.param({}, 53, False, id="a-minute-by-default"),
        pytest.param({}, 54, True, id="after-a-minute-by-default"),
        pytest.param({"expires_in": "soon"}, 54, True, id="no-number"),
        pytest.param({"expires_in": -5}, 53, False, id="negative"),
        pytest.param({"expires_in": int("9" * 400)}, 0.9 * 86400 - 1, False, id="four-hundred-digits"),
        pytest.param({"expires_in": int("9" * 400)}, 0.9 * 86400, True, id="four-hundred-digits-run-out"),
        pytest.param({"expires_in": float("nan")}, 54, True, id="not-a-number"),
        pytest.param({"expires_in": float("inf")}, 0.9 * 86400, True, id="for-ever"),
    ],
)
def test_a_token_is_renewed_before_it_expires(lifetime: dict[str, object], seconds: float, renewed: bool) -> None:
    realm = f"{BASE}/token"
    tokens: list[Reply | Exception] = [reply(200, {"token": name} | lifetime) for name in ("t1", "t2")]
    setup, script = scripted({V2: challenge(realm), f"GET {realm}": tokens, POST: ACCEPTED, HEAD: FOUND})
    setup.repository.check_push()
    setup.clock.now += seconds
    assert setup.repository.stat(DIGEST) == 0
    assert script.shown[-1] == (HEAD, "Bearer t2" if renewed else "Bearer t1")
    assert setup.messages.hidden == (["t1", "t2"] if renewed else ["t1"]), "no output may show a token"


def test_a_token_that_expired_early_is_renewed_once() -> None:
    realm = f"{BASE}/token"
    answers: Answers = {
        V2: challenge(realm),
        f"GET {realm}": [reply(200, {"token": "t1"}), reply(200, {"token": "t2"})],
        HEAD: [challenge(realm), FOUND],
    }
    setup, script = scripted(answers)
    assert setup.repository.stat(DIGEST) == 0
    assert [shown for address, shown in script.shown if address == HEAD] == ["Bearer t1", "Bearer t2"]
    setup, script = scripted(answers | {HEAD: challenge(realm), f"GET {realm}": reply(200, {"token": "t"})})
    with pytest.raises(CredentialsRefusedError):
        setup.repository.stat(DIGEST)
    assert sum(address == HEAD for address, _ in script.shown) == 2


def test_a_new_token_that_is_rejected_is_not_renewed_again() -> None:
    realm = f"{BASE}/token"
    answers: Answers = {V2: challenge(realm), f"GET {realm}": reply(200, {"token": "t"}), POST: ACCEPTED}
    setup, script = scripted(answers | {HEAD: challenge(realm)})
    setup.repository.check_push()
    setup.clock.now += 100
    with pytest.raises(CredentialsRefusedError):
        setup.repository.stat(DIGEST)
    assert [address for address, _ in script.shown] == [V2, f"GET {realm}", POST, f"GET {realm}", HEAD]


def test_each_scope_has_its_own_token_and_all_threads_share_them() -> None:
    registry = Registry()
    registry.server.realm = f"{BASE}/token"
    registry.server.mountable["acme/base", DIGEST] = b"layer"
    registry.repository.stat_all(f"sha256:{number:064x}" for number in range(20))
    registry.repository.mount(DIGEST, "acme/base")
    registry.client.repository("acme/other").stat(DIGEST)
    registry.repository.mount(DIGEST, "acme/base")
    scopes = [urlsplit(each.url).query for each in registry.server.matching("GET", "/token")]
    assert scopes == [
        "service=registry&scope=repository%3Aacme%2Fapp%3Apull%2Cpush",
        "service=registry&scope=repository%3Aacme%2Fapp%3Apull%2Cpush&scope=repository%3Aacme%2Fbase%3Apull",
        "service=registry&scope=repository%3Aacme%2Fother%3Apull%2Cpush",
    ]
    assert registry.client.repository(PATH) is registry.repository


def test_cookies_are_not_kept() -> None:
    setup, script = scripted(
        {V2: reply(200), POST: replace(ACCEPTED, headers={**ACCEPTED.headers, "Set-Cookie": "a=b"})}
    )
    setup.repository.check_push()
    setup.repository.check_push()
    assert all("Cookie" not in each.headers for each in script.sent)


BLOB = f"/v2/{PATH}/blobs/{DIGEST}"
BUSY = error_reply(503, "UNAVAILABLE")


@pytest.mark.parametrize(
    ("answers", "outcome", "waits"),
    [
        pytest.param([200], 0, [], id="an-answer"),
        pytest.param([BUSY, cut(), 200], 0, [1, 2], id="two-failures"),
        pytest.param([reply(429, Retry_After="3"), 200], 0, [3], id="asked-to-wait"),
        pytest.param([reply(429, Retry_After="29"), 200], 0, [29], id="asked-to-wait-as-long-as-allowed"),
        pytest.param([reply(429, Retry_After="600"), 200], RegistryFailedError, [], id="asked-to-wait-too-long"),
        pytest.param([reply(429, Retry_After="16")] * 2, RegistryFailedError, [16], id="asked-to-wait-long-twice"),
        pytest.param([BUSY] * 3, RegistryFailedError, [1, 2], id="three-failures"),
        pytest.param([HUNG, 200], RegistryFailedError, [], id="silent"),
        pytest.param([501], RegistryFailedError, [], id="not-implemented"),
        pytest.param([403], PushDeniedError, [], id="denied"),
    ],
)
def test_a_question_is_sent_again_within_thirty_seconds(
    answers: list[Reply | Exception | int], outcome: int | type[PipeError], waits: list[float]
) -> None:
    registry = Registry()
    for answer in answers:
        registry.server.on("HEAD", BLOB, answer, times=1)
    began = registry.clock.now
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            registry.repository.stat(DIGEST)
    else:
        assert registry.repository.stat(DIGEST) == outcome
    assert registry.clock.slept == waits
    assert registry.clock.now - began <= 60


def test_a_wait_that_the_registry_asks_for_is_logged() -> None:
    registry = Registry()
    registry.server.on("HEAD", BLOB, reply(429, Retry_After="12"), times=1)
    registry.server.on("HEAD", BLOB, BUSY, times=1)
    registry.repository.stat(DIGEST)
    assert registry.messages.of("INFO") == ["crg.apkg.io: HTTP 429; retrying in 12.0 s."]
    assert "crg.apkg.io: HTTP 503; retrying in 2.0 s." in registry.messages.of("DEBUG")


def test_a_registry_that_never_answered_is_left_to_the_next_attempt_of_the_push() -> None:
    down = requests.ConnectionError("x")
    down.__cause__ = ConnectionRefusedError(111, "Connection refused")
    setup, script = scripted({V2: down})
    with pytest.raises(RegistryUnreachableError):
        setup.repository.stat(DIGEST)
    assert (len(script.sent), setup.clock.slept) == (1, [])


def test_a_head_of_a_blob_passes_few_frames() -> None:
    frames = list[list[str]]()

    def look(_: Sent) -> None:
        frame, names = sys._getframe(), list[str]()  # noqa: SLF001
        while frame := frame.f_back:  # type: ignore[assignment]
            if "/pipe/" in frame.f_code.co_filename:
                names.append(frame.f_code.co_name)
        frames.append(names)

    registry = Registry()
    registry.server.on("HEAD", BLOB, look)
    registry.repository.stat(DIGEST)
    thread = threading.Thread(target=lambda: registry.repository.stat(DIGEST))
    thread.start()
    thread.join()
    assert [len(names) <= 8 for names in frames] == [True, True], frames


def test_the_log_shows_no_query_and_no_header() -> None:
    registry = Registry()
    registry.repository.check_push()
    registry.repository.mount(DIGEST, "acme/base")
    assert registry.messages.of("DEBUG")[0].startswith("GET /v2/ 200 ")
    assert all("?" not in line and "mount" not in line for line in registry.messages.lines)


def test_json_that_is_too_deep_is_no_token() -> None:
    realm = f"{BASE}/token"
    setup, _ = scripted({V2: challenge(realm), f"GET {realm}": Reply(200, b"[" * 60_000)})
    with pytest.raises(RegistryFailedError, match="returned no token"):
        setup.repository.check_push()
    assert json.loads("[]") == []
