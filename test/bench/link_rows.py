"""Rows of an image pushed over links: loopback, slower ones, and one with long round trips."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from bench import report
from bench.forward import forwarded
from bench.images import fresh_image
from bench.links import SHAPE, Link, shaped, why_not_shaped
from bench.measure import DOCKER, PIPE, Bench, Push, counted, suffix_of
from bench.pushes import Place, Run
from bench.report import Section, Target, megabytes
from bench.runs import Runs, in_turn
from registry.client import Registry

THREE_LAYERS = (500_000_000, 3)
FOUR_LAYERS = (13_000_000, 4)
ROUND_TRIP = 0.08
AGAIN = [f"tag-{number}" for number in range(4)]
ALONE = "a network namespace for the bench needs root and `dockerd`"


def over(bench: Bench, link: Link) -> Section:
    """Measure a fresh image over a link."""
    what = f"{megabytes(bench.sized(THREE_LAYERS))}, {link.label}"
    title = f"A fresh image over a link: {what}"
    missing = why_not(bench) if link.mbits else ""
    if missing:
        return Section(title, f"Not measured here: {missing}.")

    def pushed(push: Push) -> Push:
        def push_over_the_link(place: Place, image: str) -> Run:
            with shaped(link.mbits):
                return push(place, image)

        return push_over_the_link

    pushes = {name: pushed(push) for name, push in bench.compressing().items()}
    runs = bench.each_fresh(f"{link.name}", THREE_LAYERS, pushes, bench.distribution)
    text = (
        f"A new image in each round, and a new registry (CNCF Distribution alone) for each push; {bench.rounds}"
        f" rounds.{f' Loopback is shaped by `{SHAPE} {link.mbits}mbit`.' if link.mbits else ''}"
        f"\n\n{report.runs_table(runs, DOCKER)}"
    )
    zstd = f"{PIPE}{suffix_of('zstd')}"
    targets = [Target(f"{what}, times {DOCKER}", link.limit, report.ratio(runs, PIPE, DOCKER), "")]
    if link.zstd_limit is not None and "zstd" in bench.compressions:
        targets.append(
            Target(
                f"The same, `COMPRESSION: zstd`, times {DOCKER}", link.zstd_limit, report.ratio(runs, zstd, DOCKER), ""
            )
        )
    if link.stored_limit is not None:
        stored = report.stored_ratio(runs, PIPE, DOCKER)
        targets.append(Target(f"Bytes stored, {link.label}, times {DOCKER}", link.stored_limit, stored, ""))
    return Section(title, text, tuple(targets))


def why_not(bench: Bench) -> str:
    """Return why a link cannot be shaped here; an empty string if it can."""
    return why_not_shaped() if bench.alone else ALONE


def first_byte(bench: Bench) -> Section:
    """Measure how soon a layer begins to flow."""

    def timed(push: Push) -> Push:
        def until_the_first_byte(place: Place, image: str) -> Run:
            with forwarded(place.registry) as (host, forwarder):
                began = time.monotonic()
                run = push(replace(place, registry=host), image)
                if forwarder.began is None:
                    raise RuntimeError("no layer was sent")
                return replace(run, seconds=forwarder.began - began)

        return until_the_first_byte

    pushes = {name: timed(push) for name, push in bench.contenders.items()}
    runs = bench.each_fresh("first-byte", THREE_LAYERS, pushes, bench.distribution)
    text = (
        f"{megabytes(bench.sized(THREE_LAYERS))}, new in each round, on loopback; {bench.rounds} rounds. From the start"
        f" of the command, with that of the container, until the registry has received 64 KiB on one connection:"
        f" only a layer is as large.\n\n{report.runs_table(runs, DOCKER)}"
    )
    target = Target(
        f"First byte of a layer, {megabytes(bench.sized(THREE_LAYERS))}", 1.0, report.median(runs, PIPE), " s"
    )
    return Section("The first byte of a layer", text, (target,))


def round_trips(bench: Bench) -> Section:
    """Measure an image of little content over a link with long round trips."""
    fresh, unchanged, tags = Runs("round-trip, fresh"), Runs("round-trip, unchanged"), Runs("round-trip, four tags")
    for names in in_turn(bench.contenders, bench.rounds):
        with fresh_image(*bench.sized(FOUR_LAYERS)) as image:
            for name in names:
                with bench.distribution() as registry, far(bench, registry) as place:
                    pushes = bench.contenders
                    fresh.add(name, lambda: counted(registry, lambda: pushes[name](place, image)))  # noqa: B023
                    unchanged.add(name, lambda: pushes[name](place, image))  # noqa: B023
                    tags.add(name, lambda: _four_tags(bench)[name](place, image))  # noqa: B023
    cases = {
        "Fresh": (fresh, 0.75),
        "Unchanged": (unchanged, 0.75),
        "Under four more tags (four times `docker push`)": (tags, 0.40),
    }
    tables = "\n\n".join(f"{case}:\n\n{report.runs_table(runs, DOCKER)}" for case, (runs, _) in cases.items())
    what = f"{megabytes(bench.sized(FOUR_LAYERS))}, {ROUND_TRIP * 1000:g} ms"
    text = (
        f"{what} of round trip, by a proxy that delays each direction by half of it; opening a connection takes no"
        f" time. A new registry (CNCF Distribution alone) for each contender in each of {bench.rounds} rounds."
        f"\n\n{tables}"
    )
    targets = tuple(
        Target(
            f"{what}: {case.partition(' (')[0].lower()}, times {DOCKER}", limit, report.ratio(runs, PIPE, DOCKER), ""
        )
        for case, (runs, limit) in cases.items()
    )
    return Section("A small image over a link with long round trips", text, targets)


@contextlib.contextmanager
def far(bench: Bench, registry: Registry) -> Iterator[Place]:
    """Provide a registry over a link with long round trips."""
    with forwarded(registry.host, ROUND_TRIP) as (host, _):
        yield Place(bench.engine, host)


def _four_tags(bench: Bench) -> Mapping[str, Push]:
    return {**bench.pipe_pushes(*AGAIN), DOCKER: lambda place, image: place.docker_push(image, *AGAIN)}
