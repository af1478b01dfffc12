"""Rows of the pipe's own upload beside the Engine's: what it is worth, and what it costs."""

import os
import statistics
from dataclasses import replace
from functools import partial

from bench import report
from bench.images import fresh_image, relatives
from bench.measure import DOCKER, PIPE, Bench, Push, can_make_engines, counted
from bench.pushes import Place, Run
from bench.registries import stored
from bench.report import MEGABYTE, Section, Target, megabytes
from bench.running import run
from bench.runs import Runs, in_turn
from registry.client import LocalRegistry, local_registry

ONE_LAYER = (1_000_000_000, 1)
FIVE_LAYERS = (1_000_000_000, 5)
SMALL = (25_000_000, 3)
KNOWN = (1_000_000_000, 5)
ONE_NEW = (250_000_000, 10)
"""The last layer is new."""
SLOW = (250_000_000, 1)
SLOW_LIMIT = "8s"
"""An Engine compresses 250 MB in about ten seconds."""
TEN_GIGABYTES = (10_000_000_000, 10)
STAGING = "the first byte of `docker save`"
STAGED = f"""\
{STAGING[0].upper()}{STAGING[1:]} shows how long the Engine stages a copy of the image on its disk before anything can \
be read."""
MEMORY = 120
"""MB that the pipe's process may hold, whatever the image."""


def one_layer(bench: Bench) -> Section:
    """Measure an image that an Engine compresses on one core."""
    return _fresh(bench, "one-layer", ONE_LAYER, 0.28)


def five_layers(bench: Bench) -> Section:
    """Measure an image that an Engine compresses on all cores."""
    return _fresh(bench, "five-layers", FIVE_LAYERS, 0.45)


def _fresh(bench: Bench, row: str, size: tuple[int, int], limit: float) -> Section:
    pushes = {**bench.contenders, STAGING: lambda place, image: place.staging(image)}
    runs = bench.each_fresh(row, size, pushes)
    what = f"A fresh image, {megabytes(bench.sized(size))}"
    text = (
        f"{megabytes(bench.sized(size))} of real files (programs, libraries, documents of this machine), new in each"
        f" round, to a new registry for each push, so that every layer is compressed and sent; {bench.rounds} rounds."
        f"\n\n{report.runs_table(runs, DOCKER)}\n\n{STAGED}"
    )
    targets = (
        Target(f"{what}, times {DOCKER}", limit, report.ratio(runs, PIPE, DOCKER), ""),
        Target(f"Peak memory, {megabytes(bench.sized(size))}", MEMORY, report.peak(runs, PIPE), " MB"),
    )
    return Section(what, text, targets)


def small(bench: Bench) -> Section:
    """Measure an image that is pushed in a second."""
    runs = bench.each_fresh("small", SMALL, bench.contenders)
    text = (
        f"{megabytes(bench.sized(SMALL))}, new in each round, to a new registry for each push; {bench.rounds} rounds."
        f"\n\n{report.runs_table(runs, DOCKER)}\n\nThe pipe's own process, without the making of its container:"
        f" {report.number(report.process_median(runs, PIPE))} s."
    )
    targets = (
        Target(f"Small fresh image, times {DOCKER}", 1.1, report.ratio(runs, PIPE, DOCKER), ""),
        Target(f"The same, the pipe's own process, times {DOCKER}", 1.1, report.process_ratio(runs, PIPE, DOCKER), ""),
    )
    return Section("A small fresh image", text, targets)


def mostly_known(bench: Bench) -> Section:
    """Measure an image of which the registry has four fifths, from an Engine that never saw the registry.

    Each contender has a new registry: what one sends, the other would find.
    """
    title = "An image of which the registry has four fifths, on an Engine that never saw the registry"
    if not can_make_engines():
        return Section(title, "Not measured here: it needs root and `dockerd`, to start Engines.")
    runs = Runs("known", processors=None)
    shares: list[float] = []
    with relatives(*bench.sized(KNOWN), new=1) as (known, image):
        for names in in_turn(bench.contenders, bench.rounds):
            for name in names:
                runs.add(name, lambda: _mostly_known(bench, name, known, image, shares))  # noqa: B023
    most = max(shares, default=None)
    text = (
        f"{megabytes(bench.sized(KNOWN))}, of which the last is new; a new Engine and a new registry for each push;"
        f" {bench.rounds} rounds. The bytes that the registry received of the pipe are"
        f" {report.number(most, '.3f')} times those of the new layer at most, configuration and requests included."
        f"\n\n{report.runs_table(runs, DOCKER)}"
    )
    targets = (
        Target(f"Four fifths known, times {DOCKER}", 0.5, report.ratio(runs, PIPE, DOCKER), ""),
        Target("Bytes sent, times those of the new layer", 1.05, most, ""),
    )
    return Section(title, text, targets)


def _mostly_known(bench: Bench, name: str, known: str, image: str, shares: list[float]) -> Run:
    with local_registry() as registry:
        Place(bench.engine, registry.host).docker_push(known, "latest")
        before = stored(registry)
        registry.clear()
        process = run("docker", "inspect", "--format={{.State.Pid}}", str(registry.container.id)).stdout
        with bench.new_engine(int(process), image) as engine:
            place = Place(engine.docker_host, "127.0.0.1:5000", engine.inside)
            done = counted(registry, lambda: bench.contenders[name](place, image))
        if name == PIPE:
            new = sum(size for digest, size in stored(registry).items() if digest not in before)
            shares.append(received(registry) / new)
        return done


def one_new(bench: Bench) -> Section:
    """Measure an image of which the Engine itself knows that the registry has all but one small layer."""
    runs = Runs("one-new")
    for names in in_turn(bench.contenders, bench.rounds):
        for name in names:
            with relatives(*bench.sized(ONE_NEW), new=1) as (known, image), local_registry() as registry:
                place = Place(bench.engine, registry.host)
                place.docker_push(known, "latest")
                runs.add(name, lambda: counted(registry, lambda: bench.contenders[name](place, image)))  # noqa: B023
    text = (
        f"{megabytes(bench.sized(ONE_NEW))}, of which the last is new; {bench.rounds} rounds."
        f"\n\n{report.runs_table(runs, DOCKER)}"
    )
    excess = [
        one.seconds - 1.10 * other.seconds for one, other in zip(runs.get(PIPE, ()), runs.get(DOCKER, ()), strict=False)
    ]
    target = Target(
        f"One new layer, beyond 1.1 times {DOCKER}", 0.2, statistics.median(excess) if excess else None, " s"
    )
    return Section("An image of which the Engine knows all but one small layer to be there", text, (target,))


def processors(bench: Bench) -> Section:
    """Measure how the pipe's memory and time follow the processors that it may use."""
    available = sorted(os.sched_getaffinity(0))
    pushes: dict[str, Push] = {}
    for count in sorted({1, len(available)}):
        names = ",".join(map(str, available[:count]))
        pushes |= {
            f"{name}, {count} processor{'s'[: count != 1]}": partial(_pinned, push, names)
            for name, push in bench.pipe_pushes("pipe").items()
        }
    one, *others = (name for name in pushes if name.startswith(f"{PIPE},"))
    runs = bench.each_fresh("processors", FIVE_LAYERS, pushes)
    text = (
        f"{megabytes(bench.sized(FIVE_LAYERS))}, new in each round, on loopback; the Engine and the registry use all"
        f" processors; {bench.rounds} rounds. Ratios are beside one processor.\n\n{report.runs_table(runs, one)}"
    )
    peaks = [report.peak(runs, name) for name in (one, *others)]
    grown = None
    if peaks[0] is not None and peaks[-1] is not None and others:
        grown = (peaks[-1] - peaks[0]) / (len(available) - 1)
    target = Target("Peak memory, for each further processor", 10, grown, " MB")
    return Section("The processors that the pipe may use", text, (target,))


def _pinned(push: Push, processors: str, place: Place, image: str) -> Run:
    return push(replace(place, processors=processors), image)


def too_slow(bench: Bench) -> Section:
    """Push a layer that the Engine cannot compress in the time that the registry gives it."""
    title = "A layer that the Engine cannot compress in time"
    with fresh_image(*SLOW) as image, local_registry(upload_timeout=SLOW_LIMIT) as registry:
        place = Place(bench.engine, registry.host)
        arrived = place.pipe(bench.pipes[0], image, "pipe", UPLOAD_TIMEOUT=SLOW_LIMIT)
        try:
            place.docker_push(image, "docker")
            outcome = "it arrived, too"
        except RuntimeError as error:
            outcome = str(error).splitlines()[-1]
    text = (
        f"{megabytes(SLOW)}, to a registry that ends an upload after {SLOW_LIMIT}. The pipe: {arrived.seconds:.2f} s,"
        f" and it arrived. {DOCKER}: `{outcome}`."
    )
    return Section(title, text)


def large(bench: Bench) -> Section:
    """Measure the memory of ten gigabytes, once."""
    with fresh_image(*bench.sized(TEN_GIGABYTES)) as image, local_registry() as registry:
        done = Place(bench.engine, registry.host).pipe(bench.pipes[0], image, "pipe")
    memory = done.memory / MEGABYTE
    text = f"{megabytes(bench.sized(TEN_GIGABYTES))}: {done.seconds:.0f} s, {memory:.1f} MB of memory at most."
    return Section("Ten gigabytes", text, (Target("Peak memory, ten gigabytes", MEMORY, memory, " MB"),))


def received(registry: LocalRegistry) -> int:
    """Return the bytes that the registry received in uploads."""
    return sum(entry.received for entry in registry.requests() if "/blobs/uploads/" in entry.path)
