"""The pipe's own upload on bad days of the Engine: streams that break or change, an Engine that dies, a full disk."""

import contextlib
import secrets
import signal
import tempfile
import threading
import time
from pathlib import Path

import docker
import pytest
from integration.engine_proxy import EngineProxy, Save
from integration.images import MB, Images, archive_of
from integration.private_engine import private_engine
from integration.registries import BY_ENGINE, digest_in
from integration.running import Run, Start
from integration.second_engine import INSIDE, pid_of
from integration.transfers import config_of
from registry.client import LocalRegistry

LARGE = 30 * MB
"""Bytes of a layer that the pipe uploads itself from the start: an Engine would compress it for a second."""


def test_a_stream_that_breaks_off_once_is_read_again(
    registry: LocalRegistry, images: Images, run: Run, proxy: EngineProxy
) -> None:
    image = images.build(LARGE)
    proxy.save = Save(times=1, after=LARGE // 2, cut=True)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe", DOCKER_HOST=proxy.docker_host)
    finished.expect(0, "Attempt 1 of 3 failed", "closed the image stream unexpectedly")
    assert config_of(registry, "latest") == image.id
    assert finished.result["uploader"] == "pipe"


def test_a_stream_that_always_breaks_off_ends_the_push(
    registry: LocalRegistry, images: Images, run: Run, proxy: EngineProxy
) -> None:
    image = images.build(LARGE)
    proxy.save = Save(after=LARGE // 2, cut=True)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe", DOCKER_HOST=proxy.docker_host, TAGS="broken")
    finished.expect(3, "Attempt 2 of 3 failed", "closed the image stream unexpectedly")
    assert digest_in(registry, "broken") is None


def test_a_manifest_that_the_registry_fails_to_take_costs_no_second_stream(
    registry: LocalRegistry, images: Images, run: Run, proxy: EngineProxy
) -> None:
    image = images.build(LARGE)
    streams: list[None] = []
    proxy.save = Save(act=lambda: streams.append(None))
    registry.fault(method="PUT", path="*/manifests/*", times=1, answer={"status": 503})
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe", DOCKER_HOST=proxy.docker_host)
    finished.expect(0, "Attempt 1 of 3 failed")
    assert config_of(registry, "latest") == image.id
    assert len(streams) == 1


CHANGED = (b"these bytes were written", b"these bytes were altered")


@pytest.mark.parametrize(
    "save",
    [
        pytest.param(Save(after=LARGE // 2, cut=True), id="breaks-off-for-ever"),
        pytest.param(Save(cut=True), id="is-never-answered"),
        pytest.param(Save(change=CHANGED), id="is-changed-on-its-way"),
    ],
)
def test_where_the_stream_is_of_no_use_the_engine_pushes(
    registry: LocalRegistry, images: Images, run: Run, proxy: EngineProxy, save: Save
) -> None:
    image = images.load(archive_of({"new": secrets.token_bytes(), "file": CHANGED[0] * (LARGE // len(CHANGED[0]))}))
    proxy.save = save
    finished = run(registry, IMAGE_NAME=image.name, DOCKER_HOST=proxy.docker_host)
    finished.expect(0, "Falling back to Docker Engine.")
    assert save.seen.is_set()
    assert config_of(registry, "latest") == image.id
    assert finished.result["uploader"] == "engine"


def test_a_layer_that_was_changed_on_its_way_is_never_pushed(
    registry: LocalRegistry, images: Images, run: Run, proxy: EngineProxy
) -> None:
    image = images.load(archive_of({"new": secrets.token_bytes(), "file": CHANGED[0] * 1000}))
    proxy.save = Save(change=CHANGED)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe", DOCKER_HOST=proxy.docker_host, TAGS="changed")
    finished.expect(3, "The image's content does not match its digest")
    assert registry.requests(method="PUT", path="*/manifests/*") == []


def test_taking_over_ends_the_engines_push_and_its_tag_at_once(
    registry: LocalRegistry, images: Images, engine: docker.DockerClient, run: Run, proxy: EngineProxy
) -> None:
    # The Engine waits for the link in the noise; the pipe sends that and the zeros in time, even on a busy machine.
    image = images.load(archive_of({"noise": secrets.token_bytes(20 * MB), "zeros": bytes(130 * MB)}))
    registry.fault(method="PATCH", user_agent=BY_ENGINE, bytes_per_second=5 * MB)
    found: list[object] = []

    def look() -> None:
        registry.wait_for(user_agent=BY_ENGINE, method="PATCH", state="cut")
        found.extend([*registry.requests(user_agent=BY_ENGINE, state="open"), *engine.images.get(image.id).tags])

    proxy.save = Save(act=look)
    finished = run(registry, IMAGE_NAME=image.name, DOCKER_HOST=proxy.docker_host, UPLOAD_TIMEOUT="5s")
    finished.expect(0, "Uploading layer 1 (COPY 0 /) directly: Docker Engine would take about ")
    assert found == [image.name]
    assert config_of(registry, "latest") == image.id


def test_an_engine_that_is_out_of_reach_for_a_second_is_asked_again(
    registry: LocalRegistry, images: Images, start: Start, proxy: EngineProxy
) -> None:
    image = images.build(4 * MB)
    registry.fault(method="PATCH", bytes_per_second=MB, times=1)
    running = start(registry, IMAGE_NAME=image.name, UPLOADER="engine", DOCKER_HOST=proxy.docker_host)
    registry.wait_for(method="PATCH", state="open")
    proxy.stop()
    time.sleep(1)  # the outage itself
    proxy.start()
    finished = running.finish()
    finished.expect(0, "Attempt 1 of 3 failed", "Lost the connection to Docker Engine")
    finished.expect_not("memory")
    assert config_of(registry, "latest") == image.id


@pytest.mark.parametrize("after", [0, LARGE // 2], ids=["while-it-stages-the-image", "in-the-middle-of-the-stream"])
def test_a_signal_while_the_engine_streams_ends_it_at_once(
    registry: LocalRegistry, images: Images, start: Start, proxy: EngineProxy, after: int
) -> None:
    image = images.build(LARGE)
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        go_on.wait(60)

    proxy.save = Save(after=after, act=hold, cut=True)
    running = start(registry, IMAGE_NAME=image.name, DOCKER_HOST=proxy.docker_host, TAGS="stopped")
    assert reached.wait(60)
    running.signal(signal.SIGTERM)
    finished = running.finish()
    go_on.set()
    finished.expect(143, "The push was stopped by signal SIGTERM", within=2)
    assert digest_in(registry, "stopped") is None


@pytest.mark.root
@pytest.mark.private_engine
@pytest.mark.parametrize("after", [0, LARGE // 2], ids=["while-it-stages-the-image", "in-the-middle-of-the-stream"])
def test_an_engine_that_dies_is_told(registry: LocalRegistry, start: Start, after: int) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="engine-") as folder,
        private_engine(Path(folder), network_of=pid_of(registry)) as mortal,
        contextlib.closing(docker.DockerClient(mortal.docker_host)) as client,
        tempfile.TemporaryDirectory(prefix="proxy-") as proxies,
    ):
        image = Images(client).build(LARGE)
        proxy = EngineProxy(Path(proxies), mortal.docker_host)
        proxy.save = Save(after=after, act=mortal.kill, cut=True)
        usual = {"REGISTRY": INSIDE, "DOCKER_HOST": proxy.docker_host}
        finished = start(registry, *mortal.inside, IMAGE_NAME=image.name, TAGS="died", **usual).finish()
        finished.expect(3, "Docker Engine does not answer", within=20)
        finished.expect_not("Attempt")
        proxy.stop()
    assert digest_in(registry, "died") is None


@pytest.mark.root
@pytest.mark.private_engine
def test_an_engine_without_room_for_the_stream_pushes_itself(registry: LocalRegistry, run: Run) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="engine-") as folder,
        private_engine(Path(folder), network_of=pid_of(registry), staging=2 * LARGE) as full,
        contextlib.closing(docker.DockerClient(full.docker_host)) as client,
    ):
        image = Images(client).build(LARGE)
        full.fill_staging()
        usual = {"REGISTRY": INSIDE, "DOCKER_HOST": full.docker_host}
        finished = run(registry, *full.inside, IMAGE_NAME=image.name, **usual)
    finished.expect(0, "no space left on device", "Falling back to Docker Engine.")
    assert config_of(registry, "latest") == image.id
    assert finished.result["uploader"] == "engine"
