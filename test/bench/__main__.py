"""Measure the pipe beside what its users would run instead, and write it down: see `run`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import archives, machine, report
from bench.measure import (
    DOCKER,
    EMPTY,
    LARGE,
    MEDIUM,
    ONE_TAG,
    PIPE,
    SKOPEO,
    SMALL,
    START,
    TEN_TAGS,
    Bench,
    can_make_engines,
    skopeo_reads,
)
from bench.registry import LARGEST_MEMORY, LARGEST_RATIO
from bench.report import MEGABYTE, Target

DOCUMENT = Path("docs/benchmarks.md")
HEAD = """\
# Benchmarks

Measured by `make bench`, which does its own set-up, takes about ten minutes, and writes this page. All contenders \
run in turn on one machine, every other round in the reverse order, against the local registry (`test/registry`) on \
loopback; a number is the median of the rounds, a ratio or difference the median of the rounds' own. The pipe runs \
by `docker run` from its image, and its time includes the making of the container, unless said otherwise.

"""


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often each measurement is repeated, an even number for either order; the options of the gateway's own."""

    small: int
    fresh: int
    tags: int
    engines: int
    archives: int
    gateway: tuple[str, ...]


FULL = Rounds(small=16, fresh=4, tags=4, engines=3, archives=4, gateway=("--pairs=2",))
QUICK = Rounds(1, 1, 1, 1, 1, ("--pairs=1", "--size=80"))


@dataclass(frozen=True, slots=True)
class Section:
    """One measurement, written down."""

    title: str
    text: str
    targets: tuple[Target, ...] = ()


def main(arguments: list[str]) -> int:
    """Measure, and write the document."""
    parser = argparse.ArgumentParser(prog="test/bench/run", description=__doc__)
    parser.add_argument("pipe", help="the pipe's image")
    parser.add_argument("--quick", action="store_true", help="one round of each, printed instead of written")
    options = parser.parse_args(arguments)
    engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    bench = Bench(engine, options.pipe, skopeo=skopeo_reads(engine, options.pipe))
    sections = []
    for section in measured(bench, QUICK if options.quick else FULL):
        sections.append(section)
        sys.stderr.write(f"\n## {section.title}\n\n{section.text}\n")
    targets = report.targets_table([target for section in sections for target in section.targets])
    facts = machine.description(options.pipe)
    if not bench.skopeo:
        facts["skopeo"] += ", which cannot read from this Engine"
    head = f"{HEAD}{report.table(('', ''), [*facts.items()])}\n\n## Targets\n\n{targets}"
    document = "\n\n".join([head, *(f"## {section.title}\n\n{section.text}" for section in sections)])
    if options.quick:
        sys.stdout.write(f"{document}\n")
    else:
        DOCUMENT.write_text(f"{document}\n", encoding="utf-8")
    return 0


def measured(bench: Bench, rounds: Rounds) -> Iterator[Section]:
    """Measure everything, section by section."""
    yield size(bench)
    yield cold_start(bench, rounds.small)
    yield already_there(bench, rounds.small)
    yield fresh(bench, rounds.fresh)
    yield ten_tags(bench, rounds.tags)
    yield no_memory(bench, rounds.engines)
    yield image_archives(bench, rounds.archives)
    yield gateway(rounds.gateway)


def size(bench: Bench) -> Section:
    """Measure the pipe's image."""
    image = bench.size()
    targets = (
        Target("The pipe's image, compressed", 20, image.compressed / MEGABYTE, " MB"),
        Target("The pipe's image, unpacked", 60, image.unpacked / MEGABYTE, " MB"),
    )
    text = (
        f"{image.compressed} bytes compressed (the sum of the layers in the manifest that `docker push` made),"
        f" {image.unpacked} bytes unpacked (the sum of all files, byte code included)."
    )
    return Section("The pipe's image", text, targets)


def cold_start(bench: Bench, rounds: int) -> Section:
    """Measure how soon the log begins."""
    runs = bench.cold_start(rounds)
    longer = report.difference(runs, START, EMPTY)
    text = (
        f"From `docker run` to the first line of the pipe's log, and to the first line of `python3 -c 'print()'` in"
        f" the same image; {rounds} rounds.\n\n{report.runs_table(runs, EMPTY)}"
    )
    return Section("Cold start", text, (Target("First line, after an empty program's", 0.25, longer, " s"),))


def already_there(bench: Bench, rounds: int) -> Section:
    """Measure the fixed cost."""
    runs = bench.already_there(rounds)
    longer = report.process_difference(runs, PIPE, DOCKER)
    text = (
        f"An image of {_megabytes(SMALL)} that the registry has; {rounds} rounds. The pipe asks the registry and"
        " starts no push.\n\n"
        f"{report.runs_table(runs, DOCKER)}\n\n"
        f"The pipe's own process, from its start to its end as its parent in the container sees it, without the"
        f" making of the container: {report.process_median(runs, PIPE):.2f} s, {longer:+.2f} s beside"
        f" {DOCKER}. This difference is the pipe's fixed cost."
    )
    return Section(
        "An image that is already there",
        text,
        (Target(f"Fixed cost of the process, over {DOCKER}", 0.30, longer, " s"),),
    )


def fresh(bench: Bench, rounds: int) -> Section:
    """Measure the main job."""
    runs = bench.fresh(rounds)
    memory = max(run.memory for run in runs[PIPE]) / MEGABYTE
    text = (
        f"{_megabytes(LARGE)} of real files (programs, libraries, documents of this machine), new in each round, to a"
        f" new registry for each push, so that every layer is compressed and sent; {rounds} rounds.\n\n"
        f"{report.runs_table(runs, DOCKER)}\n\n"
        f"The pipe's process held at most {memory:.1f} MB of memory (peak resident set, the largest of all rounds)."
    )
    targets = (
        Target(f"Fresh image, times {DOCKER}", 1.05, report.ratio(runs, PIPE, DOCKER), ""),
        Target("Peak memory", 60, memory, " MB"),
    )
    return Section("A fresh image", text, targets)


def ten_tags(bench: Bench, rounds: int) -> Section:
    """Measure further tags."""
    runs = bench.ten_tags(rounds)
    text = (
        f"{_megabytes(SMALL)}, new in each round, to a new registry for each push; {rounds} rounds. Ratios are beside"
        f" the pipe with one tag.\n\n{report.runs_table(runs, ONE_TAG)}"
    )
    ratio = report.ratio(runs, TEN_TAGS, ONE_TAG)
    return Section("Ten tags", text, (Target("Ten tags, times one tag", 1.3, ratio, ""),))


def no_memory(bench: Bench, rounds: int) -> Section:
    """Measure a step's Engine, which begins empty."""
    title = "An unchanged image, on an Engine that never saw the registry"
    if not can_make_engines():
        return Section(title, "Not measured here: it needs root and `dockerd`, for Engines of its own.")
    runs = bench.no_memory(rounds)
    slowest = max(run.seconds for run in runs[PIPE])
    text = (
        f"{_megabytes(MEDIUM)} that another Engine pushed before; a new Engine in each of {rounds} rounds, with a"
        f" network of its own. The pipe compares the image's ID with what the registry has; {DOCKER} compresses"
        f" and sends every layer to find out.\n\n{report.runs_table(runs, DOCKER)}"
    )
    return Section(title, text, (Target("Unchanged image, Engine without memory, slowest", 1, slowest, " s"),))


def image_archives(bench: Bench, rounds: int) -> Section:
    """Measure images that no Engine holds."""
    measured = archives.pushed(bench, rounds)
    memory = max(run.memory for runs in measured.values() for run in runs[PIPE]) / MEGABYTE
    tables = "\n\n".join(f"{kind}:\n\n{report.runs_table(runs, SKOPEO)}" for kind, runs in measured.items())
    text = (
        f"{_megabytes(archives.LARGE)} of real files in an archive, pushed without an Engine to a new registry each"
        f" time; {rounds} rounds. What {SKOPEO} remembers of blobs is removed before each run.\n\n{tables}\n\n"
        f"The pipe's process held at most {memory:.1f} MB of memory (peak resident set, the largest of all rounds)."
    )
    targets = [
        Target(f"{kind}, times {SKOPEO}", limit, report.ratio(runs, PIPE, SKOPEO), "")
        for limit, (kind, runs) in zip((0.6, 1.1), measured.items(), strict=True)
    ]
    return Section(
        "An image in an archive", text, (*targets, Target("Peak memory, from an archive", 120, memory, " MB"))
    )


def gateway(options: tuple[str, ...]) -> Section:
    """Measure the local registry itself."""
    done = subprocess.run([sys.executable, "-m", "bench.registry", *options], stdout=subprocess.PIPE, check=False)
    text = (
        f"{done.stdout.decode().strip()}\n\nAt most {LARGEST_RATIO:g} times as long, and at most"
        f" {LARGEST_MEMORY / MEGABYTE:g} MB: {report.KEPT[done.returncode == 0]}"
    )
    return Section("The local registry's gateway", text)


def _megabytes(image: tuple[int, int]) -> str:
    size, layers = image
    return f"{size / MEGABYTE:g} MB in {layers} layers"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
