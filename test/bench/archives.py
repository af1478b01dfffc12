"""The same archive, pushed by the pipe and by skopeo, which needs no Engine either."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.contenders import Pipe
from bench.images import noise_layers, real_layers, write_archive
from bench.measure import SKOPEO, Bench, counted
from bench.pushes import REPOSITORY, TOKEN, USER, Place, Run
from bench.running import run
from bench.runs import Runs, in_turn
from registry.client import local_registry

LARGE = (1_050_000_000, 5)
"""Bytes and layers of the image."""
NAME = "bbc-packages-push-bench:archive"
FOLDER = Path.cwd() / ".bench_cache"
"""Pipelines mounts only what the clone directory contains into containers."""
FORMS = {"plain.tar": "docker-archive", "gzipped.tar": "oci-archive"}
NOWHERE = "tcp://127.0.0.1:9"
"""No Docker Engine."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An image in a file.

    Attributes:
        path: The file.
        transport: Skopeo's name for its form.
    """

    path: Path
    transport: str


@contextlib.contextmanager
def made(size: int, layers: int) -> Iterator[Mapping[str, Archive]]:
    """Make an archive of plain layers, and one of gzipped layers, as skopeo makes it; each has the full size.

    Args:
        size: Bytes of files in all, at least, and at most a tenth more.
        layers: How many layers share them.

    Yields:
        The archives, by what their layers are.
    """
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        plain, gzipped = (Archive(Path(folder, name), form) for name, form in FORMS.items())
        noise = Archive(Path(folder, "noise"), plain.transport)
        for archive, content in ((plain, real_layers(size, layers)), (noise, noise_layers(size, layers))):
            with archive.path.open("wb") as file:
                write_archive(file, NAME, content)
        source, target = (f"{each.transport}:{each.path}" for each in (noise, gzipped))
        run("skopeo", "--insecure-policy", "copy", source, f"{target}:{NAME}")
        noise.path.unlink()
        yield {"plain layers, docker archive": plain, "gzipped layers, OCI archive": gzipped}


def pushed(bench: Bench, size: tuple[int, int] = LARGE) -> Mapping[str, Runs]:
    """Push each archive with each contender, to a new registry each time.

    Args:
        bench: The pipes, and the Engine that runs them.
        size: Bytes and layers of the image.

    Returns:
        The runs by what the archive's layers are.
    """
    with made(*bench.sized(size)) as archives:
        return {kind: _each(bench, archive) for kind, archive in archives.items()}


def _each(bench: Bench, archive: Archive) -> Runs:
    runs = Runs(f"archive, {archive.transport}")
    pushes: dict[str, Callable[[Archive, str], Run]] = {
        **{pipe.name: partial(_by_pipe, bench, pipe) for pipe in bench.pipes},
        **{name: partial(_by_skopeo, program) for name, program in skopeos(bench).items()},
    }
    for names in in_turn(pushes, bench.rounds):
        for name in names:
            with local_registry() as registry:
                _forget()
                runs.add(name, lambda: counted(registry, lambda: pushes[name](archive, registry.host)))  # noqa: B023
    return runs


def _by_pipe(bench: Bench, pipe: Pipe, archive: Archive, registry: str) -> Run:
    place = Place(bench.engine, registry)
    variables = {"IMAGE_ARCHIVE": str(archive.path), "DOCKER_HOST": NOWHERE}
    return place.pipe(pipe, NAME, "pipe", mounts=[str(archive.path.parent)], **variables)


def skopeos(bench: Bench) -> dict[str, str]:
    """Return the programs that are measured beside the pipe, by their names in tables."""
    others = {f"{SKOPEO} {run(path, '--version').stdout.split()[-1]}": path for path in bench.skopeos}
    return {SKOPEO: "skopeo", **others}


def _by_skopeo(program: str, archive: Archive, registry: str) -> Run:
    began = time.monotonic()
    run(
        *(program, "--insecure-policy", "copy", "--dest-tls-verify=false", f"--dest-creds={USER}:{TOKEN}"),
        *(f"{archive.transport}:{archive.path}", f"docker://{registry}/{REPOSITORY}:skopeo"),
    )
    seconds = time.monotonic() - began
    return Run(seconds, seconds)


def _forget() -> None:
    """Remove what skopeo remembers of blobs; source: containers/image, `pkg/blobinfocache/default.go`."""
    share = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    folder = Path("/var/lib/containers/cache") if os.geteuid() == 0 else Path(share, "containers/cache")
    for cache in folder.glob("blob-info-cache-v1.*"):
        cache.unlink()
