"""Rows of a layer that the pipe splits: what that costs, what it gains, and what only arrives that way."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench import link_rows, report
from bench.archives import FOLDER, NAME, NOWHERE
from bench.images import half_noise_layer, write_archive
from bench.links import shaped
from bench.measure import PIPE, Bench, counted
from bench.pushes import Place, Run
from bench.report import MEGABYTE, Section, Target, megabytes
from bench.runs import Runs, in_turn
from registry.client import local_registry

ONE_LAYER = (1_000_000_000, 1)
PARTS = 4
SPLIT = f"{PIPE}, in {PARTS} parts"
MEMORY = 120
"""MB that the pipe's process may hold, whatever the image."""
CONNECTION = (200_000_000, 1)
CONNECTION_SPEED = 20_000_000
"""Bytes a second that a link carries on each connection: a quarter of what it could carry."""
TWELVE_GIGABYTES = 12_000_000_000
FRESH = 0.65
"""Share of a large layer that does not compress: over 100 Mbit/s it needs 10.4 minutes of the registry's 7."""
MBITS, TIMEOUT = 100, 420.0
SHRUNK = 60
"""What layer and time limit of `large` are divided by."""

Split = Callable[[Place, str], Run]


def cost(bench: Bench) -> Section:
    """Measure a layer that is split, and the same layer whole."""
    size = bench.sized(ONE_LAYER)
    with _archive(half_noise_layer(size[0], FRESH)) as path:
        runs = _each(bench, "split", _pushes(bench, path, size[0]))
    what = f"{megabytes(size)}, split into {PARTS} parts"
    text = (
        f"Files of a megabyte, of which {FRESH:.0%} do not compress, in a docker archive; on loopback to a new registry"
        f" each time; {bench.rounds} rounds. Each file adds about 25 µs to the first pass over the layer."
        f"\n\n{report.runs_table(runs, PIPE)}"
    )
    targets = (
        Target(f"{what}, times unsplit", 1.1, report.ratio(runs, SPLIT, PIPE), ""),
        Target("Peak memory, split", MEMORY, report.peak(runs, SPLIT), " MB"),
    )
    return Section("A layer that is split", text, targets)


def connections(bench: Bench) -> Section:
    """Measure parts that are uploaded at the same time over a link that limits each connection."""
    size = bench.sized(CONNECTION)
    with _archive(half_noise_layer(size[0], 1.0)) as path:
        runs = _each(bench, "split-connections", _pushes(bench, path, size[0]), CONNECTION_SPEED)
    speed = f"{CONNECTION_SPEED / MEGABYTE:g} MB/s"
    text = (
        f"{megabytes(size)} that do not compress; each connection carries {speed}, a quarter of the link;"
        f" {bench.rounds} rounds.\n\n{report.runs_table(runs, PIPE)}"
    )
    target = Target(f"{megabytes(size)}, {speed} a connection, times unsplit", 0.8, report.ratio(runs, SPLIT, PIPE), "")
    return Section("Parts over a link that limits each connection", text, (target,))


def large(bench: Bench) -> Section:
    """Push a layer of twelve gigabytes, scaled down, over a link that is too slow for it."""
    title = f"Twelve gigabytes over {MBITS} Mbit/s"
    missing = link_rows.why_not(bench)
    if missing:
        return Section(title, f"Not measured here: {missing}.")
    size, timeout = TWELVE_GIGABYTES // SHRUNK, f"{TIMEOUT / SHRUNK:g}s"
    outcomes = {}
    with _archive(half_noise_layer(size, FRESH)) as path:
        for name, push in _pushes(bench, path, size, UPLOAD_TIMEOUT=timeout, MAX_ATTEMPTS="1").items():
            with bench.distribution() as registry, shaped(MBITS):
                try:
                    outcomes[name] = f"{push(Place(bench.engine, registry.host), NAME).seconds:.1f} s, and it arrived"
                except RuntimeError as error:
                    outcomes[name] = f"`{str(error).splitlines()[-1]}`"
    text = (
        f"Layer and time limit are divided by {SHRUNK}: {megabytes((size, 1))} of which {FRESH:.0%} do not compress,"
        f" and {timeout}.\n\n" + "\n".join(f"- {name}: {outcome}" for name, outcome in outcomes.items())
    )
    arrived = float("arrived" in outcomes[SPLIT] and "arrived" not in outcomes[PIPE])
    return Section(title, text, (Target("Only the split layer arrives", 1, arrived, "", least=True),))


def _pushes(bench: Bench, path: Path, size: int, **variables: str) -> Mapping[str, Split]:
    """Return a push of the whole layer, and one in parts."""

    def push(**more: str) -> Split:
        given = {"IMAGE_ARCHIVE": str(path), "DOCKER_HOST": NOWHERE, **variables, **more}
        return lambda place, image: place.pipe(bench.pipes[0], image, "pipe", mounts=[str(path.parent)], **given)

    # A hundredth of a part is reserved, and a part holds whole files.
    return {PIPE: push(), SPLIT: push(SPLIT_LAYERS=str(size * 108 // 100 // PARTS))}


def _each(bench: Bench, row: str, pushes: Mapping[str, Split], speed: int | None = None) -> Runs:
    runs = Runs(row)
    for names in in_turn(pushes, bench.rounds):
        for name in names:
            with local_registry() as registry:
                if speed is not None:
                    registry.fault(method="P[AU]T*", path="*/blobs/uploads/*", bytes_per_second=speed)
                place = Place(bench.engine, registry.host)
                runs.add(name, lambda: counted(registry, lambda: pushes[name](place, NAME)))  # noqa: B023
    return runs


@contextlib.contextmanager
def _archive(layer: bytes) -> Iterator[Path]:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        path = Path(folder, "image.tar")
        with path.open("wb") as file:
            write_archive(file, NAME, iter([layer]))
        del layer
        yield path
