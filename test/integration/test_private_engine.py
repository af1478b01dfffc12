"""What only an Engine of the test's own can show: one that dies, and one that has no memory of the registry."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from integration.images import MB, Images
from integration.private_engine import PrivateEngine, private_engine
from integration.registries import BY_ENGINE, BY_PIPE, StartRegistry
from integration.running import AT_ONCE, Run, Start, at_once
from registry.client import LocalRegistry

pytestmark = [pytest.mark.root, pytest.mark.private_engine]
INSIDE = "127.0.0.1:5000"
"""The registry's address in the network of its own container, which the private Engine shares."""
SLOW = 500_000
"""Bytes per second of a link on which an upload is still under way when the Engine dies."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A private Engine, with a client to it, and a registry, in a network of their own."""

    engine: PrivateEngine
    client: docker.DockerClient
    registry: LocalRegistry


@pytest.fixture
def private(start_registry: StartRegistry) -> Iterator[Surroundings]:
    registry = start_registry()
    registry.container.reload()
    with (
        tempfile.TemporaryDirectory(prefix="engine-") as folder,
        private_engine(Path(folder), network_of=registry.container.attrs["State"]["Pid"]) as engine,
        contextlib.closing(docker.DockerClient(engine.docker_host)) as client,
    ):
        yield Surroundings(engine, client, registry)


def test_engine_killed_in_the_middle_is_told(private: Surroundings, start: Start) -> None:
    image = Images(private.client).build(20 * MB)
    private.registry.fault(method="PATCH", bytes_per_second=SLOW)
    running = start(
        private.registry,
        *private.engine.inside,
        IMAGE_NAME=image.name,
        UPLOADER="engine",
        REGISTRY=INSIDE,
        DOCKER_HOST=private.engine.docker_host,
    )
    private.registry.wait_for(method="PATCH", received=SLOW)
    private.engine.kill()
    running.restart_clock()
    finished = running.finish()
    finished.expect(3, "Docker Engine does not answer", private.engine.docker_host, "out of memory", within=15)
    finished.expect_not("Attempt", "✔")
    assert private.registry.requests(method="PUT") == []


def test_engine_without_memory_of_the_registry_pushes_nothing_that_is_there(
    private: Surroundings, engine: docker.DockerClient, images: Images, run: Run
) -> None:
    image = images.build(MB, MB)
    run(private.registry, IMAGE_NAME=image.name).expect(0)
    private.client.images.load(b"".join(engine.images.get(image.name).save(named=True)))
    private.registry.clear()
    finished = at_once(
        run,
        private.registry,
        *private.engine.inside,
        IMAGE_NAME=image.name,
        REGISTRY=INSIDE,
        DOCKER_HOST=private.engine.docker_host,
    )
    finished.expect(0, "✔ Up to date: latest (", within=AT_ONCE)
    assert private.registry.requests(user_agent=BY_ENGINE) == []
    asked = {entry.path.rpartition("/")[2] for entry in private.registry.requests(user_agent=BY_PIPE)}
    assert "latest" in asked
