"""What any writer may do differently: an archive stays the same image, however it is spelled."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.source.archives import (
    CONFIG,
    LAYERS,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Files,
    as_json,
    digest,
    opened,
)
from unit.source.test_forms import expect_whole

UNKNOWN = st.dictionaries(
    st.sampled_from(["x-unknown", "Comment", "ﬁeld", "data", "artifact"]),
    st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2) | st.just({"a": {"b": None}}),
    max_size=2,
)
TAR_FORMATS = {"gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT, "pax": tarfile.PAX_FORMAT}


class Writer:
    """Writes documents with what a format leaves to the writer chosen by hypothesis."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.draw

    def chosen(self, *values: object) -> Any:  # noqa: ANN401
        """Choose one of some values."""
        return self._draw(st.sampled_from(values))

    def json(self, required: Mapping[str, object], optional: Mapping[str, object]) -> bytes:
        """Write an object whose optional members are there, null or absent; in any order and case, with more."""
        return as_json(self.members(required, optional))

    def members(self, required: Mapping[str, object], optional: Mapping[str, object]) -> dict[str, object]:
        """Make such an object."""
        made = dict(required)
        for key, value in optional.items():
            what = self.chosen("there", "null", "absent")
            made |= {} if what == "absent" else {key: None if what == "null" else value}
        made |= self._draw(UNKNOWN)
        spelled = {self.chosen(key, key, key.upper(), key.lower()): value for key, value in made.items()}
        return {key: spelled[key] for key in self._draw(st.permutations(list(spelled)))}

    def tar(self, files: Files) -> bytes:
        """Write a tar in any format and order, with `./`, repetition, directories, links and further entries."""
        prefix, form = self.chosen("", "./", "././"), self.chosen(*TAR_FORMATS.values())
        entries: list[tuple[str, bytes | str]] = list(self._draw(st.permutations(list(files.items()))))
        for name in self._draw(st.lists(st.sampled_from(list(files)), max_size=2)):
            # Repeated, with the same bytes after, or with others before: the last one counts.
            first, last = (name, b"other"), (name, files[name])
            entries.insert(0, first) if self.chosen(True, False) else entries.append(last)
        others: list[tuple[str, bytes | str]]
        others = [("README", b"x"), ("etc/mtab", "/proc/mounts"), ("../x", b"x"), ("y", "../../z")]
        entries[:0] = self._draw(st.lists(st.sampled_from(others), max_size=2))
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", format=form) as archive:
            if self.chosen(True, False):
                directory = tarfile.TarInfo(f"{prefix}blobs/")
                directory.type = tarfile.DIRTYPE
                archive.addfile(directory)
            for name, data in entries:
                member = tarfile.TarInfo(name if name.startswith("..") else prefix + name)
                member.mtime = self.chosen(0, 1.5) if form == tarfile.PAX_FORMAT else 0
                if isinstance(data, str):
                    member.type, member.linkname = tarfile.SYMTYPE, data
                    archive.addfile(member)
                else:
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
        data = content.getvalue()
        return gzip.compress(data, 1) if self.chosen(False, True) else data

    def config(self, layers: tuple[bytes, ...], architecture: str = "amd64") -> bytes:
        """Write a configuration."""
        diff_ids: dict[str, object] = {"diff_ids": [digest(layer) for layer in layers]}
        rootfs = self.members(diff_ids if layers else {}, {"type": "layers"} | ({} if layers else diff_ids))
        optional: dict[str, object] = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/x"]},
            "history": CONFIG["history"],
            "created": "1970-01-01T00:00:00Z",
        }
        return self.json({"rootfs": rootfs} if layers else {}, optional | ({} if layers else {"rootfs": rootfs}))

    def descriptor(self, files: Files, data: bytes, media_type: str, *, typed: bool = True) -> dict[str, object]:
        """Add a blob; return its descriptor."""
        files[f"blobs/sha256/{digest(data)[7:]}"] = data
        required: dict[str, object] = {"digest": digest(data), "size": len(data)}
        optional: dict[str, object] = {"urls": [], "annotations": {"a": "b"}, "platform": None}
        named: dict[str, object] = {"mediaType": media_type}
        return self.members(required | (named if typed else {}), optional | ({} if typed else named))

    def manifest(self, files: Files, layers: tuple[bytes, ...]) -> dict[str, object]:
        """Add an image; return its descriptor."""
        stored = [self.descriptor(files, gzip.compress(layer, 1, mtime=0), OCI_LAYER) for layer in layers]
        config = self.descriptor(files, self.config(layers), OCI_CONFIG)
        listed: dict[str, object] = {"layers": stored}
        body = self.json(
            {"config": config} | (listed if layers else {}),
            {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "annotations": {}} | ({} if layers else listed),
        )
        return self.descriptor(files, body, OCI_MANIFEST, typed=False)

    def layout(self, layers: tuple[bytes, ...], *, index: bool) -> tuple[Files, str]:
        """Write a layout; return its files and the digest of its top manifest."""
        files: Files = {}
        root = self.manifest(files, layers)
        if index:
            body = self.json({"manifests": [root]}, {"schemaVersion": 2, "mediaType": OCI_INDEX, "annotations": {}})
            root = self.descriptor(files, body, OCI_INDEX, typed=False)
        files["index.json"] = self.json({"manifests": [root]}, {"schemaVersion": 2, "mediaType": OCI_INDEX})
        files["oci-layout"] = self.chosen(b'{"imageLayoutVersion":"1.0.0"}', b"{}")
        [top] = {key.lower(): value for key, value in root.items() if key.lower() == "digest"}.values()
        return files, str(top)


property_test = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
LAYER_COUNTS = pytest.mark.parametrize("layers", [(), LAYERS], ids=["no-layers", "two-layers"])


@LAYER_COUNTS
@pytest.mark.parametrize("index", [False, True], ids=["manifest", "index"])
@given(st.data())
@property_test
def test_a_layout_stays_the_same_image(
    tmp_path: Path, layers: tuple[bytes, ...], index: bool, data: st.DataObject
) -> None:
    writer = Writer(data)
    files, top = writer.layout(layers, index=index)
    held = opened(tmp_path, writer.tar(files))
    assert held.manifests[-1].digest == top
    [image] = held.images
    assert [layer.diff_id for layer in image.layers] == [digest(layer) for layer in layers]
    expect_whole(held)


@LAYER_COUNTS
@given(st.data())
@property_test
def test_a_docker_archive_stays_the_same_image(tmp_path: Path, layers: tuple[bytes, ...], data: st.DataObject) -> None:
    writer = Writer(data)
    config = writer.config(layers)
    name = writer.chosen("config.json", f"{digest(config)[7:]}.json", digest(config))
    files: Files = {name: config}
    names = []
    for layer in layers:
        names.append(f"{digest(layer)[7:]}/layer.tar")
        files[names[-1]] = gzip.compress(layer, 1) if writer.chosen(False, True) else layer
    listed: dict[str, object] = {"Layers": names}
    optional: dict[str, object] = {"RepoTags": ["app:1.0"], "Parent": "", "LayerSources": {}}
    entry = writer.members({"Config": name} | (listed if layers else {}), optional | ({} if layers else listed))
    files["manifest.json"] = json.dumps([entry]).encode()
    held = opened(tmp_path, writer.tar(files))
    assert (held.images[0].id, held.config) == (digest(config), config)
    assert [blob.diff_id for blob in held.blobs] == [digest(layer) for layer in layers]
