"""Measure the pipe beside what its users would run instead, and write it down: see `run`."""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import machine, report, sections, upload_sections
from bench.measure import Bench, skopeo_reads
from bench.sections import Section

DOCUMENT = Path("docs/benchmarks.md")
HEAD = """\
# Benchmarks

Measured by `make bench`, which does its own set-up, takes about half an hour, and writes this page. All contenders \
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


FULL = Rounds(small=16, fresh=4, tags=4, engines=2, archives=4, gateway=("--pairs=2",))
QUICK = Rounds(1, 1, 1, 1, 1, ("--pairs=1", "--size=80"))


def main(arguments: list[str]) -> int:
    """Measure, and write the document."""
    parser = argparse.ArgumentParser(prog="test/bench/run", description=__doc__)
    parser.add_argument("pipe", help="the pipe's image")
    parser.add_argument("--quick", action="store_true", help="one round of each, printed instead of written")
    parser.add_argument("--large", action="store_true", help="ten gigabytes once, printed instead of written")
    options = parser.parse_args(arguments)
    engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    bench = Bench(engine, options.pipe, skopeo=skopeo_reads(engine, options.pipe))
    found = []
    rounds = QUICK if options.quick else FULL
    for section in [upload_sections.large(bench)] if options.large else measured(bench, rounds):
        found.append(section)
        sys.stderr.write(f"\n## {section.title}\n\n{section.text}\n")
    targets = report.targets_table([target for section in found for target in section.targets])
    facts = machine.description(options.pipe)
    if not bench.skopeo:
        facts["skopeo"] += ", which cannot read from this Engine"
    head = f"{HEAD}{report.table(('', ''), [*facts.items()])}\n\n## Targets\n\n{targets}"
    document = "\n\n".join([head, *(f"## {section.title}\n\n{section.text}" for section in found)])
    if options.quick or options.large:
        sys.stdout.write(f"{document}\n")
    else:
        DOCUMENT.write_text(f"{document}\n", encoding="utf-8")
    return 0


def measured(bench: Bench, rounds: Rounds) -> Iterator[Section]:
    """Measure everything, section by section."""
    yield sections.size(bench)
    yield sections.cold_start(bench, rounds.small)
    yield sections.already_there(bench, rounds.small)
    yield upload_sections.one_layer(bench, rounds.fresh)
    yield upload_sections.five_layers(bench, rounds.fresh)
    yield upload_sections.small(bench, rounds.small)
    yield upload_sections.mostly_known(bench, rounds.engines)
    yield upload_sections.one_new(bench, rounds.tags)
    yield upload_sections.too_slow(bench)
    yield sections.ten_tags(bench, rounds.tags)
    yield sections.no_memory(bench, rounds.engines)
    yield sections.image_archives(bench, rounds.archives)
    yield sections.gateway(rounds.gateway)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
