"""OCI layouts with plain layers: pushed byte for byte, or compressed if the user wants that."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from unit.fakes import REQUEST, SETTINGS, Clock, Messages
from unit.http import FakeRegistryServer
from unit.runs import connected, encoder, statuses
from unit.source.archives import CONFIG, DIFF_IDS, LAYERS, Files, Log, as_json, digest, layout, opened

from pipe.oci.manifest import OCI_LAYER, OCI_MANIFEST
from pipe.push.context import Context, Timing
from pipe.push.pushers import Pushers
from pipe.push.result import LayerStatus, Result
from pipe.push.reuse import Place
from pipe.push.run import Push
from pipe.source.archive_source import ArchiveSource
from pipe.source.compressible import OCI_PLAIN_LAYER, compressible

ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
PLAIN = layout(layer_type=OCI_PLAIN_LAYER, gzipped=False, annotations={"key": "value"})


class Archive:
    """A layout in a directory, and a registry to push it to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = FakeRegistryServer()

    def push(self, files: Files, *, compress: bool, compression: str = "auto") -> tuple[Result, list[str]]:
        """Push; return the result, and what the log says about the archive."""
        clock, told, log = Clock(), Messages(), Log()
        settings = SETTINGS._replace(uploader="auto", image_archive=self.folder, compression=compression)
        repository = connected(clock, told, self.server).repository(REQUEST.repository)
        context = Context(settings, REQUEST, repository, told, Timing(clock, clock.sleep, lambda: 0.0))
        stored = opened(self.folder, files)
        source = ArchiveSource(compressible(stored, log) if compress else stored)
        push = Push(
            context, lambda: source, Pushers(context, [Place(repository, "1.0")], lambda: encoder(compression), None)
        )
        push.run()
        return push.result(0), log.lines

    @property
    def manifest(self) -> Any:  # noqa: ANN401
        """What the registry has under the tag."""
        return json.loads(self.server.manifests[self.server.tags["1.0"]][1])


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def manifest_in(files: Files) -> bytes:
    """Return the manifest of a layout that has one."""
    root = json.loads(files["index.json"])["manifests"][0]["digest"]
    content = files[f"blobs/sha256/{root[7:]}"]
    assert isinstance(content, bytes)
    return content


def test_plain_layers_are_compressed_if_the_user_wants_that(archive: Archive) -> None:
    result, lines = archive.push(PLAIN, compress=True)
    assert lines == [
        (
            "INFO: Compressing 2 uncompressed layers, since COMPRESSION is set: the image's digest will differ from"
            " that in the archive."
        )
    ]
    before, after = json.loads(manifest_in(PLAIN)), archive.manifest
    assert [layer["mediaType"] for layer in after["layers"]] == [OCI_LAYER] * 2
    stored = [archive.server.blobs[layer["digest"]] for layer in after["layers"]]
    assert tuple(gzip.decompress(each) for each in stored) == LAYERS
    assert [layer["size"] for layer in after["layers"]] == [len(each) for each in stored]
    assert {**after, "layers": None} == {**before, "layers": None}, "all else is as it was"
    assert archive.server.blobs[after["config"]["digest"]] == as_json(CONFIG | {"architecture": "amd64"})
    assert [layer.status for layer in result.layers] == [LayerStatus.UPLOADED] * 2
    assert result.tags[0].verified
    assert result.tags[0].digest == archive.server.tags["1.0"]
    assert DIFF_IDS[0] not in archive.server.blobs


def test_what_refers_to_the_digest_in_the_archive_stays_behind(tmp_path: Path) -> None:
    files = dict(PLAIN)
    [image] = json.loads(files["index.json"])["manifests"]
    body = as_json({"mediaType": OCI_MANIFEST, "config": image, "layers": [], "subject": image})
    listed = [image, {"mediaType": OCI_MANIFEST, "digest": digest(body), "size": len(body)}]
    files |= {f"blobs/sha256/{digest(body)[7:]}": body, "index.json": as_json({"manifests": listed})}
    log, stored = Log(), opened(tmp_path, files)
    assert len(stored.referrers) == 1
    assert compressible(stored, log).referrers == ()
    assert [line for line in log.lines if line.startswith("WARNING: The artifacts that refer to the image")]


def test_what_was_compressed_is_found_again(archive: Archive) -> None:
    archive.push(PLAIN, compress=True)
    sent = len(archive.server.matching("PUT"))
    result, _ = archive.push(PLAIN, compress=True)
    assert statuses(result) == ["already there"]
    assert len(archive.server.matching("PUT")) == sent


def test_zstd_is_named_in_the_manifest(archive: Archive) -> None:
    archive.push(PLAIN, compress=True, compression="zstd")
    assert [layer["mediaType"] for layer in archive.manifest["layers"]] == [ZSTD] * 2


def test_a_layer_that_is_compressed_already_stays(archive: Archive) -> None:
    """Tools that add a layer to an image leave those below as they are."""
    gzipped = gzip.compress(LAYERS[0], mtime=0)
    content = json.loads(manifest_in(PLAIN))
    content["layers"][0] = {"mediaType": OCI_LAYER, "digest": digest(gzipped), "size": len(gzipped)}
    body = as_json(content)
    index = json.loads(PLAIN["index.json"])
    index["manifests"][0] |= {"digest": digest(body), "size": len(body)}
    blobs = {f"blobs/sha256/{digest(each)[7:]}": each for each in (gzipped, body)}
    _, lines = archive.push(PLAIN | blobs | {"index.json": as_json(index)}, compress=True)
    assert "Compressing 1 uncompressed layer, " in lines[0]
    first, second = archive.manifest["layers"]
    assert first == content["layers"][0]
    assert gzip.decompress(archive.server.blobs[second["digest"]]) == LAYERS[1]


AS_IT_IS: dict[str, tuple[Files, bool, int]] = {
    "without-compression": (PLAIN, False, 0),
    "gzipped": (layout(), True, 0),
    "several-platforms": (
        layout(("amd64", "arm64"), layer_type=OCI_PLAIN_LAYER, gzipped=False, own_layers=True),
        True,
        1,
    ),
    "with-an-attestation": (layout(layer_type=OCI_PLAIN_LAYER, gzipped=False, attested=True), True, 1),
}


@pytest.mark.parametrize(("files", "compress", "warnings"), AS_IT_IS.values(), ids=AS_IT_IS.keys())
def test_all_else_is_pushed_byte_for_byte(archive: Archive, files: Files, compress: bool, warnings: int) -> None:
    result, lines = archive.push(files, compress=compress)
    assert len([line for line in lines if line.startswith("WARNING: COMPRESSION does not apply")]) == warnings
    assert len(lines) == warnings
    contents = {content for name, content in files.items() if name.startswith("blobs/")}
    root = json.loads(files["index.json"])["manifests"][0]["digest"]
    assert (statuses(result), archive.server.tags) == (["pushed"], {"1.0": root})
    stored = {*archive.server.blobs.values(), *(body for _, body in archive.server.manifests.values())}
    assert stored == contents
