"""Images with a layer that is large enough to be split, in every form, and what is in them."""

import gzip
import io
import json
import random
import tarfile
from collections.abc import Mapping, Sequence

from unit.source.archives import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Files, as_json, digest, docker_archive

PART = 50_000
"""Bytes of a part: the large layer needs four."""
FILE = 10_000
BUILDKIT = "buildkit.dockerfile.v0"
SMALL = {"etc/first": b"first" * 100}


def large(seed: int = 1, files: int = 16) -> dict[str, bytes]:
    """Return the files of a large layer, which do not compress."""
    source = random.Random(seed)
    return {f"srv/data/{number:02d}": source.randbytes(FILE) for number in range(files)}


def layer(files: Mapping[str, bytes]) -> bytes:
    """Make a layer: the directories, then the files."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in sorted({"/".join(name.split("/")[:depth]) for name in files for depth in (1, 2)} - set(files)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.uid = tarfile.DIRTYPE, 0o750, 33
            archive.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


LAYERS = (layer(SMALL), layer(large()), layer({"etc/last": b"last"}))


def config_of(layers: Sequence[bytes] = LAYERS, **more: object) -> dict[str, object]:
    """Return the config of an image of such layers, as BuildKit writes it."""
    history: list[dict[str, object]] = [
        {"created_by": f"COPY {number} / # buildkit", "comment": BUILDKIT} for number in range(1, len(layers) + 1)
    ]
    history.insert(1, {"created_by": "ENV A=b", "comment": BUILDKIT, "empty_layer": True})
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-03-01T12:00:00Z",
        "config": {"Env": ["A=<b>"], "Labels": {"kept": "yes"}, "OnBuild": ["RUN true"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(each) for each in layers]},
        "history": history,
    } | more


def docker(layers: Sequence[bytes] = LAYERS, *, gzipped: Sequence[int] = (), **more: object) -> Files:
    """Make a docker archive; `gzipped` are the indices of compressed layers."""
    names = [f"{number}.tar" for number in range(len(layers))]
    stored = [gzip.compress(each, 1, mtime=0) if index in gzipped else each for index, each in enumerate(layers)]
    files = docker_archive(
        config=config_of(layers, **more), manifest=[{"Config": "config.json", "RepoTags": ["app:1.0"], "Layers": names}]
    )
    return {**files, **dict(zip(names, stored, strict=True))}


def oci(*platforms: Sequence[bytes], gzipped: bool = True, attested: bool = False, docker_types: bool = False) -> Files:
    """Make a layout: an index if there are several platforms, each given by its layers, or an attestation."""
    blobs: Files = {}

    def put(data: bytes, media_type: str, **more: object) -> dict[str, object]:
        blobs[f"blobs/sha256/{digest(data)[7:]}"] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)} | more

    manifest_type = "application/vnd.docker.distribution.manifest.v2+json" if docker_types else OCI_MANIFEST
    config_type = "application/vnd.docker.container.image.v1+json" if docker_types else OCI_CONFIG
    layer_type = "application/vnd.docker.image.rootfs.diff.tar.gzip" if docker_types else OCI_LAYER
    manifests = []
    for architecture, layers in zip(("amd64", "arm64", "riscv64"), platforms, strict=False):
        named = [
            put(gzip.compress(each, 1, mtime=0), layer_type, annotations={"of": str(index)})
            if gzipped
            else put(each, "application/vnd.oci.image.layer.v1.tar")
            for index, each in enumerate(layers)
        ]
        content = {
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": put(as_json(config_of(layers, architecture=architecture)), config_type),
            "layers": named,
            "annotations": {"kept": "yes"},
        }
        platform = {"os": "linux", "architecture": architecture}
        manifests.append(put(as_json(content), manifest_type, platform=platform))
    if attested:
        statement = put(b"{}", "application/vnd.in-toto+json")
        config = put(as_json({"rootfs": {"diff_ids": [digest(b"{}")]}}), OCI_CONFIG)
        body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [statement]}
        unknown = {"os": "unknown", "architecture": "unknown"}
        manifests.append(put(as_json(body), OCI_MANIFEST, platform=unknown))
    root = manifests[0]
    if len(manifests) > 1:
        root = put(as_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}), OCI_INDEX)
    root = root | {"annotations": {"io.containerd.image.name": "docker.io/library/app:1.0"}}
    return blobs | {"index.json": as_json({"schemaVersion": 2, "manifests": [root]}), "oci-layout": b"{}"}


def unpacked(layers: Sequence[bytes]) -> dict[str, tuple[object, ...]]:
    """Return what layers give if they are applied one after the other."""
    found: dict[str, tuple[object, ...]] = {}
    for each in layers:
        with tarfile.open(fileobj=io.BytesIO(each)) as archive:
            for entry in archive:
                file = archive.extractfile(entry)
                found[entry.name] = (entry.type, entry.mode, entry.uid, file.read() if file else b"")
    return found


def history_of(config: bytes) -> list[tuple[str, str]]:
    """Return instruction and comment of each entry of a config's history."""
    return [(each["created_by"], each.get("comment", "")) for each in json.loads(config)["history"]]
