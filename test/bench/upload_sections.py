"""The sections of the page on who uploads: the pipe as it decides by itself, beside `docker push`."""

import statistics

from bench import report, uploads
from bench.measure import DOCKER, PIPE, STAGING, Bench, Runs, can_make_engines
from bench.report import MEGABYTE, Target
from bench.sections import Section, megabytes

STAGED = f"""\
{STAGING[0].upper()}{STAGING[1:]} is what the pipe waits for, too, before it can read anything: until then the Engine \
stages a copy of the image on its disk."""
MEMORY = 120
"""MB that the pipe's process may hold, whatever the image."""


def one_layer(bench: Bench, rounds: int) -> Section:
    """Measure what an Engine compresses on one core."""
    return _fresh(bench, rounds, uploads.ONE_LAYER, 0.30)


def five_layers(bench: Bench, rounds: int) -> Section:
    """Measure what an Engine compresses on all cores."""
    return _fresh(bench, rounds, uploads.FIVE_LAYERS, 0.55)


def _fresh(bench: Bench, rounds: int, size: tuple[int, int], limit: float) -> Section:
    runs = uploads.fresh(bench, rounds, size)
    what = f"A fresh image, {megabytes(size)}"
    text = (
        f"{megabytes(size)} of real files (programs, libraries, documents of this machine), new in each round, to a new"
        f" registry for each push, so that every layer is compressed and sent; {rounds} rounds.\n\n"
        f"{report.runs_table(runs, DOCKER)}\n\n{STAGED} {_memory(runs)}"
    )
    targets = (
        Target(f"{what}, times {DOCKER}", limit, report.ratio(runs, PIPE, DOCKER), ""),
        Target(f"Peak memory, {megabytes(size)}", MEMORY, _peak(runs), " MB"),
    )
    return Section(what, text, targets)


def small(bench: Bench, rounds: int) -> Section:
    """Measure where the fixed cost shows most."""
    runs = uploads.fresh(bench, rounds, uploads.SMALL)
    text = (
        f"{megabytes(uploads.SMALL)}, new in each round, to a new registry for each push; {rounds} rounds.\n\n"
        f"{report.runs_table(runs, DOCKER)}\n\n{STAGED} The pipe's own process, without the making of its container:"
        f" {report.process_median(runs, PIPE):.2f} s."
    )
    targets = (
        Target(f"Small fresh image, times {DOCKER}", 1.10, report.ratio(runs, PIPE, DOCKER), ""),
        Target(f"The same, the pipe's own process, times {DOCKER}", 1.10, report.process_ratio(runs, PIPE, DOCKER), ""),
    )
    return Section("A small fresh image", text, targets)


def mostly_known(bench: Bench, rounds: int) -> Section:
    """Measure a step's Engine, which begins empty, and a registry that has most of the image."""
    title = "An image of which the registry has four fifths, on an Engine that never saw the registry"
    if not can_make_engines():
        return Section(title, "Not measured here: it needs root and `dockerd`, for Engines of its own.")
    known = uploads.mostly_known(bench, rounds)
    text = (
        f"{megabytes(uploads.KNOWN)}, of which the last is new; a new Engine and a new registry for each push;"
        f" {rounds} rounds. The bytes that the registry received of the pipe are"
        f" {max(known.shares):.3f} times those of the new layer at most, configuration and requests included.\n\n"
        f"{report.runs_table(known.runs, DOCKER)}"
    )
    targets = (
        Target(f"Four fifths known, times {DOCKER}", 0.50, report.ratio(known.runs, PIPE, DOCKER), ""),
        Target("Bytes sent, times those of the new layer", 1.05, max(known.shares), ""),
    )
    return Section(title, text, targets)


def one_new(bench: Bench, rounds: int) -> Section:
    """Measure an Engine that remembers what the registry has."""
    runs = uploads.one_new(bench, rounds)
    title = "An image of which the Engine knows all but one small layer to be there"
    text = (
        f"{megabytes(uploads.ONE_NEW)}, of which the last is new; {rounds} rounds.\n\n{report.runs_table(runs, DOCKER)}"
    )
    pairs = zip(runs[PIPE], runs[DOCKER], strict=True)
    excess = statistics.median(run.seconds - 1.10 * beside.seconds for run, beside in pairs)
    return Section(title, text, (Target(f"One new layer, beyond 1.1 times {DOCKER}", 0.3, excess, " s"),))


def too_slow(bench: Bench) -> Section:
    """Measure what only the pipe gets through."""
    run, said = uploads.too_slow_for_the_engine(bench)
    text = (
        f"{megabytes(uploads.SLOW)}, to a registry that ends an upload after {uploads.SLOW_LIMIT}. The pipe:"
        f" {run.seconds:.2f} s, and it arrived. {DOCKER}: `{said}`."
    )
    return Section("A layer that the Engine cannot compress in time", text)


def large(bench: Bench) -> Section:
    """Measure ten gigabytes."""
    run = uploads.large(bench)
    memory = run.memory / MEGABYTE
    text = f"{megabytes(uploads.TEN_GIGABYTES)}: {run.seconds:.0f} s, {memory:.1f} MB of memory at most."
    return Section("Ten gigabytes", text, (Target("Peak memory, ten gigabytes", MEMORY, memory, " MB"),))


def _peak(runs: Runs) -> float:
    return max(run.memory for run in runs[PIPE]) / MEGABYTE


def _memory(runs: Runs) -> str:
    return f"The pipe's process held at most {_peak(runs):.1f} MB of memory (peak resident set, of all rounds)."
