"""Images of given layers in files, many in one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from integration.archives import digest_of
from integration.images import archive_of
from integration.layouts import MANIFEST, OCI

Image = Sequence[bytes]
"""The layers, each a tar, from the base up."""


def docker_archive(images: Mapping[str, Image]) -> bytes:
    """Return a docker archive of images by name, with each layer once."""
    files: dict[str, bytes] = {}
    manifest = []
    for name, layers in images.items():
        config = _config(layers)
        names = [f"{digest_of(layer)[7:]}.tar" for layer in layers]
        files |= dict(zip(names, layers, strict=True)) | {f"{digest_of(config)[7:]}.json": config}
        manifest.append({"Config": f"{digest_of(config)[7:]}.json", "RepoTags": [name], "Layers": names})
    return archive_of(files | {"manifest.json": json.dumps(manifest).encode()})


def write_layout(folder: Path, images: Mapping[str, Image]) -> None:
    """Write images by tag as an OCI layout; other images that it has lose their tags."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def add(media_type: str, content: bytes, **more: object) -> dict[str, object]:
        digest = digest_of(content)
        (blobs / digest[7:]).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content), **more}

    manifests = []
    for tag, layers in images.items():
        config = add(f"{OCI}config.v1+json", _config(layers))
        added = [add(f"{OCI}layer.v1.tar", layer) for layer in layers]
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": added}
        names = {"org.opencontainers.image.ref.name": tag}
        manifests.append(add(MANIFEST, json.dumps(manifest).encode(), annotations=names))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', "ascii")
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}), "ascii")


def _config(layers: Image) -> bytes:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "history": [{"created_by": f"layer {number}"} for number, _ in enumerate(layers)],
    }
    return json.dumps(config).encode()
