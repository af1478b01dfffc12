"""An OCI image with plain layers, to be compressed on the way: its layers and its manifest get other digests."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipe.oci.descriptor import Descriptor
from pipe.oci.fields import members, read_json
from pipe.oci.manifest import DOCKER_LAYER, OCI_LAYER, OCI_MANIFEST, Manifest
from pipe.source.archive import ArchiveLog
from pipe.source.blob import SourceBlob, StoredImage

OCI_PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"
"""The type of a layer that is not compressed; source: image-spec, `layer.md`."""


def compressible(stored: StoredImage, report: ArchiveLog) -> StoredImage:
    """Return an image whose plain layers are compressed for the push.

    Args:
        stored: The image; it is returned unchanged if it has no such layers, or several platforms.
        report: Receives a line for the log about what differs from the archive.
    """
    plain = {digest for manifest in stored.manifests for digest in _plain(manifest)}
    if not plain:
        return stored
    if len(stored.manifests) > 1 or len(stored.images) != 1:
        report.warning(
            "COMPRESSION does not apply to the uncompressed layers of an index: its signatures and attestations name"
            " the digests of its images. Pushing it as it is; compress the layers with the program that builds it."
        )
        return stored
    [manifest], [image] = stored.manifests, stored.images
    layers = tuple(
        replace(layer, descriptor=None, size=layer.descriptor.size)
        if layer.descriptor and layer.descriptor.digest in plain and layer.descriptor.digest == layer.diff_id
        else layer
        for layer in image.layers
    )
    diff_ids = {layer.diff_id for layer in layers if layer.descriptor is None}
    if not diff_ids or manifest.config is None:
        return stored
    report.info(
        f"Compressing {len(diff_ids)} uncompressed layer{'s'[: len(diff_ids) != 1]}, as COMPRESSION demands: the"
        " image's digest will differ from that in the archive."
    )
    if stored.referrers:
        report.warning("The artifacts that refer to the image in the archive stay behind: they name its digest there.")
    blobs = tuple(_to_compress(blob, diff_ids) for blob in stored.blobs)
    # The manifest that the tag will refer to is not known yet, so the config identifies the image.
    identified = replace(image, id=manifest.config, layers=layers)
    return replace(stored, blobs=blobs, images=(identified,), referrers=())


def compressed(manifest: Manifest, known: Mapping[str, Descriptor]) -> Manifest:
    """Return a manifest with the layers that its plain ones became.

    Args:
        manifest: As it is stored; returned unchanged if it has no plain layers that were compressed.
        known: The blobs in the registry, by diffID for layers that were compressed.
    """
    became = {digest: known[digest] for digest in _plain(manifest) if digest in known}
    became = {digest: each for digest, each in became.items() if each.digest != digest}
    if not became:
        return manifest
    content = read_json(manifest.body)
    entries: Any = members(content)["layers"]
    layers = [
        entry | _identity(became[each.digest]) if each.digest in became else entry
        for entry, each in zip(entries, manifest.layers, strict=True)
    ]
    rest = {key: value for key, value in content.items() if key.casefold() != "layers"}
    return Manifest.parse(OCI_MANIFEST, json.dumps(rest | {"layers": layers}, separators=(",", ":")).encode())


def _plain(manifest: Manifest) -> list[str]:
    if manifest.media_type != OCI_MANIFEST:
        return []
    return [layer.digest for layer in manifest.layers if layer.media_type == OCI_PLAIN_LAYER]


def _to_compress(blob: SourceBlob, diff_ids: set[str]) -> SourceBlob:
    if blob.descriptor is None or blob.descriptor.digest not in diff_ids:
        return blob
    return replace(blob, diff_id=blob.descriptor.digest, descriptor=None)


def _identity(layer: Descriptor) -> dict[str, object]:
    media_type = OCI_LAYER if layer.media_type == DOCKER_LAYER else layer.media_type
    return {"mediaType": media_type, "digest": layer.digest, "size": layer.size}
