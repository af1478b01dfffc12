"""Temporary copies of bytes that pass once."""

import contextlib
import os
import random
import resource
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from unit.source.archives import digest as digest_of
from unit.source.archives import docker_archive, layout, tar

from pipe.errors import EngineSaveError, SpoolError
from pipe.oci.image import Image
from pipe.source.blob import in_memory
from pipe.source.engine_copy import copy_of
from pipe.source.spool import Spool, check_space, pieces_of

FRESH = random.Random(1).randbytes(200_000)
CONTENT = FRESH + bytes(1_000_000) + FRESH + bytes(70_000)


def read(spool: Spool) -> bytes:
    """Return all bytes of a copy."""
    return b"".join(bytes(piece) for piece in pieces_of(spool.open()))


@pytest.mark.parametrize("step", [1000, 65536, 10**9], ids=str)
def test_a_copy_is_the_same(step: int) -> None:
    spool = Spool("a copy", (CONTENT[at : at + step] for at in range(0, len(CONTENT), step)))
    assert (spool.size, read(spool), read(spool)) == (len(CONTENT), CONTENT, CONTENT)


def test_zeros_take_no_space() -> None:
    spool = Spool("a copy", [bytes(50_000_000)])
    status = os.fstat(spool.file.number)
    assert (status.st_size, status.st_blocks * 512 < 1_000_000) == (50_000_000, True)


def test_an_empty_copy() -> None:
    assert read(Spool("a copy", [])) == b""


def times_open(file: os.stat_result) -> int:
    """Return how many of this process's descriptors are of a file."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        # A thread of another test may close its own.
        with contextlib.suppress(OSError):
            found.append(descriptor.stat())
    return sum(os.path.samestat(each, file) for each in found)


def test_a_copy_is_gone_with_its_last_reader() -> None:
    spool = Spool("a copy", [b"content"])
    file, reader = os.fstat(spool.file.number), spool.open()
    del spool
    assert times_open(file) == 1
    del reader
    assert times_open(file) == 0


def test_a_full_disk() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(SpoolError, match=r"A copy cannot be copied to /.*: File too large") as raised:
            Spool("A copy", [FRESH])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (raised.value.fix, raised.value.exit_code) == ("Set TMPDIR to a directory with more space.", 3)


def test_the_space_is_checked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")  # noqa: PYI024 - as of the standard library
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(3_000_000))
    check_space("A copy", 3_000_000)
    with pytest.raises(SpoolError, match=r"A copy needs 3\.0 MB in /.*, which has 3\.0 MB free\."):
        check_space("A copy", 3_000_001)


@pytest.mark.parametrize("files", [docker_archive(), layout(), layout(("amd64", "arm64"))], ids=["old", "new", "index"])
def test_an_export_becomes_an_archive(files: dict[str, bytes | str]) -> None:
    export = tar(files)
    copied: list[int] = []
    image = Image("sha256:" + "0" * 64, 1000, ())
    stored = copy_of(in_memory("export", "", export).open(), image, copied.append)
    assert copied[-1] == len(export)
    assert stored.images
    layer = stored.images[0].layers[0]
    [blob] = [
        each for each in stored.blobs if each.key == (layer.descriptor.digest if layer.descriptor else layer.diff_id)
    ]
    assert digest_of(b"".join(bytes(piece) for piece in pieces_of(blob.open()))) == blob.key


@pytest.mark.parametrize("export", [b"", b"x" * 600, tar({"a": b"b"})], ids=["nothing", "no-archive", "no-image"])
def test_what_is_no_export(export: bytes) -> None:
    with pytest.raises(EngineSaveError, match="unsupported image stream from Docker Engine"):
        copy_of(in_memory("export", "", export).open(), Image("sha256:" + "0" * 64, 1000, ()), lambda _: None)
