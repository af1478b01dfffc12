"""What an enemy, or a broken disk, would make of archives and layouts: all of it bounded, none of it believed."""

import contextlib
import errno
import gzip
import os
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.source.archives import (
    CONFIG,
    IMAGE_ID,
    LAYERS,
    NAME,
    Files,
    Log,
    as_json,
    digest,
    docker_archive,
    layout,
    opened,
    read,
    tar,
    written,
)
from unit.source.enemies import (
    MANIFESTS_OF_TWO,
    SELF,
    TWO,
    WINDOWS,
    ambiguous,
    chain,
    changed_layer,
    changed_manifest,
    header,
    many_layers,
    many_records,
    many_values,
    nested,
    size_of_manifest,
    sparse,
    wide,
    with_records,
    without,
    words,
)

from pipe.errors import ArchiveError
from pipe.source import tar as tar_module
from pipe.source.archive import open_image

OTHER_NAME = as_json([{"Config": f"{'0' * 64}.json", "Layers": ["base.tar", "top.tar"]}])
BAD: dict[str, tuple[bytes | Files, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"to be or not to be " * 100, "is not a tar archive"),
    "tar-without-an-image": (tar({"readme": b"x"}), "the archive contains no image"),
    "directory-without-an-image": ({"readme": b"x"}, "the directory is not an OCI layout"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd compression is not supported for a whole archive"),
    "xz": (b"\xfd7zXZ\x00" + bytes(100), "xz compression is not supported for a whole archive"),
    "bzip2": (b"BZh9" + bytes(100), "bzip2 compression is not supported for a whole archive"),
    "gzip-of-text": (gzip.compress(b"to be or not to be " * 100), "is not a tar archive"),
    "gzip-cut": (gzip.compress(tar(docker_archive()))[:-20], "is truncated or damaged: its gzip stream is truncated"),
    "manifest-is-no-json": (tar(docker_archive() | {"manifest.json": b"{"}), "lists no image"),
    "manifest-of-brackets": (tar(docker_archive() | {"manifest.json": b"[" * 100_000}), "lists no image"),
    "manifest-too-large": (
        tar(docker_archive() | {"manifest.json": bytes(5_000_000)}),
        "manifest.json is too large: it has 5000000 bytes, the limit is 4194304",
    ),
    "config-of-brackets": (tar(docker_archive() | {"config.json": b"[" * 100_000}), "is not a JSON object"),
    "config-of-another-digest": (
        tar(docker_archive() | {f"{'0' * 64}.json": as_json(CONFIG), "manifest.json": OTHER_NAME}),
        f"the configuration {'0' * 64}.json is damaged: its digest is {IMAGE_ID}",
    ),
    "config-missing": (tar(without(docker_archive(), "config.json".__eq__)), "it has no config.json"),
    "manifest-names-no-layers": (
        tar(docker_archive(manifest=[{"Config": "config.json"}])),
        "has 2 diffIDs for 0 layers",
    ),
    "manifest-names-no-config": (tar(docker_archive(manifest=[{"Layers": []}])), "without a valid configuration"),
    "manifest-names-numbers": (
        tar(docker_archive(manifest=[{"Config": "config.json", "Layers": [1]}])),
        "without a valid configuration and layers",
    ),
    "manifest-names-a-folder": (
        docker_archive(manifest=[{"Config": "../config.json", "Layers": []}]),
        "the path ../config.json escapes the archive",
    ),
    "layer-of-a-folder-leads-out": (
        docker_archive(manifest=[{"Config": "config.json", "Layers": ["base.tar", "/etc/hostname"]}]),
        "the path /etc/hostname escapes the archive",
    ),
    "layer-compressed-with-zstd": (
        tar(docker_archive() | {"top.tar": b"\x28\xb5\x2f\xfd" + bytes(100)}),
        "the layer top.tar has unsupported compression zstd (expected none or gzip)",
    ),
    "layer-of-windows": (
        tar(docker_archive(manifest=[WINDOWS])),
        f"the layer {digest(LAYERS[0])} is non-distributable",
    ),
    "fewer-diff-ids": (tar(docker_archive(config={"rootfs": {"diff_ids": []}})), "has 0 diffIDs for 2 layers"),
    "layer-missing": (tar(without(docker_archive(), "top.tar".__eq__)), "the layer top.tar is listed but missing"),
    "other-gzipped-layer": (
        tar(docker_archive(gzipped=True) | {"top.tar": gzip.compress(b"x")}),
        "the layer top.tar has the diffID sha256:",
    ),
    "gzipped-layer-cut": (
        tar(docker_archive(gzipped=True) | {"top.tar": gzip.compress(LAYERS[1])[:-9]}),
        "the layer top.tar is damaged: its gzip stream is truncated",
    ),
    "gzipped-layer-with-more": (
        tar(docker_archive(gzipped=True) | {"top.tar": gzip.compress(LAYERS[1]) + b"more"}),
        "the layer top.tar is damaged: its gzip stream is truncated",
    ),
    "gzipped-layer-of-nonsense": (
        tar(docker_archive(gzipped=True) | {"top.tar": b"\x1f\x8b" + bytes(100)}),
        "the layer top.tar is damaged: Error",
    ),
    "used-link-leads-out": (
        tar(without(docker_archive(), "top.tar".__eq__) | {"top.tar": "../x"}),
        "the path ../x escapes the archive",
    ),
    "used-link-is-absolute": (
        tar(without(docker_archive(), "top.tar".__eq__) | {"top.tar": "/etc/hostname"}),
        "the path /etc/hostname escapes the archive",
    ),
    "links-in-circles": (
        tar(without(docker_archive(), "top.tar".__eq__) | {"top.tar": "other.tar", "other.tar": "top.tar"}),
        "the links that start at",
    ),
    "links-without-an-end": (chain(1000), "the links that start at"),
    "negative": (header(size=-1) + bytes(1024), "has a size of -1 bytes"),
    "used-entry-is-sparse": (sparse("top.tar"), "the entry top.tar is sparse, which is not supported"),
    "size-in-words": (words({"size": "-5"}), "size is not a number"),
    "too-many-extended-headers": (
        (header(type=tarfile.XHDTYPE, size=2**20) + b"1048576 a=".ljust(2**20)) * 5,
        "its extended headers are too large",
    ),
    "large-extended-headers": (
        gzip.compress((header(type=tarfile.XGLTYPE, size=2**20) + bytes(2**20)) * 4 + header(type=tarfile.XHDTYPE), 1),
        "headers are too large",
    ),
    "extended-header-of-nonsense": (header(type=tarfile.XHDTYPE, size=512) + b"x" * 512, "header is malformed"),
    "extended-header-too-large": (
        header(type=tarfile.XHDTYPE, size=2**30) + bytes(1024),
        "its extended headers are too large",
    ),
    "huge": (header(size=2**60) + bytes(1024), "is truncated: it ends in the middle of x"),
    "cut": (tar(docker_archive())[:3000], "is truncated"),
    "index-is-no-json": (dict(layout()) | {"index.json": b"["}, "index.json is not a JSON object"),
    "index-of-nothing": (dict(layout()) | {"index.json": b"{}"}, "lists no image"),
    "index-of-nonsense": (
        dict(layout()) | {"index.json": b'{"manifests":[1]}'},
        "index.json: a descriptor must be an object",
    ),
    "index-names-itself": (
        {
            "index.json": as_json({"manifests": [{"digest": "sha256:" + "0" * 64, "size": 1}]}),
            "blobs/sha256/" + "0" * 64: SELF,
        },
        "is damaged",
    ),
    "manifest-of-another-size": (size_of_manifest(), "but its descriptor says"),
    "manifest-and-index": (ambiguous(), "is ambiguous (manifest or index)"),
    "layer-without-a-digest": (changed_layer(digest=None), "layers: a descriptor's digest must be"),
    "layer-of-sha512": (changed_layer(digest="sha512:" + "0" * 128), "layers: SHA-512 digests are not supported"),
    "index-of-sha512": (
        dict(layout()) | {"index.json": as_json({"manifests": [{"digest": "sha512:" + "0" * 128, "size": 1}]})},
        "index.json: SHA-512 digests are not supported",
    ),
    "config-of-sha512": (
        tar(docker_archive(config=CONFIG | {"rootfs": {"diff_ids": ["sha512:" + "0" * 128] * 2}})),
        "has SHA-512 diffIDs, which are not supported",
    ),
    "media-type-is-a-list": (changed_manifest(mediaType=["x"]), "has a mediaType that is not a string"),
    "media-type-is-an-object": (changed_manifest(mediaType={"x": 1}), "has a mediaType that is not a string"),
    "media-type-of-another": (changed_manifest(mediaType="text/plain"), "is text/plain, which is not an image"),
    "media-type-of-a-layer": (changed_layer(mediaType=[]), "layers: a descriptor's mediaType must be a string"),
    "layers-are-an-object": (changed_manifest(layers={"0": 1}), "layers: a descriptor's digest must be"),
    "no-config": (changed_manifest(config=None), "config: a descriptor must be an object"),
    "too-deep": (nested(6), "nested more than 4 levels deep"),
    "too-wide": (wide(), "lists more than 200 manifests"),
    "no-platform-is-there": (
        without(layout(TWO), MANIFESTS_OF_TWO.__contains__),
        "the manifest for linux/amd64 (sha256:",
    ),
    "layer-of-the-only-platform-missing": (
        without(layout(), f"blobs/sha256/{digest(gzip.compress(LAYERS[1], mtime=0))[7:]}".__eq__),
        "a layer or configuration for linux/amd64 (sha256:",
    ),
    "layer-of-another-size": (changed_layer(size=1), "but its descriptor says 1"),
    "layer-elsewhere": (changed_layer(urls=["https://example.com/layer"]), "is non-distributable"),
    "foreign-layer": (
        changed_layer(mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
        "is non-distributable",
    ),
    "encrypted-layer": (
        changed_layer(mediaType="application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
        "is encrypted",
    ),
}


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_named_in_the_error(tmp_path: Path, data: bytes | Files, words: str) -> None:
    with pytest.raises(ArchiveError) as raised:
        opened(tmp_path, data)
    assert words in str(raised.value)
    assert str(tmp_path / "image") in str(raised.value)
    assert raised.value.exit_code == 3


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArchiveError, match=f"gone.tar: no such file or directory in {tmp_path}.") as raised:
        open_image(Path("gone.tar"), NAME, Log())
    assert "Pipelines does not keep artifacts of more than 1 GB" in raised.value.fix


def fifo(folder: Path) -> Path:
    """Make a named pipe."""
    os.mkfifo(folder / "image")
    return folder / "image"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda _: Path("-"), "- is standard input", id="standard-input"),
        pytest.param(lambda folder: folder / "-", "- is standard input", id="standard-input-made-absolute"),
        pytest.param(fifo, "image is a named pipe", id="named-pipe"),
        pytest.param(lambda _: Path("/dev/null"), "/dev/null is a device", id="device"),
    ],
)
def test_what_cannot_be_read_in_any_order(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    with pytest.raises(ArchiveError, match=words) as raised:
        open_image(make(tmp_path), NAME, Log())
    assert raised.value.fix == "Write the archive to a regular file, and set IMAGE_ARCHIVE to that file."
    assert raised.value.exit_code == 3


@pytest.mark.parametrize("when", ["headers", "blobs"])
def test_a_disk_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "image"
    path.write_bytes(tar(docker_archive()))
    if when == "headers":
        beginning = os.pread
        monkeypatch.setattr(os, "pread", lambda number, size, at: beginning(number, size, at) if size < 512 else fail())
    else:
        monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(ArchiveError, match=r"image: it cannot be read \(Input/output error\)"):
        open_image(path, NAME, Log())


def test_names_cannot_write_to_the_log(tmp_path: Path) -> None:
    name = "x\n\x1b[32m✔ Pushed: y" + "z" * 1000
    with pytest.raises(ArchiveError) as raised:
        opened(tmp_path, tar(docker_archive(manifest=[{"Config": name, "Layers": []}])))
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 2, "what happened, and what to do"
    assert len(str(raised.value)) < 1000
    files = docker_archive(manifest=[{"Config": "config.json", "Layers": [name, "top.tar"]}])
    first, _ = opened(tmp_path, tar(files | {name: LAYERS[0]})).blobs
    assert first.name.isprintable()


@pytest.mark.parametrize("records", [10_000, 20_000])
def test_records_are_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: int) -> None:
    """Each record is looked at a bounded number of times, however many there are."""
    looked = 0

    class Counted(bytes):
        def find(self, *arguments: object) -> int:
            nonlocal looked
            looked += 1
            return super().find(*arguments)  # type: ignore[arg-type]

    real = tar_module.records
    monkeypatch.setattr(tar_module, "records", lambda data: real(Counted(data)))
    assert opened(tmp_path, with_records(records)).config == as_json(CONFIG)
    assert looked == 2 * records


def test_empty_extended_headers_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_module, "HEADERS_MAXIMUM", 32_000)
    assert opened(tmp_path, header(type=tarfile.XHDTYPE) * 1000 + tar(docker_archive())).config == as_json(CONFIG)
    with pytest.raises(ArchiveError, match="headers are too large"):
        opened(tmp_path, header(type=tarfile.XHDTYPE) * 1001 + tar(docker_archive()))


PEAK = """
import contextlib, re, sys
from pathlib import Path
from unit.source.archives import NAME, Log
from pipe.errors import ArchiveError
from pipe.source.archive import open_image

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

before = peak()
with contextlib.suppress(ArchiveError):
    open_image(Path(sys.argv[1]), NAME, Log())
print(peak() - before)
"""
"""A process of its own is much faster than to trace each allocation."""


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        pytest.param(many_records, 20_000_000, id="records"),
        pytest.param(lambda: many_values(b"[]"), 120_000_000, id="lists"),
        pytest.param(lambda: many_values(b"{}"), 120_000_000, id="objects"),
        pytest.param(many_layers, 75_000_000, id="layers"),
    ],
)
def test_memory_is_bounded(tmp_path: Path, make: Callable[[], bytes | Files], limit: int) -> None:
    path = written(tmp_path, make())
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", PEAK, path], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    print(done.stdout)
    assert 0 < int(done.stdout) < limit, "bytes"


def test_open_files_are_closed(tmp_path: Path) -> None:
    """Each blob of a folder is a file of its own."""
    files = layout(TWO)
    for _ in range(8):
        opened(tmp_path, files)
    before = open_files(tmp_path)
    for _ in range(8):
        for blob in opened(tmp_path, files).blobs:
            read(blob)
    assert open_files(tmp_path) <= before


def open_files(folder: Path) -> int:
    """Return how many files in a folder this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        # A thread of another test may close its own.
        with contextlib.suppress(OSError):
            found.append(descriptor.readlink())
    return sum(each.is_relative_to(folder) for each in found)


def test_a_full_disk_is_named_in_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image"
    path.write_bytes(gzip.compress(tar(docker_archive() | {"much": bytes(4_000_000)})))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(ArchiveError, match=r"cannot be decompressed to .*: File too large") as raised:
            open_image(path, NAME, Log())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "Set TMPDIR" in raised.value.fix


WHOLE = {
    "docker": tar(docker_archive(gzipped=True)),
    "docker-plain": tar(docker_archive()),
    "docker-gzipped-as-a-whole": gzip.compress(tar(docker_archive())),
    "layout": tar(layout(TWO)),
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE.keys())
@given(st.floats(0, 1, exclude_max=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_archive_cut_anywhere_is_refused_or_whole(tmp_path: Path, data: bytes, share: float) -> None:
    cut = int(share * len(data))
    try:
        held = opened(tmp_path, data[:cut])
    except ArchiveError:
        return
    assert not data.startswith(b"\x1f\x8b"), "gzip has a length and a checksum at its end"
    assert cut > len(data) - 10240, "only the filling at the end may be missing"
    assert held.blobs


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE.keys())
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_byte_flipped_anywhere_never_passes_for_the_image(
    tmp_path: Path, data: bytes, share: float, change: int
) -> None:
    """What is opened is only pushed where its bytes have the digests that it names: `pipe.push.transfer` looks."""
    position = int(share * len(data))
    flipped = data[:position] + bytes([data[position] ^ change]) + data[position + 1 :]
    try:
        held = opened(tmp_path, flipped)
    except ArchiveError:
        return
    for blob in held.blobs:
        named = blob.descriptor.digest if blob.descriptor else blob.diff_id
        if digest(read(blob)) != named:
            assert held.manifests or blob.descriptor is None, "a gzipped layer was looked at before"
        if blob.descriptor is None or held.manifests == ():
            assert blob.diff_id, "a layer of a docker archive is known by its diffID"
