"""Feeds damaged and odd archives to `pipe.source`, and layers to `pipe.splitting`, for some minutes.

    PYTHONPATH=test .venv/bin/python -m fuzz --minutes 10 [--seed N]

It stops at the first input that they do not bear. An input may be read, or refused with one of the pipe's own errors.
It fails if there is any other exception, if a layer's parts make other files than the layer, if it takes more than two
seconds of processor time or 200 MB; none is larger than a megabyte. The input that failed is kept, and the number that
makes it again is printed.
"""

import argparse
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from fuzz.inputs import MAXIMUM, make
from fuzz.layers import layer, split
from unit.source.archives import DIFF_IDS, IMAGE_ID, NAME, Log
from unit.source.test_daemon import Stream

from pipe.errors import PipeError
from pipe.source.archive import open_image
from pipe.source.blob import SourceBlob
from pipe.source.daemon import DaemonStream

SECONDS = 2
MEMORY = 200_000_000
READ = {"archive": 0, "graphdriver": 0, "containerd": 0, "layer": 0}
"""How many inputs were an image or a layer, by how they were read."""
_BUFFER = memoryview(bytearray(2**16))


def read(blob: SourceBlob) -> None:
    """Read all of a blob."""
    reader = blob.open()
    while reader.readinto(_BUFFER):
        pass


def from_archive(data: bytes, path: Path) -> None:
    """Open an archive, and read its blobs and those of its artifacts."""
    path.write_bytes(data)
    stored = open_image(path, NAME, Log())
    for content in (stored, *(referrer.read() for referrer in stored.referrers)):
        for blob in content.blobs:
            read(blob)


def from_engine(data: bytes, image: str, containerd: bool) -> None:
    """Read the same bytes as if an Engine streamed them."""
    stream = DaemonStream(Stream(data, 2**16), image, DIFF_IDS, containerd=containerd)
    for blob in stream:
        read(blob)
    _ = stream.manifests


def tried_layer(data: bytes, below: bytes, parts: int) -> str:
    """Return what is wrong with how a layer is split, "" if nothing is."""
    began = time.process_time()
    try:
        problem = split(data, below, parts)
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    READ["layer"] += 1
    seconds = time.process_time() - began
    return problem or (f"{seconds:.1f} s" if seconds > SECONDS else "")


def peak() -> int:
    """Return the largest number of bytes that this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def tried(data: bytes, top: str, path: Path) -> str:
    """Return what is wrong with how an input is read, "" if nothing is."""
    for way in ("archive", "graphdriver", "containerd"):
        began = time.process_time()
        try:
            if way == "archive":
                from_archive(data, path)
            else:
                from_engine(data, top or IMAGE_ID if way == "containerd" else IMAGE_ID, way == "containerd")
            READ[way] += 1
        except PipeError as error:
            if not str(error).strip():
                return "an error without a message"
        except Exception as error:  # noqa: BLE001
            return f"{type(error).__name__}: {error}"
        if time.process_time() - began > SECONDS:
            return f"{time.process_time() - began:.1f} s"
    return ""


def main() -> int:
    """Try one input after the other."""
    parser = argparse.ArgumentParser(description="Feed odd archives to pipe.source.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=None, help="the only input to try")
    arguments = parser.parse_args()
    seed = random.SystemRandom().getrandbits(48) if arguments.seed is None else arguments.seed
    end = time.monotonic() + 60 * arguments.minutes
    number, before = 0, peak()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        while True:
            rng = random.Random(seed + number)
            if (seed + number) % 2:
                below, data = layer(rng)
                problem = tried_layer(data, below, rng.choice((2, 3, 9)))
            else:
                data, top = make(rng)
                problem = tried(data, top, path)
            problem = problem or (f"{peak() - before} bytes" if peak() - before > MEMORY else "")
            number += 1
            if problem:
                kept = Path(tempfile.gettempdir()) / f"fuzz-{seed + number - 1}"
                kept.write_bytes(data)
                print(f"{problem}\n--seed {seed + number - 1}, {len(data)} bytes, kept in {kept}")
                return 1
            if arguments.seed is not None or time.monotonic() > end:
                print(f"{number} inputs of at most {MAXIMUM} bytes from --seed {seed} on; images: {READ}")
                return 0


if __name__ == "__main__":
    sys.exit(main())
