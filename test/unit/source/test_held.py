"""Archives and layouts in every form, and what an enemy would make of them: all of it bounded, none of it believed."""

import gzip
import json
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
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    as_json,
    digest,
    docker_archive,
    layout,
    tar,
)

from pipe.errors import ArchiveError
from pipe.oci.reference import Reference
from pipe.source.blob import Held, SourceBlob
from pipe.source.held import open_image

NAME = Reference("", "app", "1.0")
Files = dict[str, bytes | str]


def opened(folder: Path, data: bytes | Files, name: Reference = NAME) -> Held:
    """Open an archive, or a layout in a directory."""
    path = folder / "image"
    if isinstance(data, bytes):
        path.write_bytes(data)
    else:
        for file, content in data.items():
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_image(path, name, lambda _: None)


def read(blob: SourceBlob) -> bytes:
    """Read all of a blob."""
    buffer, content, reader = memoryview(bytearray(100)), b"", blob.open()
    while length := reader.readinto(buffer):
        content += bytes(buffer[:length])
    return content


@pytest.mark.parametrize("whole", [False, True], ids=["tar", "gzipped-tar"])
@pytest.mark.parametrize("gzipped", [False, True], ids=["plain-layers", "gzipped-layers"])
def test_a_docker_archive(tmp_path: Path, gzipped: bool, whole: bool) -> None:
    data = tar(docker_archive(gzipped=gzipped))
    held = opened(tmp_path, gzip.compress(data) if whole else data)
    assert (held.manifests, held.config) == ((), as_json(CONFIG))
    assert [blob.diff_id for blob in held.blobs] == [digest(layer) for layer in LAYERS]
    assert [blob.descriptor is not None for blob in held.blobs] == [gzipped] * 2
    contents = [read(blob) for blob in held.blobs]
    assert [gzip.decompress(each) if gzipped else each for each in contents] == [*LAYERS]
    [image] = held.images
    assert image.id == IMAGE_ID
    assert [layer.instruction for layer in image.layers] == ["ADD base /", "COPY top /"]


def test_layers_may_be_links(tmp_path: Path) -> None:
    """`docker save` of older Engines links equal layers."""
    files = docker_archive(config=CONFIG | {"rootfs": {"diff_ids": [digest(LAYERS[0])] * 2}})
    files["a/layer.tar"], files["b/layer.tar"] = LAYERS[0], "../a/layer.tar"
    files["manifest.json"] = as_json([{"Config": "config.json", "Layers": ["a/layer.tar", "b/layer.tar"]}])
    assert [read(blob) for blob in opened(tmp_path, tar(files)).blobs] == [LAYERS[0]] * 2


@pytest.mark.parametrize("packed", [False, True], ids=["directory", "archive"])
@pytest.mark.parametrize("platforms", [("amd64",), ("amd64", "arm64")], ids=["manifest", "index"])
def test_a_layout_stays_byte_for_byte(tmp_path: Path, platforms: tuple[str, ...], packed: bool) -> None:
    files = layout(platforms)
    held = opened(tmp_path, tar(files) if packed else files)
    root = json.loads(files["index.json"])["manifests"][0]["digest"]
    assert held.manifests[-1].digest == root
    assert {manifest.digest for manifest in held.manifests} <= {f"sha256:{name[13:]}" for name in files}
    assert all(digest(read(blob)) == (blob.descriptor and blob.descriptor.digest) for blob in held.blobs)
    assert len(held.blobs) == len(platforms) + 2, "each blob once"
    assert [str(image.platform) for image in held.images] == [f"linux/{each}" for each in platforms]


def test_what_engines_write_is_a_docker_archive(tmp_path: Path) -> None:
    """Engines since 25 write an OCI layout, too, whose layers are plain."""
    plain = {f"blobs/sha256/{digest(layer)[7:]}": layer for layer in LAYERS}
    layers = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": each, "size": len(layer)}
        for each, layer in zip(map(digest, LAYERS), LAYERS, strict=True)
    ]
    config = {"mediaType": OCI_CONFIG, "digest": IMAGE_ID, "size": len(as_json(CONFIG))}
    body = as_json({"mediaType": OCI_MANIFEST, "config": config, "layers": layers})
    named = {f"blobs/sha256/{digest(data)[7:]}": data for data in (body, as_json(CONFIG))}
    files = docker_archive() | plain | named
    files["index.json"] = as_json({"manifests": [{"digest": digest(body), "size": len(body)}]})
    assert opened(tmp_path, tar(files)).config == as_json(CONFIG)


SEVERAL = [
    {"Config": "config.json", "RepoTags": ["app:1.0"], "Layers": ["base.tar", "top.tar"]},
    {"Config": "config.json", "RepoTags": ["docker.io/library/other:latest"], "Layers": ["top.tar", "base.tar"]},
]


def test_the_image_that_is_meant(tmp_path: Path) -> None:
    held = opened(tmp_path, tar(docker_archive(manifest=SEVERAL)))
    assert [blob.name.rpartition(" ")[2] for blob in held.blobs] == ["base.tar", "top.tar"]
    other = opened(tmp_path, tar(docker_archive(manifest=SEVERAL)), Reference("", "other"))
    assert [blob.name.rpartition(" ")[2] for blob in other.blobs] == ["top.tar", "base.tar"]


def test_where_none_is_meant_all_are_listed(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as raised:
        opened(tmp_path, tar(docker_archive(manifest=SEVERAL)), Reference("", "third"))
    assert "holds several images, and none is named third: app:1.0, docker.io/library/other:latest" in str(raised.value)


def header(**fields: object) -> bytes:
    """Make a header with fields that no archive should have."""
    member = tarfile.TarInfo("x")
    for name, value in fields.items():
        setattr(member, name, value)
    return member.tobuf(tarfile.GNU_FORMAT)


def nested(levels: int) -> Files:
    """Make indexes in indexes."""
    files = dict(layout())
    for _ in range(levels):
        root = json.loads(files["index.json"])["manifests"][0]
        body = as_json({"mediaType": OCI_INDEX, "manifests": [root]})
        files[f"blobs/sha256/{digest(body)[7:]}"] = body
        files["index.json"] = as_json(
            {"manifests": [{"digest": digest(body), "size": len(body), "mediaType": OCI_INDEX}]}
        )
    return files


def wide() -> Files:
    """Make an index of twelve indexes of twelve indexes of twelve."""
    files = dict(layout())
    named = json.loads(files["index.json"])["manifests"]
    for level in range(3):
        bodies = [as_json({"mediaType": OCI_INDEX, "manifests": named, "at": [level, n]}) for n in range(12)]
        files |= {f"blobs/sha256/{digest(body)[7:]}": body for body in bodies}
        named = [{"digest": digest(body), "size": len(body), "mediaType": OCI_INDEX} for body in bodies]
    files["index.json"] = as_json({"manifests": named[:1]})
    return files


def changed_layer(**fields: object) -> Files:
    """Make a layout whose manifest says something else of its first layer."""
    files = dict(layout())
    root = json.loads(files["index.json"])["manifests"][0]
    manifest = json.loads(files.pop(f"blobs/sha256/{root['digest'][7:]}"))
    manifest["layers"][0] |= fields
    body = as_json(manifest)
    files[f"blobs/sha256/{digest(body)[7:]}"] = body
    files["index.json"] = as_json({"manifests": [{"digest": digest(body), "size": len(body)}]})
    return files


def without(files: Files, part: Callable[[str], bool]) -> Files:
    """Leave files out."""
    return {name: content for name, content in files.items() if not part(name)}


SELF = as_json({"mediaType": OCI_INDEX, "manifests": [{"digest": "sha256:" + "0" * 64, "size": 1}]})
TWO = ("amd64", "arm64")


def second_manifest(files: Files) -> str:
    """Find the file of an index's second manifest."""
    root = json.loads(files["index.json"])["manifests"][0]["digest"]
    index = json.loads(files[f"blobs/sha256/{root[7:]}"])
    return f"blobs/sha256/{index['manifests'][1]['digest'][7:]}"


MISSING = second_manifest(layout(TWO))
BAD: dict[str, tuple[bytes | Files, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"to be or not to be " * 100, "is no tar archive"),
    "tar-without-an-image": (tar({"readme": b"x"}), "the archive holds no image"),
    "directory-without-an-image": ({"readme": b"x"}, "the directory is no OCI layout"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(100), "is compressed with zstd"),
    "gzip-cut": (gzip.compress(tar(docker_archive()))[:-20], "is not complete, or damaged"),
    "manifest-is-no-json": (tar(docker_archive() | {"manifest.json": b"{"}), "lists no image"),
    "manifest-of-brackets": (tar(docker_archive() | {"manifest.json": b"[" * 100_000}), "lists no image"),
    "manifest-too-large": (tar(docker_archive() | {"manifest.json": bytes(5_000_000)}), "more than any image's"),
    "config-of-brackets": (tar(docker_archive() | {"config.json": b"[" * 100_000}), "is not a JSON object"),
    "fewer-diff-ids": (tar(docker_archive(config={"rootfs": {"diff_ids": []}})), "has 0 diffIDs for 2 layers"),
    "layer-missing": (tar(without(docker_archive(), "top.tar".__eq__)), "the layer top.tar is named, but not in it"),
    "other-gzipped-layer": (
        tar(docker_archive(gzipped=True) | {"top.tar": gzip.compress(b"x")}),
        "the layer top.tar unpacks to sha256:",
    ),
    "gzipped-layer-cut": (
        tar(docker_archive(gzipped=True) | {"top.tar": gzip.compress(LAYERS[1])[:-9]}),
        "the layer top.tar unpacks to",
    ),
    "leads-out": (tar(docker_archive() | {"../../etc/passwd": b"x"}), "leads out of it"),
    "absolute": (tar(docker_archive() | {"/etc/passwd": b"x"}), "leads out of it"),
    "link-leads-out": (tar(docker_archive() | {"a/b": "../../x"}), "leads out of it"),
    "links-in-circles": (
        tar(without(docker_archive(), "top.tar".__eq__) | {"top.tar": "other.tar", "other.tar": "top.tar"}),
        "its links go in circles",
    ),
    "two-entries": (tar({"base.tar": b"x"})[:1024] + tar(docker_archive()), "two entries named base.tar"),
    "sparse": (header(type=tarfile.GNUTYPE_SPARSE) + bytes(1024), "sparse"),
    "huge": (header(size=2**60) + bytes(1024), "ends in the middle of x"),
    "cut": (tar(docker_archive())[:3000], "ends"),
    "index-is-no-json": (dict(layout()) | {"index.json": b"["}, "index.json is not a JSON object"),
    "index-of-nothing": (dict(layout()) | {"index.json": b"{}"}, "names no image"),
    "index-of-nonsense": (dict(layout()) | {"index.json": b'{"manifests":[1]}'}, "a descriptor has to be an object"),
    "index-names-itself": (
        {
            "index.json": as_json({"manifests": [{"digest": "sha256:" + "0" * 64, "size": 1}]}),
            "blobs/sha256/" + "0" * 64: SELF,
        },
        "is damaged",
    ),
    "too-deep": (nested(6), "nested deeper than 4"),
    "too-wide": (wide(), ""),
    "platform-missing": (without(layout(TWO), MISSING.__eq__), "the manifest for linux/arm64 (sha256:"),
    "layer-of-another-size": (changed_layer(size=1), "are named"),
    "layer-elsewhere": (changed_layer(urls=["https://example.com/layer"]), "may not be distributed"),
    "foreign-layer": (
        changed_layer(mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
        "may not be distributed",
    ),
    "encrypted-layer": (
        changed_layer(mediaType="application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
        "is encrypted",
    ),
}


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_told_with_its_name(tmp_path: Path, data: bytes | Files, words: str) -> None:
    if not words:
        assert len(opened(tmp_path, data).manifests) <= 200
        return
    with pytest.raises(ArchiveError) as raised:
        opened(tmp_path, data)
    assert words in str(raised.value)
    assert str(tmp_path / "image") in str(raised.value)
    assert raised.value.exit_code == 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="No such file"):
        open_image(tmp_path / "gone.tar", NAME, lambda _: None)


WHOLE = {"docker": tar(docker_archive(gzipped=True)), "layout": tar(layout(("amd64", "arm64")))}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE.keys())
@given(st.floats(0, 1, exclude_max=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_archive_cut_anywhere_is_refused_or_whole(tmp_path: Path, data: bytes, share: float) -> None:
    cut = int(share * len(data))
    try:
        held = opened(tmp_path, data[:cut])
    except ArchiveError:
        return
    assert cut > len(data) - 10240, "only the filling at the end may be missing"
    assert held.blobs


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE.keys())
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_byte_flipped_anywhere_never_passes_for_the_image(
    tmp_path: Path, data: bytes, share: float, change: int
) -> None:
    position = int(share * len(data))
    flipped = data[:position] + bytes([data[position] ^ change]) + data[position + 1 :]
    try:
        held = opened(tmp_path, flipped)
    except ArchiveError:
        return
    for blob in held.blobs:
        assert blob.descriptor is not None
        named = digest(read(blob)) == blob.descriptor.digest
        assert named or held.manifests, "a layer of a docker archive was hashed as it is"
