"""Measure the pipe beside what its users would run instead.

Without --only, everything is measured and docs/benchmarks.md is written; else the result is printed.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench import machine, report
from bench.contenders import Pipe, pipe_of
from bench.measure import PIPE, Bench, can_make_engines, copy_images, skopeo_reads
from bench.report import Section
from bench.rows import LONG, ROWS
from integration.private_engine import private_engine
from registry.client import IMAGE as REGISTRY_IMAGE

DOCUMENT = Path("docs/benchmarks.md")
IMAGE = os.environ.get("IMAGE", "bbc-packages-push-container-image:dev")
HEAD = """\
# Benchmarks

Measured by `make bench`, which does its own set-up and writes this page. All contenders run in turn on one machine, \
every other round in the reverse order; a number is the median of the rounds, a ratio or difference the median of the \
rounds' own. Unless a section names a link or CNCF Distribution, the registry is the local one (`test/registry`) on \
loopback. Processor time is that of all processes of the machine, those of the Engine and the registry too: a \
contender that takes no longer than this time, divided by the number of cores, is bound by the processors.

"""


def main(arguments: list[str]) -> int:
    """Measure, with a private Engine in separate namespaces if those can be created."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = _options(arguments)
    if options.alone or not can_make_engines():
        return measure(options)
    pipes = _pipes(options)
    with tempfile.TemporaryDirectory(prefix="engine-") as folder, private_engine(Path(folder)) as engine:
        copy_images(engine.docker_host, REGISTRY_IMAGE, *({IMAGE} if _needs_image(options, pipes) else ()))
        environment = os.environ | {"DOCKER_HOST": engine.docker_host}
        command = [*engine.inside, sys.executable, "-m", "bench", "--alone", *arguments]
        with subprocess.Popen(command, env=environment) as child:
            try:
                return child.wait()
            except KeyboardInterrupt:  # the terminal has sent it to the child, too
                child.wait()
                raise
            except SystemExit:
                child.terminate()
                child.wait()
                raise


def measure(options: argparse.Namespace) -> int:
    """Measure, and write or print the document."""
    engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    bench = Bench(
        engine,
        IMAGE,
        _pipes(options),
        rounds=options.pairs,
        skopeo=skopeo_reads(engine, REGISTRY_IMAGE),
        skopeos=tuple(options.skopeo),
        compressions=tuple(options.compression),
        scale=options.scale,
        alone=options.alone,
    )
    found = []
    for name in options.only or [name for name in ROWS if name not in LONG]:
        row = ROWS[name]
        section = row.measure(replace(bench, rounds=bench.rounds * (1 if options.only else row.times)))
        found.append(section)
    document = _document(bench, found)
    if options.only:
        sys.stdout.write(document)
    else:
        DOCUMENT.write_text(document, encoding="utf-8")
    return 0


def _document(bench: Bench, sections: list[Section]) -> str:
    facts = machine.description(bench.pipes)
    if not bench.skopeo:
        facts["skopeo"] += ", which cannot read from this Engine"
    facts["Sizes"] = "" if bench.scale == 1 else f"multiplied by {bench.scale:g}"
    targets = report.targets_table([target for section in sections for target in section.targets])
    head = (
        f"{HEAD}{report.facts_table({name: fact for name, fact in facts.items() if fact})}\n\n## Targets\n\n{targets}"
    )
    return "\n\n".join([head, *(f"## {section.title}\n\n{section.text}" for section in sections)]) + "\n"


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_rows, default=[], help=f"rows, separated by commas: {', '.join(ROWS)}")
    parser.add_argument("--pairs", type=int, default=4, help="rounds of each row (4); an even number for either order")
    parser.add_argument("--scale", type=float, default=1.0, help="what the sizes of large images are multiplied by")
    parser.add_argument("--pipe", help="a command, or the folder of a checkout, instead of the image")
    parser.add_argument("--beside", action="append", default=[], help="another pipe, the same; may be repeated")
    parser.add_argument("--skopeo", action="append", default=[], help="the program of a newer skopeo, for archives")
    parser.add_argument(
        "--compression", type=lambda text: text.split(","), default=["auto", "zstd"], help="values for rows with a link"
    )
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _rows(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return names


def _pipes(options: argparse.Namespace) -> tuple[Pipe, ...]:
    """Return the pipes: the image unless another is named, and what is measured beside it."""
    first = pipe_of(PIPE, options.pipe) if options.pipe else Pipe(PIPE, image=IMAGE)
    return first, *(pipe_of(f"the pipe of `{how}`", how) for how in options.beside)


def _needs_image(options: argparse.Namespace, pipes: tuple[Pipe, ...]) -> bool:
    """Return whether the pipe's image is used, as a contender or as what is measured."""
    return any(pipe.image for pipe in pipes) or not options.only or bool({"size", "start"} & {*options.only})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
