"""The limits on a layer's size and on the time of its upload, over plain HTTP."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest
import requests
from registry.client import LocalRegistry, local_registry
from registry.tests.asking import APP, error
from registry.tests.clients import random_bytes, until
from registry.tests.conftest import WORLD
from registry.tests.images import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 1_000_000
CHUNK = 10_000
SECONDS = 3.0
SMALL = random_bytes(LIMIT // 2, seed=1)
LARGE = random_bytes(LIMIT + 1, seed=2)


@pytest.fixture(scope="module")
def limited(registry_image: None) -> Iterator[LocalRegistry]:
    with local_registry(world=WORLD, max_layer=str(LIMIT)) as running:
        yield running
        assert "Traceback" not in running.output()


@pytest.fixture(scope="module")
def timing(registry_image: None) -> Iterator[LocalRegistry]:
    with local_registry(world=WORLD, upload_timeout=f"{SECONDS}s") as running:
        yield running
        assert "Traceback" not in running.output()


@pytest.fixture
def upload(limited: LocalRegistry) -> Iterator[Upload]:
    yield from opened(limited)


@pytest.fixture
def timed(timing: LocalRegistry) -> Iterator[Upload]:
    yield from opened(timing)


def opened(registry: LocalRegistry) -> Iterator[Upload]:
    registry.clear()
    with registry.session() as session:
        session.headers.update(registry.bearer("writer", f"{APP}:pull,push"))
        yield Upload(registry, session)


class Upload:
    """One upload and what the tests do with it."""

    def __init__(self, registry: LocalRegistry, session: requests.Session) -> None:
        self.registry = registry
        self._session = session
        # The registry's clock begins before its answer comes.
        self.opened = time.monotonic()
        answer = session.post(f"{registry.url}/v2/{APP}/blobs/uploads/")
        self.identifier = answer.headers["Docker-Upload-UUID"]
        self._location = answer.headers["Location"]

    def send(self, method: str, body: bytes | Iterator[bytes] = b"", digest: str = "") -> requests.Response:
        answer = self._session.request(
            method,
            f"{self.registry.url}{self._location}",
            params={"digest": digest} if digest else None,
            data=body,
        )
        self._location = answer.headers.get("Location", self._location)
        return answer

    def stored(self) -> str:
        """Return the names of the files that the registry keeps of it."""
        return self.registry.run("find", "/var/lib/registry", "-path", f"*{self.identifier}*")


def chunks(content: bytes) -> Iterator[bytes]:
    """Give the content without saying how much it is."""
    for start in range(0, len(content), CHUNK):
        yield content[start : start + CHUNK]


def has_blob(registry: LocalRegistry, content: bytes) -> bool:
    with registry.session("writer") as session:
        answer = session.head(f"{registry.url}/v2/{APP}/blobs/{digest_of(content)}")
    return answer.status_code == 200


TOO_LARGE: dict[str, Callable[[Upload], requests.Response]] = {
    "one PATCH": lambda upload: upload.send("PATCH", LARGE),
    "one PATCH, length unknown": lambda upload: upload.send("PATCH", chunks(LARGE)),
    "one PUT": lambda upload: upload.send("PUT", LARGE, digest_of(LARGE)),
    "one PUT, length unknown": lambda upload: upload.send("PUT", chunks(LARGE), digest_of(LARGE)),
    "several PATCHes": lambda upload: [upload.send("PATCH", SMALL) for _ in range(3)][-1],
    "PATCH and PUT": lambda upload: [
        upload.send("PATCH", LARGE[:LIMIT]),
        upload.send("PUT", LARGE[LIMIT:], digest_of(LARGE)),
    ][-1],
}


@pytest.mark.parametrize("send", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_layer_over_the_limit(upload: Upload, send: Callable[[Upload], requests.Response]) -> None:
    assert error(send(upload)) == (413, "SIZE_INVALID")
    assert upload.stored() == ""
    assert not has_blob(upload.registry, LARGE)
    assert error(upload.send("PATCH", b"more"))[0] == 413


def test_it_is_refused_the_moment_the_limit_is_passed(upload: Upload) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"\0" * LIMIT

    # This client goes on sending, and may be cut off before it reads the answer.
    with contextlib.suppress(requests.ConnectionError):
        assert error(upload.send("PATCH", endless())) == (413, "SIZE_INVALID")
    [entry] = upload.registry.wait_for(method="PATCH", status="413")
    assert entry.received <= LIMIT
    assert upload.stored() == ""


def test_a_length_over_the_limit_is_refused_before_a_byte_is_read(upload: Upload) -> None:
    assert error(upload.send("PATCH", LARGE)) == (413, "SIZE_INVALID")
    [entry] = upload.registry.wait_for(method="PATCH", status="413")
    assert entry.received == 0


def test_a_layer_at_the_limit(upload: Upload) -> None:
    content = LARGE[:LIMIT]
    assert upload.send("PUT", chunks(content), digest_of(content)).status_code == 201
    assert has_blob(upload.registry, content)


def test_an_upload_is_kept_while_it_has_time(upload: Upload) -> None:
    assert upload.send("PATCH", SMALL).status_code == 202
    assert upload.identifier in upload.stored()


def test_an_upload_that_lasts_too_long(timed: Upload) -> None:
    timed.registry.fault(method="PATCH", bytes_per_second=len(SMALL) / (20 * SECONDS))
    assert error(timed.send("PATCH", SMALL)) == (504, "BLOB_UPLOAD_INVALID")
    assert SECONDS <= time.monotonic() - timed.opened < 10 * SECONDS
    assert timed.stored() == ""


def test_an_upload_that_falls_silent(timed: Upload) -> None:
    def silent() -> Iterator[bytes]:
        yield SMALL
        timed.registry.wait_for(method="PATCH", status="504")

    assert error(timed.send("PATCH", silent())) == (504, "BLOB_UPLOAD_INVALID")
    assert timed.stored() == ""


def test_the_time_runs_between_requests(timed: Upload) -> None:
    assert timed.send("PATCH", SMALL[:CHUNK]).status_code == 202
    until(lambda: timed.send("GET").status_code != 204, 10 * SECONDS)
    assert error(timed.send("GET")) == (504, "BLOB_UPLOAD_INVALID")
    assert error(timed.send("PUT", SMALL[CHUNK:], digest_of(SMALL))) == (504, "BLOB_UPLOAD_INVALID")
    until(lambda: not timed.stored(), 30)  # it is removed beside the answers


def test_an_upload_that_nobody_goes_on_with_is_removed(timed: Upload) -> None:
    assert timed.send("PATCH", SMALL).status_code == 202
    until(lambda: not timed.stored(), 10 * SECONDS)


@pytest.mark.usefixtures("registry_image")
def test_a_cut_can_be_chosen() -> None:
    with local_registry(upload_timeout=f"{SECONDS}s", on_upload_timeout="cut") as running:
        with running.session("writer") as session:
            upload = Upload(running, session)
            running.fault(method="PATCH", bytes_per_second=CHUNK)
            with pytest.raises(requests.ConnectionError):
                upload.send("PATCH", SMALL)
        [entry] = running.wait_for(method="PATCH", state="cut")
        assert entry.seconds < len(SMALL) / CHUNK / 2, "all of it would take twice as long"
        assert upload.stored() == ""


@pytest.mark.usefixtures("registry_image")
def test_a_token_runs_out() -> None:
    with local_registry(token_lifetime=f"{SECONDS}s") as running, running.session() as session:
        began = time.monotonic()
        session.headers.update(running.bearer("writer"))
        assert session.get(f"{running.url}/v2/").status_code == 200
        until(lambda: session.get(f"{running.url}/v2/").status_code == 401, 10 * SECONDS)
        assert time.monotonic() - began > SECONDS
