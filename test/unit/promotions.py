"""Images that a registry has already, in two packages, and pushes of them."""

import json
from collections.abc import Mapping, Sequence
from functools import partial

import pytest
from unit.fakes import REQUEST, SETTINGS, Clock, Messages
from unit.http import sha256
from unit.packages import Packages
from unit.runs import connected, encoder

from pipe.config.settings import Promotion
from pipe.errors import PipeError
from pipe.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Manifest,
)
from pipe.push.context import Context, Timing
from pipe.push.promotion import find
from pipe.push.pushers import Pushers
from pipe.push.result import Result
from pipe.push.run import Push

APP, OTHER = "acme/app", "acme/staging"
BASE = b"base layer " * 1000


class World:
    """A registry with two packages, and images in them."""

    def __init__(self) -> None:
        self.server = Packages(APP, OTHER)
        self.told = Messages()
        self.clock = Clock()

    def image(
        self, package: str, architecture: str, media_type: str = OCI_MANIFEST, tag: str = "", **config: object
    ) -> Manifest:
        """Store an image of two layers, the first of which all images share; `config` has more of its config."""
        docker = media_type == DOCKER_MANIFEST
        blobs = [BASE, f"layer for {architecture}".encode() * 100]
        content = json.dumps(
            {
                "os": "linux",
                "architecture": architecture,
                "rootfs": {"type": "layers", "diff_ids": [sha256(b"plain " + blob) for blob in blobs]},
                "history": [{"created_by": "ADD base / # buildkit"}, {"created_by": "COPY . /app # buildkit"}],
                "config": {"Labels": {"org.opencontainers.image.revision": "c0ffee"}},
            }
            | config
        ).encode()
        store = self.server[package]
        manifest = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {
                "mediaType": DOCKER_CONFIG if docker else OCI_CONFIG,
                "digest": store.keep(content),
                "size": len(content),
            },
            "layers": [
                {"mediaType": DOCKER_LAYER if docker else OCI_LAYER, "digest": store.keep(blob), "size": len(blob)}
                for blob in blobs
            ],
        }
        return self.keep(package, media_type, manifest, tag)

    def keep(self, package: str, media_type: str, content: Mapping[str, object], tag: str = "") -> Manifest:
        """Store a manifest."""
        # No tool writes JSON like this: a manifest that was parsed and written again would differ.
        body = json.dumps(content, indent=5).encode() + b"\n"
        self.server[package].keep_manifest(body, media_type, tag)
        return Manifest.parse(media_type, body)

    def index(
        self, package: str, images: Mapping[str, Manifest], media_type: str = OCI_INDEX, tag: str = "rc-17"
    ) -> Manifest:
        """Store an index of images by platform, with an attestation of each."""
        entries: list[dict[str, object]] = [
            entry(image) | {"platform": dict(zip(("os", "architecture", "variant"), name.split("/"), strict=False))}
            for name, image in images.items()
        ]
        attestations = [self.attestation(package, image) for image in images.values()]
        content = {"schemaVersion": 2, "mediaType": media_type, "manifests": [*entries, *attestations]}
        return self.keep(package, media_type, content, tag)

    def attestation(self, package: str, image: Manifest) -> dict[str, object]:
        """Store an attestation as BuildKit writes it, and return its entry."""
        statement = json.dumps({"_type": "https://in-toto.io/Statement/v0.1", "subject": image.digest}).encode()
        store = self.server[package]
        attestation = self.keep(
            package,
            OCI_MANIFEST,
            {
                "schemaVersion": 2,
                "config": {"mediaType": OCI_CONFIG, "digest": store.keep(b"{}"), "size": 2},
                "layers": [
                    {
                        "mediaType": "application/vnd.in-toto+json",
                        "digest": store.keep(statement),
                        "size": len(statement),
                    }
                ],
            },
        )
        reference = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.digest}
        unknown = {"platform": {"os": "unknown", "architecture": "unknown"}, "annotations": reference}
        return entry(attestation) | unknown

    def four(self, package: str, tag: str = "rc-17") -> Manifest:
        """Store an index of four platforms."""
        names = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x")
        return self.index(package, {name: self.image(package, name.split("/")[1]) for name in names}, tag=tag)

    def push(self, name: str | Sequence[str], tags: Sequence[str], source: str, settings: Mapping[str, object]) -> Push:
        """Prepare to promote one image, or to join several."""
        chosen = SETTINGS._replace(uploader="auto", **settings)  # type: ignore[arg-type]
        names = (name,) if isinstance(name, str) else tuple(name)
        promotion = Promotion(source, names, is_joined=not isinstance(name, str))
        request = REQUEST._replace(tags=tuple(tags) or ("1.4.2",), promotion=promotion)
        client = connected(self.clock, self.told, self.server)
        target = client.repository(request.repository)
        timing = Timing(self.clock, self.clock.sleep, lambda: 0.0, self.clock.wait)
        context = Context(chosen, request, target, self.told, timing)
        return Push(context, partial(find, context, client.repository), Pushers(context, (), encoder, None))

    def run(self, name: str | Sequence[str] = "rc-17", *tags: str, source: str = APP, **settings: object) -> Result:
        """Promote an image or join several, and return the result."""
        push = self.push(name, tags, source, settings)
        push.run()
        return push.result(0)

    def fail(
        self, name: str | Sequence[str] = "rc-17", *tags: str, source: str = APP, **settings: object
    ) -> tuple[PipeError, Result]:
        """Do that in vain, and return error and result."""
        push = self.push(name, tags, source, settings)
        with pytest.raises(PipeError) as raised:
            push.run()
        return raised.value, push.result(raised.value.exit_code)

    def stored(self, tag: str = "1.4.2") -> tuple[str, bytes]:
        """Return media type and bytes of a tag of the package."""
        app = self.server[APP]
        return app.manifests[app.tags[tag]]


def entry(manifest: Manifest) -> dict[str, object]:
    """Return the descriptor of a manifest."""
    return {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.body)}
