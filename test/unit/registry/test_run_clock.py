"""How long a run waits for a registry that answers each request late, but just in time."""

import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from unit.fakes import Clock
from unit.http import HUNG, Outcome, Reply, Sent, error_reply, json_reply
from unit.registry.support import BASE, PATH, UPLOADS, Blob, Registry, Watch

from pipe.errors import PipeError, RegistryFailedError, RegistryTooSlowError
from pipe.oci.manifest import OCI_MANIFEST, Manifest
from pipe.registry.client import CONNECTIONS
from pipe.registry.run_clock import RUN_LIMIT, RunClock
from pipe.registry.transport import READ_TIMEOUT

DIGESTS = [f"sha256:{number:064x}" for number in range(1000)]
LATE = 25.0
"""Seconds of an answer that is just in time."""


def slow(sent: Sent) -> Outcome:
    """Answer late."""
    status = {"POST": 202, "PUT": 201}.get(sent.method, 404)
    return Reply(status, headers={"Location": f"{UPLOADS}1"}, delay=LATE)


def exhaust(call: Callable[[], object]) -> None:
    """Make a call until it fails with something else than a registry that does not answer."""
    for _ in range(1000):
        with contextlib.suppress(RegistryFailedError):
            call()


def test_time_counts_only_while_the_registry_is_waited_for_and_once() -> None:
    clock = Clock()
    run = RunClock(clock, 100.0)
    clock.pass_by(1000)
    assert run.left() == 100
    with run.waiting():
        clock.pass_by(10)
        assert run.left() == 90
        with run.waiting():
            clock.pass_by(10)
            assert run.left() == 80
        clock.pass_by(10)
    clock.pass_by(1000)
    assert run.left() == 70


def test_the_clock_stands_still_while_a_layer_is_on_its_way() -> None:
    clock = Clock()
    run = RunClock(clock, 100.0)
    with run.waiting():
        clock.pass_by(1)
        with run.uploading(), run.uploading():
            clock.pass_by(1000)
        clock.pass_by(2)
    with run.uploading():
        clock.pass_by(1000)
        with run.waiting():
            clock.pass_by(1000)
    assert run.left() == 97


CALLS = [
    pytest.param(lambda r, _: r.stat(DIGESTS[0]), "HEAD", f"/v2/{PATH}/blobs/{DIGESTS[0]}", id="blob"),
    pytest.param(lambda r, _: r.manifest("1.0"), "GET", f"/v2/{PATH}/manifests/1.0", id="manifest"),
    pytest.param(lambda r, _: r.read(DIGESTS[0], 10), "GET", f"/v2/{PATH}/blobs/{DIGESTS[0]}", id="config"),
    pytest.param(lambda r, _: r.read_part(DIGESTS[0], 0, 10), "GET", f"/v2/{PATH}/blobs/{DIGESTS[0]}", id="part"),
    pytest.param(lambda r, _: r.lists_referrers("x", []), "GET", f"/v2/{PATH}/referrers/x", id="referrers"),
    pytest.param(lambda r, _: r.mount(DIGESTS[0], "acme/base"), "POST", UPLOADS, id="mount"),
    pytest.param(lambda r, _: r.check_push(), "POST", UPLOADS, id="check"),
    pytest.param(lambda r, m: r.put_manifest("1.0", m), "PUT", f"/v2/{PATH}/manifests/1.0", id="put"),
]
Call = Callable[..., object]


@pytest.mark.parametrize(("call", "method", "path"), CALLS)
def test_requests_one_after_the_other_end_with_the_time_of_the_run(call: Call, method: str, path: str) -> None:
    registry = Registry(limit=1000.0)
    manifest = Manifest(OCI_MANIFEST, b"{}")
    registry.server.on(method, path, slow)
    began = registry.clock()
    with pytest.raises(RegistryTooSlowError, match=f"{method} {path}") as raised:
        exhaust(lambda: call(registry.repository, manifest))
    assert registry.clock() - began == 1000
    assert len(registry.server.matching(method, path)) == 1000 / LATE
    assert (raised.value.exit_code, raised.value.temporary) == (6, False)
    assert "16m 40s for the answers to 4" in raised.value.cause
    assert "just in time" in raised.value.cause
    assert "Run the step again later" in raised.value.fix


def test_requests_at_the_same_time_end_with_the_time_of_the_run() -> None:
    registry = Registry(limit=1000.0)
    registry.server.on("HEAD", "*", slow)
    began = registry.clock()
    with pytest.raises(RegistryTooSlowError):
        registry.repository.stat_all(DIGESTS)
    # This clock adds the delays of requests that are under way at the same time.
    assert 1000 <= registry.clock() - began <= 1000 + CONNECTIONS * READ_TIMEOUT


@pytest.mark.parametrize(
    ("limit", "timeouts"),
    [pytest.param(40.0, [30, 10], id="second-question"), pytest.param(7.0, [7], id="first-question")],
)
def test_a_request_lasts_no_longer_than_the_run(limit: float, timeouts: list[float]) -> None:
    registry = Registry(limit=limit)
    registry.server.on("HEAD", "*", HUNG)
    for _ in timeouts[:-1]:
        with pytest.raises(RegistryFailedError, match="no answer in time"):
            registry.repository.stat(DIGESTS[0])
    with pytest.raises(RegistryTooSlowError):
        registry.repository.stat(DIGESTS[0])
    assert [sent.timeout for sent in registry.server.matching("HEAD")] == timeouts


def test_a_wait_that_does_not_fit_is_not_begun() -> None:
    registry = Registry(limit=20.0)
    registry.server.on("HEAD", "*", error_reply(429, "TOOMANYREQUESTS", Retry_After="21"))
    with pytest.raises(RegistryFailedError, match="429"):
        registry.repository.stat(DIGESTS[0])
    assert registry.clock.slept == []


def test_a_wait_that_fits_counts_and_is_logged() -> None:
    registry = Registry(limit=20.0)
    registry.server.on("HEAD", "*", error_reply(429, "TOOMANYREQUESTS", Retry_After="15"), times=1)
    registry.repository.stat(DIGESTS[0])
    assert registry.clock.slept == [15]
    assert registry.repository.run_clock.left() == 5
    assert registry.messages.of("INFO") == ["crg.apkg.io: HTTP 429; retrying in 15.0 s."]


def test_the_requests_of_an_upload_have_the_time_of_their_layer() -> None:
    registry = Registry(limit=10.0)
    registry.repository.connect()
    with registry.repository.run_clock.waiting():
        registry.clock.pass_by(11)
    registry.repository.put_blob(Blob(b"layer"), registry.watch)
    assert [sent.method for sent in registry.server.sent] == ["GET", "POST", "PUT"]


def test_redirects_of_an_upload_share_its_time() -> None:
    registry = Registry()
    registry.server.on(
        "PUT", "*/uploads/*", Reply(307, headers={"Location": "/v2/acme/app/blobs/uploads/1"}, delay=100)
    )
    began = registry.clock()
    with pytest.raises(PipeError):
        registry.repository.put_blob(Blob(b"layer"), registry.watch)
    assert registry.clock() - began <= 420
    times = [sent.timeout for sent in registry.server.matching("PUT")][:4]
    assert times == [420, 320, 220, 120]


def tokens(registry: Registry) -> None:
    """Let each request need a token, which comes late and expires at once."""
    registry.server.realm = f"{BASE}/token"
    late = replace(json_reply(200, {"token": "token-1", "expires_in": 1e-9}), delay=LATE)
    registry.server.on("GET", "*/token", late)


def test_tokens_count_as_the_time_of_the_run() -> None:
    registry = Registry(limit=60.0)
    tokens(registry)
    began = registry.clock()
    with pytest.raises(RegistryTooSlowError):
        exhaust(lambda: registry.repository.stat(DIGESTS[0]))
    assert registry.clock() - began == 60


def test_tokens_count_as_the_time_of_an_upload() -> None:
    registry = Registry()
    tokens(registry)
    registry.watch = Watch(registry.clock, 40.0)
    with pytest.raises(PipeError):
        registry.repository.put_blob(Blob(b"layer"), registry.watch)
    assert registry.watch.remaining() > -1, "each request lasts at least a millisecond"


def test_an_honest_registry_far_away_is_never_cut_short() -> None:
    """A tenth of an index of 100 platforms with 125 layers each; here, all requests come one after the other."""
    registry = Registry(limit=RUN_LIMIT / 10)
    registry.server.on("HEAD", "*", Reply(200, headers={"Content-Length": "1"}, delay=0.2))
    assert len(registry.repository.stat_all(f"sha256:{n:064x}" for n in range(10 * 126))) == 1260
    assert registry.repository.run_clock.left() > 0
