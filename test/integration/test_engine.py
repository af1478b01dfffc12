"""The step's Engine: found or not, and left as it was found."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import docker
import pytest
from integration.engine_proxy import EngineProxy
from integration.images import MB, Images
from integration.prefixes import read_with_prefixes, temporary
from integration.registries import BY_ENGINE, BY_PIPE, REPOSITORY, asked, digest_in
from integration.running import ROOT, Run, Start
from registry.client import LocalRegistry

from pipe.engine.client import Engine
from pipe.engine.marker import DEAD_AFTER
from pipe.engine.prefixes import STALE
from pipe.oci.reference import Reference

ALONE = ("unshare", "--net", "--", "bash", "-euc", 'ip link set lo up; exec "$@"', "bash")
"""Begins a command that is to run in a network of its own, where nothing listens."""
HOST = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
LOADER = """
import sys, time
from pipe.engine.client import Engine
host, name, age = sys.argv[1:]
engine = Engine({"DOCKER_HOST": host})
vars(engine)["_engine_clock"] = lambda: int(time.time()) - int(age)
with engine.prefixes(engine.image(name), print) as prefixes:
    print(len(prefixes), flush=True)
    time.sleep(60)
"""
"""Loads the temporary images of an image some time ago, and waits to be killed."""


def test_tag_that_the_pipe_added_is_removed(
    engine: docker.DockerClient, registry: LocalRegistry, images: Images, run: Run
) -> None:
    image = images.build(MB)
    run(registry, IMAGE_NAME=image.name, TAGS="added another").expect(0)
    left = engine.images.get(image.id)
    assert left.tags == [image.name]
    assert [name for name in left.attrs["RepoDigests"] if registry.host in name] == []


def test_tag_that_the_pipe_moved_is_moved_back(
    engine: docker.DockerClient, registry: LocalRegistry, images: Images, run: Run
) -> None:
    mine, pushed = images.build(MB), images.build(MB)
    engine.api.tag(mine.id, f"{registry.host}/{REPOSITORY}", "moved")
    run(registry, IMAGE_NAME=pushed.name, TAGS="moved").expect(0)
    assert engine.images.get(f"{registry.host}/{REPOSITORY}:moved").id == mine.id
    assert engine.images.get(pushed.id).tags == [pushed.name]


def test_tags_are_left_as_found_by_a_push_that_failed(
    engine: docker.DockerClient, registry: LocalRegistry, images: Images, run: Run
) -> None:
    image = images.build(MB)
    registry.fault(method="PUT", path="*/manifests/*", answer={"status": 400})
    run(registry, IMAGE_NAME=image.name, TAGS="failed").expect(4)
    assert engine.images.get(image.id).tags == [image.name]


def test_image_without_a_name_is_pushed_by_its_id_and_not_deleted(
    engine: docker.DockerClient, registry: LocalRegistry, images: Images, run: Run
) -> None:
    image = images.build(MB, named=False)
    finished = run(registry, IMAGE_NAME=image.id, UPLOADER="engine", TAGS="by-id", PACKAGE_NAME="my-container-app")
    finished.expect(0, "✔ Pushed ")
    assert finished.result["image_id"] == image.id
    assert engine.images.get(image.id).id == image.id
    assert digest_in(registry, "by-id") == finished.result["digest"]
    pushed = f"{registry.host}/{REPOSITORY}:by-id"
    finished.expect(0, f"The image keeps the tag {pushed} in Docker Engine: it is the image's only tag")
    assert engine.images.get(image.id).tags == [pushed]


def test_image_without_a_name_whose_tag_was_another_images_is_not_deleted(
    engine: docker.DockerClient, registry: LocalRegistry, images: Images, run: Run
) -> None:
    other, image = images.build(MB), images.build(MB, named=False)
    engine.api.tag(other.id, f"{registry.host}/{REPOSITORY}", "theirs")
    finished = run(registry, IMAGE_NAME=image.id, UPLOADER="engine", TAGS="theirs", PACKAGE_NAME="my-container-app")
    [kept] = engine.images.get(image.id).tags
    finished.expect(0, f"The image keeps the tag {kept} in Docker Engine: it is the image's only tag")
    assert engine.images.get(f"{registry.host}/{REPOSITORY}:theirs").id == other.id


def test_tag_that_cannot_be_put_back_is_told(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    with tempfile.TemporaryDirectory(prefix="proxy-") as folder:
        proxy = EngineProxy(Path(folder), HOST)
        proxy.refuse = re.compile(rb"DELETE ")
        finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine", TAGS="kept", DOCKER_HOST=proxy.docker_host)
        proxy.stop()
    finished.expect(0, f"Docker Engine's tag {registry.host}/{REPOSITORY}:kept could not be restored")


@pytest.mark.parametrize("by_push", [pytest.param(True, id="by-a-push"), pytest.param(False, id="without-a-push")])
@pytest.mark.parametrize("existed", [pytest.param(True, id="moved"), pytest.param(False, id="added")])
def test_tags_that_a_killed_pipe_left_are_undone_by_a_later_one(
    engine: docker.DockerClient,
    registry: LocalRegistry,
    images: Images,
    run: Run,
    start: Start,
    existed: bool,
    by_push: bool,
) -> None:
    repository = f"{registry.host}/{REPOSITORY}"
    mine, pushed, later = images.build(MB), images.build(MB), images.build(MB)
    if existed:
        engine.api.tag(mine.id, repository, "killed")
    registry.fault(user_agent=BY_ENGINE, method="P*", path="*/blobs/uploads/*", hang=True)
    pipe = start(registry, IMAGE_NAME=pushed.name, TAGS="killed", UPLOADER="engine")
    registry.wait_for(user_agent=BY_ENGINE, method="P*", path="*/blobs/uploads/*", state="open")
    pipe.signal(signal.SIGKILL)
    pipe.finish().expect(128 + signal.SIGKILL)
    registry.clear()
    [marker] = [tag for tag in engine.images.get(pushed.id).tags if f"{repository}:pipe-" in tag]
    assert set(engine.images.get(pushed.id).tags) == {pushed.name, f"{repository}:killed", marker}

    # At once, a run cannot know that the other one is dead; it works beside it.
    run(registry, IMAGE_NAME=later.name, TAGS="at-once", UPLOADER="engine").expect(0, "✔ Pushed ")
    assert marker in engine.images.get(pushed.id).tags

    # As if time had passed.
    name, _, at = marker.rpartition("-")
    engine.api.tag(pushed.id, repository, f"{name}-{int(at) - DEAD_AFTER - 60}".rpartition(":")[2])
    engine.api.remove_image(marker)
    outcome = "moved back" if existed else "removed"
    restored = f"A killed run left the tag {repository}:killed in Docker Engine; it was {outcome}."
    if by_push:
        run(registry, IMAGE_NAME=later.name, TAGS="later", UPLOADER="engine").expect(0, restored)
    else:
        warnings: list[str] = []
        Engine({"DOCKER_HOST": HOST}).sweep(Reference(registry.host, REPOSITORY, "later"), warnings.append)
        assert warnings == [restored]
    assert engine.images.get(pushed.id).tags == [pushed.name]
    assert sorted(engine.images.get(mine.id).tags) == sorted([mine.name] + [f"{repository}:killed"] * existed)
    assert engine.images.get(later.id).tags == [later.name]


def test_first_layers_of_an_image_come_from_temporary_images(engine: docker.DockerClient, images: Images) -> None:
    read = read_with_prefixes(HOST, images.build(10 * MB, 20 * MB, 40 * MB).name)
    assert read.prefixes == [1, 2]
    assert read.layers == [layer.diff_id for layer in read.image.layers]
    assert f"sha256:{hashlib.sha256(read.config).hexdigest()}" == read.image.id
    assert temporary(engine, read.layers[0]) == []


def test_temporary_images_of_a_killed_run_are_removed_by_a_later_one(
    engine: docker.DockerClient, images: Images
) -> None:
    image = Engine({"DOCKER_HOST": HOST}).image(images.build(10 * MB, 20 * MB, 40 * MB).name)
    killed = subprocess.Popen(
        [sys.executable, "-c", LOADER, HOST, image.id, str(STALE + 60)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert killed.stdout is not None
    with killed, killed.stdout:
        assert killed.stdout.readline() == b"2\n"
        killed.kill()
    assert len(temporary(engine, image.layers[0].diff_id)) == 2
    with Engine({"DOCKER_HOST": HOST}).prefixes(image, pytest.fail) as prefixes:
        assert sorted(temporary(engine, image.layers[0].diff_id)) == sorted(each.id for each in prefixes)
    assert temporary(engine, image.layers[0].diff_id) == []
    assert engine.images.get(image.id).id == image.id


def test_image_that_is_not_there_gets_the_closest_names(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    finished = run(registry, IMAGE_NAME=image.name.replace("container", "contaner"))
    finished.expect(3, "is not in Docker Engine", image.name, "Build it in this step before the pipe", within=5)
    assert asked(registry, user_agent=BY_PIPE) == []


@pytest.mark.parametrize(
    "docker_host",
    [
        pytest.param("unix:///run/there-is-no-engine.sock", id="no socket"),
        # Port 9 is the one of a service that throws everything away, which nobody runs.
        pytest.param("tcp://127.0.0.1:9", id="closed port"),
        pytest.param("tcp://there-is-no-engine.invalid:2375", id="unknown host"),
    ],
)
def test_engine_that_is_not_there(registry: LocalRegistry, run: Run, docker_host: str) -> None:
    finished = run(registry, IMAGE_NAME="my-container-app", DOCKER_HOST=docker_host)
    finished.expect(3, "Docker Engine does not answer", docker_host, "add `docker` to the step's `services`", within=10)
    assert asked(registry, user_agent=BY_PIPE) == []


@pytest.mark.root
def test_registry_out_of_reach_from_here_is_left_to_the_engine(
    registry: LocalRegistry, images: Images, run: Run
) -> None:
    image = images.build(MB)
    finished = run(registry, *ALONE, IMAGE_NAME=image.name, TAGS="elsewhere")
    finished.expect(0, "cannot be reached", "could not be verified")
    assert finished.log.count("Continuing with Docker Engine, which may still reach it") == 1, finished.shown("it once")
    finished.expect_not("✔")
    digest = digest_in(registry, "elsewhere")
    assert finished.references == [f"{registry.host}/{REPOSITORY}:elsewhere@{digest}"]
    assert finished.result["tags"] == [
        {
            "tag": "elsewhere",
            "reference": finished.references[0],
            "digest": digest,
            "verified": False,
            "status": "pushed",
            "previous": None,
            "error": None,
        }
    ]


@pytest.mark.root
def test_dry_run_cannot_check_a_registry_out_of_reach(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    finished = run(registry, *ALONE, IMAGE_NAME=image.name, DRY_RUN="true", MAX_ATTEMPTS="1")
    finished.expect(6, "cannot be reached")
