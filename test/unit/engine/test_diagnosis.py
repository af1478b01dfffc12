"""What the Engine's and the registry's words mean; a table of every error that was recorded."""

from dataclasses import replace

import pytest
from unit.recordings import RECORDINGS, TARGET, recording

from pipe.engine.diagnosis import FILE, RULES, STATUSES, from_engine
from pipe.engine.events import Failed
from pipe.errors import (
    CertificateError,
    CredentialsRefusedError,
    EngineError,
    ImageIncompleteError,
    ImageRefusedError,
    LayerTooLargeError,
    PackageNotFoundError,
    PipeError,
    PushDeniedError,
    RegistryFailedError,
    RegistryUnreachableError,
    StatusLostError,
)
from pipe.registry import errors

ENGINES = ("20.10-graphdriver", "28.5-graphdriver", "28.5-containerd")
Kind = type[PipeError]

RECORDED: dict[str, tuple[Kind | None, Kind | None, Kind | None]] = {
    "already-exists": (None, None, None),
    "connection-refused": (RegistryUnreachableError, RegistryUnreachableError, RegistryUnreachableError),
    "denied": (PushDeniedError, PushDeniedError, PushDeniedError),
    "fresh": (None, None, None),
    "manifest-500": (RegistryFailedError, RegistryFailedError, RegistryFailedError),
    "manifest-invalid": (ImageRefusedError, ImageRefusedError, ImageRefusedError),
    "mounted": (None, None, None),
    "name-unknown": (PackageNotFoundError, PackageNotFoundError, PackageNotFoundError),
    "no-such-tag": (EngineError, EngineError, EngineError),
    "rate-limited-429-once": (RegistryFailedError, RegistryFailedError, None),
    "reset-then-ok": (None, None, RegistryFailedError),
    "retry-503-then-ok": (None, None, RegistryFailedError),
    "slow-ok": (None, None, None),
    "timeout-504-always": (RegistryFailedError, RegistryFailedError, RegistryFailedError),
    "too-large-413-html": (LayerTooLargeError, LayerTooLargeError, LayerTooLargeError),
    "unauthorized-basic": (CredentialsRefusedError, CredentialsRefusedError, CredentialsRefusedError),
}
"""The kind of error that each recorded scenario ends with, by Engine."""


@pytest.mark.parametrize(
    ("engine", "scenario", "kind"),
    [
        pytest.param(engine, scenario, kind, id=f"{engine}/{scenario}")
        for scenario, kinds in RECORDED.items()
        for engine, kind in zip(ENGINES, kinds, strict=True)
    ],
)
def test_every_recorded_error_is_understood(engine: str, scenario: str, kind: Kind | None) -> None:
    failures = [event for _, event in recording(engine, scenario).lines() if isinstance(event, Failed)]
    errors = [from_engine(TARGET, failure.message) for failure in failures]
    assert [type(error) for error in errors] == ([kind] if kind else [])
    passing = {RegistryFailedError, RegistryUnreachableError, EngineError}
    assert all(error.temporary is (kind in passing) for error in errors)
    assert all((error.fix and TARGET.domain in error.cause) or kind is EngineError for error in errors)
    assert not any("_state" in str(error) for error in errors)


def test_no_recorded_scenario_is_left_out() -> None:
    assert {each.scenario for each in RECORDINGS} == set(RECORDED)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        pytest.param("unauthorized: authentication required", CredentialsRefusedError, id="token-ran-out"),
        pytest.param("no basic auth credentials", CredentialsRefusedError, id="no-credentials"),
        pytest.param("denied: requested access to the resource is denied", PushDeniedError, id="denied"),
        pytest.param("name unknown: x does not exist in this workspace", PackageNotFoundError, id="name-unknown"),
        pytest.param("error from registry: x does not exist in this workspace", PackageNotFoundError, id="containerd"),
        pytest.param("repository name not known to registry", PackageNotFoundError, id="distribution"),
        pytest.param("blob upload unknown", RegistryFailedError, id="upload-forgotten"),
        pytest.param(
            "unexpected status from PUT request to https://h/v2/a/blobs/uploads/1: 404 Not Found",
            RegistryFailedError,
            id="404-of-an-upload-that-broke-off",
        ),
        pytest.param('Get "https://h/v2/": x509: certificate signed by unknown authority', CertificateError, id="x509"),
        pytest.param("tls: failed to verify certificate", CertificateError, id="tls"),
        pytest.param("net/http: TLS handshake timeout", RegistryFailedError, id="tls-handshake"),
        pytest.param("dial tcp: lookup h on 127.0.0.1:53: no such host", RegistryUnreachableError, id="no-such-host"),
        pytest.param("dial tcp 10.0.0.1:443: i/o timeout", RegistryUnreachableError, id="connect-timeout"),
        pytest.param("dial tcp 10.0.0.1:443: connect: no route to host", RegistryUnreachableError, id="no-route"),
        pytest.param("read tcp 1.1.1.1:1->2.2.2.2:443: i/o timeout", RegistryFailedError, id="read-timeout"),
        pytest.param("EOF", RegistryFailedError, id="eof"),
        pytest.param("write: connection reset by peer", RegistryFailedError, id="reset"),
        pytest.param("something new", RegistryFailedError, id="unknown-words"),
        pytest.param("", RegistryFailedError, id="no-words"),
        pytest.param("received unexpected HTTP status: 408 Request Timeout", RegistryFailedError, id="408"),
        pytest.param("received unexpected HTTP status: 429 Too Many Requests", RegistryFailedError, id="429"),
        pytest.param("received unexpected HTTP status: 502 Bad Gateway", RegistryFailedError, id="502"),
        pytest.param(
            "error parsing HTTP 403 response body: unexpected end of JSON input", PushDeniedError, id="403-empty"
        ),
        pytest.param("error parsing HTTP 401 response body: EOF", CredentialsRefusedError, id="401-empty"),
        pytest.param("unexpected status code 405 Method Not Allowed", ImageRefusedError, id="405"),
        pytest.param("unknown: <html> 413 Request Entity Too Large", LayerTooLargeError, id="413-html"),
        pytest.param(
            "size invalid: the layer is larger than the limit of 32 bytes", LayerTooLargeError, id="layer-above-limit"
        ),
        pytest.param(
            "size invalid: provided length did not match content length", RegistryFailedError, id="size-invalid"
        ),
        pytest.param("digest invalid: provided digest did not match", ImageRefusedError, id="digest-invalid"),
        pytest.param(
            "manifest blob unknown: blob unknown to registry", RegistryFailedError, id="manifest-blob-unknown"
        ),
        pytest.param("unknown: its words", StatusLostError, id="graphdriver-with-a-code-that-is-none"),
        pytest.param("unknown:", StatusLostError, id="graphdriver-26-without-words"),
        pytest.param("error from registry: no writing today", StatusLostError, id="containerd-28-denied"),
        pytest.param(
            "error from registry: provided digest did not match uploaded content",
            StatusLostError,
            id="containerd-28-digest-invalid",
        ),
        pytest.param("error from registry: blob upload invalid", RegistryFailedError, id="containerd-28-504"),
        pytest.param("unknown: the registry is unavailable", RegistryFailedError, id="words-that-pass"),
        pytest.param(
            "error parsing HTTP 400 response body: no error details found in HTTP response body: '{}'",
            ImageRefusedError,
            id="400-with-a-code-that-is-none",
        ),
        pytest.param(
            "open /var/lib/docker/image/overlay2/layerdb/x: permission denied", EngineError, id="the-engines-own-disk"
        ),
        pytest.param(
            "dial unix /var/run/docker.sock: connect: permission denied", EngineError, id="the-engines-own-socket"
        ),
        pytest.param(
            "write /var/lib/docker/tmp/x: no space left on device", EngineError, id="the-engines-own-disk-is-full"
        ),
        pytest.param("denied: permission denied for acme/app", PushDeniedError, id="permission-denied-by-the-registry"),
        pytest.param("acme/other: permission denied", PushDeniedError, id="permission-denied-for-a-repository"),
        pytest.param(
            "dial tcp 10.0.0.1:443: connect: permission denied", RegistryUnreachableError, id="denied-by-a-firewall"
        ),
        pytest.param("tag does not exist: h/a:1", EngineError, id="tag-gone"),
        pytest.param("An image does not exist locally with the tag: h/a", EngineError, id="image-gone"),
        pytest.param("Get http://h:5000/v2/: EOF", RegistryFailedError, id="port-is-no-status"),
        pytest.param("layer 413 of 500: EOF", RegistryFailedError, id="number-is-no-status"),
    ],
)
def test_the_engines_words(message: str, kind: Kind) -> None:
    assert type(from_engine(TARGET, message)) is kind


REJECTIONS = [
    *(f"{code}: tag may not move" for code in ("denied", "tag invalid", "manifest invalid", "unknown")),
    "denied: ",
    "unknown: ",
    "denied: <html><h1>tag may not move</h1></html>",
    "unknown: <html><h1>tag may not move</h1></html>",
    (
        "tag invalid: The image tag '1' already exists in the 'app' repository and cannot be overwritten because the"
        " repository is immutable."
    ),
    "unknown: Failed to process request due to 'app:1' configured as immutable.",
    "error from registry: tag may not move",
    *(
        text.format(status=status)
        for status in ("400 Bad Request", "403 Forbidden", "405 Method Not Allowed", "409 Conflict", "412 Precondition")
        for text in (
            (
                'failed commit on ref "manifest-sha256:0": unexpected status from PUT request to'
                " https://crg.apkg.io/v2/acme/app/manifests/1: {status}"
            ),
            'error parsing HTTP {status:.3} response body: unexpected end of JSON input: ""',
            'error parsing HTTP {status:.3} response body: no error details found in HTTP response body: "{{}}"',
            (
                "error parsing HTTP {status:.3} response body: invalid character '<' looking for beginning of value:"
                ' "<html><h1>tag may not move</h1></html>"'
            ),
        )
    ),
]
"""What Engines 20.10, 26.1 and 28.5 report of a manifest `PUT` answered with 400, 403, 405, 409 or 412, with the codes
DENIED, TAG_INVALID, MANIFEST_INVALID and one that they do not know, without words, without errors, and with HTML."""


@pytest.mark.parametrize("message", REJECTIONS)
def test_every_rejected_manifest_is_a_rejection(message: str) -> None:
    error = from_engine(TARGET, message)
    assert isinstance(error, ImageRefusedError | PushDeniedError), error
    assert (error.exit_code, error.temporary) == (4, False)


@pytest.mark.parametrize("kind", [pytest.param("", id="26.1"), pytest.param("NotFound: ", id="28.5")])
def test_an_image_that_the_store_lacks_is_no_failure_of_the_registry(kind: str) -> None:
    error = from_engine(TARGET, f"{kind}content digest sha256:{'0' * 64}: not found")
    assert type(error) is ImageIncompleteError
    assert (error.exit_code, error.temporary) == (3, False)
    assert str(error) == (
        f"Docker Engine's store lacks parts of this image: content digest sha256:{'0' * 64}: not found\n"
        "Pull the image again, or build it again, before the pipe."
    )


NAMES = (
    "certificate-service",
    "denied-party-list",
    "forbidden-planet",
    "unauthorized-access",
    "tls-proxy",
    "too-large",
    "name-unknown",
    "manifest-invalid",
    "toomanyrequests-1",
    "no-such-host",
    "http-403",
    "team/access-denied",
    "certificate",
    "denied",
)
"""Packages that are called as a refusal is worded."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "message",
    [
        pytest.param('Get "https://crg.apkg.io/v2/{path}/blobs/uploads/?_state=x": EOF', id="quoted-url"),
        pytest.param("Put https://storage.example/{path}/x: unexpected EOF", id="url-of-another-host"),
        pytest.param("pushing crg.apkg.io/{path}:1.0: EOF", id="reference"),
        pytest.param("pushing {path}@sha256:0: EOF", id="path"),
        pytest.param('failed commit on ref "manifest-{name}@sha256:0": EOF', id="ref-of-a-tag"),
        pytest.param("dial tcp: lookup {host} on 127.0.0.11:53: read: EOF", id="host"),
    ],
)
def test_names_are_no_words(name: str, message: str) -> None:
    text = message.format(name=name, path=f"acme/{name}", host=f"{name.replace('/', '.')}.example")
    error = from_engine(TARGET._replace(path=f"acme/{name}"), text)
    assert type(error) is RegistryFailedError, error
    assert error.temporary
    assert name in str(error) or "lookup" in text, "people still see it"


@pytest.mark.parametrize("name", [name for name in NAMES if not name.isalpha()])
@pytest.mark.parametrize("message", ["{name} broke off: EOF", "blob of {name}.", "(acme,{name}) EOF"])
def test_a_bare_name_is_no_word(name: str, message: str) -> None:
    for path in (f"acme/{name}", f"{name.rpartition('/')[2]}/app"):
        error = from_engine(TARGET._replace(path=path), message.format(name=name))
        assert type(error) is RegistryFailedError, error


@pytest.mark.parametrize(
    ("path", "message", "kind"),
    [
        pytest.param("acme/denied", "denied: no", PushDeniedError, id="a-plain-word-stays"),
        pytest.param("unauthorized/x", "unauthorized: no", CredentialsRefusedError, id="a-plain-workspace-stays"),
        pytest.param(
            "acme/certificate-service",
            "denied: reader may not push certificate-service",
            PushDeniedError,
            id="words-beside-a-name",
        ),
        pytest.param(
            "acme/certificate-service",
            "name unknown: package certificate-service does not exist in this workspace",
            PackageNotFoundError,
            id="words-around-a-name",
        ),
        pytest.param(
            "acme/team/access-denied", "access-denied: EOF", RegistryFailedError, id="the-last-part-of-a-name"
        ),
        pytest.param("acme/a-b", "x-a-b-denied denied", PushDeniedError, id="a-part-of-a-longer-word-stays"),
    ],
)
def test_words_beside_names_are_read(path: str, message: str, kind: Kind) -> None:
    assert type(from_engine(TARGET._replace(path=path), message)) is kind


ALTERNATIVES = {
    r"\bstatus(?: code)?:? ([45]\d\d)\b": "unexpected status code 403 of the registry",
    r"\bstatus from \w+ request to \S+ ([45]\d\d)\b": (
        "unexpected status from POST request to https://h/v2/: 400 Bad Request: what it says"
    ),
    r"\bHTTP ([45]\d\d)\b": "error parsing HTTP 401 response body",
    r": ([45]\d\d) [A-Z][\w-]+(?: [A-Z][\w-]+)*$": "fetching a token: 401 Unknown",
    r"<\w[^>]*>\s*([45]\d\d) [A-Z]": "<h1> 405 Method Not Allowed</h1>",
    rf"{FILE}permission denied": "open /run/x: permission denied",
    rf"{FILE}no space left on device": "write /run/x: no space left on device",
    r"\bcould not verify layer data\b": "could not verify layer data for: sha256:12. This may mean that files in the"
    " layer store may have been corrupted",
    r"\bcontent digest sha256:\w+: not found": f"content digest sha256:{'0' * 64}: not found",
    r"\bNotFound desc = blob sha256:\w+ ": (
        f"failed to copy: rpc error: code = NotFound desc = blob sha256:{'0' * 64} expected at /x: blob not found"
    ),
    r"tag does not exist": "tag does not exist: x",
    r"does not exist locally": "An image does not exist locally with the tag: x",
    r"no such image": "No such image: x",
    r"does not exist in this workspace": "error from registry: package x does not exist in this workspace",
    r"\bname[ _]unknown\b": "NAME_UNKNOWN: x",
    r"repository name not known": "repository name not known to registry",
    r"too large": "request entity too large",
    r"larger than the (?:\w+ )?limit": "the layer is larger than the limit",
    r"exceeds the (?:\w+ )?limit": "the layer exceeds the size limit",
    r"\bx509: ": "x509: signed by unknown authority",
    r"\btls: ": "remote error: tls: handshake failure",
    r"no such host": "dial tcp: lookup x: no such host",
    r"connection refused": "connect: connection refused",
    r"dial tcp.{0,300}i/o timeout": "dial tcp 10.0.0.1:443: i/o timeout",
    r"dial tcp.{0,300}no route": "dial tcp 10.0.0.1:443: connect: no route to host",
    r"dial tcp.{0,300}unreachable": "dial tcp 10.0.0.1:443: connect: network is unreachable",
    r"dial tcp.{0,300}permission denied": "dial tcp 10.0.0.1:443: connect: permission denied",
    r"too ?many ?requests": "unknown: Too Many Requests",
    r"\bblob upload (?:unknown|invalid)\b": "unknown: blob upload invalid",
    r"\bblob unknown\b": "unknown: blob unknown to registry",
    r"\bsize invalid\b": "error from registry: size invalid",
    r"\bmanifest[ _]invalid\b": "manifest invalid",
    r"\bdigest invalid\b": "digest invalid: it did not match",
    r"\bname invalid\b": "name invalid: x",
    r"\btag invalid\b": "tag invalid: x",
    r"\bunauthorized\b": "unauthorized",
    r"authentication required": "authentication required",
    r"no basic auth credentials": "no basic auth credentials",
    r"\bdenied\b": "requested access to the resource is denied",
    r"\bforbidden\b": "Forbidden",
    r"\bunavailable\b": "unknown: the service is unavailable",
    r"\btime(?:d )?out\b": "unknown: the backend timed out",
    r"\btry again\b": "unknown: try again later",
    r"\binternal (?:server )?error\b": "unknown: internal error",
    r"^unknown:": "unknown: x",
    r"\berror from registry:": "failed: error from registry: x",
}
"""Each alternative, with words that only it understands."""


def test_no_alternative_is_left_out() -> None:
    assert [*STATUSES, *(each for rule in RULES for each in rule.alternatives)] == list(ALTERNATIVES)


@pytest.mark.parametrize(("alternative", "message"), ALTERNATIVES.items())
def test_no_alternative_can_be_removed(alternative: str, message: str) -> None:
    statuses = [each for each in STATUSES if each != alternative]
    rules = [replace(rule, alternatives=tuple(set(rule.alternatives) - {alternative})) for rule in RULES]
    without = from_engine(TARGET, message, statuses=statuses, rules=rules)
    assert type(from_engine(TARGET, message)) is not type(without)


@pytest.mark.parametrize(
    ("status", "kind", "temporary"),
    [
        pytest.param(400, ImageRefusedError, False, id="400"),
        pytest.param(401, CredentialsRefusedError, False, id="401"),
        pytest.param(403, PushDeniedError, False, id="403"),
        pytest.param(404, PackageNotFoundError, False, id="404"),
        pytest.param(405, ImageRefusedError, False, id="405"),
        pytest.param(408, RegistryFailedError, True, id="408"),
        pytest.param(413, LayerTooLargeError, False, id="413"),
        pytest.param(429, RegistryFailedError, True, id="429"),
        pytest.param(500, RegistryFailedError, True, id="500"),
        pytest.param(503, RegistryFailedError, True, id="503"),
        pytest.param(599, RegistryFailedError, True, id="599"),
        pytest.param(302, ImageRefusedError, False, id="302"),
    ],
)
def test_statuses(status: int, kind: Kind, temporary: bool) -> None:
    error = errors.from_status(TARGET, errors.Refusal(status, "its words?_state=private", retry_after=3))
    assert type(error) is kind
    assert error.temporary is temporary
    assert "its words?…" in error.cause
    assert error.fix
    assert error.retry_after == (3 if temporary else None)


@pytest.mark.parametrize(
    "code", ["BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"]
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(400, RegistryFailedError, id="400"),
        pytest.param(404, RegistryFailedError, id="404"),
        pytest.param(403, PushDeniedError, id="403"),
        pytest.param(409, ImageRefusedError, id="409"),
    ],
)
def test_what_the_registry_had_before_comes_again(status: int, code: str, kind: Kind) -> None:
    error = errors.from_status(TARGET, errors.Refusal(status, "gone", ("X", code)))
    assert type(error) is kind
    assert error.temporary is (kind is RegistryFailedError)
    assert (error.status, error.codes) == (status, ("X", code))


def test_a_code_that_nobody_knows_is_final() -> None:
    assert type(errors.from_status(TARGET, errors.Refusal(400, "x", ("X",)))) is ImageRefusedError
    assert type(errors.from_status(TARGET, errors.Refusal(404, "x", ("X",)))) is PackageNotFoundError


def test_a_status_is_told_once() -> None:
    assert errors.from_status(TARGET, errors.Refusal(500, "HTTP 500")).cause == "crg.apkg.io: HTTP 500"
    assert errors.from_status(TARGET, errors.Refusal(500, "no")).cause == "crg.apkg.io: HTTP 500: no"


def test_a_status_without_words_is_told() -> None:
    assert "HTTP 403" in errors.from_status(TARGET, errors.Refusal(403, "\x00")).cause


@pytest.mark.parametrize(
    ("token", "told"),
    [
        pytest.param("ATCTT3xFf", True, id="access-token"),
        pytest.param("ATATT3xFf", False, id="api-token"),
        pytest.param("xATCTT", False, id="elsewhere-in-the-token"),
        pytest.param("", False, id="no-token"),
    ],
)
def test_an_access_token_is_known_by_its_beginning(token: str, told: bool) -> None:
    error = errors.from_status(TARGET, errors.Refusal(401, "unauthorized"), token)
    assert ("repository or workspace access token" in error.fix) is told
    assert "3xFf" not in str(error)
    assert "ATCTT" not in errors.from_status(TARGET, errors.Refusal(403, "denied"), token).fix


def test_a_missing_package_is_explained_step_by_step() -> None:
    error = errors.package_not_found(TARGET, "name unknown")
    assert str(error) == (
        "The package does not exist: crg.apkg.io answered for acme/app: name unknown\n"
        "Create it once, in Bitbucket: workspace 'acme', Create → Package, name 'app', and link it to the repository"
        " whose pipeline pushes. If it exists under another name, set PACKAGE_NAME."
    )


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("status " * 20_000, id="status"),
        pytest.param("dial tcp" * 20_000, id="dial"),
        pytest.param(": 500 Aa" + " Aa" * 20_000 + "!", id="words"),
        pytest.param("<a" * 1_000_000, id="tags"),
        pytest.param("status from PUT request to " + "x" * 100_000, id="address"),
    ],
)
def test_only_the_beginning_of_a_long_message_is_read(message: str) -> None:
    assert type(from_engine(TARGET, f"{message} denied: no")) is RegistryFailedError
