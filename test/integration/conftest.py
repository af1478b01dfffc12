"""A real Engine, a real registry, and the pipe between them."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from integration.archives import Workshop
from integration.engine_proxy import EngineProxy
from integration.images import Images
from integration.layouts import Layouts
from integration.registries import WORLD, StartRegistry
from integration.running import Finished, Run, Running, Start, environment_of
from integration.second_engine import INSIDE, Kind, RunSecond, Second, pid_of, second_engine
from registry.client import LocalRegistry, Registry, Tls, build_image, local_registry


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    with contextlib.closing(docker.from_env()) as client:
        yield client


@pytest.fixture
def images(engine: docker.DockerClient) -> Iterator[Images]:
    built = Images(engine)
    yield built
    built.remove()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    with contextlib.closing(Workshop(tmp_path)) as made:
        yield made


@pytest.fixture(scope="session")
def registry_image() -> None:
    build_image()


@pytest.fixture(scope="session")
def shared_registry(registry_image: None) -> Iterator[LocalRegistry]:
    with local_registry(world=WORLD) as running:
        yield running


@pytest.fixture
def registry(shared_registry: LocalRegistry) -> LocalRegistry:
    """A registry with the tests' world, without faults and with an empty log."""
    shared_registry.clear()
    return shared_registry


@pytest.fixture
def start_registry(registry_image: None) -> Iterator[StartRegistry]:
    with contextlib.ExitStack() as registries:

        def start(tls: Tls | None = None, **options: str) -> LocalRegistry:
            every: Any = options
            return registries.enter_context(local_registry(world=WORLD, tls=tls, **every))

        yield start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as pipes:

        def start(registry: Registry, *inside: str, **variables: str) -> Running:
            usual = {"REGISTRY": registry.host, "RESULT_FILE": str(tmp_path / "result.json")}
            return pipes.enter_context(Running(tmp_path, environment_of(**(usual | variables)), inside))

        yield start


@pytest.fixture
def run(start: Start) -> Run:
    def run(registry: Registry, *inside: str, **variables: str) -> Finished:
        return start(registry, *inside, **variables).finish()

    return run


@pytest.fixture
def proxy() -> Iterator[EngineProxy]:
    """A proxy in front of the Engine in use."""
    with tempfile.TemporaryDirectory(prefix="proxy-") as folder:
        proxy = EngineProxy(Path(folder), os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
        yield proxy
        proxy.stop()


@pytest.fixture(scope="session")
def second_registry(registry_image: None) -> Iterator[LocalRegistry]:
    with local_registry(world=WORLD) as running:
        yield running


def _second(kind: Kind, registry: LocalRegistry) -> Iterator[Second]:
    with (
        second_engine(kind, network_of=pid_of(registry)) as engine,
        contextlib.closing(docker.DockerClient(engine.docker_host)) as client,
    ):
        yield Second(kind, engine, client, registry, Images(client), Layouts(client))


@pytest.fixture(scope="session")
def running_containerd(second_registry: LocalRegistry) -> Iterator[Second]:
    yield from _second("containerd", second_registry)


@pytest.fixture(scope="session")
def running_graphdriver(second_registry: LocalRegistry) -> Iterator[Second]:
    yield from _second("graphdriver", second_registry)


@pytest.fixture
def containerd(running_containerd: Second) -> Iterator[Second]:
    """Docker Engine 26.1 with the containerd image store, and a registry without faults and with an empty log."""
    running_containerd.registry.clear()
    yield running_containerd
    running_containerd.remove()


@pytest.fixture
def graphdriver(running_graphdriver: Second) -> Iterator[Second]:
    """Docker Engine 26.1 with a graphdriver, and a registry without faults and with an empty log."""
    running_graphdriver.registry.clear()
    yield running_graphdriver
    running_graphdriver.remove()


@pytest.fixture
def podman(second_registry: LocalRegistry) -> Iterator[Second]:
    """The service of podman, and a registry without faults and with an empty log."""
    second_registry.clear()
    yield from _second("podman", second_registry)


@pytest.fixture(params=["containerd", "graphdriver"])
def second(request: pytest.FixtureRequest) -> Second:
    """Docker Engine 26.1 with each image store."""
    engine: Second = request.getfixturevalue(request.param)
    return engine


@pytest.fixture
def run_second(run: Run) -> RunSecond:
    """Run the pipe inside a second Engine's network."""

    def run_second(second: Second, **variables: str) -> Finished:
        usual = {"REGISTRY": INSIDE, "DOCKER_HOST": second.engine.docker_host}
        return run(second.registry, *second.engine.inside, **(usual | variables))

    return run_second
