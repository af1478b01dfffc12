"""Gzip files of every shape, and how much work they can cause."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib
from unit.source.archives import CONFIG, Files, digest, docker_archive, opened, tar
from unit.source.forms import content

from pipe.errors import ArchiveError
from pipe.source import docker_archive as docker_archive_module
from pipe.source import gunzip
from pipe.source.gunzip import GunzipError, decompressed


class Bytes:
    """Gives bytes in pieces."""

    def __init__(self, data: bytes, piece: int = gunzip.READ) -> None:
        self._data = memoryview(data)
        self._piece = piece

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer in part."""
        length = min(len(buffer), self._piece, len(self._data))
        buffer[:length], self._data = self._data[:length], self._data[length:]
        return length


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=5), st.integers(1, 5000))
def test_any_members_in_any_pieces(members: list[bytes], piece: int) -> None:
    data = b"".join(map(gzip.compress, members))
    assert b"".join(decompressed(Bytes(data, piece))) == b"".join(members)


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 5 * 2**20], ids=str)
@pytest.mark.parametrize("make", [bytes, random.Random(1).randbytes], ids=["zeros", "random"])
def test_sizes_around_those_of_the_buffers(make: Callable[[int], bytes], size: int) -> None:
    data = make(size)
    assert b"".join(decompressed(Bytes(gzip.compress(data, 1)))) == data


WHOLE = gzip.compress(b"to be or not to be " * 1000)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "truncated", id="nothing"),
        pytest.param(WHOLE[:-1], "truncated", id="cut"),
        pytest.param(WHOLE + WHOLE[:9], "truncated", id="second-member-cut"),
        pytest.param(WHOLE[:-8] + bytes(8), "[Cc]hecksum", id="wrong-checksum"),
        pytest.param(b"x" * 100, "Error", id="no-gzip"),
        pytest.param(WHOLE + b"x" * 100, "Error", id="more-behind"),
    ],
)
def test_what_is_damaged(data: bytes, words: str) -> None:
    with pytest.raises(GunzipError, match=words):
        _ = [*decompressed(Bytes(data))]


def test_more_than_allowed() -> None:
    data = gzip.compress(bytes(5_000_000))
    assert sum(map(len, decompressed(Bytes(data), 5_000_000))) == 5_000_000
    with pytest.raises(GunzipError, match="decompresses to more than 4999999 bytes"):
        _ = [*decompressed(Bytes(data), 4_999_999)]


_DECOMPRESSOBJ = isal_zlib.decompressobj


class Counted:
    """A decompressor that counts the bytes that it is given and that it copies."""

    work = 0

    def __init__(self, bits: int) -> None:
        self._real: Any = _DECOMPRESSOBJ(bits)

    def decompress(self, data: bytes | memoryview, maximum: int) -> bytes:
        plain: bytes = self._real.decompress(data, maximum)
        Counted.work += len(data) + len(plain) + len(self._real.unused_data) + len(self._real.unconsumed_tail)
        return plain

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._real, name)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count the bytes of work from now on."""
    monkeypatch.setattr("pipe.source.gunzip.isal_zlib.decompressobj", Counted)
    monkeypatch.setattr(Counted, "work", 0)
    return lambda: Counted.work


def members(size: int) -> bytes:
    """Make members of nothing, 20 bytes each."""
    return gzip.compress(b"") * (size // 20)


def small_members(size: int) -> bytes:
    """Make members that each end a little after a window."""
    one = gzip.compress(random.Random(1).randbytes(700))
    return one * (size // len(one))


@pytest.mark.parametrize("make", [members, small_members])
def test_work_grows_with_the_file(work: Callable[[], int], make: Callable[[int], bytes]) -> None:
    """Not with its square: a million bytes of tiny members once took 14 seconds."""
    counts = []
    for size in (100_000, 200_000, 400_000):
        before = work()
        _ = [*decompressed(Bytes(make(size)))]
        counts.append(work() - before)
    assert counts[1] <= 3 * counts[0]
    assert counts[2] <= 3 * counts[1]
    assert counts[2] <= 60 * 400_000, "every member is copied with at most one window"


def bomb(times: int) -> Files:
    """Make a docker archive with a gzipped layer of zeros."""
    zeros = bytes(times * 1_000_000)
    config = CONFIG | {"rootfs": {"diff_ids": [digest(zeros)]}}
    manifest = [{"Config": "config.json", "Layers": ["zeros"]}]
    return docker_archive(config=config, manifest=manifest) | {"zeros": gzip.compress(zeros, 9)}


def test_what_is_compressed_twice_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[], int]
) -> None:
    """A layer of zeros compresses a thousandfold, and once more within a gzipped archive."""
    monkeypatch.setattr(docker_archive_module, "EXPANDED", 4_000_000)
    monkeypatch.setattr(gunzip, "EXPANSION", 10)
    data = gzip.compress(tar(bomb(50)))
    with pytest.raises(ArchiveError, match="the layer zeros is damaged: it decompresses to more than 4000000 bytes"):
        opened(tmp_path, data)
    assert work() < 8_000_000


def test_the_bound_is_for_all_layers_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_archive_module, "EXPANDED", 3_000_000)
    monkeypatch.setattr(gunzip, "EXPANSION", 0)
    layers = [bytes([number]) * 2_000_000 for number in range(2)]
    config = CONFIG | {"rootfs": {"diff_ids": [digest(layer) for layer in layers]}}
    manifest = [{"Config": "config.json", "Layers": ["0", "1"]}]
    files = {str(number): gzip.compress(layer) for number, layer in enumerate(layers)}
    made = docker_archive(config=config, manifest=manifest) | files
    with pytest.raises(ArchiveError, match="the layer 1 is damaged"):
        opened(tmp_path, gzip.compress(tar(made)))


@pytest.mark.parametrize("whole", [False, True], ids=["tar", "gzipped-tar"])
def test_layers_of_zeros_are_whole(tmp_path: Path, whole: bool) -> None:
    files = bomb(20)
    data = gzip.compress(tar(files)) if whole else tar(files)
    assert opened(tmp_path, data).images[0].id == digest(content(files["config.json"]))
