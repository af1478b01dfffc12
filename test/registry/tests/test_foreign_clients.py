"""Every client that people push with: login, push, pull, and a push that is refused."""

from __future__ import annotations

import gzip
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from integration.certificates import make_certificate
from registry.client import LocalRegistry, local_registry
from registry.tests.asking import APP
from registry.tests.clients import ClientError, random_bytes
from registry.tests.conftest import WORLD
from registry.tests.foreign import CLIENTS, Foreign, OfDxf
from registry.tests.images import MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def over_tls(registry_image: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    tls = make_certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")
    with local_registry(world=WORLD, tls=tls) as running:
        yield running
        assert "Traceback" not in running.output()


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Foreign]:
    kind = CLIENTS[request.param]
    registry = request.getfixturevalue("over_tls" if kind is OfDxf else "registry")
    registry.clear()
    # oras-py prefers a login in the home folder to the one that it is given.
    monkeypatch.setenv("HOME", str(tmp_path))
    # oras-py waits for minutes before it says what it was refused.
    monkeypatch.setattr("oras.decorator.time", SimpleNamespace(sleep=lambda _: None))
    foreign = kind(registry, tmp_path)
    yield foreign
    foreign.close()


def stored(registry: LocalRegistry, tag: str) -> bytes:
    """Return the only layer of a tag, not compressed."""
    with registry.session("reader") as session:
        accept = {"Accept": ", ".join(MEDIA_TYPES)}
        manifest = session.get(f"{registry.url}/v2/{APP}/manifests/{tag}", headers=accept)
        assert manifest.status_code == 200, manifest.text
        [layer] = manifest.json()["layers"]
        content = session.get(f"{registry.url}/v2/{APP}/blobs/{layer['digest']}").content
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def test_login_push_pull_and_a_refusal(client: Foreign, request: pytest.FixtureRequest) -> None:
    tag, registry = type(client).__name__, client.registry
    content = random_bytes(20_000, seed=len(tag) + ord(tag[2]))
    name = f"{APP}:{tag}"

    client.log_in("writer", "writer-token")
    client.push(name, content)
    assert content in stored(registry, tag)

    registry.clear()
    client.pull(name)
    assert registry.requests(method="GET", path="*/blobs/sha256:*", status="200", account="writer")

    client.log_in("reader", "reader-token")
    with pytest.raises(ClientError):
        client.push(f"{APP}:refused", content[::-1])
    assert registry.requests(status="403", account="reader")
    assert not registry.requests(method="PUT", status="201")


def test_unknown_credentials(client: Foreign) -> None:
    def log_in_and_push() -> None:
        client.log_in("writer", "wrong-token")
        client.push(f"{APP}:refused", b"never")

    with pytest.raises(ClientError):
        log_in_and_push()
    assert client.registry.requests(path="/token", status="401")
    assert not client.registry.requests(account="writer")
