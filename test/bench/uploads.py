"""The pipe's own upload beside the Engine's: what it is worth, and what it costs."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from bench.images import fresh_image, relatives
from bench.measure import DOCKER, PIPE, STAGING, Bench, Push, Runs, turns
from bench.pushes import Place, Run, run
from registry.client import LocalRegistry, local_registry

ONE_LAYER = (1_000_000_000, 1)
FIVE_LAYERS = (1_000_000_000, 5)
SMALL = (25_000_000, 3)
KNOWN = (1_000_000_000, 5, 1)
"""Bytes, layers, and how many of them are new: four fifths are known to the registry."""
ONE_NEW = (250_000_000, 10, 1)
SLOW = (250_000_000, 1)
SLOW_LIMIT = "8s"
"""An Engine compresses 250 MB in about ten seconds."""
TEN_GIGABYTES = (10_000_000_000, 10)


@dataclass(frozen=True, slots=True)
class Known:
    """What became of an image that the registry knows most of.

    Attributes:
        runs: Of each contender.
        shares: Of each of the pipe's runs, the bytes that the registry received beside those of the new layers.
    """

    runs: Runs
    shares: Sequence[float]


def contenders(bench: Bench) -> dict[str, Push]:
    """Return the pipe and the Engine's own push."""
    return {name: bench.pushes[name] for name in (PIPE, DOCKER)}


def fresh(bench: Bench, rounds: int, size: tuple[int, int]) -> Runs:
    """Push an image that nobody has seen before, and time what the Engine does before it streams it."""
    return bench.each_fresh(rounds, size, contenders(bench) | {STAGING: lambda place, image: place.staging(image)})


def mostly_known(bench: Bench, rounds: int) -> Known:
    """Push an image of which the registry has four fifths, from an Engine that never saw the registry.

    Each contender has a new registry: what one sends, the other would find.
    """
    runs: dict[str, list[Run]] = {PIPE: [], DOCKER: []}
    shares = []
    with relatives(*KNOWN) as (known, image):
        for _, name in turns(runs, rounds):
            with local_registry() as registry:
                Place(bench.engine, registry.host).docker_push(known, "latest")
                registry.clear()
                process = run("docker", "inspect", "--format={{.State.Pid}}", str(registry.container.id)).stdout
                with bench.new_engine(int(process), image) as engine:
                    place = Place(engine.docker_host, "127.0.0.1:5000", engine.inside)
                    os.sync()  # what was written before, the image itself, is not this push's to wait for
                    runs[name].append(contenders(bench)[name](place, image))
                if name == PIPE:
                    shares.append(_received(registry) / _stored(registry, "pipe", new=KNOWN[2]))
    return Known(runs, shares)


def one_new(bench: Bench, rounds: int) -> Runs:
    """Push an image of which the Engine itself knows that the registry has all but one small layer."""
    runs: dict[str, list[Run]] = {PIPE: [], DOCKER: []}
    for _, name in turns(runs, rounds):
        with relatives(*ONE_NEW) as (known, image), local_registry() as registry:
            place = Place(bench.engine, registry.host)
            place.docker_push(known, "latest")
            os.sync()
            runs[name].append(contenders(bench)[name](place, image))
    return runs


def too_slow_for_the_engine(bench: Bench) -> tuple[Run, str]:
    """Push a layer that the Engine cannot compress in the time that the registry gives it.

    Returns:
        The pipe's run, and what `docker push` said of the same.
    """
    with fresh_image(*SLOW) as image, local_registry(upload_timeout=SLOW_LIMIT) as registry:
        place = Place(bench.engine, registry.host)
        arrived = place.pipe(bench.pipe, image, "pipe", UPLOAD_TIMEOUT=SLOW_LIMIT)
        try:
            place.docker_push(image, "docker")
        except RuntimeError as error:
            return arrived, str(error).splitlines()[-1]
    return arrived, "it arrived, too"


def large(bench: Bench) -> Run:
    """Push ten gigabytes; its memory is of interest."""
    with fresh_image(*TEN_GIGABYTES) as image, local_registry() as registry:
        return Place(bench.engine, registry.host).pipe(bench.pipe, image, "pipe")


def _received(registry: LocalRegistry) -> int:
    return sum(entry.received for entry in registry.requests() if "/blobs/uploads/" in entry.path)


def _stored(registry: LocalRegistry, tag: str, new: int) -> int:
    """Return the bytes that the last layers of a tag have in the registry."""
    command = ["skopeo", "inspect", "--raw", "--tls-verify=false", "--creds=pipeline:pipeline-token"]
    command.append(f"docker://{registry.host}/demo-workspace/my-container-app:{tag}")
    manifest = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return sum(layer["size"] for layer in json.loads(manifest)["layers"][-new:])
