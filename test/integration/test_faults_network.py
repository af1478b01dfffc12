"""A registry that cannot be reached, not be trusted, or does not answer."""

import contextlib
import socket
from pathlib import Path

import pytest
from integration.certificates import make_certificate
from integration.images import MB, Images
from integration.registries import BY_ENGINE, BY_PIPE, StartRegistry, digest_in
from integration.running import AT_ONCE, Run, at_once
from registry.client import Registry


@pytest.fixture
def closed_port() -> str:
    """An address of this machine where nothing listens."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def test_closed_port_is_tried_again_and_by_the_engine(images: Images, run: Run, closed_port: str) -> None:
    image = images.build(MB)
    finished = run(Registry(closed_port), IMAGE_NAME=image.name, MAX_ATTEMPTS="2")
    finished.expect(
        6,
        "The registry cannot be reached",
        "Continuing with Docker Engine, which may still reach it",
        "Attempt 1 of 2 failed",
        f"The registry cannot be reached: {closed_port} refuses connections.",
        "Check REGISTRY",
        within=20,
    )
    assert finished.log.count("WARNING: ") == 2, "on the Engine, and on the attempt"
    assert finished.log.count(f"{closed_port} refuses connections.") == 3, "each warning, and the error"
    finished.expect_not("Errno")
    finished.expect_not("dial tcp")
    assert finished.references == []
    tags = finished.result["tags"]
    assert isinstance(tags, list)
    assert [tag["status"] for tag in tags] == ["failed"]


def test_unknown_host_is_told(images: Images, run: Run) -> None:
    image = images.build(MB)
    finished = run(Registry("registry.invalid"), IMAGE_NAME=image.name, MAX_ATTEMPTS="1")
    finished.expect(6, "The registry cannot be reached", "registry.invalid", "Check REGISTRY", within=30)


def test_certificate_that_is_not_trusted_ends_it_at_once(
    start_registry: StartRegistry, images: Images, run: Run, tmp_path: Path
) -> None:
    registry = start_registry(make_certificate(tmp_path / "tls", "IP:127.0.0.1"))
    image = images.build(MB)
    finished = at_once(run, registry, IMAGE_NAME=image.name)
    finished.expect(
        6,
        "TLS certificate is not trusted",
        "certificate verify failed",
        "REQUESTS_CA_BUNDLE",
        "certs.d",
        within=AT_ONCE,
    )
    assert registry.requests(user_agent=BY_PIPE) == []
    assert registry.requests(user_agent=BY_ENGINE) == []


def test_certificate_for_another_name_is_not_trusted(
    start_registry: StartRegistry, images: Images, run: Run, tmp_path: Path
) -> None:
    tls = make_certificate(tmp_path / "tls", "IP:127.0.0.1")
    registry = start_registry(tls)
    image = images.build(MB)
    host = registry.host.replace("127.0.0.1", "localhost")
    finished = at_once(run, registry, IMAGE_NAME=image.name, REGISTRY=host, REQUESTS_CA_BUNDLE=str(tls.authority))
    finished.expect(6, "TLS certificate is not trusted", "localhost", within=AT_ONCE)
    assert registry.requests(user_agent=BY_PIPE) == []


def test_private_authority_is_trusted_by_its_bundle(
    start_registry: StartRegistry, images: Images, run: Run, tmp_path: Path
) -> None:
    tls = make_certificate(tmp_path / "tls", "IP:127.0.0.1")
    registry = start_registry(tls)
    image = images.build(MB)
    finished = run(registry, IMAGE_NAME=image.name, REQUESTS_CA_BUNDLE=str(tls.authority))
    finished.expect(0, "✔ Pushed ")
    assert digest_in(registry, "latest") == finished.result["digest"]


def test_bundle_that_is_not_there_is_told(
    start_registry: StartRegistry, images: Images, run: Run, tmp_path: Path
) -> None:
    registry = start_registry(make_certificate(tmp_path / "tls", "IP:127.0.0.1"))
    image = images.build(MB)
    finished = at_once(run, registry, IMAGE_NAME=image.name, REQUESTS_CA_BUNDLE="/missing/ca.pem")
    finished.expect(2, "REQUESTS_CA_BUNDLE", "/missing/ca.pem", within=AT_ONCE)
