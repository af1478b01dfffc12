"""What Engines stream, in each of their forms; and streams that are cut, altered or nonsense."""

import gzip
import hashlib
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.source.archives import CONFIG, DIFF_IDS, IMAGE_ID, LAYERS, as_json, digest, layout, tar
from unit.source.forms import Blobs

from pipe.errors import EngineSaveError
from pipe.oci.descriptor import Descriptor
from pipe.oci.manifest import DOCKER_CONFIG
from pipe.source import daemon
from pipe.source.blob import SourceBlob
from pipe.source.daemon import DaemonStream


class Stream:
    """Gives bytes in pieces of any size."""

    def __init__(self, data: bytes, piece: int = 1000) -> None:
        self._data = memoryview(data)
        self._piece = piece

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer in part."""
        length = min(len(buffer), self._piece, len(self._data))
        buffer[:length], self._data = self._data[:length], self._data[length:]
        return length


def v1_directories(diff_ids: Sequence[str], layers: Sequence[bytes | str] = LAYERS) -> dict[str, bytes | str]:
    """Make the directories of an old Engine, each named by its v1 ID; a text is the link of a layer."""
    files: dict[str, bytes | str] = {}
    parent = chain = ""
    for number, (diff_id, layer) in enumerate(zip(diff_ids, layers, strict=True)):
        chain = digest(f"{chain} {diff_id}".encode()) if chain else diff_id
        last = number == len(diff_ids) - 1
        described: dict[str, object] = {"created": "1970-01-01T00:00:00Z", "container_config": {"Cmd": ["<&>"]}}
        described |= {"os": "linux"} if last else {}
        hashed = described | {"layer_id": chain} | ({"parent": f"sha256:{parent}"} if parent else {})
        text = json.dumps(hashed, sort_keys=True, separators=(",", ":"))
        name = hashlib.sha256(text.encode()).hexdigest()
        said = {"id": name} | ({"parent": parent} if parent else {}) | described | {"os": "linux"}
        files |= {f"{name}/VERSION": b"1.0", f"{name}/json": as_json(said).replace(b": ", b":").replace(b", ", b",")}
        files[f"{name}/layer.tar"] = layer
        parent = name
    return files


def old() -> dict[str, bytes | str]:
    """Make what Engines up to 24 stream."""
    return v1_directories(DIFF_IDS) | {
        f"{IMAGE_ID[7:]}.json": as_json(CONFIG),
        "manifest.json": b"[]",
        "repositories": b"{}",
    }


def new() -> dict[str, bytes | str]:
    """Make what Engines with graphdrivers stream since 25."""
    blobs: dict[str, bytes | str] = {
        f"blobs/sha256/{digest(data)[7:]}": data for data in (*LAYERS, as_json(CONFIG), b"{}")
    }
    return dict(sorted(blobs.items())) | {"index.json": b"{}", "manifest.json": b"[]", "oci-layout": b"{}"}


def taken(blob: SourceBlob, size: int = 700) -> bytes:
    """Read all of a blob."""
    buffer, content, reader = memoryview(bytearray(size)), b"", blob.open()
    while length := reader.readinto(buffer):
        content += bytes(buffer[:length])
    return content


@pytest.mark.parametrize("backwards", [False, True], ids=["in-order", "in-the-other-order"])
@pytest.mark.parametrize("files", [old(), new()], ids=["directories", "layout"])
def test_layers_are_known_before_they_are_read(files: dict[str, bytes | str], backwards: bool) -> None:
    entries = dict(reversed(files.items())) if backwards and "index.json" in files else files
    stream = DaemonStream(Stream(tar(entries)), IMAGE_ID, DIFF_IDS)
    found = {blob.diff_id: taken(blob) for blob in stream if not blob.is_config}
    assert found == dict(zip(DIFF_IDS, LAYERS, strict=True))
    assert (stream.config, stream.manifests) == (as_json(CONFIG), ())


@pytest.mark.parametrize("files", [old(), new()], ids=["directories", "layout"])
def test_the_configuration_is_sent_along_with_the_layers(files: dict[str, bytes | str]) -> None:
    stream = DaemonStream(Stream(tar(files)), IMAGE_ID, DIFF_IDS)
    [config] = [blob for blob in stream if blob.is_config]
    assert config.descriptor == Descriptor(DOCKER_CONFIG, IMAGE_ID, len(as_json(CONFIG)))
    assert taken(config) == as_json(CONFIG)


@pytest.mark.parametrize("files", [old(), new()], ids=["directories", "layout"])
def test_what_is_not_read_is_skipped(files: dict[str, bytes | str]) -> None:
    stream = DaemonStream(Stream(tar(files)), IMAGE_ID, DIFF_IDS)
    found = [blob.diff_id for number, blob in enumerate(stream) if number or taken(blob, 10)[:0] == b""]
    assert sorted(filter(None, found)) == sorted(DIFF_IDS)
    assert stream.config == as_json(CONFIG)


def test_a_directory_that_proves_nothing_is_only_known_by_its_bytes() -> None:
    files = {name.replace("0", "1"): data for name, data in old().items() if "/" in name}
    stream = DaemonStream(Stream(tar(files | {f"{IMAGE_ID[7:]}.json": as_json(CONFIG)})), IMAGE_ID, DIFF_IDS)
    assert [blob.diff_id for blob in stream if not blob.is_config] == [None, None]


def test_links_are_no_layers_of_their_own() -> None:
    stream = DaemonStream(Stream(tar(old() | {"x/layer.tar": "../y/layer.tar"})), IMAGE_ID, DIFF_IDS)
    assert [blob.is_config for blob in stream].count(False) == 2


@pytest.mark.parametrize("platforms", [("amd64",), ("amd64", "arm64")], ids=["manifest", "index"])
def test_a_containerd_store_streams_what_it_stores(platforms: tuple[str, ...]) -> None:
    files = layout(platforms)
    root = json.loads(files["index.json"])["manifests"][0]["digest"]
    stream = DaemonStream(Stream(tar(files)), root, DIFF_IDS)
    blobs = {blob.descriptor.digest: taken(blob) for blob in stream if blob.descriptor}
    assert all(digest(content) == name for name, content in blobs.items())
    assert {digest(gzip.compress(layer, mtime=0)) for layer in LAYERS} <= set(blobs)
    assert stream.manifests[-1].digest == root
    assert len(stream.manifests) == (3 if len(platforms) > 1 else 1)
    assert {manifest.config for manifest in stream.manifests} - {None} <= set(blobs)


def test_small_layers_leave_room_for_manifests(monkeypatch: pytest.MonkeyPatch) -> None:
    files = layout(("amd64",))
    root = json.loads(files["index.json"])["manifests"][0]["digest"]
    documents = {name: data for name, data in files.items() if data[:1] in {b"{", "{"}}
    layers = {name: data for name, data in files.items() if name not in documents}
    monkeypatch.setattr(daemon, "KEPT", sum(len(documents[name]) for name in documents if "/" in name))
    stream = DaemonStream(Stream(tar(layers | documents)), root, DIFF_IDS)
    assert {digest(taken(blob)) for blob in stream} >= {digest(gzip.compress(layer, mtime=0)) for layer in LAYERS}
    assert stream.manifests[-1].digest == root


def plain_layers() -> tuple[dict[str, bytes | str], str]:
    """Make what a containerd store streams of an image that `docker load` brought: its layers are not compressed."""
    blobs = Blobs()
    config = blobs.put(as_json(CONFIG), "application/vnd.oci.image.config.v1+json")
    layers = [blobs.put(layer, "application/vnd.oci.image.layer.v1.tar") for layer in LAYERS]
    root = blobs.put(as_json({"config": config, "layers": layers}), "application/vnd.oci.image.manifest.v1+json")
    # Manifests come last.
    last = f"blobs/sha256/{str(root['digest'])[7:]}"
    return {name: data for name, data in blobs.files.items() if name != last} | {last: blobs.files[last]}, str(
        root["digest"]
    )


@pytest.mark.parametrize("large", [False, True], ids=["small-layers", "large-layers"])
def test_plain_layers_of_a_containerd_store_are_sent_as_they_are(monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    """Its manifest refers to them by their diffIDs."""
    if large:
        monkeypatch.setattr(daemon, "SMALL", 5000)
    files, root = plain_layers()
    stream = DaemonStream(Stream(tar(files)), root, DIFF_IDS, containerd=True)
    blobs = {blob.descriptor.digest: taken(blob) for blob in stream if blob.descriptor}
    assert {each: blobs[each] for each in DIFF_IDS} == dict(zip(DIFF_IDS, LAYERS, strict=True))
    [manifest] = stream.manifests
    assert tuple(layer.digest for layer in manifest.layers) == DIFF_IDS


def test_a_configuration_of_five_megabytes_is_found() -> None:
    config = as_json(CONFIG | {"config": {"Labels": {"bom": "x" * (5 << 20)}}})
    image = digest(config)
    files = {name: data for name, data in new().items() if IMAGE_ID[7:] not in name}
    stream = DaemonStream(Stream(tar({f"blobs/sha256/{image[7:]}": config} | files), 10**6), image, DIFF_IDS)
    assert {blob.diff_id for blob in stream if not blob.is_config} == {*DIFF_IDS}
    assert stream.config == config


@pytest.mark.parametrize("media_type", [["x"], {"x": 1}, 1], ids=["list", "object", "number"])
def test_a_media_type_that_is_not_a_string(media_type: object) -> None:
    body = as_json({"layers": [], "mediaType": media_type})
    stream = DaemonStream(Stream(tar({f"blobs/sha256/{digest(body)[7:]}": body})), digest(body), DIFF_IDS)
    with pytest.raises(EngineSaveError, match="a manifest has a mediaType that is not a string") as raised:
        _ = [taken(blob) for blob in stream], stream.manifests
    assert raised.value.exit_code == 3


def test_an_image_without_layers() -> None:
    config = as_json({"rootfs": {"diff_ids": None}})
    named = {"digest": digest(config), "size": len(config)}
    body = as_json({"layers": None, "config": named, "mediaType": None})
    files: dict[str, bytes | str] = {f"blobs/sha256/{digest(each)[7:]}": each for each in (config, body)}
    stream = DaemonStream(Stream(tar(files)), digest(body), [])
    assert [taken(blob) for blob in stream] == [config]
    assert [manifest.body for manifest in stream.manifests] == [body]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "is truncated: the end of the archive is missing", id="nothing"),
        pytest.param(b"no such image" * 100, "is not a tar archive", id="words"),
        pytest.param(
            tar({"index.json": b"{}"}),
            f"the manifest {IMAGE_ID} is missing; its platform may not be in the Engine",
            id="nothing-of-use",
        ),
        pytest.param(tar({"blobs/sha256/" + "0" * 64: b"x"}), "has the digest", id="altered"),
        pytest.param(tar(old())[:2000], "it ends", id="cut"),
    ],
)
def test_an_unsupported_stream_is_an_error(data: bytes, words: str) -> None:
    stream = DaemonStream(Stream(data), IMAGE_ID, DIFF_IDS)
    with pytest.raises(EngineSaveError, match=words):
        _ = [taken(blob) for blob in stream], stream.manifests


@given(st.sampled_from([old(), new()]), st.data())
def test_a_stream_cut_anywhere_is_no_image(files: dict[str, bytes | str], more: st.DataObject) -> None:
    data = tar(files)
    cut = more.draw(st.integers(0, len(data.rstrip(b"\0"))))
    stream = DaemonStream(Stream(data[:cut]), IMAGE_ID, DIFF_IDS)
    with pytest.raises(EngineSaveError):
        _ = [taken(blob) for blob in stream], stream.manifests
