"""Rows of the pipe's image, its fixed cost, and images that no Engine has."""

import importlib.util
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence

from bench import archives, report
from bench.images import fresh_image
from bench.measure import DOCKER, PIPE, SKOPEO, Bench, can_make_engines
from bench.pushes import Place, Run
from bench.registries import stored
from bench.registry import LARGEST_MEMORY, LARGEST_RATIO
from bench.report import MEGABYTE, Section, Target, megabytes
from bench.running import run
from bench.runs import Runs, in_turn
from registry.client import local_registry

SMALL = (25_000_000, 3)
MEDIUM = (250_000_000, 4)
"""Bytes and layers of the images that are pushed."""
ONE_TAG, TEN_TAGS = "the pipe, one tag", "the pipe, ten tags"
ENCODED = "auto"
"""The value of COMPRESSION with a target; its row of the table ends with the gain and the memory."""
START, EMPTY = "the pipe's first line", "a line of an empty program"
EMPTY_PYTHON = "an empty Python in the pipe's image"


def size(bench: Bench) -> Section:
    """Measure the pipe's image: its layers' blobs as `docker push` sends them, and all its files."""
    with local_registry() as registry:
        Place(bench.engine, registry.host).docker_push(bench.image, "size")
        compressed = sum(stored(registry).values())
    container = run("docker", "create", bench.image).stdout.strip()
    with (
        subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export,
        tarfile.open(fileobj=export.stdout, mode="r|") as files,
    ):
        unpacked = sum(file.size for file in files)
    run("docker", "rm", container)
    targets = (
        Target("The pipe's image, compressed", 16, compressed / MEGABYTE, " MB"),
        Target("The pipe's image, unpacked", 60, unpacked / MEGABYTE, " MB"),
    )
    text = (
        f"{compressed} bytes compressed (the sum of the layers in the manifest that `docker push` made),"
        f" {unpacked} bytes unpacked (the sum of all files, byte code included)."
    )
    return Section("The pipe's image", text, targets)


def cold_start(bench: Bench) -> Section:
    """Measure how soon the log begins, and the output of a program that does nothing else."""
    programs = {START: [bench.image], EMPTY: ["--entrypoint=python3", bench.image, "-c", "print()"]}
    runs = Runs("start")
    for names in in_turn(programs, bench.rounds):
        for name in names:
            runs.add(name, lambda: _first_line(["docker", "run", "--rm", "--network=host", *programs[name]]))  # noqa: B023
    text = (
        "From `docker run` to the first line of the pipe's log, and to the first line of `python3 -c 'print()'` in"
        f" the same image; {bench.rounds} rounds.\n\n{report.runs_table(runs, EMPTY)}"
    )
    longer = report.difference(runs, START, EMPTY)
    return Section("Cold start", text, (Target("First line, after an empty program's", 0.25, longer, " s"),))


def _first_line(command: Sequence[str]) -> Run:
    """Time how long a command takes to its first line; the rest of its output is ignored."""
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        if process.stdout is None or not process.stdout.readline():
            raise RuntimeError(f"{' '.join(command)} printed nothing")
        seconds = time.monotonic() - began
        process.stdout.read()
    return Run(seconds, seconds)


def already_there(bench: Bench) -> Section:
    """Measure the fixed cost: a small image that each contender pushed before."""
    runs = Runs("unchanged")
    pushes = bench.all_contenders | bench.pipe_pushes("pipe", "pipe-2", "pipe-3")
    if any(pipe.image for pipe in bench.pipes):
        pushes[EMPTY_PYTHON] = lambda place, _: place.empty_python(bench.image)
    with fresh_image(*bench.sized(SMALL)) as image, local_registry() as registry:
        place = Place(bench.engine, registry.host)
        first = Runs("unchanged, the push before")
        for name in pushes:
            first.add(name, lambda: pushes[name](place, image))  # noqa: B023
        runs.failures |= first.failures
        for names in in_turn(first, bench.rounds):
            for name in names:
                runs.add(name, lambda: pushes[name](place, image))  # noqa: B023
    longer = report.process_difference(runs, PIPE, DOCKER)
    text = (
        f"An image of {megabytes(bench.sized(SMALL))} that the registry has, for the pipe under three tags;"
        f" {bench.rounds} rounds. The pipe asks the registry and starts no push."
        f"\n\n{report.runs_table(runs, DOCKER)}\n\n"
        "The pipe's own process, from its start to its end as its parent in the container sees it, without the"
        f" making of the container: {report.number(report.process_median(runs, PIPE))} s,"
        f" {report.number(longer, '+.2f')} s beside {DOCKER}. This difference is the pipe's fixed cost."
    )
    targets = (
        Target(f"Fixed cost of the process, over {DOCKER}", 0.30, longer, " s"),
        Target(
            "The same with its container, over an empty Python", 0.12, report.difference(runs, PIPE, EMPTY_PYTHON), " s"
        ),
    )
    return Section("An image that is already there", text, targets)


def ten_tags(bench: Bench) -> Section:
    """Measure further tags."""
    tags = [f"tag-{number}" for number in range(10)]
    pushes = {
        **bench.pipe_pushes(*tags[:1], suffix=", one tag"),
        **bench.pipe_pushes(*tags, suffix=", ten tags"),
        DOCKER: lambda place, image: place.docker_push(image, *tags[:1]),
        f"ten times {DOCKER}": lambda place, image: place.docker_push(image, *tags),
    }
    runs = bench.each_fresh("tags", SMALL, pushes)
    text = (
        f"{megabytes(bench.sized(SMALL))}, new in each round, to a new registry for each push; {bench.rounds} rounds."
        f" Ratios are beside the pipe with one tag.\n\n{report.runs_table(runs, ONE_TAG)}"
    )
    ratio = report.ratio(runs, TEN_TAGS, ONE_TAG)
    return Section("Ten tags", text, (Target("Ten tags, times one tag", 1.3, ratio, ""),))


def no_memory(bench: Bench) -> Section:
    """Measure a step's Engine, which begins empty and never saw the registry, with an image that the registry has."""
    title = "An unchanged image, on an Engine that never saw the registry"
    if not can_make_engines():
        return Section(title, "Not measured here: it needs root and `dockerd`, to start Engines.")
    runs = Runs("no-memory")
    pushes = bench.all_contenders
    with fresh_image(*bench.sized(MEDIUM)) as image, local_registry() as registry:
        first = Runs("no-memory, the push before")
        for name in pushes:
            first.add(name, lambda: pushes[name](Place(bench.engine, registry.host), image))  # noqa: B023
        runs.failures |= first.failures
        process = run("docker", "inspect", "--format={{.State.Pid}}", str(registry.container.id)).stdout
        for _ in range(bench.rounds):
            with bench.new_engine(int(process), image) as engine:
                place = Place(engine.docker_host, "127.0.0.1:5000", engine.inside)
                # Only `docker push` leaves something in the Engine's memory, so it comes last.
                for name in sorted(first, key=DOCKER.__eq__):
                    runs.add(name, lambda: pushes[name](place, image))  # noqa: B023
    text = (
        f"{megabytes(bench.sized(MEDIUM))} that another Engine pushed before; a new Engine in each of {bench.rounds}"
        " rounds, with a separate network. The pipe compares the image's ID with what the registry has;"
        f" {DOCKER} compresses and sends every layer to find out.\n\n{report.runs_table(runs, DOCKER)}"
    )
    slowest = max(report.seconds(runs[PIPE])) if PIPE in runs else None
    return Section(title, text, (Target("Unchanged image, Engine without memory, slowest", 1, slowest, " s"),))


def image_archives(bench: Bench) -> Section:
    """Measure images that no Engine has."""
    measured = archives.pushed(bench)
    tables = "\n\n".join(f"{kind}:\n\n{report.runs_table(runs, SKOPEO)}" for kind, runs in measured.items())
    text = (
        f"{megabytes(bench.sized(archives.LARGE))} in an archive, pushed without an Engine to a new registry each"
        f" time; {bench.rounds} rounds. Plain layers are of real files; gzipped ones do not compress, so that the"
        f" archive has that size, too. The cache in which {SKOPEO} remembers blobs is removed before each"
        f" run.\n\n{tables}"
    )
    limits = zip(measured.items(), ((0.35, 0.50), (1.1, 1.1)), strict=True)
    targets = [
        Target(f"{kind}, times {name}", newer if number else limit, report.ratio(runs, PIPE, name), "")
        for (kind, runs), (limit, newer) in limits
        for number, name in enumerate(archives.skopeos(bench))
    ]
    memory = max((report.peak(runs, PIPE) or 0 for runs in measured.values()), default=0) or None
    targets.append(Target("Peak memory, from an archive", 120, memory, " MB"))
    return Section("An image in an archive", text, tuple(targets))


def encoding(bench: Bench) -> Section:
    """Measure the encoding of layers alone, if this version of the pipe has it: see `bench.encoding`."""
    title = "The encoding of layers alone, on one processor and on two"
    if importlib.util.find_spec("bench.encoding") is None:
        return Section(title, "Not measured here: this version of the pipe has no package for it.")
    options = [f"--size={max(80, round(500 * bench.scale))}", f"--rounds={bench.rounds}", "codecs", "processors"]
    text = run(sys.executable, "-m", "bench.encoding", *options).stdout.strip()
    gain = re.search(rf"^\| {ENCODED} \|.* ([\d.]+) \|[^|]*\|$", text, re.MULTILINE)
    target = Target(
        "Encoding with two processors, times with one", 1.8, float(gain[1]) if gain else None, "", least=True
    )
    return Section(title, text, (target,))


def gateway(bench: Bench) -> Section:
    """Measure the local registry itself."""
    # The bench's Engine has the image, and perhaps no network to build it.
    options = ["--built", f"--pairs={max(1, bench.rounds // 2)}", f"--size={max(80, round(1000 * bench.scale))}"]
    done = subprocess.run([sys.executable, "-m", "bench.registry", *options], stdout=subprocess.PIPE, check=False)
    text = (
        f"{done.stdout.decode().strip()}\n\nAt most {LARGEST_RATIO:g} times as long, and at most"
        f" {LARGEST_MEMORY / MEGABYTE:g} MB: {report.KEPT[done.returncode == 0]}"
    )
    return Section("The local registry's gateway", text)
