"""Failures that do not pass. Each takes the pipe or the Engine its whole patience, so all wait at the same time."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import docker
import pytest
from integration.images import MB, Images
from integration.registries import BY_ENGINE, BY_PIPE, WORLD
from integration.running import ENGINE_BUSY, Running, environment_of
from registry.client import Registry, local_registry

READ_TIMEOUT = 30.0
"""Seconds after which the pipe's own request ends."""
ENGINE_RETRIES = 5 + 10 + 15 + 20
"""Seconds that the Engine waits in all between its five uploads of a layer."""


@dataclass(frozen=True, slots=True)
class Slow:
    """A pipe that takes its time, and the registry that makes it."""

    registry: Registry
    pipe: Running


@dataclass(frozen=True, slots=True)
class Fault:
    """What a registry of its own does wrong, by options, by a fault, and how often the pipe tries."""

    options: dict[str, str] = field(default_factory=dict)
    fault: dict[str, object] = field(default_factory=dict)
    attempts: int = 3


FAULTS = {
    "500": Fault(fault={"method": "PATCH", "answer": {"status": 500}}),
    "cut": Fault(fault={"method": "PATCH", "cut": "reset", "after": MB // 2}),
    "limit": Fault(options={"max_layer": "1MB"}),
    "hang": Fault(fault={"path": "/v2/*", "hang": True}, attempts=1),
}


@pytest.fixture(scope="module")
def slow(
    engine: docker.DockerClient, registry_image: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Slow]]:
    images = Images(engine)
    with contextlib.ExitStack() as stack:
        stack.callback(images.remove)

        def start(registry: Registry, attempts: int) -> Slow:
            image = images.build(2 * MB)
            variables = environment_of(
                REGISTRY=registry.host, IMAGE_NAME=image.name, MAX_ATTEMPTS=str(attempts), UPLOADER="engine"
            )
            return Slow(registry, stack.enter_context(Running(tmp_path_factory.mktemp("pipe"), variables)))

        started = {}
        for name, each in FAULTS.items():
            options: Any = each.options
            registry = stack.enter_context(local_registry(world=WORLD, **options))
            if each.fault:
                registry.fault(**each.fault)
            started[name] = start(registry, each.attempts)
        mute = stack.enter_context(contextlib.closing(socket.create_server(("127.0.0.1", 0))))
        started["mute"] = start(Registry(f"127.0.0.1:{mute.getsockname()[1]}"), 1)
        yield started


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param("500", "500 Internal Server Error", id="500 on a layer"),
        pytest.param("cut", "layer 1 (COPY … in /)", id="connection cut in a layer"),
    ],
)
def test_layer_that_the_engine_tried_five_times_is_not_tried_again(
    slow: dict[str, Slow], fault: str, words: str
) -> None:
    finished = slow[fault].pipe.finish()
    finished.expect(
        6,
        "The registry failed",
        words,
        "retry 4 of 4",
        "Docker Engine restarted the upload of layer 1 (COPY … in /) 4 times",
        within=ENGINE_RETRIES + ENGINE_BUSY + 10,
    )
    finished.expect_not("Attempt")
    assert len(slow[fault].registry.requests(method="PATCH")) == 5


def test_layer_above_the_registrys_own_limit(slow: dict[str, Slow]) -> None:
    finished = slow["limit"].pipe.finish()
    finished.expect(
        5,
        "A layer is too large for the registry",
        "the layer is larger than the limit of 1000000 bytes",
        "during the upload of layer 1 (COPY … in /)",
        within=ENGINE_RETRIES + ENGINE_BUSY + 10,
    )
    finished.expect_not("Attempt")


@pytest.mark.parametrize("fault", [pytest.param("hang", id="to a question"), pytest.param("mute", id="to anything")])
def test_registry_that_never_answers_is_given_up(slow: dict[str, Slow], fault: str) -> None:
    finished = slow[fault].pipe.finish()
    finished.expect(6, "The registry failed", "no answer in time", within=2 * READ_TIMEOUT - 5)


def test_registry_that_never_answers_is_asked_once(slow: dict[str, Slow]) -> None:
    asked = slow["hang"].registry.requests(path="/v2/*", user_agent=BY_PIPE)
    assert [entry.path for entry in asked] == ["/v2/"]
    assert slow["hang"].registry.requests(user_agent=BY_ENGINE) == []
