"""Measure what `pipe.encoding` does with layers of real files, without an Engine and a registry.

    PYTHONPATH=.:test python -m bench.encoding [--size=MB] [--layers=N] [--rounds=N] [PART...]

Parts are `codecs` (each alone, on one processor), `processors` (a whole run pinned to one and to two) and `links`
(a run that sends to a process that hashes and stores, over loopback of a given speed).
"""

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.images import real_layers
from bench.report import MEGABYTE, table

from pipe.encoding.blob import EncodedBlob
from pipe.encoding.codecs import BLOCK, COMPRESSIONS, Codec
from pipe.encoding.pool import BlockPool
from pipe.source.blob import SourceBlob
from pipe.threads import Cancel

CHUNK = 8 * 1024 * 1024
UPLOADS = 4
"""Blobs that are sent at a time."""
STREAM = 8 * BLOCK
"""Bytes of the streams of zlib that sizes are compared with."""
LINKS: dict[str, int | None] = {"loopback": 0, "800 Mbit/s": 800, "200 Mbit/s": 200, "50 Mbit/s": 50}


@dataclass(frozen=True, slots=True)
class Encoded:
    """One run over some layers.

    Attributes:
        seconds: From the first byte read to the last byte sent.
        processor_seconds: Spent by the process in all its threads.
        plain: Bytes read.
        packed: Bytes sent.
        memory: Most bytes that the process had in memory.
    """

    seconds: float
    processor_seconds: float
    plain: int
    packed: int
    memory: int


class Link:
    """Sends chunks to a process that hashes and stores them, all senders together at a given speed."""

    def __init__(self, mbits: int | None) -> None:
        """Start the process; without a speed chunks are only counted, with 0 the speed is that of loopback."""
        self._seconds_per_byte = 8 / (mbits * 1_000_000) if mbits else 0.0
        self._lock = threading.Lock()
        self._free_at = 0.0
        self._port = 0
        if mbits is not None:
            self._sink = subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True)
            self._port = int(self._sink.stdout.readline()) if self._sink.stdout else 0

    def send(self, blob: EncodedBlob) -> int:
        """Send a blob and return its size."""
        if not self._port:
            return sum(len(chunk) for chunk in blob)
        with socket.create_connection(("127.0.0.1", self._port)) as connection:
            for chunk in blob:
                with self._lock:
                    self._free_at = max(self._free_at, time.monotonic()) + len(chunk) * self._seconds_per_byte
                    wait = self._free_at - time.monotonic()
                connection.sendall(chunk)
                time.sleep(max(0.0, wait if self._seconds_per_byte else 0.0))
        return blob.made

    def close(self) -> None:
        """End the process."""
        if self._port:
            self._sink.kill()
            self._sink.wait()


SINK = """
import hashlib, socket, tempfile, threading
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
def store(connection):
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as file:
        while data := connection.recv(1 << 20):
            digest.update(data)
            file.write(data)
while True:
    threading.Thread(target=store, args=(server.accept()[0],), daemon=True).start()
"""


def encode(files: Sequence[Path], compression: str, mbits: int | None) -> Encoded:
    """Encode and send layers in this process, `UPLOADS` at a time."""
    pool, link = BlockPool(COMPRESSIONS[compression]), Link(mbits)

    def send(file: Path) -> int:
        with file.open("rb", buffering=0) as reader:
            blob = SourceBlob(file.name, file.stat().st_size, None, None, lambda: reader)
            return link.send(EncodedBlob(blob, CHUNK, Cancel(), pool))

    start = time.monotonic()
    with ThreadPoolExecutor(UPLOADS) as threads:
        packed = sum(threads.map(send, files))
    seconds = time.monotonic() - start
    usage = resource.getrusage(resource.RUSAGE_SELF)
    link.close()
    pool.close()
    plain = sum(file.stat().st_size for file in files)
    return Encoded(seconds, usage.ru_utime + usage.ru_stime, plain, packed, _peak())


def encode_pinned(files: Sequence[Path], compression: str, mbits: int | None, processors: int) -> Encoded:
    """Do the same in a process of its own that may use only some processors."""
    allowed = sorted(os.sched_getaffinity(0))[:processors]
    command = ["taskset", "--cpu-list", ",".join(map(str, allowed)), sys.executable, "-m", "bench.encoding", "--one"]
    arguments = [compression, json.dumps(mbits), *map(str, files)]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1048576"}  # as in the pipe's image
    output = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True, env=environment).stdout
    return Encoded(**json.loads(output))


def codecs_table(files: Sequence[Path]) -> str:
    """Measure each codec alone, by the time that its thread spends, beside one stream of zlib 6."""
    base = sum(len(zlib.compress(data, 6)) for data in _pieces(files, STREAM))
    codecs = {codec.name: (codec, of.group) for of in COMPRESSIONS.values() for codec in of.codecs}
    rows = []
    for codec, group in codecs.values():
        speed, size = _measure(codec, group, files)
        rows.append((codec.name, f"{speed:.0f} MB/s", f"{size / base:.3f}"))
    return table(("codec", "plain bytes, one processor", "size, zlib 6 = 1"), rows)


def processors_table(files: Sequence[Path], rounds: int) -> str:
    """Measure runs pinned to one and to two processors, in turn."""
    rows = []
    for name in COMPRESSIONS:
        pairs = [[encode_pinned(files, name, None, processors) for processors in (1, 2)] for _ in range(rounds)]
        speeds = [statistics.median(pair[at].plain / pair[at].seconds / MEGABYTE for pair in pairs) for at in (0, 1)]
        gain = statistics.median(one.seconds / two.seconds for one, two in pairs)
        memory = max(two.memory for _, two in pairs) / MEGABYTE
        rows.append((name, f"{speeds[0]:.0f} MB/s", f"{speeds[1]:.0f} MB/s", f"{gain:.2f}", f"{memory:.0f} MB"))
    return table(("COMPRESSION", "one processor", "two", "gain", "peak memory with two"), rows)


def links_table(files: Sequence[Path], rounds: int) -> str:
    """Measure runs over links of several speeds."""
    rows = []
    base = sum(len(zlib.compress(data, 6)) for data in _pieces(files, STREAM))
    for link, mbits in LINKS.items():
        for name in COMPRESSIONS:
            runs = [encode_pinned(files, name, mbits, len(os.sched_getaffinity(0))) for _ in range(rounds)]
            seconds = statistics.median(run.seconds for run in runs)
            size = statistics.median(run.packed for run in runs)
            memory = max(run.memory for run in runs) / MEGABYTE
            rows.append((link, name, f"{seconds:.2f} s", f"{size / base:.3f}", f"{memory:.0f} MB"))
    return table(("link", "COMPRESSION", "time", "size, zlib 6 = 1", "peak memory"), rows)


def _measure(codec: Codec, group: int, files: Sequence[Path]) -> tuple[float, int]:
    """Return MB a second of a codec, and the bytes that it makes."""
    seconds, plain, size = 0.0, 0, 0
    for piece in _pieces(files, group * BLOCK):
        blocks = [memoryview(piece)[at : at + BLOCK] for at in range(0, len(piece), BLOCK)]
        start = time.thread_time()
        size += sum(map(len, codec.compress(blocks)))
        seconds += time.thread_time() - start
        plain += len(piece)
    return plain / seconds / MEGABYTE, size


def _peak() -> int:
    """Return the most memory that this process had; that of `getrusage` includes what its parent had."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _pieces(files: Sequence[Path], size: int) -> Iterator[bytes]:
    for file in files:
        with file.open("rb") as data:
            while piece := data.read(size):
                yield piece


def main(arguments: list[str]) -> int:
    """Measure, and print tables."""
    if arguments[:1] == ["--one"]:
        compression, mbits, *names = arguments[1:]
        print(json.dumps(asdict(encode([*map(Path, names)], compression, json.loads(mbits)))))  # noqa: T201
        return 0
    parser = argparse.ArgumentParser(prog="python -m bench.encoding", description=__doc__)
    parser.add_argument("--size", type=int, default=500, help="MB of plain layers")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("parts", nargs="*", default=["codecs", "processors", "links"])
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}.tar") for number in range(options.layers)]
        for file, layer in zip(files, real_layers(options.size * MEGABYTE, options.layers), strict=True):
            file.write_bytes(layer)
        parts = {
            "codecs": lambda: codecs_table(files),
            "processors": lambda: processors_table(files, options.rounds),
            "links": lambda: links_table(files, options.rounds),
        }
        for part in options.parts:
            print(f"{parts[part]()}\n", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
