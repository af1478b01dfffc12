"""Rows of layers that other packages of the workspace have, and of images that are pulled."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import registry
import yaml
from bench import report
from bench.images import fresh_image, siblings
from bench.measure import DOCKER, PIPE, Bench, Push
from bench.pushes import REPOSITORY, Place, Run
from bench.registries import stored
from bench.report import MEGABYTE, Section, Target, megabytes
from bench.runs import Runs, in_turn
from bench.uploads import received
from registry.client import LocalRegistry, local_registry

SHARED = (300_000_000, 1)
OTHER = (100_000_000, 3)
PULLED = (500_000_000, 3)
PACKAGES = ("package-one", "package-two", "package-three")
WORKSPACE, PACKAGE = REPOSITORY.split("/")
WORLD = Path(registry.__file__).with_name("world.yaml")


def three_packages(bench: Bench) -> Section:
    """Measure images that share a new layer, each pushed to another package."""
    runs = Runs("packages", processors=None)
    size, _ = bench.sized(SHARED)
    for names in in_turn(bench.contenders, bench.rounds):
        with siblings(size, PACKAGES) as images:
            for name in names:
                runs.add(name, lambda: _to_packages(bench, bench.contenders[name], images))  # noqa: B023
    what = f"{len(PACKAGES)} images on one new layer of {size / MEGABYTE:g} MB, to {len(PACKAGES)} packages"
    text = (
        f"{what}, one call after the other; new images in each round, and a new registry for each contender;"
        f" {bench.rounds} rounds.\n\n{report.runs_table(runs, DOCKER, 'received')}"
    )
    target = Target(f"{what}, times {DOCKER}", 0.5, report.ratio(runs, PIPE, DOCKER), "")
    return Section("Images on one new layer, to several packages", text, (target,))


def other_package(bench: Bench) -> Section:
    """Measure an image that another package of the workspace has, pushed there by the same Engine."""
    reusing = ", REUSE_FROM"
    pushes = {
        **bench.contenders,
        **bench.pipe_pushes("pipe", suffix=reusing, REUSE_FROM=f"{PACKAGE}:latest"),
    }
    runs = Runs("other-package", processors=None)
    for names in in_turn(pushes, bench.rounds):
        with fresh_image(*bench.sized(OTHER)) as image:
            for name in names:
                runs.add(name, lambda: _known_elsewhere(bench, pushes[name], image))  # noqa: B023
    what = "An image that another package has"
    text = (
        f"{megabytes(bench.sized(OTHER))}, pushed to one package by {DOCKER} of the same Engine, then to another by"
        f" each contender; a new registry for each; {bench.rounds} rounds.\n\n"
        f"{report.runs_table(runs, DOCKER, 'received')}"
    )
    name = f"{PIPE}{reusing}"
    most = max((run.stored for run in runs.get(name, ())), default=None)
    targets = (
        Target(f"{what}, times {DOCKER}", 4, report.ratio(runs, name, DOCKER), ""),
        Target(f"{what}, median", 0.5, report.median(runs, name), " s"),
        Target(f"{what}, bytes that the registry received", 0.02, None if most is None else most / MEGABYTE, " MB"),
    )
    return Section(what, text, targets)


def pull(bench: Bench) -> Section:
    """Measure how long an Engine takes to pull what each contender has pushed."""
    runs = Runs("pull")
    with bench.distribution() as source:
        places = {
            name: Place(bench.engine, source.host, repository=f"{WORKSPACE}/pulled-{number}")
            for number, name in enumerate(bench.compressing())
        }
        with fresh_image(*bench.sized(PULLED)) as image:
            pushed = Runs("pull, the push before")
            for name, push in bench.compressing().items():
                pushed.add(name, lambda: push(places[name], image))  # noqa: B023
        runs.failures |= pushed.failures
        sizes = {name: sum(stored(source, places[name].repository).values()) for name in pushed}
        for names in in_turn(pushed, bench.rounds):
            for name in names:
                tag = "docker" if name == DOCKER else "pipe"
                runs.add(name, lambda: replace(places[name].pull(tag), stored=sizes[name]))  # noqa: B023
    text = (
        f"{megabytes(bench.sized(PULLED))}, pulled by `docker pull` from CNCF Distribution on loopback as each"
        f" contender pushed them, with no layer in the Engine; {bench.rounds} rounds."
        f"\n\n{report.runs_table(runs, DOCKER)}"
    )
    target = Target(f"`docker pull`, times that of what {DOCKER} made", 1.02, report.ratio(runs, PIPE, DOCKER), "")
    return Section("Pulling the image", text, (target,))


@contextlib.contextmanager
def workspace(names: Sequence[str] = PACKAGES) -> Iterator[LocalRegistry]:
    """Run a registry whose workspace has these packages too."""
    world = yaml.safe_load(WORLD.read_text(encoding="utf-8"))
    packages = world["workspaces"][WORKSPACE]["packages"]
    packages += [{**packages[0], "name": name} for name in names]
    with local_registry(world=yaml.safe_dump(world)) as found:
        yield found


def _to_packages(bench: Bench, push: Push, images: Sequence[str]) -> Run:
    with workspace() as target:
        places = [Place(bench.engine, target.host, repository=f"{WORKSPACE}/{package}") for package in PACKAGES]
        os.sync()
        each = [push(place, image) for place, image in zip(places, images, strict=True)]
        return Run(
            sum(run.seconds for run in each),
            sum(run.process_seconds for run in each),
            max(run.memory for run in each),
            received(target),
        )


def _known_elsewhere(bench: Bench, push: Push, image: str) -> Run:
    with workspace() as target:
        place = Place(bench.engine, target.host)
        place.docker_push(image, "latest")
        target.clear()
        os.sync()
        run = push(replace(place, repository=f"{WORKSPACE}/{PACKAGES[0]}"), image)
        return replace(run, stored=received(target))
