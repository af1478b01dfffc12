"""Measure what the local registry's gateway costs: `PYTHONPATH=test python3 -m bench.registry`.

Prints Markdown: pushes through the gateway beside pushes to the same Distribution without it, in
pairs, and the gateway's peak memory while eight pushes go on at once. Ends with 1 if a bound is not
kept.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from bench.registries import distribution
from registry.client import Registry, build_image, local_registry
from registry.tests.clients import Docker, Skopeo, layout
from registry.tests.images import image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEGABYTE = 1_000_000
NAME = "demo-workspace/my-container-app"
LAYERS = 4
CHUNK = 8 << 20
AT_ONCE = 8
LARGEST_RATIO = 1.3
LARGEST_MEMORY = 150 * MEGABYTE


def main(arguments: list[str]) -> int:
    """Measure and print; return 1 if a bound was not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="pushes of each kind")
    parser.add_argument("--only", help="one client: skopeo, docker or chunks")
    parser.add_argument("--size", type=int, default=1000, help="size of the image in MB")
    parser.add_argument("--built", action="store_true", help="the registry's image is there")
    options = parser.parse_args(arguments)
    if not options.built:
        build_image()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as clients:
        source = Path(folder)
        layers = [os.urandom(options.size * MEGABYTE // LAYERS) for _ in range(LAYERS)]
        pushes = {
            "skopeo copy": by_skopeo(layout(source / "layout", image(layers))),
            "docker push": clients.enter_context(by_docker(source, layers)),
            "chunks of 8 MiB": by_chunks(layers),
        }
        ratios = {}
        write(f"A fresh image of {options.size} MB in {LAYERS} layers, medians of {options.pairs} pairs:\n")
        write("| client | through the gateway | Distribution alone | ratio |")
        write("| --- | --- | --- | --- |")
        for client, push in pushes.items():
            if options.only and not client.startswith(options.only):
                continue
            through, alone = compare(push, options.pairs)
            ratios[client] = through / alone
            write(f"| `{client}` | {through:.2f} s | {alone:.2f} s | {ratios[client]:.2f} |")
        memory = peak_memory(list(parts(source, layers)))
    write(f"\nThe gateway's peak memory with {AT_ONCE} pushes at once: {memory / MEGABYTE:.0f} MB.")
    return int(max(ratios.values()) > LARGEST_RATIO or memory > LARGEST_MEMORY)


def by_skopeo(source: str) -> Callable[[Registry, str], object]:
    """Push without compression: the registry is what takes the time."""

    def push(registry: Registry, tag: str) -> object:
        with tempfile.TemporaryDirectory() as memory:
            return Skopeo(Path(memory)).copy(source, f"docker://{registry.host}/{NAME}:{tag}", "--preserve-digests")

    return push


def by_chunks(layers: list[bytes]) -> Callable[[Registry, str], object]:
    """Push the layers one after the other, each in chunks with `Content-Range`."""

    def push(registry: Registry, _: str) -> None:
        with registry.session("writer") as session:
            for layer in layers:
                location = session.post(f"{registry.url}/v2/{NAME}/blobs/uploads/").headers["Location"]
                for first in range(0, len(layer), CHUNK):
                    part = layer[first : first + CHUNK]
                    headers = {"Content-Range": f"{first}-{first + len(part) - 1}"}
                    answer = session.patch(urljoin(registry.url, location), data=part, headers=headers)
                    location = answer.headers["Location"]
                digest = f"&digest=sha256:{hashlib.sha256(layer).hexdigest()}"
                session.put(urljoin(registry.url, location) + digest).raise_for_status()

    return push


@contextlib.contextmanager
def by_docker(folder: Path, layers: list[bytes]) -> Iterator[Callable[[Registry, str], object]]:
    """Push as users do, with the Engine's compression."""
    context = folder / "context"
    context.mkdir()
    lines = ["FROM scratch"]
    for number, layer in enumerate(layers):
        (context / f"file{number}").write_bytes(layer)
        lines.append(f"COPY file{number} /")
    (context / "Dockerfile").write_text("\n".join(lines), encoding="utf-8")
    docker = Docker(folder / "configuration")
    local = "bbc-packages-push-bench:registry"
    docker.build(local, context)

    def push(registry: Registry, tag: str) -> object:
        docker.login(registry, "writer")
        return docker("push", docker.tag(local, f"{registry.host}/{NAME}:{tag}"))

    try:
        yield push
    finally:
        docker.remove_images()


def compare(push: Callable[[Registry, str], object], pairs: int) -> tuple[float, float]:
    """Return the medians in seconds through the gateway and without it, measured in turn."""
    through, alone = [], []
    for _ in range(pairs):
        with local_registry() as registry:
            through.append(seconds(push, registry))
        with distribution(published=True) as registry:
            alone.append(seconds(push, registry))
    return statistics.median(through), statistics.median(alone)


def seconds(push: Callable[[Registry, str], object], registry: Registry) -> float:
    """Return how long a push takes."""
    began = time.monotonic()
    push(registry, "measured")
    return time.monotonic() - began


def parts(folder: Path, layers: list[bytes]) -> Iterator[Callable[[Registry, str], object]]:
    """Give pushes of different images, each a part of the layers."""
    size = len(layers[0]) // AT_ONCE
    for number in range(AT_ONCE):
        part = image([layer[number * size : (number + 1) * size] for layer in layers])
        yield by_skopeo(layout(folder / f"part{number}", part))


def peak_memory(pushes: list[Callable[[Registry, str], object]]) -> int:
    """Return the bytes of memory the gateway has held at most, while pushes went on at once.

    Raises:
        RuntimeError: not all uploads were seen.

    """
    with local_registry() as registry, ThreadPoolExecutor(AT_ONCE) as threads:
        for pushed in [threads.submit(push, registry, f"push-{n}") for n, push in enumerate(pushes)]:
            pushed.result()
        uploads = registry.requests(method="PATCH", received=MEGABYTE, status="202")
        found = re.search(r"VmHWM:\s+(\d+) kB", registry.run("cat", "/proc/1/status"))
    if found is None or len(uploads) != AT_ONCE * LAYERS:
        raise RuntimeError(f"not measured: {len(uploads)} uploads")
    return int(found[1]) * 1024


def write(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
