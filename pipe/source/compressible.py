"""An OCI image with plain layers, to be compressed on the way: its layers and its manifest get other digests."""

from collections.abc import Mapping, Sequence

from pipe.oci.descriptor import Descriptor
from pipe.oci.manifest import DOCKER_LAYER, DOCKER_MANIFEST, OCI_LAYER, OCI_MANIFEST, OCI_ZSTD_LAYER, Manifest
from pipe.report import Report
from pipe.source.blob import SourceBlob, StoredImage
from pipe.source.rewriting import Entry, entries, identity, with_children, with_layers

OCI_PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"
"""The type of a layer that is not compressed; source: image-spec, `layer.md`."""
PLAIN_LAYERS = {OCI_MANIFEST: OCI_PLAIN_LAYER, DOCKER_MANIFEST: "application/vnd.docker.image.rootfs.diff.tar"}
"""The same by type of the manifest; source: CNCF Distribution, `spec/manifest-v2-2.md`."""


def compressible(stored: StoredImage, report: Report) -> StoredImage:
    """Return an image whose plain layers are compressed for the push.

    It is returned unchanged if it has no such layers, or several platforms.
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
        layer._replace(descriptor=None, size=layer.descriptor.size)
        if layer.descriptor and layer.descriptor.digest in plain and layer.descriptor.digest == layer.diff_id
        else layer
        for layer in image.layers
    )
    diff_ids = {layer.diff_id for layer in layers if layer.descriptor is None}
    if not diff_ids or manifest.config is None:
        return stored
    report.info(
        f"Compressing {len(diff_ids)} uncompressed layer{'s'[: len(diff_ids) != 1]}, since COMPRESSION is set: the"
        " image's digest will differ from that in the archive."
    )
    if stored.referrers:
        report.warning("The artifacts that refer to the image in the archive stay behind: they name its digest there.")
    blobs = tuple(_to_compress(blob, diff_ids) for blob in stored.blobs)
    # The manifest that the tag will refer to is not known yet, so the config identifies the image.
    identified = image._replace(id=manifest.config, layers=layers)
    return stored._replace(blobs=blobs, images=(identified,), referrers=())


def compressed(manifests: Sequence[Manifest], known: Mapping[str, Descriptor]) -> list[Manifest]:
    """Return manifests with the layers that plain ones became, and indexes with the manifests that these became.

    The manifests come children first. `known` has the blobs in the registry, by diffID for compressed layers.
    """
    became: dict[str, Manifest] = {}
    for manifest in manifests:
        made = with_children(_compressed(manifest, known), became)
        if made is not manifest:
            became[manifest.digest] = made
    return [became.get(manifest.digest, manifest) for manifest in manifests]


def _compressed(manifest: Manifest, known: Mapping[str, Descriptor]) -> Manifest:
    became = {digest: known[digest] for digest in _plain(manifest) if digest in known}
    became = {digest: each for digest, each in became.items() if each.digest != digest}
    if not became:
        return manifest
    layers = tuple(became.get(layer.digest, layer) for layer in manifest.layers)
    is_docker = manifest.media_type == DOCKER_MANIFEST
    if is_docker and manifest.config_descriptor and any(layer.media_type == OCI_ZSTD_LAYER for layer in layers):
        # Docker's own format has no type for them.
        return Manifest.of_oci(manifest.config_descriptor, layers)
    return with_layers(
        manifest,
        [
            entry | _identity(became[each.digest], is_docker=is_docker) if each.digest in became else entry
            for entry, each in zip(entries(manifest), manifest.layers, strict=True)
        ],
    )


def _plain(manifest: Manifest) -> list[str]:
    return [layer.digest for layer in manifest.layers if layer.media_type == PLAIN_LAYERS.get(manifest.media_type)]


def _to_compress(blob: SourceBlob, diff_ids: set[str]) -> SourceBlob:
    if blob.descriptor is None or blob.descriptor.digest not in diff_ids:
        return blob
    return blob._replace(diff_id=blob.descriptor.digest, descriptor=None)


def _identity(layer: Descriptor, *, is_docker: bool) -> Entry:
    is_gzip = layer.media_type in {DOCKER_LAYER, OCI_LAYER}
    gzip = DOCKER_LAYER if is_docker else OCI_LAYER
    return identity(layer._replace(media_type=gzip if is_gzip else layer.media_type))
