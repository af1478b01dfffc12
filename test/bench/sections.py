"""The sections of the page: what was measured, in words, tables and targets."""

import subprocess
import sys
from dataclasses import dataclass

from bench import archives, report
from bench.measure import (
    DOCKER,
    EMPTY,
    MEDIUM,
    ONE_TAG,
    PIPE,
    SKOPEO,
    SMALL,
    START,
    TEN_TAGS,
    Bench,
    can_make_engines,
)
from bench.registry import LARGEST_MEMORY, LARGEST_RATIO
from bench.report import MEGABYTE, Target


@dataclass(frozen=True, slots=True)
class Section:
    """One measurement, written down."""

    title: str
    text: str
    targets: tuple[Target, ...] = ()


def size(bench: Bench) -> Section:
    """Measure the pipe's image."""
    image = bench.size()
    targets = (
        Target("The pipe's image, compressed", 16, image.compressed / MEGABYTE, " MB"),
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
        f"An image of {megabytes(SMALL)} that the registry has; {rounds} rounds. The pipe asks the registry and"
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


def ten_tags(bench: Bench, rounds: int) -> Section:
    """Measure further tags."""
    runs = bench.ten_tags(rounds)
    text = (
        f"{megabytes(SMALL)}, new in each round, to a new registry for each push; {rounds} rounds. Ratios are beside"
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
        f"{megabytes(MEDIUM)} that another Engine pushed before; a new Engine in each of {rounds} rounds, with a"
        f" separate network. The pipe compares the image's ID with what the registry has; {DOCKER} compresses"
        f" and sends every layer to find out.\n\n{report.runs_table(runs, DOCKER)}"
    )
    return Section(title, text, (Target("Unchanged image, Engine without memory, slowest", 1, slowest, " s"),))


def image_archives(bench: Bench, rounds: int) -> Section:
    """Measure images that no Engine holds."""
    measured = archives.pushed(bench, rounds)
    memory = max(run.memory for runs in measured.values() for run in runs[PIPE]) / MEGABYTE
    tables = "\n\n".join(f"{kind}:\n\n{report.runs_table(runs, SKOPEO)}" for kind, runs in measured.items())
    text = (
        f"{megabytes(archives.LARGE)} in an archive, pushed without an Engine to a new registry each time; {rounds}"
        " rounds. Plain layers are of real files; gzipped ones do not compress, so that the archive has that size, too."
        f" What {SKOPEO} remembers of blobs is removed before each run.\n\n{tables}\n\n"
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


def megabytes(image: tuple[int, ...]) -> str:
    """Tell the size of an image."""
    size, layers = image[:2]
    return f"{size / MEGABYTE:g} MB in {layers} layer{'s'[: layers != 1]}"
