"""An OCI layout, in a directory or in an archive: pushed byte for byte. Source: image-spec, `image-layout.md`."""

from collections.abc import Iterator, Sequence

from pipe.errors import ArchiveError
from pipe.oci.config import image_of
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.source.blob import Held, SourceBlob
from pipe.source.documents import Documents, blob_name

INDEX = "index.json"
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
"""Annotations that name an image: containerd's and BuildKit's in full, the specification's often only by its tag."""


def read_layout(documents: Documents, name: Reference) -> Held:
    """Read the image that a layout holds.

    Args:
        documents: Of the layout.
        name: Which image is meant, where there are several.

    Returns:
        The image.

    Raises:
        ArchiveError: It holds none, several of which none is meant, or a damaged one.
    """
    listed = documents.object(INDEX).get("manifests")
    try:
        roots = [Descriptor.parse(each) for each in listed] if isinstance(listed, list) else []
    except ValueError as error:
        raise documents.error(f"{INDEX}: {error}") from None
    manifests = documents.manifests(_chosen(documents, roots, name))
    blobs: dict[str, SourceBlob] = {}
    images = []
    for manifest in manifests:
        for descriptor in _named(documents, manifest):
            blobs.setdefault(descriptor.digest, _blob(documents, descriptor))
        image = _image(documents, manifest)
        if image is not None:
            images.append(image)
    largest_first = sorted(blobs.values(), key=lambda blob: -blob.size)
    return Held(tuple(manifests), b"", tuple(largest_first), tuple(images))


def _chosen(documents: Documents, roots: Sequence[Descriptor], name: Reference) -> Descriptor:
    if not roots:
        raise documents.error(f"{INDEX} names no image")
    wanted = {str(name), name.tag or "latest", str(name if name.tag else name.with_tag("latest"))}
    meant = [root for root in roots if wanted & {full(root.annotations.get(key, "")) for key in _NAMES}]
    distinct = {root.digest: root for root in meant or roots}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    there = sorted({root.annotations[key] for root in roots for key in _NAMES if key in root.annotations})
    raise several(documents, name, there)


def full(name: str) -> str:
    """Return a name without what Docker adds to short ones."""
    return name.removeprefix("docker.io/").removeprefix("library/")


def several(documents: Documents, name: Reference, there: Sequence[str]) -> ArchiveError:
    """Make the error for an archive of several images of which none is meant."""
    return ArchiveError(
        f"{documents.path} holds several images, and none is named {name}: {', '.join(there) or 'they have no names'}.",
        fix="Set IMAGE_NAME to one of them, and PACKAGE_NAME to the package.",
    )


def _named(documents: Documents, manifest: Manifest) -> Iterator[Descriptor]:
    """List the blobs that an image's manifest names."""
    if manifest.manifests:
        return
    if manifest.config_descriptor is not None:
        yield manifest.config_descriptor
    for layer in manifest.layers:
        refuse_undistributable(documents, layer)
        yield layer


def refuse_undistributable(documents: Documents, layer: Descriptor) -> None:
    """Refuse a layer that cannot be in the registry.

    Raises:
        ArchiveError: It is encrypted, or its bytes are elsewhere.
    """
    if "encrypted" in layer.media_type:
        raise documents.error(f"the layer {layer.digest} is encrypted, and cannot be pushed")
    if layer.urls or "foreign" in layer.media_type or "nondistributable" in layer.media_type:
        raise documents.error(f"the layer {layer.digest} may not be distributed, and cannot be pushed")


def _blob(documents: Documents, descriptor: Descriptor) -> SourceBlob:
    name = blob_name(descriptor.digest)
    size = documents.files.size(name)
    if size is None:
        raise documents.error(f"the blob {descriptor.digest} is named, but not in it")
    if size != descriptor.size:
        raise documents.error(f"the blob {descriptor.digest} has {size} bytes, and {descriptor.size} are named")
    return SourceBlob(f"{documents.path}: {name}", size, None, descriptor, lambda: documents.files.open(name))


def _image(documents: Documents, manifest: Manifest) -> Image | None:
    """Read what people are told of an image; an attestation, or another artifact, is none."""
    config = manifest.config_descriptor
    if config is None or not config.media_type.endswith(("image.v1+json", "image.config.v1+json")):
        return None
    if any("in-toto" in layer.media_type for layer in manifest.layers):
        return None
    try:
        return image_of(manifest.digest, documents.named(config), manifest.layers)
    except ValueError as error:
        raise documents.error(f"the configuration {config.digest} {error}") from None
