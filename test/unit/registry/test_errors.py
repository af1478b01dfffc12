"""What a status, codes and words mean, and what is advised."""

import pytest
from requests.structures import CaseInsensitiveDict

from pipe.errors import (
    CredentialsRefusedError,
    ImageRefusedError,
    LayerTooLargeError,
    PackageNotFoundError,
    PipeError,
    PushDeniedError,
    RegistryFailedError,
)
from pipe.oci.reference import Reference
from pipe.registry.answer import Answer
from pipe.registry.errors import Refusal, from_answer, from_status, is_temporary, unreachable

TARGET = Reference("crg.apkg.io", "acme/app", "1")
ACCESS, QUOTA, READ = "requires write access", "for more storage", "read (pull) access"


@pytest.mark.parametrize(
    ("status", "temporary"),
    [
        (400, False),
        (401, False),
        (403, False),
        (404, False),
        (408, True),
        (413, False),
        (429, True),
        (500, True),
        (501, False),
        (502, True),
        (503, True),
        (504, True),
        (505, False),
        (507, False),
        (520, True),
    ],
)
def test_which_statuses_are_temporary(status: int, temporary: bool) -> None:
    error = from_status(TARGET, Refusal(status, "words"))
    assert (is_temporary(status), error.temporary) == (temporary, temporary)
    assert (error.status, error.codes) == (status, ())


@pytest.mark.parametrize(
    ("refusal", "kind", "words", "absent"),
    [
        pytest.param(Refusal(401, "no"), CredentialsRefusedError, "write:package", ACCESS, id="401"),
        pytest.param(Refusal(403, ""), PushDeniedError, ACCESS, QUOTA, id="403"),
        pytest.param(Refusal(403, "no", ("DENIED",)), PushDeniedError, ACCESS, QUOTA, id="denied-by-code"),
        pytest.param(Refusal(403, "You lack permission"), PushDeniedError, ACCESS, QUOTA, id="denied-by-words"),
        pytest.param(
            Refusal(403, "adding 1 MiB of storage resource would exceed the configured upper limit", ("DENIED",)),
            PushDeniedError,
            QUOTA,
            ACCESS,
            id="quota-by-words",
        ),
        pytest.param(Refusal(403, "no", ("QUOTA_EXCEEDED",)), PushDeniedError, QUOTA, ACCESS, id="quota-by-code"),
        pytest.param(
            Refusal(403, "tag 1 is immutable", ("TAG_INVALID",)),
            PushDeniedError,
            "gives the reason",
            ACCESS,
            id="other",
        ),
        pytest.param(Refusal(403, "no", reading=True), PushDeniedError, READ, ACCESS, id="may-not-read"),
        pytest.param(Refusal(404, "no"), PackageNotFoundError, "Create it once", "not a container", id="404"),
        pytest.param(
            Refusal(404, "Not found", is_html=True), ImageRefusedError, "not a container registry", "Create", id="page"
        ),
        pytest.param(
            Refusal(413, "big", ("SIZE_INVALID",)), LayerTooLargeError, "Split the largest", "a proxy", id="too-large"
        ),
        pytest.param(Refusal(413, "big", foreign=True), LayerTooLargeError, "client_max_body_size", "?", id="proxy"),
        pytest.param(
            Refusal(307, "", location="https://h/x?s=1"),
            ImageRefusedError,
            "a redirect to https://h/x?…",
            "s=1",
            id="307",
        ),
        pytest.param(Refusal(304, ""), ImageRefusedError, "answered 304", "redirect", id="304"),
        pytest.param(Refusal(501, "no"), RegistryFailedError, "retrying will not help", "later", id="501"),
        pytest.param(Refusal(503, "no"), RegistryFailedError, "Run the step again later", "contact", id="503"),
        pytest.param(
            Refusal(409, "HTTP 409"),
            ImageRefusedError,
            "answered 409 for acme/app, without a reason.",
            "HTTP",
            id="409",
        ),
        pytest.param(Refusal(400, "no"), ImageRefusedError, "will not help", "Create", id="400"),
        pytest.param(
            Refusal(404, "gone", ("BLOB_UPLOAD_UNKNOWN",)), RegistryFailedError, "HTTP 404: gone", "Create", id="lost"
        ),
    ],
)
def test_kinds_words_and_advice(refusal: Refusal, kind: type[PipeError], words: str, absent: str) -> None:
    error = from_status(TARGET, refusal)
    assert type(error) is kind
    assert words in str(error)
    assert absent not in str(error).replace("?…", "")
    assert (error.status, error.codes) == (refusal.status, refusal.codes)


@pytest.mark.parametrize(
    ("method", "words"), [pytest.param("PATCH", ACCESS, id="write"), pytest.param("HEAD", READ, id="read")]
)
def test_a_token_of_too_small_a_scope_lacks_access(method: str, words: str) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="/t",error="insufficient_scope"'}
    error = from_answer(TARGET, Answer(401, CaseInsensitiveDict(challenge), b"", "https://h/", method))
    assert type(error) is PushDeniedError
    assert error.status == 401
    assert words in str(error)


_DIAL = "dial tcp 192.0.2.1:443: connect: connection refused"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("Connection refused", "crg.apkg.io refuses connections.", id="by-the-pipe"),
        pytest.param(f'Get "https://crg.apkg.io/v2/": {_DIAL}', "crg.apkg.io refuses connections.", id="by-an-Engine"),
        pytest.param(
            f'Get "https://auth.example/token": {_DIAL}',
            f'crg.apkg.io: Get "https://auth.example/token": {_DIAL}',
            id="the-token-server-by-an-Engine",
        ),
        pytest.param(
            "auth.example: Connection refused", "crg.apkg.io: auth.example: Connection refused", id="the-token-server"
        ),
        pytest.param("Name or service not known", "crg.apkg.io: Name or service not known", id="another-reason"),
    ],
)
def test_a_host_that_refuses_connections_is_named_in_few_words(words: str, expected: str) -> None:
    assert str(unreachable(TARGET, words)).splitlines()[0] == f"The registry cannot be reached: {expected}"
