"""What cannot work is said at once, before the Engine sends a byte."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.certificates import make_certificate
from integration.images import MB, Images
from integration.registries import BY_ENGINE, BY_PIPE, REPOSITORY, StartRegistry, digest_in
from integration.running import AT_ONCE, ENGINE_BUSY, Run, at_once
from registry.client import LocalRegistry, Registry

AWKWARD = {
    "BITBUCKET_PACKAGES_USERNAME": "awkward@example.com",
    "BITBUCKET_PACKAGES_TOKEN": "a$HOME\"quo'te%20\\é+/=&<z>\n",
}
LOGIN = "BITBUCKET_PACKAGES_USERNAME: $BITBUCKET_PACKAGES_USERNAME"


def expect_nothing_sent(registry: Registry) -> None:
    assert registry.requests(user_agent=BY_ENGINE) == [], "the Engine must not have started"
    assert registry.requests(method="P[AU]T*") == [], "nothing must have been uploaded"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param(
            {"BITBUCKET_PACKAGES_TOKEN": "wrong-token"},
            ("The registry rejected the credentials", "incorrect user name or token", LOGIN),
            id="wrong token",
        ),
        pytest.param(
            {"BITBUCKET_PACKAGES_USERNAME": "nobody"},
            ("The registry rejected the credentials", "incorrect user name or token", LOGIN),
            id="no such user",
        ),
        pytest.param(
            {"BITBUCKET_PACKAGES_TOKEN": "ATCTT3xFfGN0-access-token"},
            (
                "The registry rejected the credentials",
                "repository or workspace access token",
                "write:package:bitbucket",
            ),
            id="access token",
        ),
        pytest.param(
            {"BITBUCKET_PACKAGES_USERNAME": "reader", "BITBUCKET_PACKAGES_TOKEN": "reader-token"},
            (
                "Permission denied: cannot push to this package",
                "reader may not push",
                "requires write access to the repository",
            ),
            id="role that may only read",
        ),
        pytest.param(
            {"PACKAGE_NAME": "other-app"},
            ("Permission denied: cannot push to this package", "pipeline may not push", "link the package to it"),
            id="package of another repository",
        ),
        pytest.param(
            {"PACKAGE_NAME": "never-created"},
            (
                "The package does not exist",
                "package never-created does not exist in this workspace",
                "workspace 'demo-workspace', Create → Package, name 'never-created'",
                "link it to the repository",
            ),
            id="package never created",
        ),
    ],
)
def test_refusal_is_told_in_the_registrys_words(
    registry: LocalRegistry, images: Images, run: Run, variables: dict[str, str], words: tuple[str, ...]
) -> None:
    image = images.build(MB)
    finished = at_once(run, registry, IMAGE_NAME=image.name, **variables)
    finished.expect(4, *words, within=AT_ONCE)
    expect_nothing_sent(registry)
    assert finished.result["exit_code"] == 4
    finished.expect_not("Attempt")


def test_layer_above_the_limit_is_named_and_not_sent(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB, 2 * MB, MB)
    finished = at_once(run, registry, IMAGE_NAME=image.name, MAX_LAYER_SIZE="1.5MB", UPLOADER="engine")
    finished.expect(
        5, "layer 2 (COPY", "2.0 MB uncompressed", "1.5 MB", "Split", "raise MAX_LAYER_SIZE", within=AT_ONCE
    )
    expect_nothing_sent(registry)


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize(
    ("body", "title"),
    [
        pytest.param(
            '{"errors":[{"code":"X","message":"its words"}]}', "✖ The registry rejected the image: ", id="with-words"
        ),
        pytest.param('{"code":"X"}', "✖ Permission denied: ", id="without-words"),
    ],
)
def test_manifest_refused_with_a_code_that_nobody_knows_is_not_tried_again(
    registry: LocalRegistry, images: Images, run: Run, status: int, body: str, title: str
) -> None:
    image = images.build(MB)
    answer = {"status": status, "headers": {"Content-Type": "application/json"}, "body": body}
    registry.fault(method="PUT", path="*/manifests/*", user_agent=BY_ENGINE, answer=answer)
    # A tag that no other test has pushed: the failure to move one would count as its protection.
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine", TAGS=f"new-{status}-{len(body)}")
    finished.expect(4, "Pushing it again will not help" if status == 400 else title, within=5 + ENGINE_BUSY)
    finished.expect_not("Attempt", "✔")


def test_refusal_that_the_registry_takes_back_when_asked_is_tried_again(
    registry: LocalRegistry, images: Images, run: Run
) -> None:
    """An Engine with graphdrivers says `unknown: …` of any 4xx: whether it may pass, the registry itself tells."""
    image = images.build(MB)
    words = {"headers": {"Content-Type": "application/json"}, "body": '{"errors":[{"code":"X","message":"not now"}]}'}
    registry.fault(method="PUT", path="*/manifests/*", user_agent=BY_ENGINE, times=1, answer=words | {"status": 429})
    registry.fault(method="POST", user_agent=BY_PIPE, skip=1, times=1, answer=words | {"status": 429})
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine")
    finished.expect(0, "Attempt 1 of 3 failed. The registry failed: ", "HTTP 429: not now", within=8 + ENGINE_BUSY)


@pytest.mark.parametrize("package", ["certificate-service", "denied-party-list", "forbidden-planet"])
def test_names_in_the_engines_words_are_no_refusal(
    registry: LocalRegistry, images: Images, run: Run, package: str
) -> None:
    image = images.build(MB)
    registry.fault(method="PUT", path="*/manifests/*", user_agent=BY_ENGINE, times=1, cut="close", after=1)
    finished = run(registry, IMAGE_NAME=image.name, PACKAGE_NAME=package, UPLOADER="engine")
    finished.expect(0, "Attempt 1 of 3 failed. The registry failed: ", package, "✔ Pushed ", within=8 + ENGINE_BUSY)


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [pytest.param(403, 4, id="403"), pytest.param(500, 6, id="500")],
)
def test_error_body_of_a_gigabyte_is_not_read_whole(
    registry: LocalRegistry, images: Images, run: Run, status: int, exit_code: int
) -> None:
    image = images.build(MB)
    endless = {"status": status, "body": "no, ", "body_bytes": 10**9}
    registry.fault(method="POST", path="*/uploads/", user_agent=BY_PIPE, answer=endless)
    finished = run(registry, IMAGE_NAME=image.name, MAX_ATTEMPTS="1")
    finished.expect(exit_code, "no, xxx", within=5)
    assert len(finished.log) < 2000, finished.shown("a few lines of the registry's words")
    registry.wait_for(method="POST", path="*/uploads/", user_agent=BY_PIPE, state="cut")
    assert registry.requests(method="POST", path="*/uploads/")[0].sent < 50 * MB


def test_awkward_token_works_and_nothing_of_it_shows(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    finished = run(registry, IMAGE_NAME=image.name, TAGS="awkward second", DEBUG="true", **AWKWARD)
    finished.expect(0, "DEBUG: ")
    assert digest_in(registry, "awkward") == finished.result["digest"]


@pytest.mark.parametrize(
    ("place", "status", "exit_code"),
    [
        pytest.param("/token", 401, 4, id="login refused"),
        pytest.param("/token", 403, 4, id="login forbidden"),
        pytest.param("*/uploads/", 401, 4, id="push refused"),
        pytest.param("*/uploads/", 403, 4, id="push forbidden"),
        pytest.param("*/uploads/", 500, 6, id="push failed"),
    ],
)
def test_registry_that_repeats_the_token_does_not_give_it_away(
    registry: LocalRegistry, images: Images, run: Run, place: str, status: int, exit_code: int
) -> None:
    token = AWKWARD["BITBUCKET_PACKAGES_TOKEN"].strip()
    image = images.build(MB)
    registry.fault(path=place, answer={"status": status, "body": f"not {token}, no"})
    finished = run(registry, IMAGE_NAME=image.name, DEBUG="true", MAX_ATTEMPTS="1", **AWKWARD)
    finished.expect(exit_code, "not ***, no", within=5)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        pytest.param("missing/result.json", "does not exist", id="no such folder"),
        pytest.param("/proc/result.json", "cannot be written", id="not writable"),
        pytest.param(".", "is a directory", id="a folder"),
    ],
)
def test_result_file_that_cannot_be_written_is_known_before(
    registry: LocalRegistry, images: Images, run: Run, place: str, words: str
) -> None:
    image = images.build(MB)
    finished = at_once(run, registry, IMAGE_NAME=image.name, RESULT_FILE=place)
    finished.expect(2, f"RESULT_FILE: '{place}'", words, within=AT_ONCE)
    assert registry.requests(user_agent=BY_PIPE) == []
    expect_nothing_sent(registry)


@pytest.fixture
def foreign() -> Iterator[str]:
    """A host that is not loopback, where nobody may ever call."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect(("203.0.113.1", 9))  # sends nothing; finds this machine's own address
        address = route.getsockname()[0]
    with contextlib.closing(socket.create_server((address, 0))) as listener:
        yield f"{address}:{listener.getsockname()[1]}"
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("path", "status", "header", "value"),
    [
        pytest.param("/v2/", 401, "WWW-Authenticate", 'Bearer realm="{place}/token",service="x"', id="realm"),
        pytest.param("*/uploads/", 202, "Location", f"{{place}}/v2/{REPOSITORY}/blobs/uploads/1", id="location"),
    ],
)
def test_foreign_host_named_without_tls_gets_no_credentials(
    registry: LocalRegistry,
    images: Images,
    run: Run,
    foreign: str,
    scheme: str,
    path: str,
    status: int,
    header: str,
    value: str,
) -> None:
    place = f"{scheme}://{foreign}"
    image = images.build(MB)
    answer = {"status": status, "headers": {header: value.format(place=place)}}
    registry.fault(user_agent=BY_PIPE, path=path, answer=answer)
    finished = at_once(run, registry, IMAGE_NAME=image.name)
    finished.expect(4, "an untrusted host", place, "Nothing was sent to it", within=AT_ONCE)
    expect_nothing_sent(registry)


def test_foreign_realm_without_tls_named_over_tls_gets_no_credentials(
    start_registry: StartRegistry, images: Images, run: Run, foreign: str, tmp_path: Path
) -> None:
    tls = make_certificate(tmp_path / "tls", "IP:127.0.0.1")
    registry = start_registry(tls)
    image = images.build(MB)
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{foreign}/token",service="x"'}
    registry.fault(user_agent=BY_PIPE, path="/v2/", answer={"status": 401, "headers": challenge})
    finished = at_once(run, registry, IMAGE_NAME=image.name, REQUESTS_CA_BUNDLE=str(tls.authority))
    finished.expect(4, "an untrusted host", f"http://{foreign}", "Nothing was sent to it", within=AT_ONCE)
    expect_nothing_sent(registry)


def test_realm_with_a_certificate_that_is_not_trusted_gets_no_credentials(
    start_registry: StartRegistry, images: Images, run: Run, tmp_path: Path
) -> None:
    tls, unknown = (make_certificate(tmp_path / name, "IP:127.0.0.1") for name in ("tls", "unknown"))
    registry, other = start_registry(tls), start_registry(unknown)
    image = images.build(MB)
    challenge = {"WWW-Authenticate": f'Bearer realm="{other.url}/token",service="x"'}
    registry.fault(user_agent=BY_PIPE, path="/v2/", answer={"status": 401, "headers": challenge})
    finished = at_once(run, registry, IMAGE_NAME=image.name, REQUESTS_CA_BUNDLE=str(tls.authority))
    finished.expect(4, "an untrusted host", other.host, "Nothing was sent to it", within=AT_ONCE)
    assert other.requests(user_agent=BY_PIPE) == []
    expect_nothing_sent(registry)
