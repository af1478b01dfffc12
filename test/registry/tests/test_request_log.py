"""The log of requests that tests read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests
from registry.tests.asking import APP, LARGE, send_blob
from registry.tests.clients import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.client import LocalRegistry


def test_what_it_says(registry: LocalRegistry, session: requests.Session) -> None:
    headers = {"User-Agent": "test/1"}
    session.get(f"{registry.url}/v2/{APP}/manifests/never?private=1", headers=headers)
    [entry] = registry.requests(method="GET")
    assert (entry.path, entry.status) == (f"/v2/{APP}/manifests/never", 404)
    assert (entry.user_agent, entry.account, entry.state) == ("test/1", "writer", "done")
    assert entry.sent > 50
    assert 0 < entry.seconds < 5


def test_an_upload_under_way_is_in_it(registry: LocalRegistry, session: requests.Session) -> None:
    registry.fault(method="PATCH", bytes_per_second=500_000)
    with ThreadPoolExecutor() as threads:
        sending = threads.submit(send_blob, registry, session, LARGE[:2_000_000])
        [entry] = registry.wait_for(method="PATCH", state="open", received=500_000)
        assert (entry.status, entry.state) == (None, "open")
        assert sending.result().status_code == 202
    [entry] = registry.requests(method="PATCH")
    assert (entry.status, entry.received, entry.state) == (202, 2_000_000, "done")
    assert entry.fault is not None


def test_waiting_for_what_does_not_come(registry: LocalRegistry) -> None:
    with pytest.raises(TimeoutError, match="no 1 requests"):
        registry.wait_for(method="PUT", timeout=0.1)


def test_clearing(registry: LocalRegistry, session: requests.Session) -> None:
    session.get(f"{registry.url}/v2/")
    registry.clear()
    assert registry.requests() == []


def test_clearing_forgets_what_is_under_way(registry: LocalRegistry, session: requests.Session) -> None:
    registry.fault(method="PATCH", hang=True)
    with ThreadPoolExecutor() as threads:
        sending = threads.submit(send_blob, registry, session, LARGE[:1000])
        registry.wait_for(method="PATCH", state="open")
        registry.clear()
        assert registry.requests() == []
        with pytest.raises(requests.ConnectionError):
            sending.result()
    assert registry.requests() == []


def test_quiet(registry: LocalRegistry, session: requests.Session) -> None:
    assert registry.quiet(0.2)
    registry.fault(method="PATCH", bytes_per_second=1_000_000)
    with ThreadPoolExecutor() as threads:
        sending = threads.submit(send_blob, registry, session, LARGE[:5_000_000])
        registry.wait_for(method="PATCH", state="open")
        assert not registry.quiet(2, timeout=2.5)
        sending.result()


def test_an_unknown_condition_is_refused(registry: LocalRegistry) -> None:
    with pytest.raises(ValueError, match="unknown condition colour"):
        registry.requests(colour="red")


def test_a_client_that_goes_away_is_noticed(registry: LocalRegistry, session: requests.Session) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 1000
        registry.wait_for(method="PATCH", state="open", received=1000)
        raise OSError

    answer = session.post(f"{registry.url}/v2/{APP}/blobs/uploads/")
    with pytest.raises(requests.ConnectionError):
        session.patch(registry.url + answer.headers["Location"], data=broken())
    session.close()
    until(lambda: bool(registry.requests(method="PATCH", state="cut")), 5)
