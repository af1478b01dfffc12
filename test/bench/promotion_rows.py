"""The row of an image that the registry has, and that gets another tag."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import report
from bench.archives import NOWHERE
from bench.measure import PIPE, SKOPEO, Bench
from bench.pushes import REPOSITORY, TOKEN, USER, Place, Run
from bench.report import Section, Target
from bench.running import run
from bench.runs import Runs, in_turn
from integration.layouts import made
from registry.client import local_registry

PLATFORMS = {name: [1_000_000, 100_000] for name in ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x")}
SOURCE = "rc"

Promote = Callable[[Place, str], Run]
"""Gives the image of a place's registry a tag."""


def promotion(bench: Bench) -> Section:
    """Measure an index of four platforms, each with an attestation."""
    runs, requests = Runs("promotion"), dict[str, int]()
    promotes: dict[str, Promote] = {pipe.name: _by_pipe(bench, number) for number, pipe in enumerate(bench.pipes)}
    if shutil.which("skopeo") is not None:
        promotes[SKOPEO] = _by_skopeo
    layout, top = made(PLATFORMS, attested=True)
    with local_registry() as registry, tempfile.TemporaryDirectory() as folder:
        place, path = Place(bench.engine, registry.host), Path(folder, "image.tar")
        path.write_bytes(layout.tar(top))
        archive = {"IMAGE_ARCHIVE": str(path), "DOCKER_HOST": NOWHERE}
        place.pipe(bench.pipes[0], layout.name, SOURCE, mounts=[folder], **archive)
        for number, names in enumerate(in_turn(promotes, bench.rounds)):
            for turn, name in enumerate(names):
                registry.clear()
                runs.add(name, lambda: promotes[name](place, f"1.{number}.{turn}"))  # noqa: B023
                requests[name] = max(requests.get(name, 0), len(registry.requests()))
    sent = ", ".join(f"{name} {requests[name]}" for name in runs)
    text = (
        f"An index of {len(PLATFORMS)} platforms with attestations, which gets another tag in its package;"
        f" {bench.rounds} rounds. Requests: {sent}.\n\n{report.runs_table(runs, SKOPEO if SKOPEO in runs else PIPE)}"
    )
    targets = (
        Target("A promotion, requests", 12, requests[PIPE] if PIPE in runs else None, ""),
        Target("A promotion, the pipe's own process", 1, report.process_median(runs, PIPE), " s"),
    )
    return Section("An image that is promoted", text, targets)


def _by_pipe(bench: Bench, number: int) -> Promote:
    def promote(place: Place, tag: str) -> Run:
        return place.pipe(bench.pipes[number], "my-container-app", tag, PROMOTE=SOURCE, DOCKER_HOST=NOWHERE)

    return promote


def _by_skopeo(place: Place, tag: str) -> Run:
    began = time.monotonic()
    image = f"docker://{place.registry}/{REPOSITORY}"
    run(
        *("skopeo", "--insecure-policy", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"),
        *(f"--src-creds={USER}:{TOKEN}", f"--dest-creds={USER}:{TOKEN}", f"{image}:{SOURCE}", f"{image}:{tag}"),
    )
    seconds = time.monotonic() - began
    return Run(seconds, seconds)
