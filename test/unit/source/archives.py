"""Archives and layouts made by hand, whole and damaged."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from pipe.oci.reference import Reference
from pipe.source.archive import image_in
from pipe.source.archive import opened as open_archive
from pipe.source.blob import SourceBlob, StoredImage

NAME = Reference("", "app", "1.0")
Files = dict[str, bytes | str]

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def digest(data: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def as_json(content: object) -> bytes:
    """Return the JSON of a value."""
    return json.dumps(content).encode()


def tar(files: Mapping[str, bytes | str]) -> bytes:
    """Make a tar archive; a text is what an entry links to."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(data, str):
                member.type, member.linkname = tarfile.SYMTYPE, data
                archive.addfile(member)
            else:
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


LAYERS = tuple(tar({name: name.encode() * 500}) for name in ("base", "top"))
CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in LAYERS]},
    "history": [
        {"created_by": "ADD base /"},
        {"created_by": "ENV A=b", "empty_layer": True},
        {"created_by": "COPY top /"},
    ],
}
IMAGE_ID = digest(as_json(CONFIG))
DIFF_IDS = tuple(digest(layer) for layer in LAYERS)


def docker_archive(*, gzipped: bool = False, tags: tuple[str, ...] = ("app:1.0",), **changed: object) -> Files:
    """Make the files of a docker archive."""
    layers = [gzip.compress(layer) if gzipped else layer for layer in LAYERS]
    config = as_json(changed.get("config", CONFIG))
    manifest = [{"Config": "config.json", "RepoTags": ["app:1.0"], "Layers": ["base.tar", "top.tar"]}]
    return {
        "base.tar": layers[0],
        "top.tar": layers[1],
        "config.json": config,
        "manifest.json": as_json(changed.get("manifest", manifest)),
    }


def layout(
    platforms: tuple[str, ...] = ("amd64",),
    *,
    name: str = "docker.io/library/app:1.0",
    attested: bool = False,
    layer_type: str = OCI_LAYER,
    own_layers: bool = False,
    gzipped: bool = True,
    **more: object,
) -> Files:
    """Make the files of an OCI layout: an index where there are several platforms, or an attestation.

    Args:
        platforms: Architectures.
        name: Of the image.
        attested: Whether there is an attestation.
        layer_type: Media type of the layers.
        own_layers: Whether the upper layer differs for each platform.
        gzipped: Whether the layers are compressed.
        more: Members of the manifests.
    """
    blobs: dict[str, bytes | str] = {}

    def put(data: bytes) -> dict[str, object]:
        blobs[f"blobs/sha256/{digest(data)[7:]}"] = data
        return {"digest": digest(data), "size": len(data)}

    manifests = []
    for architecture in platforms:
        plain = (LAYERS[0], tar({"own": architecture.encode()})) if own_layers else LAYERS
        rootfs = {"type": "layers", "diff_ids": [digest(layer) for layer in plain]}
        config = put(as_json(CONFIG | {"architecture": architecture, "rootfs": rootfs})) | {"mediaType": OCI_CONFIG}
        stored = [gzip.compress(layer, mtime=0) if gzipped else layer for layer in plain]
        layers = [put(layer) | {"mediaType": layer_type} for layer in stored]
        content = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
        body = as_json(content | more)
        platform = {"os": "linux", "architecture": architecture}
        manifests.append(put(body) | {"mediaType": OCI_MANIFEST, "platform": platform})
    if attested:
        statement = put(b"{}") | {"mediaType": "application/vnd.in-toto+json"}
        config = put(as_json({"rootfs": {"diff_ids": [digest(b"{}")]}})) | {"mediaType": OCI_CONFIG}
        body = as_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [statement]})
        unknown = {"os": "unknown", "architecture": "unknown"}
        manifests.append(put(body) | {"mediaType": OCI_MANIFEST, "platform": unknown})
    root = manifests[0]
    if len(manifests) > 1:
        root = put(as_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})) | {
            "mediaType": OCI_INDEX
        }
    root = root | {"annotations": {"io.containerd.image.name": name}}
    return blobs | {"index.json": as_json({"schemaVersion": 2, "manifests": [root]}), "oci-layout": b"{}"}


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str, /) -> None:
        self.lines.append(f"INFO: {text}")

    def warning(self, text: str, /) -> None:
        self.lines.append(f"WARNING: {text}")

    def debug(self, text: str, /) -> None:
        self.lines.append(f"DEBUG: {text}")


def opened(
    folder: Path, data: bytes | Files, name: Reference = NAME, log: Log | None = None, *, strict: bool = False
) -> StoredImage:
    """Open an archive, or a layout in a directory."""
    log = log or Log()
    return image_in(open_archive(written(folder, data), log), name, log, strict=strict)


def written(folder: Path, data: bytes | Files) -> Path:
    """Write an archive, or a layout as a directory, and return its path."""
    path = folder / "image"
    if isinstance(data, bytes):
        path.write_bytes(data)
    else:
        for file, content in data.items():
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(blob: SourceBlob) -> bytes:
    """Read all of a blob."""
    buffer, pieces, reader = memoryview(bytearray(1000)), [], blob.open()
    while length := reader.readinto(buffer):
        pieces.append(bytes(buffer[:length]))
    return b"".join(pieces)
