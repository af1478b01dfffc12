"""Blobs in chunks, as the distribution specification has them, and the faults of registries that differ."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
import requests
from registry.client import LocalRegistry, local_registry
from registry.tests.asking import APP, LARGE, error
from registry.tests.clients import random_bytes
from registry.tests.images import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

UPLOADS = "*/blobs/uploads/*"
BLOB = random_bytes(30, seed=11)
PART = len(LARGE) // 2


class Upload:
    """One upload in chunks, which goes on where the registry says."""

    def __init__(self, registry: LocalRegistry, session: requests.Session, blob: bytes) -> None:
        self.registry = registry
        self.session = session
        self.blob = blob
        self.opened = session.post(f"{registry.url}/v2/{APP}/blobs/uploads/")
        self.location = self.opened.headers["Location"]

    def patch(self, first: int, end: int, location: str = "") -> requests.Response:
        return self._send("PATCH", location or self.location, self.blob[first:end], f"{first}-{end - 1}")

    def put(self, first: int | None = None, location: str = "") -> requests.Response:
        """Finish, with all from `first` on as the last chunk."""
        location = f"{location or self.location}&digest={digest_of(self.blob)}"
        if first is None:
            return self._send("PUT", location)
        return self._send("PUT", location, self.blob[first:], f"{first}-{len(self.blob) - 1}")

    def stands(self) -> tuple[int, str]:
        """Return what the registry says when asked."""
        answer = self._send("GET", self.location)
        return answer.status_code, answer.headers.get("Range", "")

    def _send(self, method: str, location: str, body: bytes = b"", content_range: str = "") -> requests.Response:
        headers = {"Content-Range": content_range} if content_range else {}
        answer = self.session.request(method, self.registry.url + location, data=body, headers=headers)
        if answer.status_code in (202, 204, 416):
            self.location = answer.headers["Location"]
        return answer


@pytest.fixture
def upload(registry: LocalRegistry, session: requests.Session) -> Iterator[Upload]:
    yield Upload(registry, session, BLOB)
    registry.clear_faults()


@pytest.fixture
def large(registry: LocalRegistry, session: requests.Session) -> Iterator[Upload]:
    """One whose chunks are larger than the buffers on the way."""
    yield Upload(registry, session, LARGE)
    registry.clear_faults()


def read_back(upload: Upload) -> bytes:
    return upload.session.get(f"{upload.registry.url}/v2/{APP}/blobs/{digest_of(upload.blob)}").content


def finished(upload: Upload) -> bool:
    return upload.put().status_code == 201 and read_back(upload) == upload.blob


class TestOrder:
    def test_it_is_told_at_any_time(self, upload: Upload) -> None:
        assert upload.stands() == (204, "0-0")
        assert [upload.patch(0, 1).headers["Range"], upload.stands()] == ["0-0", (204, "0-0")]
        assert [upload.patch(1, 20).headers["Range"], upload.stands()] == ["0-19", (204, "0-19")]
        assert upload.put(20).status_code == 201
        assert read_back(upload) == BLOB
        assert upload.stands() == (404, "")

    @pytest.mark.parametrize(
        ("first", "end"),
        [
            pytest.param(0, 10, id="sent again"),
            pytest.param(5, 20, id="overlapping"),
            pytest.param(11, 20, id="with a gap"),
        ],
    )
    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    def test_a_chunk_out_of_order(self, upload: Upload, method: str, first: int, end: int) -> None:
        upload.patch(0, 10)
        answer = upload.patch(first, end) if method == "PATCH" else upload.put(first)
        assert error(answer) == (416, "BLOB_UPLOAD_INVALID")
        assert answer.headers["Range"] == "0-9"
        assert upload.patch(10, 30).headers["Range"] == "0-29"
        assert finished(upload)

    def test_the_first_one_out_of_order(self, upload: Upload) -> None:
        assert error(upload.patch(10, 20))[0] == 416
        assert upload.patch(0, 30).status_code == 202
        assert finished(upload)

    def test_one_sent_again_to_an_old_location_is_told_the_current_one(self, upload: Upload) -> None:
        old = upload.location
        current = upload.patch(0, 10).headers["Location"]
        answer = upload.patch(0, 10, location=old)
        assert (answer.status_code, answer.headers["Location"], answer.headers["Range"]) == (416, current, "0-9")
        assert upload.patch(10, 30, location=old).status_code == 202
        assert upload.put(location=old).status_code == 201

    def test_a_stream_and_then_chunks(self, upload: Upload) -> None:
        streamed = upload.session.patch(upload.registry.url + upload.location, data=iter([BLOB[:7], BLOB[7:12]]))
        assert streamed.headers["Range"] == "0-11"
        assert upload.stands() == (204, "0-11")
        assert upload.patch(12, 30).status_code == 202
        assert finished(upload)

    def test_of_equal_ones_at_once_only_one_counts(self, large: Upload) -> None:
        def patch(_: int) -> int:
            with large.registry.session("writer") as session:
                headers = {"Content-Range": f"0-{PART - 1}"}
                url = large.registry.url + large.location
                return session.patch(url, data=LARGE[:PART], headers=headers).status_code

        with ThreadPoolExecutor(4) as threads:
            assert sorted(threads.map(patch, range(4))) == [202, 416, 416, 416]
        assert large.stands() == (204, f"0-{PART - 1}")
        assert large.patch(PART, len(LARGE)).status_code == 202
        assert finished(large)


class TestWhatARangeSays:
    @pytest.mark.parametrize(
        ("content_range", "body", "code"),
        [
            pytest.param("bytes 0-9/30", BLOB[:10], "BLOB_UPLOAD_INVALID", id="as in HTTP"),
            pytest.param("9-0", BLOB[:10], "BLOB_UPLOAD_INVALID", id="backwards"),
            pytest.param("0-9", BLOB[:9], "SIZE_INVALID", id="shorter"),
            pytest.param("0-9", BLOB[:11], "SIZE_INVALID", id="longer"),
            pytest.param("0-9", [BLOB[:9]], "SIZE_INVALID", id="shorter, length unknown"),
            pytest.param("0-9", [BLOB[:10], BLOB[10:11]], "SIZE_INVALID", id="longer, length unknown"),
        ],
    )
    def test_it_must_be_true(self, upload: Upload, content_range: str, body: bytes | list[bytes], code: str) -> None:
        data = iter(body) if isinstance(body, list) else body
        headers = {"Content-Range": content_range}
        answer = upload.session.patch(upload.registry.url + upload.location, data=data, headers=headers)
        assert error(answer) == (400, code)
        stored = {"0-0": 0}.get(answer.headers["Range"], int(answer.headers["Range"][2:]) + 1)
        assert upload.stands() == (204, answer.headers["Range"])
        assert upload.patch(stored, 30).status_code == 202
        assert finished(upload)

    def test_a_put_without_a_digest_changes_nothing(self, upload: Upload) -> None:
        upload.patch(0, 30)
        answer = upload.session.put(upload.registry.url + upload.location)
        assert error(answer) == (400, "DIGEST_INVALID")
        assert finished(upload)

    def test_a_wrong_digest_ends_it(self, upload: Upload) -> None:
        upload.patch(0, 29)
        assert error(upload.put()) == (400, "DIGEST_INVALID")
        assert error(upload.patch(29, 30)) == (404, "BLOB_UPLOAD_UNKNOWN")


class TestCuts:
    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    @pytest.mark.parametrize("how", ["reset", "close"])
    def test_what_came_is_stored(self, large: Upload, method: str, how: str) -> None:
        assert large.patch(0, 2_000_000).status_code == 202
        large.registry.fault(method=method, content_range="2000000-*", after=3_000_000, cut=how, times=1)
        with pytest.raises(requests.ConnectionError):
            large.patch(2_000_000, len(LARGE)) if method == "PATCH" else large.put(2_000_000)
        large.registry.wait_for(method=method, state="cut")
        assert large.stands() == (204, "0-4999999")
        assert error(large.patch(2_000_000, len(LARGE)))[0] == 416
        assert large.put(5_000_000).status_code == 201
        assert read_back(large) == LARGE

    def test_a_client_that_goes_away(self, large: Upload) -> None:
        connection = HTTPConnection(large.registry.host)
        connection.putrequest("PATCH", large.location)
        headers = dict(large.registry.bearer("writer", f"{APP}:pull,push"))
        headers |= {"Content-Range": f"0-{len(LARGE) - 1}", "Content-Length": str(len(LARGE))}
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(LARGE[:3_000_000])
        large.registry.wait_for(method="PATCH", received=3_000_000)
        assert large.stands() == (204, "0-2999999")
        connection.close()
        large.registry.wait_for(method="PATCH", state="cut")
        assert large.stands() == (204, "0-2999999")
        assert large.patch(3_000_000, len(LARGE)).status_code == 202
        assert finished(large)

    def test_one_that_hangs_is_taken_over(self, large: Upload) -> None:
        connection = HTTPConnection(large.registry.host, timeout=10)
        connection.putrequest("PATCH", large.location)
        headers = dict(large.registry.bearer("writer", f"{APP}:pull,push"))
        headers |= {"Content-Range": f"0-{len(LARGE) - 1}", "Content-Length": str(len(LARGE))}
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(LARGE[:1_000_000])
        large.registry.wait_for(method="PATCH", received=1_000_000)
        assert large.patch(1_000_000, len(LARGE)).status_code == 202
        assert connection.getresponse().status == 416
        assert finished(large)
        connection.close()

    def test_a_fault_that_answers_in_the_middle(self, large: Upload) -> None:
        large.registry.fault(method="PATCH", after=1_000_000, answer={"status": 503}, times=1)
        assert large.patch(0, len(LARGE)).status_code == 503
        assert large.stands() == (204, "0-999999")
        assert large.put(1_000_000).status_code == 201


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
