"""The row of several images: one call of the pipe beside a call, or a `docker push`, for each."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace

from bench import report
from bench.contenders import Pipe
from bench.images import siblings
from bench.link_rows import ROUND_TRIP, far
from bench.measure import DOCKER, PIPE, Bench
from bench.package_rows import WORKSPACE, workspace
from bench.pushes import Place, Run
from bench.report import Section, Target
from bench.runs import Runs, in_turn
from bench.uploads import received

BASE, OWN = 20_000_000, 5_000_000
FRESH, UNCHANGED = 3, 10
ONE_CALL, CALLS = f"{PIPE}, one call", f"{PIPE}, a call for each"


def release(bench: Bench) -> Section:
    """Measure three new images that share a base, near and far, and ten that are all there."""
    fresh, over_link = _fresh(bench, "release", _near), _fresh(bench, "release, far", _over_link)
    unchanged = _unchanged(bench)
    what = f"{FRESH} images of {(BASE + OWN) / report.MEGABYTE:g} MB on one base of {BASE / report.MEGABYTE:g} MB"
    text = (
        f"{what}, to {FRESH} packages; new images in each round, and a new registry for each contender;"
        f" {bench.rounds} rounds.\n\n{report.runs_table(fresh, CALLS, 'received')}\n\n"
        f"Over {ROUND_TRIP * 1000:g} ms of round trip, to CNCF Distribution alone:\n\n"
        f"{report.runs_table(over_link, CALLS)}\n\n"
        f"{UNCHANGED} such images that the registry has; {bench.rounds} rounds.\n\n"
        f"{report.runs_table(unchanged, CALLS)}"
    )
    targets = (
        Target(f"{what}, one call, times {FRESH} calls", 0.5, report.ratio(fresh, ONE_CALL, CALLS), ""),
        Target(f"{what}, one call, times {FRESH} {DOCKER}", 0.8, report.ratio(fresh, ONE_CALL, DOCKER), ""),
        Target(
            f"{UNCHANGED} images that are there, one call, times {UNCHANGED} calls",
            0.25,
            report.ratio(unchanged, ONE_CALL, CALLS),
            "",
        ),
    )
    return Section("Several images in one call", text, targets)


def _fresh(
    bench: Bench, row: str, target: Callable[[Bench], AbstractContextManager[tuple[Place, Callable[[], int]]]]
) -> Runs:
    """Push new images; `target` provides a new registry, and what it has received."""
    runs = Runs(row)
    pipe = bench.pipes[0]
    for names in in_turn((ONE_CALL, CALLS, DOCKER), bench.rounds):
        with siblings(BASE, _packages(FRESH), OWN) as images:
            for name in names:
                with target(bench) as (place, count):
                    places = _places(place, images)
                    os.sync()
                    runs.add(name, lambda: replace(_push(name, pipe, places, images), stored=count()))  # noqa: B023
    return runs


@contextmanager
def _near(bench: Bench) -> Iterator[tuple[Place, Callable[[], int]]]:
    with workspace(_packages(FRESH)) as registry:
        yield Place(bench.engine, registry.host), lambda: received(registry)


@contextmanager
def _over_link(bench: Bench) -> Iterator[tuple[Place, Callable[[], int]]]:
    with bench.distribution() as registry, far(bench, registry) as place:
        yield place, lambda: 0


def _unchanged(bench: Bench) -> Runs:
    runs = Runs("release, unchanged")
    pipe = bench.pipes[0]
    with ExitStack() as stack:
        images = stack.enter_context(siblings(BASE, _packages(UNCHANGED), OWN))
        registry = stack.enter_context(workspace(_packages(UNCHANGED)))
        places = _places(Place(bench.engine, registry.host), images)
        _push(ONE_CALL, pipe, places, images)
        for names in in_turn((ONE_CALL, CALLS), bench.rounds):
            for name in names:
                runs.add(name, lambda: _push(name, pipe, places, images))  # noqa: B023
    return runs


def _push(name: str, pipe: Pipe, places: Sequence[Place], images: Sequence[str]) -> Run:
    """Push each image to its place."""
    if name == ONE_CALL:
        packages = " ".join(place.repository.partition("/")[2] for place in places)
        return places[0].pipe(pipe, " ".join(images), "pipe", PACKAGE_NAME=packages)
    each = [
        place.docker_push(image, "docker") if name == DOCKER else place.pipe(pipe, image, "pipe")
        for place, image in zip(places, images, strict=True)
    ]
    return Run(
        sum(run.seconds for run in each),
        sum(run.process_seconds for run in each),
        max(run.memory for run in each),
    )


def _packages(count: int) -> list[str]:
    return [f"package-{number}" for number in range(count)]


def _places(place: Place, images: Sequence[str]) -> list[Place]:
    return [replace(place, repository=f"{WORKSPACE}/{package}") for package in _packages(len(images))]
