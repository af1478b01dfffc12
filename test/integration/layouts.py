"""OCI layouts of images for several platforms, as `docker load` takes them into a containerd image store.

After https://github.com/opencontainers/image-spec (image-layout.md, image-index.md) and, for attestations,
https://docs.docker.com/build/metadata/attestations/attestation-storage/.
"""

import gzip
import hashlib
import io
import json
import secrets
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import docker
from docker.errors import ImageNotFound

OCI = "application/vnd.oci.image."
INDEX, MANIFEST = f"{OCI}index.v1+json", f"{OCI}manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
Descriptor = dict[str, object]


@dataclass(slots=True)
class Layout:
    """An image as an OCI layout.

    Attributes:
        name: Such as `index-…/my-container-app:latest`.
        blobs: Bytes by digest: every manifest, config and layer.
        manifests: The platforms' manifests' digests, in the index's order, and the attestations' after them.
        digest: The index's, or the only manifest's.
    """

    name: str = field(default_factory=lambda: f"layout-{secrets.token_hex(6)}/my-container-app:latest")
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: list[str] = field(default_factory=list)
    digest: str = ""

    def add(self, media_type: str, content: bytes, **more: object) -> Descriptor:
        """Keep a blob, and return its descriptor."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content), **more}

    def config_of(self, manifest: str) -> str:
        """Return the digest of a manifest's config."""
        return str(json.loads(self.blobs[manifest])["config"]["digest"])

    def layers_of(self, manifest: str) -> list[str]:
        """Return the digests of a manifest's layers."""
        return [str(layer["digest"]) for layer in json.loads(self.blobs[manifest])["layers"]]

    def drop(self, manifest: str) -> None:
        """Leave out a platform's content, as an Engine does that pulled the index for one platform."""
        for digest in (*self.layers_of(manifest), self.config_of(manifest), manifest):
            self.blobs.pop(digest, None)

    def tar(self, top: Descriptor) -> bytes:
        """Write the layout whose index.json names one manifest or index.

        Args:
            top: Its descriptor.

        Returns:
            A tar archive.
        """
        named = top | {
            "annotations": {
                "io.containerd.image.name": f"docker.io/{self.name}",
                "org.opencontainers.image.ref.name": self.name.rpartition(":")[2],
            }
        }
        files = {f"blobs/{digest.replace(':', '/')}": content for digest, content in self.blobs.items()}
        files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
        files["index.json"] = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]})
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w") as archive:
            for path, content in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return output.getvalue()


class Layouts:
    """Loads images of several platforms into an Engine, and removes them."""

    def __init__(self, engine: docker.DockerClient) -> None:
        self._engine = engine
        self._loaded: list[str] = []

    def load(
        self,
        platforms: Mapping[str, Sequence[int]],
        *,
        attested: bool = False,
        without: Sequence[str] = (),
        docker_types: bool = False,
        one: bool = False,
    ) -> Layout:
        """Load an image whose layers no registry and no Engine has seen.

        Args:
            platforms: Bytes of each layer's file by platform, such as `{"linux/amd64": [10**6]}`; they do not compress.
            attested: Whether each platform has an attestation, as BuildKit adds them.
            without: Platforms that the index names and whose content is missing.
            docker_types: Whether the media types are Docker's.
            one: Whether the first platform's manifest is the image, with no index.

        Returns:
            The image.
        """
        layout, top = made(platforms, attested=attested, docker_types=docker_types, one=one)
        for platform, manifest in zip(platforms, layout.manifests, strict=False):
            if platform in without:
                layout.drop(manifest)
        self._engine.images.load(layout.tar(top))
        self._loaded.append(layout.name)
        return layout

    def remove(self) -> None:
        """Remove every image that was loaded."""
        for name in reversed(self._loaded):
            try:
                self._engine.images.remove(name, force=True)
            except ImageNotFound:
                continue


def made(
    platforms: Mapping[str, Sequence[int]], *, attested: bool = False, docker_types: bool = False, one: bool = False
) -> tuple[Layout, Descriptor]:
    """Make an image, and the descriptor of its index or of its only manifest; see `Layouts.load`."""
    layout = Layout()
    manifest_type = DOCKER_MANIFEST if docker_types else MANIFEST
    descriptors = [_platform(layout, name, sizes, manifest_type) for name, sizes in platforms.items()]
    attestations = [_attestation(layout, each) for each in descriptors] if attested else []
    every = [*descriptors, *attestations]
    layout.manifests = [str(each["digest"]) for each in every]
    top = every[0]
    if not one:
        index_type = DOCKER_INDEX if docker_types else INDEX
        top = layout.add(index_type, _json({"schemaVersion": 2, "mediaType": index_type, "manifests": every}))
    layout.digest = str(top["digest"])
    return layout, top


def _platform(layout: Layout, platform: str, sizes: Sequence[int], manifest_type: str) -> Descriptor:
    operating_system, architecture, *variant = platform.split("/")
    prefix = OCI if manifest_type == MANIFEST else "application/vnd.docker.image.rootfs."
    layer_type = "layer.v1.tar+gzip" if manifest_type == MANIFEST else "diff.tar.gzip"
    unpacked = [_file(f"layer-{number}", secrets.token_bytes(size)) for number, size in enumerate(sizes, start=1)]
    layers = [layout.add(prefix + layer_type, gzip.compress(each, 1, mtime=0)) for each in unpacked]
    config = {
        "architecture": architecture,
        "os": operating_system,
        **({"variant": variant[0]} if variant else {}),
        "config": {"Cmd": ["/layer-1"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in unpacked]},
        "history": [{"created_by": f"COPY layer-{number} / # buildkit"} for number in range(1, len(sizes) + 1)],
    }
    config_type = f"{OCI}config.v1+json"
    if manifest_type != MANIFEST:
        config_type = "application/vnd.docker.container.image.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": layout.add(config_type, _json(config)),
        "layers": layers,
    }
    described = {"os": operating_system, "architecture": architecture}
    if variant:
        described["variant"] = variant[0]
    return layout.add(manifest_type, _json(manifest), platform=described)


def _attestation(layout: Layout, subject: Descriptor) -> Descriptor:
    statement = _json({"_type": "https://in-toto.io/Statement/v0.1", "subject": [subject["digest"]], "predicate": {}})
    layer = layout.add(
        "application/vnd.in-toto+json",
        statement,
        annotations={"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"},
    )
    config = {
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add(f"{OCI}config.v1+json", _json(config)),
        "layers": [layer],
    }
    return layout.add(
        MANIFEST,
        _json(manifest),
        platform={"os": "unknown", "architecture": "unknown"},
        annotations={
            "vnd.docker.reference.digest": subject["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        },
    )


def _file(name: str, content: bytes) -> bytes:
    """Pack a layer with one file."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
