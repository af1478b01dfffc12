"""Layers that are split on demand: what arrives in the registry, what is found again, and what is refused."""

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from unit.fakes import REQUEST, SETTINGS, Clock, Messages
from unit.http import FakeRegistryServer
from unit.runs import connected, encoder, statuses
from unit.source.archives import Files, digest, opened
from unit.split_images import BUILDKIT, LAYERS, PART, config_of, docker, history_of, large, layer, oci, unpacked

from pipe.errors import PipeError
from pipe.push.context import Context, Timing
from pipe.push.pushers import Pushers
from pipe.push.result import LayerStatus, Result
from pipe.push.reuse import Place
from pipe.push.run import Push
from pipe.push.splits import Splits
from pipe.source.archive_source import ArchiveSource
from pipe.source.compressible import compressible


class Archive:
    """An archive, and a registry to push it to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = FakeRegistryServer()
        self.told = Messages()
        self.clock = Clock()

    def push(self, files: Files, **settings: Any) -> Result:  # noqa: ANN401
        """Push, and return the result."""
        push = self._push(files, settings)
        push.run()
        return push.result(0)

    def fail(self, files: Files, **settings: Any) -> tuple[PipeError, Result]:  # noqa: ANN401
        """Push in vain, and return error and result."""
        push = self._push(files, settings)
        with pytest.raises(PipeError) as raised:
            push.run()
        return raised.value, push.result(raised.value.exit_code)

    def _push(self, files: Files, settings: Mapping[str, Any]) -> Push:
        self.told, clock = Messages(), self.clock
        given: dict[str, Any] = {
            "uploader": "auto",
            "image_archive": self.folder,
            "split_size": PART,
            "max_attempts": 1,
        }
        chosen = SETTINGS._replace(**(given | dict(settings)))
        repository = connected(clock, self.told, self.server).repository(REQUEST.repository)
        context = Context(chosen, REQUEST, repository, self.told, Timing(clock, clock.sleep, lambda: 0.0, clock.wait))
        stored = opened(self.folder, files)
        source = ArchiveSource(compressible(stored, self.told) if chosen.compress_plain else stored)
        compression = chosen.compression
        pushers = Pushers(context, [Place(repository, "1.0")], lambda: encoder(compression), None)
        return Push(context, lambda: source, pushers, splits=Splits(context))

    @property
    def manifest(self) -> Any:  # noqa: ANN401
        """What the registry has under the tag."""
        return json.loads(self.server.manifests[self.server.tags["1.0"]][1])

    def config(self, manifest: Any) -> bytes:  # noqa: ANN401
        """Return the config of a manifest."""
        return self.server.blobs[manifest["config"]["digest"]]

    def layers(self, manifest: Any) -> list[bytes]:  # noqa: ANN401
        """Return the layers of a manifest, unpacked."""
        return [gzip.decompress(self.server.blobs[each["digest"]]) for each in manifest["layers"]]

    @property
    def uploads(self) -> int:
        """How many blobs were sent."""
        return len(self.server.matching("PUT", "*/blobs/uploads/*"))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


FORMS: dict[str, Files] = {
    "docker": docker(),
    "docker-gzipped": docker(gzipped=(0, 1, 2)),
    "oci": oci(LAYERS),
    "oci-plain": oci(LAYERS, gzipped=False),
    "docker-types": oci(LAYERS, docker_types=True),
}


@pytest.mark.parametrize("files", FORMS.values(), ids=FORMS.keys())
def test_a_large_layer_arrives_in_parts(archive: Archive, files: Files) -> None:
    result = archive.push(files)
    manifest = archive.manifest
    config = archive.config(manifest)
    stored = [archive.server.blobs[each["digest"]] for each in manifest["layers"]]
    layers = [each if each[:2] != b"\x1f\x8b" else gzip.decompress(each) for each in stored]
    assert len(layers) == 6
    assert [len(each) <= PART for each in stored] == [True] * 6
    assert [digest(each) for each in layers] == json.loads(config)["rootfs"]["diff_ids"]
    assert (layers[0], layers[5]) == (LAYERS[0], LAYERS[2])
    assert unpacked(layers) == unpacked(LAYERS)
    assert (statuses(result), result.tags[0].verified, result.exit_code) == (["pushed"], True, 0)
    assert result.image_id == digest(config)
    assert [one.status for one in result.layers] == [LayerStatus.UPLOADED] * 6


def test_config_history_and_all_else(archive: Archive) -> None:
    """Each part has an entry, which says how the layer was cut; nothing else changes."""
    archive.push(docker())
    config = archive.config(archive.manifest)
    mark = f"from {digest(LAYERS[1])}, at most {PART} bytes"
    assert history_of(config) == [
        ("COPY 1 / # buildkit", BUILDKIT),
        ("ENV A=b", BUILDKIT),
        *(("COPY 2 / # buildkit", f"{BUILDKIT} (part {number} of 4); {mark}") for number in range(1, 5)),
        ("COPY 3 / # buildkit", BUILDKIT),
    ]
    before, after = config_of(), json.loads(config)
    assert {**after, "rootfs": None, "history": None} == {**before, "rootfs": None, "history": None}
    assert list(after) == list(before)


@pytest.mark.parametrize("docker_types", [False, True], ids=["oci", "docker"])
def test_the_manifest_keeps_what_is_not_split(archive: Archive, docker_types: bool) -> None:
    files = oci(LAYERS, docker_types=docker_types)
    archive.push(files)
    root = json.loads(files["index.json"])["manifests"][0]["digest"]
    before, after = json.loads(files[f"blobs/sha256/{root[7:]}"]), archive.manifest
    assert (after["layers"][0], after["layers"][5]) == (before["layers"][0], before["layers"][2])
    assert {each["mediaType"] for each in after["layers"]} == {before["layers"][0]["mediaType"]}
    assert all("annotations" not in each for each in after["layers"][1:5])
    assert {**after, "config": 0, "layers": 0} == {**before, "config": 0, "layers": 0}


def test_the_log_and_the_result_name_both_images(archive: Archive) -> None:
    files = docker()
    result = archive.push(files)
    before, after = digest(files["config.json"] if isinstance(files["config.json"], bytes) else b""), result.image_id
    lines = archive.told.of("INFO")
    assert "Split layer 2 (COPY 2 /) into 4 parts of at most 50.0 KB." in lines
    assert f"The image ID changes: {before} → {after}" in lines
    content: Any = result.as_json()
    assert content["split"] == {"layer": 2, "parts": 4, "platform": None, "original_image_id": before, "others": []}
    assert content["image_id"] == after


def test_several_layers(archive: Archive) -> None:
    layers = (LAYERS[1], layer(large(2, 8)), LAYERS[2])
    content: Any = archive.push(docker(layers)).as_json()
    assert (content["split"]["layer"], content["split"]["parts"]) == (1, 4)
    assert content["split"]["others"] == [{"layer": 2, "parts": 2, "platform": None}]
    assert unpacked(archive.layers(archive.manifest)) == unpacked(layers)


def test_a_layer_that_occurs_twice(archive: Archive) -> None:
    layers = (LAYERS[1], LAYERS[2], LAYERS[1])
    result = archive.push(docker(layers))
    assert len(result.layers) == 9
    assert len({each["digest"] for each in archive.manifest["layers"]}) == 5


NOT_SPLIT: dict[str, tuple[Files, dict[str, Any]]] = {
    "fits": (docker(), {"split_size": 10 * PART}),
    "fits-compressed": (docker((layer({"zeros": bytes(10 * PART)}),), gzipped=(0,)), {}),
    "auto": (docker(), {"split_size": None, "split_auto": True}),
}


@pytest.mark.parametrize(("files", "settings"), NOT_SPLIT.values(), ids=NOT_SPLIT.keys())
def test_what_fits_keeps_its_image(archive: Archive, files: Files, settings: dict[str, Any]) -> None:
    result = archive.push(files, **settings)
    assert result.image_id == digest(archive.config(archive.manifest))
    assert result.split is None
    assert result.image_id == opened(archive.folder, files).images[0].id


def test_a_plain_layer_counts_by_its_plain_size(archive: Archive) -> None:
    """What the pipe compresses has no stored size before."""
    zeros = layer({f"zeros/{number}": bytes(10_000) for number in range(10)})
    assert len(archive.push(docker((zeros,))).layers) == 3


def test_the_next_push_finds_the_split_image(archive: Archive) -> None:
    archive.push(docker())
    sent, manifest = archive.uploads, archive.manifest
    result = archive.push(docker(), if_tag_exists="fail")
    assert statuses(result) == ["already there"]
    assert (archive.uploads, archive.manifest) == (sent, manifest)


def test_the_next_push_finds_the_parts(archive: Archive) -> None:
    """The image has another top layer, the large one is cut alike."""
    archive.push(docker())
    sent = archive.uploads
    layers = (*LAYERS[:2], layer({"etc/last": b"other"}))
    result = archive.push(docker(layers))
    assert (statuses(result), archive.uploads - sent) == (["pushed"], 2), "the top layer and the config"
    assert [one.reused for one in result.layers] == [True] * 5 + [False]
    assert unpacked(archive.layers(archive.manifest)) == unpacked(layers)


def test_a_tag_of_another_image_is_found_before_anything_is_read(archive: Archive) -> None:
    archive.push(docker((LAYERS[0],)))
    error, _ = archive.fail(docker(), if_tag_exists="fail")
    assert error.title == "The tag already exists"
    assert not any("Split" in line for line in archive.told.lines)


@pytest.mark.parametrize("compression", ["zstd", "fast"])
@pytest.mark.parametrize("docker_types", [False, True], ids=["oci", "docker"])
def test_parts_are_compressed_as_all_layers(archive: Archive, compression: str, docker_types: bool) -> None:
    archive.push(oci(LAYERS, docker_types=docker_types), compression=compression)
    types = {each["mediaType"].rpartition(".")[2] for each in archive.manifest["layers"][1:5]}
    expected = {"zstd": {"tar+zstd"}, "fast": {"gzip"} if docker_types else {"tar+gzip"}}[compression]
    assert {each.removeprefix("v1.") for each in types} == expected


def test_with_compressed_plain_layers(archive: Archive) -> None:
    archive.push(oci(LAYERS, gzipped=False), compress_plain=True)
    assert {each["mediaType"] for each in archive.manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert unpacked(archive.layers(archive.manifest)) == unpacked(LAYERS)


def test_each_platform_of_an_index(archive: Archive) -> None:
    """A layer that two platforms share is cut once; a platform without a large layer keeps its manifest."""
    other = (LAYERS[0], layer(large(2)), LAYERS[2])
    files = oci(LAYERS, other, (LAYERS[0],))
    result = archive.push(files)
    index = archive.manifest
    children = [json.loads(archive.server.manifests[each["digest"]][1]) for each in index["manifests"]]
    assert [len(each["layers"]) for each in children] == [6, 6, 1]
    assert [unpacked(archive.layers(each)) for each in children[:2]] == [unpacked(LAYERS), unpacked(other)]
    assert f"blobs/sha256/{index['manifests'][2]['digest'][7:]}" in files, "as it was"
    assert [each["platform"]["architecture"] for each in index["manifests"]] == ["amd64", "arm64", "riscv64"]
    content: Any = result.as_json()
    assert content["split"]["original_image_id"] == json.loads(files["index.json"])["manifests"][0]["digest"]
    assert (content["split"]["platform"], content["split"]["others"]) == (
        "linux/amd64",
        [{"layer": 2, "parts": 4, "platform": "linux/arm64"}],
    )
    assert content["image_id"] == archive.server.tags["1.0"]
    assert [each["digest"] for each in content["platforms"]] == [each["digest"] for each in index["manifests"]]
    assert (statuses(result), result.tags[0].verified) == (["pushed"], True)


def test_the_next_push_finds_the_split_index(archive: Archive) -> None:
    """Only the configs of its images tell, since compression may give other bytes."""
    files = oci(LAYERS, (LAYERS[0], layer(large(2))))
    archive.push(files)
    sent, tags = archive.uploads, dict(archive.server.tags)
    result = archive.push(files, if_tag_exists="fail")
    assert (statuses(result), archive.uploads, archive.server.tags) == (["already there"], sent, tags)
    error, _ = archive.fail(oci(LAYERS, (LAYERS[0], layer(large(3)))), if_tag_exists="fail")
    assert error.title == "The tag already exists"


REFUSED: dict[str, tuple[Files, dict[str, Any], str]] = {
    "a-file-larger-than-a-part": (docker(), {"split_size": 5000}, "split: layer 2 (COPY 2 /): the file srv/data/0"),
    "a-layer-that-is-no-tar": (
        docker((LAYERS[0], b"x" * 10 * PART)),
        {},
        (
            "split: layer 2 (COPY 2 /): it is not a tar archive: a header's checksum is not a number, at byte 0 of the"
            " layer.\nBuild the image again, or leave SPLIT_LAYERS out."
        ),
    ),
    "too-many-layers": (
        docker((*[layer({f"etc/{number}": b"x"}) for number in range(125)], LAYERS[1])),
        {},
        "129 layers, and Docker accepts at most 125.\n",
    ),
    "windows": (docker(os="windows"), {}, "Windows"),
    "attestations": (oci(LAYERS, attested=True), {}, "attestations"),
}


@pytest.mark.parametrize(("files", "settings", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_split_is_an_error_before_anything_is_sent(
    archive: Archive, files: Files, settings: dict[str, Any], words: str
) -> None:
    error, result = archive.fail(files, **settings)
    assert words in str(error)
    assert (error.title, error.exit_code, result.exit_code) == ("The layer cannot be split", 5, 5)
    assert archive.uploads == 0
    assert not archive.server.matching("PATCH")


def test_attestations_are_no_matter_if_nothing_is_split(archive: Archive) -> None:
    files = oci(LAYERS, attested=True)
    archive.push(files, split_size=10 * PART)
    assert archive.server.tags["1.0"] == json.loads(files["index.json"])["manifests"][0]["digest"]


def test_a_damaged_layer(archive: Archive) -> None:
    """Its config names another layer."""
    config = config_of()
    config["rootfs"] = {"type": "layers", "diff_ids": [digest(LAYERS[0]), "sha256:" + "0" * 64, digest(LAYERS[2])]}
    error, _ = archive.fail(docker(rootfs=config["rootfs"]))
    assert error.title == "The image's content does not match its digest"
    assert f"layer 2 (COPY 2 /) has the diffID {digest(LAYERS[1])}, but its image names sha256:000" in error.summary
    assert (archive.server.tags, archive.server.manifests) == ({}, {})


def test_a_dry_run_splits_and_sends_nothing(archive: Archive) -> None:
    result = archive.push(docker(), dry_run=True)
    assert (statuses(result), len(result.layers), archive.uploads) == (["would push"], 6, 0)


def test_an_archive_that_changes_during_the_push(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts were hashed before; what is sent then would be something else."""

    def change(_: Messages, text: str) -> None:
        if text.startswith("The image ID changes"):
            path = archive.folder / "image" / "1.tar"
            os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))

    monkeypatch.setattr(Messages, "info", change)
    error, result = archive.fail(docker())
    assert (error.title, statuses(result)) == ("The image's content does not match its digest", ["failed"])
    assert "The file of layer 2 (COPY 2 /) changed during the push." in error.summary
    assert archive.server.tags == {}
