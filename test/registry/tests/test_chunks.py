"""Blobs in chunks, as the distribution specification has them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
import requests
from registry.tests.asking import APP, LARGE, error
from registry.tests.chunked import BLOB, Upload, finished, read_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.client import LocalRegistry

PART = len(LARGE) // 2


@pytest.fixture
def upload(registry: LocalRegistry, session: requests.Session) -> Iterator[Upload]:
    yield Upload(registry, session, BLOB)
    registry.clear_faults()


@pytest.fixture
def large(registry: LocalRegistry, session: requests.Session) -> Iterator[Upload]:
    """One whose chunks are larger than the buffers on the way."""
    yield Upload(registry, session, LARGE)
    registry.clear_faults()


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
            pytest.param("0-99999999999999999999", BLOB[:10], "BLOB_UPLOAD_INVALID", id="beyond all numbers"),
            pytest.param("0-9223372036854775807", BLOB[:10], "SIZE_INVALID", id="the largest number"),
            pytest.param("\u0660-\u0669".encode(), BLOB[:10], "BLOB_UPLOAD_INVALID", id="other digits"),
            pytest.param("", BLOB[:10], "BLOB_UPLOAD_INVALID", id="empty"),
            pytest.param("0-9", BLOB[:9], "SIZE_INVALID", id="shorter"),
            pytest.param("0-9", BLOB[:11], "SIZE_INVALID", id="longer"),
            pytest.param("0-9", [BLOB[:9]], "SIZE_INVALID", id="shorter, length unknown"),
            pytest.param("0-9", [BLOB[:10], BLOB[10:11]], "SIZE_INVALID", id="longer, length unknown"),
        ],
    )
    def test_it_must_be_true(
        self, upload: Upload, content_range: str | bytes, body: bytes | list[bytes], code: str
    ) -> None:
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
        connection = begun(large, 3_000_000)
        large.registry.wait_for(method="PATCH", received=3_000_000)
        assert large.stands() == (204, "0-2999999")
        connection.close()
        large.registry.wait_for(method="PATCH", state="cut")
        assert large.stands() == (204, "0-2999999")
        assert large.patch(3_000_000, len(LARGE)).status_code == 202
        assert finished(large)

    def test_one_that_hangs_is_taken_over(self, large: Upload) -> None:
        connection = begun(large, 1_000_000)
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


def begun(upload: Upload, size: int) -> HTTPConnection:
    """Send the head of a chunk that is the whole blob, and the first bytes of it; return the connection."""
    connection = HTTPConnection(upload.registry.host, timeout=10)
    connection.putrequest("PATCH", upload.location)
    headers = dict(upload.registry.bearer("writer", f"{APP}:pull,push"))
    headers |= {"Content-Range": f"0-{len(upload.blob) - 1}", "Content-Length": str(len(upload.blob))}
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(upload.blob[:size])
    return connection
