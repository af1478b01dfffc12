"""Who may receive credentials, and what answers mean. Real requests to a real registry are tested elsewhere."""

import json
import time
from collections.abc import Callable

import pytest
import requests
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict
from unit.fakes import Clock, Told

from pipe.config.settings import Credentials
from pipe.errors import (
    CertificateError,
    CredentialsRefusedError,
    ImageRefusedError,
    PackageNotFoundError,
    PipeError,
    PushDeniedError,
    RegistryFailedError,
    UntrustedHostError,
)
from pipe.oci.manifest import MEDIA_TYPES, Manifest
from pipe.oci.reference import Reference
from pipe.registry.client import Registry
from pipe.registry.transport import Answer, NoTLSError, Request, Transport

DIGEST = "sha256:" + "d" * 64
CREDENTIALS = Credentials("me", "s3cr3t")
BASIC = "Basic bWU6czNjcjN0"
Reply = Answer | Exception
"""What comes back for a request: an answer, or none."""


def reply(status: int, body: object = b"", **headers: str) -> Answer:
    """Make an answer; underscores in the names of headers stand for hyphens."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = CaseInsensitiveDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(status, named, data, "")


class Script(Transport):
    """Answers from a table instead of the network, and keeps what was shown to whom."""

    def __init__(self, answers: dict[str, list[Reply]]) -> None:
        super().__init__(Reference("crg.apkg.io", "acme/app", "1"), "test")
        self._answers = answers
        self.sent: list[str] = []
        self.shown: list[tuple[str, str]] = []

    def send(self, request: Request, auth: AuthBase) -> Answer:
        """Return the next answer to this request; the last one stays."""
        prepared = requests.Request(request.method, request.url, params=dict(request.query)).prepare()
        auth(prepared)
        address = f"{request.method} {request.url}"
        self.sent.append(f"{request.method} {prepared.url}")
        self.shown.append((address, prepared.headers.get("Authorization", "")))
        answers = self._answers[address]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return Answer(found.status, found.headers, found.body, request.url)


def challenge(realm: str) -> Answer:
    """Ask for a bearer token from a realm."""
    return reply(401, WWW_Authenticate=f'Bearer realm="{realm}",service="registry",scope="ignored"')


def registry(
    answers: dict[str, Reply | list[Reply]], domain: str = "crg.apkg.io", clock: Callable[[], float] = time.monotonic
) -> tuple[Registry, Script, list[str]]:
    """Make a registry that answers so."""
    script = Script({address: each if isinstance(each, list) else [each] for address, each in answers.items()})
    told = Told()
    return Registry(Reference(domain, "acme/app", "1"), CREDENTIALS, script, told, clock), script, told.lines


V2, UPLOADS = "GET https://crg.apkg.io/v2/", "POST https://crg.apkg.io/v2/acme/app/blobs/uploads/"
HEAD, GET, PUT = (f"{method} https://crg.apkg.io/v2/acme/app/manifests/1" for method in ("HEAD", "GET", "PUT"))
ACCEPTED = reply(202, Location="/v2/acme/app/blobs/uploads/x?_state=y")


def test_basic_credentials_are_shown_after_a_challenge_only() -> None:
    r, script, told = registry({V2: reply(401, WWW_Authenticate='Basic realm="r"'), UPLOADS: ACCEPTED})
    r.check_push()
    assert script.shown == [(V2, ""), (UPLOADS, BASIC)]
    assert told == []


def test_without_a_challenge_nothing_is_shown() -> None:
    r, script, _ = registry({V2: reply(200), UPLOADS: ACCEPTED})
    r.check_push()
    assert script.shown == [(V2, ""), (UPLOADS, "")]


def test_a_bearer_token_is_asked_for_this_repository() -> None:
    realm = "https://crg.apkg.io/token"
    r, script, told = registry({V2: challenge(realm), f"GET {realm}": reply(200, {"token": "t"}), UPLOADS: ACCEPTED})
    r.check_push()
    assert script.shown == [(V2, ""), (f"GET {realm}", BASIC), (UPLOADS, "Bearer t")]
    assert script.sent[1] == f"GET {realm}?service=registry&scope=repository%3Aacme%2Fapp%3Apull%2Cpush"
    assert told == []


REALMS = [
    pytest.param("crg.apkg.io", "https://crg.apkg.io/token", None, id="the-registry-itself"),
    pytest.param("crg.apkg.io", "/token", None, id="relative"),
    pytest.param("crg.apkg.io", "https://CRG.apkg.io:443/token", None, id="the-registry-otherwise-written"),
    pytest.param("crg.apkg.io", "https://auth.example.com/token", "auth.example.com", id="another-host-over-tls"),
    pytest.param("crg.apkg.io", "https://crg.apkg.io:8443/token", "crg.apkg.io:8443", id="another-port-over-tls"),
    pytest.param("crg.apkg.io", "http://crg.apkg.io/token", UntrustedHostError, id="the-registry-without-tls"),
    pytest.param("crg.apkg.io", "http://auth.example.com/token", UntrustedHostError, id="another-host-without-tls"),
    pytest.param("crg.apkg.io", "http://127.0.0.1/token", UntrustedHostError, id="loopback-from-outside"),
    pytest.param("crg.apkg.io", "ftp://auth.example.com/token", UntrustedHostError, id="another-scheme"),
    pytest.param("crg.apkg.io", "https://crg.apkg.io@evil.com/token", "evil.com", id="user-in-the-realm"),
    pytest.param("crg.apkg.io", "https://[::1/token", RegistryFailedError, id="no-address"),
    pytest.param("crg.apkg.io", "https://h:99999/token", RegistryFailedError, id="no-port"),
]


@pytest.mark.parametrize(("domain", "realm", "outcome"), REALMS)
def test_who_may_see_the_credentials(domain: str, realm: str, outcome: str | type[PipeError] | None) -> None:
    answers: dict[str, Reply | list[Reply]] = {V2: challenge(realm), UPLOADS: ACCEPTED}
    address = f"https://{domain}{realm}" if realm.startswith("/") else realm
    r, script, told = registry(answers | {f"GET {address}": reply(200, {"token": "t"})}, domain)
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            r.check_push()
        assert script.shown == [(V2, "")]
    else:
        r.check_push()
        assert (f"GET {address}", BASIC) in script.shown
        assert told == (
            [f"INFO Sending the credentials to {outcome}, the token server of crg.apkg.io."] if outcome else []
        )
    assert [shown for _, shown in script.shown if shown not in {"", BASIC, "Bearer t"}] == []


def test_plain_http_is_for_a_loopback_host_without_tls() -> None:
    realm = "http://127.0.0.1:5001/token"
    r, script, _ = registry(
        {
            "GET https://127.0.0.1:5000/v2/": NoTLSError(),
            "GET http://127.0.0.1:5000/v2/": challenge(realm),
            f"GET {realm}": reply(200, {"access_token": "t"}),
            "POST http://127.0.0.1:5000/v2/acme/app/blobs/uploads/": ACCEPTED,
        },
        "127.0.0.1:5000",
    )
    r.check_push()
    assert script.shown[-1] == ("POST http://127.0.0.1:5000/v2/acme/app/blobs/uploads/", "Bearer t")


def test_a_foreign_realm_of_a_loopback_registry_is_refused() -> None:
    r, script, _ = registry(
        {"GET https://127.0.0.1/v2/": NoTLSError(), "GET http://127.0.0.1/v2/": challenge("https://evil.com/token")},
        "127.0.0.1",
    )
    with pytest.raises(UntrustedHostError):
        r.check_push()
    assert [shown for _, shown in script.shown] == ["", ""]


def test_a_foreign_realm_with_a_certificate_of_its_own_is_not_trusted() -> None:
    realm = "https://auth.example.com/token"
    r, _, _ = registry({V2: challenge(realm), f"GET {realm}": CertificateError("x")})
    with pytest.raises(UntrustedHostError, match="its certificate is not trusted"):
        r.check_push()
    own = "https://crg.apkg.io/token"
    r, _, _ = registry({V2: challenge(own), f"GET {own}": CertificateError("x")})
    with pytest.raises(CertificateError):
        r.check_push()


@pytest.mark.parametrize(
    ("location", "trusted"),
    [
        pytest.param("/v2/acme/app/blobs/uploads/x", True, id="relative"),
        pytest.param("https://crg.apkg.io/v2/x?_state=y", True, id="the-registry"),
        pytest.param("", True, id="none"),
        pytest.param("https://evil.com/v2/x", False, id="another-host"),
        pytest.param("http://crg.apkg.io/v2/x", False, id="without-tls"),
        pytest.param("//evil.com/v2/x", False, id="another-host-likewise"),
    ],
)
def test_layers_go_to_the_registry_itself(location: str, trusted: bool) -> None:
    r, _, _ = registry({V2: reply(200), UPLOADS: reply(202, Location=location)})
    if trusted:
        r.check_push()
    else:
        with pytest.raises(UntrustedHostError) as raised:
            r.check_push()
        assert raised.value.exit_code == 4


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        pytest.param({UPLOADS: reply(401)}, CredentialsRefusedError, id="401"),
        pytest.param({UPLOADS: reply(403)}, PushDeniedError, id="403"),
        pytest.param({UPLOADS: reply(404)}, PackageNotFoundError, id="404"),
        pytest.param({UPLOADS: reply(500)}, RegistryFailedError, id="500"),
        pytest.param({UPLOADS: reply(301, Location="/")}, ImageRefusedError, id="redirect"),
        pytest.param({UPLOADS: reply(200)}, ImageRefusedError, id="200-is-no-upload"),
        pytest.param({V2: reply(404)}, ImageRefusedError, id="no-registry"),
        pytest.param({V2: reply(403)}, PushDeniedError, id="403-at-once"),
        pytest.param({V2: reply(503)}, RegistryFailedError, id="503-at-once"),
        pytest.param(
            {
                UPLOADS: reply(401, WWW_Authenticate='Bearer realm="/t",error="insufficient_scope"'),
                "GET https://crg.apkg.io/t": reply(200, {"token": "t"}),
            },
            PushDeniedError,
            id="insufficient-scope",
        ),
    ],
)
def test_what_a_refused_check_means(answers: dict[str, Reply | list[Reply]], kind: type[PipeError]) -> None:
    ready: dict[str, Reply | list[Reply]] = {V2: reply(200), UPLOADS: ACCEPTED}
    r, _, _ = registry(ready | answers)
    with pytest.raises(PipeError) as raised:
        r.check_push()
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(reply(401, {"errors": [{"message": "bad token"}]}), CredentialsRefusedError, id="401"),
        pytest.param(reply(403), CredentialsRefusedError, id="403"),
        pytest.param(reply(400), CredentialsRefusedError, id="400"),
        pytest.param(reply(500), RegistryFailedError, id="500"),
        pytest.param(reply(200, {}), RegistryFailedError, id="no-token"),
        pytest.param(reply(200, {"token": 3}), RegistryFailedError, id="token-of-another-type"),
        pytest.param(reply(200, b"<html>"), RegistryFailedError, id="no-json"),
        pytest.param(reply(200, [1]), RegistryFailedError, id="list"),
        pytest.param(reply(302, Location="https://evil.com/"), RegistryFailedError, id="redirect"),
    ],
)
def test_what_a_realm_without_token_means(answer: Answer, kind: type[PipeError]) -> None:
    realm = "https://crg.apkg.io/token"
    r, script, _ = registry({V2: challenge(realm), f"GET {realm}": answer})
    with pytest.raises(PipeError) as raised:
        r.check_push()
    assert type(raised.value) is kind
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
def test_a_token_is_renewed_before_it_runs_out(lifetime: dict[str, object], seconds: float, renewed: bool) -> None:
    realm, clock = "https://crg.apkg.io/token", Clock()
    tokens: list[Reply] = [reply(200, {"token": name} | lifetime) for name in ("t1", "t2")]
    head = reply(200, Docker_Content_Digest=DIGEST)
    r, script, _ = registry({V2: challenge(realm), f"GET {realm}": tokens, UPLOADS: ACCEPTED, HEAD: head}, clock=clock)
    r.check_push()
    clock.now += seconds
    assert r.digest("1") == DIGEST
    assert script.shown[-1] == (HEAD, "Bearer t2" if renewed else "Bearer t1")


def test_no_output_may_show_a_token() -> None:
    realm, clock, told = "https://crg.apkg.io/token", Clock(), Told()
    tokens: list[Reply] = [reply(200, {"token": name}) for name in ("t1", "t2")]
    head = reply(200, Docker_Content_Digest=DIGEST)
    script = Script({V2: [challenge(realm)], f"GET {realm}": tokens, UPLOADS: [ACCEPTED], HEAD: [head]})
    r = Registry(Reference("crg.apkg.io", "acme/app", "1"), CREDENTIALS, script, told, clock)
    r.check_push()
    clock.now += 60
    r.digest("1")
    assert told.hidden == ["t1", "t2"]


def test_a_token_that_ran_out_early_is_renewed_once() -> None:
    realm = "https://crg.apkg.io/token"
    answers: dict[str, Reply | list[Reply]] = {
        V2: challenge(realm),
        f"GET {realm}": [reply(200, {"token": "t1"}), reply(200, {"token": "t2"})],
        HEAD: [challenge(realm), reply(200, Docker_Content_Digest=DIGEST)],
    }
    r, script, _ = registry(answers)
    assert r.digest("1") == DIGEST
    assert [shown for address, shown in script.shown if address == HEAD] == ["Bearer t1", "Bearer t2"]
    r, script, _ = registry(answers | {HEAD: challenge(realm), f"GET {realm}": reply(200, {"token": "t"})})
    with pytest.raises(CredentialsRefusedError):
        r.digest("1")
    assert sum(address == HEAD for address, _ in script.shown) == 2


def test_a_new_token_that_is_refused_is_not_renewed_again() -> None:
    realm, clock = "https://crg.apkg.io/token", Clock()
    token = reply(200, {"token": "t"})
    answers = {V2: challenge(realm), f"GET {realm}": token, UPLOADS: ACCEPTED, HEAD: challenge(realm)}
    r, script, _ = registry(dict(answers), clock=clock)
    r.check_push()
    clock.now += 100
    with pytest.raises(CredentialsRefusedError):
        r.digest("1")
    assert [address for address, _ in script.shown] == [V2, f"GET {realm}", UPLOADS, f"GET {realm}", HEAD]


MANIFEST = Manifest.parse(MEDIA_TYPES[2], b'{"schemaVersion":2}')


@pytest.mark.parametrize(
    ("answers", "digest"),
    [
        pytest.param({HEAD: reply(200, Docker_Content_Digest=DIGEST)}, DIGEST, id="header"),
        pytest.param({HEAD: reply(404)}, None, id="none"),
        pytest.param({HEAD: reply(200), GET: reply(200, MANIFEST.body)}, MANIFEST.digest, id="body"),
        pytest.param(
            {HEAD: reply(200, Docker_Content_Digest="md5:x"), GET: reply(200, MANIFEST.body)},
            MANIFEST.digest,
            id="no-digest",
        ),
        pytest.param({HEAD: reply(200), GET: reply(404)}, None, id="gone-meanwhile"),
    ],
)
def test_digests(answers: dict[str, Reply | list[Reply]], digest: str | None) -> None:
    ready: dict[str, Reply | list[Reply]] = {V2: reply(200)}
    assert registry(ready | answers)[0].digest("1") == digest


@pytest.mark.parametrize(
    ("answer", "manifest"),
    [
        pytest.param(reply(200, MANIFEST.body, Content_Type=MEDIA_TYPES[2]), MANIFEST, id="there"),
        pytest.param(reply(404), None, id="none"),
    ],
)
def test_manifests(answer: Answer, manifest: Manifest | None) -> None:
    assert registry({V2: reply(200), GET: answer})[0].manifest("1") == manifest


def test_a_manifest_that_is_refused_is_an_error() -> None:
    with pytest.raises(PushDeniedError):
        registry({V2: reply(200), GET: reply(403)})[0].manifest("1")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        pytest.param(201, True, id="201"),
        pytest.param(400, False, id="400"),
        pytest.param(404, False, id="404"),
        pytest.param(405, False, id="405"),
        pytest.param(415, False, id="415"),
        pytest.param(401, CredentialsRefusedError, id="401"),
        pytest.param(403, PushDeniedError, id="403"),
        pytest.param(413, None, id="413"),
        pytest.param(500, RegistryFailedError, id="500"),
    ],
)
def test_a_manifest_is_taken_or_not_or_refused(status: int, outcome: bool | type[PipeError] | None) -> None:
    r, _, _ = registry({V2: reply(200), PUT: reply(status)})
    if isinstance(outcome, bool):
        assert r.put_manifest("1", MANIFEST) is outcome
    else:
        with pytest.raises(outcome or PipeError):
            r.put_manifest("1", MANIFEST)


def test_the_registry_may_ask_to_wait() -> None:
    r, _, _ = registry({V2: reply(200), UPLOADS: reply(429, Retry_After="3")})
    with pytest.raises(RegistryFailedError) as raised:
        r.check_push()
    assert raised.value.retry_after == 3
    assert raised.value.temporary
