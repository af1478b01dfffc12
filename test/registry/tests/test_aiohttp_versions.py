"""Bodies on their way through the gateway, by each version of aiohttp it runs with.

In the container that is Debian's, without a container the one that the tests' requirements lock.
"""

from __future__ import annotations

import re
import socket
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from registry.tests.asking import APP, LARGE
from registry.tests.images import Repository, digest_of, image

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from registry.client import LocalRegistry, Registry

LOCKED = Path(__file__).parents[2] / "requirements.txt"
SECONDS = 30
"""A hang shows as a time-out of the client."""


@pytest.fixture
def session(either: Registry) -> Iterator[requests.Session]:
    with either.session("writer") as session:
        yield session


def upload(registry: Registry, session: requests.Session) -> str:
    opened = session.post(f"{registry.url}/v2/{APP}/blobs/uploads/", timeout=SECONDS)
    return registry.url + opened.headers["Location"]


def in_pieces(content: bytes) -> Iterator[bytes]:
    """Give the content in chunks of HTTP, whose number the receiver does not know."""
    for start in range(0, len(content), 5000):
        yield content[start : start + 5000]


def test_the_locked_version_runs_outside_and_another_in_the_container(shared_registry: LocalRegistry) -> None:
    [locked] = re.findall(r"^aiohttp==(\S+)", LOCKED.read_text(encoding="utf-8"), re.MULTILINE)
    inside = shared_registry.run("python3", "-c", "import aiohttp; print(aiohttp.__version__)").strip()
    assert version("aiohttp") == locked != inside


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks of HTTP"])
def test_a_layer_larger_than_every_buffer_arrives(
    either: Registry, session: requests.Session, *, chunked: bool
) -> None:
    content = LARGE[1:] if chunked else LARGE
    body = in_pieces(content) if chunked else content
    patched = session.patch(upload(either, session), data=body, timeout=SECONDS)
    assert patched.status_code == 202, patched.text
    location = f"{either.url}{patched.headers['Location']}&digest={digest_of(content)}"
    assert session.put(location, timeout=SECONDS).status_code == 201
    stored = session.get(f"{either.url}/v2/{APP}/blobs/{digest_of(content)}", timeout=SECONDS)
    assert stored.content == content


def test_chunks_with_a_range_arrive(either: Registry, session: requests.Session) -> None:
    content, location, step = LARGE[2:], upload(either, session), 5_000_000
    for start in range(0, len(content), step):
        part = content[start : start + step]
        headers = {
            "Content-Range": f"{start}-{start + len(part) - 1}",
            "Content-Type": "application/octet-stream",
        }
        answer = session.patch(location, data=part, headers=headers, timeout=SECONDS)
        assert answer.status_code == 202, answer.text
        location = either.url + answer.headers["Location"]
    assert session.put(f"{location}&digest={digest_of(content)}", timeout=SECONDS).status_code == 201


def test_a_slow_link_passes_it_all(either: Registry, session: requests.Session) -> None:
    either.fault(method="PUT", path="*/blobs/uploads/*", bytes_per_second=20_000_000)
    content = LARGE[3:]
    location = f"{upload(either, session)}&digest={digest_of(content)}"
    assert session.put(location, data=content, timeout=SECONDS).status_code == 201


def test_an_image_can_be_pulled(either: Registry, session: requests.Session) -> None:
    content = image([LARGE[4:], b"small"])
    repository = Repository(session, either.url, APP)
    repository.push(content, "either")
    assert repository.problems(content, "either") == []


def test_requests_that_wait_for_no_answer_are_answered_in_order(either: Registry) -> None:
    address, port = either.host.split(":")
    head = f"GET /v2/ HTTP/1.1\r\nHost: {either.host}\r\n"
    requests = f"{head}\r\n" * 15 + f"{head}Connection: close\r\n\r\n"
    with socket.create_connection((address, int(port)), timeout=SECONDS) as connection:
        connection.sendall(requests.encode())
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answers.count(b"HTTP/1.1 401 ") == 16
