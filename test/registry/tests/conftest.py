"""A registry shared by the tests, and the real clients that talk to it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from registry.client import LocalRegistry, build_image, local_registry
from registry.tests.asking import APP
from registry.tests.clients import Docker, Skopeo, peak_memory
from registry.tests.images import Repository, image
from registry.tests.outside import registry_outside
from registry.tests.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from registry.tests.outside import OutsideRegistry

LARGEST_MEMORY = 150_000_000
"""Bytes that the gateway may have held at most, after all that the tests did to it."""
HERE = Path(__file__).parent
SETUP = HERE.parents[1] / "setup"
WORLD = (HERE / "world.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def registry_image() -> None:
    build_image()


@pytest.fixture(scope="session")
def shared_registry(registry_image: None) -> Iterator[LocalRegistry]:
    with local_registry(world=WORLD) as running:
        yield running
        assert "Traceback" not in running.output()
        assert peak_memory(running) < LARGEST_MEMORY


@pytest.fixture
def registry(shared_registry: LocalRegistry) -> LocalRegistry:
    """A registry with the tests' world, without faults and with an empty log."""
    shared_registry.clear()
    return shared_registry


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideRegistry]:
    with registry_outside(tmp_path_factory.mktemp("outside"), WORLD) as running:
        yield running
        assert peak_memory(running) < LARGEST_MEMORY


@pytest.fixture(params=["container", "outside"])
def either(request: pytest.FixtureRequest) -> LocalRegistry | OutsideRegistry:
    """The registry in its container, and the one without."""
    running: LocalRegistry | OutsideRegistry = request.getfixturevalue(
        "shared_registry" if request.param == "container" else "outside"
    )
    running.clear()
    return running


@pytest.fixture
def session(registry: LocalRegistry) -> Iterator[requests.Session]:
    """HTTP with the login of an account that may push."""
    with registry.session("writer") as session:
        yield session


@pytest.fixture(scope="session")
def installed_skopeo() -> None:
    subprocess.run([SETUP / "apt-install", "skopeo"], check=True)


@pytest.fixture
def skopeo(installed_skopeo: None, tmp_path: Path) -> Skopeo:
    return Skopeo(tmp_path / "memory")


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Docker]:
    """The docker command with a configuration of its own; its images are gone afterwards."""
    command = Docker(tmp_path / "docker")
    yield command
    command.remove_images()


@pytest.fixture
def visitor(registry: LocalRegistry) -> Iterator[Visitor]:
    """Somebody who has not logged in to the pages, and a tag 1.0 to look at."""
    with registry.session("writer") as session:
        repository = Repository(session, registry.url, "demo-workspace/my-container-app")
        repository.push(image([b"a layer" * 300]), "1.0")
    with registry.session() as session:
        yield Visitor(registry, session)


@pytest.fixture
def repository(registry: LocalRegistry, session: requests.Session) -> Repository:
    """The package that most tests push to."""
    return Repository(session, registry.url, APP)
