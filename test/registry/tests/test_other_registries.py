"""Registries that treat chunks differently, each imitated by a fault or an option."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import requests
from registry.client import LocalRegistry, local_registry
from registry.tests.asking import LARGE, error
from registry.tests.chunked import BLOB, Upload, finished

if TYPE_CHECKING:
    from collections.abc import Iterator

UPLOADS = "*/blobs/uploads/*"


@pytest.fixture
def upload(registry: LocalRegistry, session: requests.Session) -> Iterator[Upload]:
    yield Upload(registry, session, BLOB)
    registry.clear_faults()


class TestOtherRegistries:
    def test_of_distribution_2_8(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(method="POST", upload={"checked": False})
        upload = Upload(registry, session, BLOB)
        assert upload.patch(20, 30).status_code == 202
        assert upload.stands() == (204, "0-9")
        broken = Upload(registry, session, LARGE)
        registry.fault(method="PATCH", after=1_000_000, cut="reset", times=1)
        with pytest.raises(requests.ConnectionError):
            broken.patch(0, len(LARGE))
        registry.wait_for(method="PATCH", state="cut")
        assert error(broken.patch(1_000_000, len(LARGE))) == (404, "BLOB_UPLOAD_INVALID")

    def test_one_that_takes_one_patch(self, upload: Upload) -> None:
        upload.registry.fault(method="PATCH", patches=1, answer={"status": 405})
        other = Upload(upload.registry, upload.session, BLOB)
        for each in (upload, other):
            assert [each.patch(0, 10).status_code, each.patch(10, 20).status_code] == [202, 405]
            assert each.stands() == (204, "0-9")
        assert upload.put(10).status_code == 201

    def test_one_without_content_range(self, upload: Upload) -> None:
        upload.registry.fault(content_range="?*", answer={"status": 400})
        assert upload.patch(0, 10).status_code == 400
        streamed = upload.session.patch(upload.registry.url + upload.location, data=BLOB)
        assert streamed.status_code == 202

    def test_one_that_refuses_the_end_of_several_chunks(self, upload: Upload) -> None:
        upload.registry.fault(method="PUT", path=UPLOADS, patches=2, answer={"status": 500})
        one = Upload(upload.registry, upload.session, BLOB)
        one.patch(0, 30)
        assert one.put().status_code == 201
        upload.patch(0, 10)
        upload.patch(10, 30)
        assert upload.put().status_code == 500

    def test_one_with_a_least_chunk(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(method="POST", upload={"least_chunk": 10})
        upload = Upload(registry, session, BLOB)
        assert upload.opened.headers["OCI-Chunk-Min-Length"] == "10"
        assert upload.patch(0, 10).status_code == 202
        assert upload.patch(10, 19).status_code == 202  # it might have been the last
        refused = upload.patch(19, 30)
        assert error(refused) == (400, "BLOB_UPLOAD_INVALID")
        assert refused.headers["Range"] == "0-18"
        assert upload.put(19).status_code == 201

    def test_what_a_cut_leaves_may_be_smaller(self, registry: LocalRegistry, session: requests.Session) -> None:
        registry.fault(method="POST", upload={"least_chunk": 11_000_000})
        large = Upload(registry, session, LARGE)
        registry.fault(method="PATCH", after=1_000_000, answer={"status": 500}, times=1)
        assert large.patch(0, 11_000_000).status_code == 500
        assert large.patch(1_000_000, 11_000_000).status_code == 202
        assert large.patch(11_000_000, len(LARGE)).status_code == 202
        assert finished(large)


@pytest.mark.usefixtures("registry_image")
def test_one_that_times_requests() -> None:
    running = local_registry(upload_timeout="1s", upload_timeout_of="request", chunk_min="5")
    with running as registry, registry.session("writer") as session:
        upload = Upload(registry, session, BLOB)
        assert upload.opened.headers["OCI-Chunk-Min-Length"] == "5"
        assert upload.patch(0, 10).status_code == 202
        time.sleep(1.1)  # what is shown is that nothing happens
        assert upload.patch(10, 20).status_code == 202
        registry.fault(method="PATCH", bytes_per_second=1)
        assert error(upload.patch(20, 30)) == (504, "BLOB_UPLOAD_INVALID")


@pytest.mark.usefixtures("registry_image")
def test_the_2_8_behaviour_can_be_switched_on() -> None:
    with local_registry(chunks="2.8") as registry, registry.session("writer") as session:
        upload = Upload(registry, session, BLOB)
        assert upload.patch(20, 30).status_code == 202
        registry.fault(method="POST", upload={"checked": True})
        assert Upload(registry, session, BLOB).patch(20, 30).status_code == 416
