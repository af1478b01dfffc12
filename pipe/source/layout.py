"""An OCI layout, in a directory or in an archive: pushed byte for byte. Source: image-spec, `image-layout.md`."""

from collections.abc import Iterator, Sequence

from pipe.errors import ArchiveError
from pipe.oci.config import image_of
from pipe.oci.descriptor import Descriptor, Platform
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.source.blob import SourceBlob, StoredImage
from pipe.source.documents import Documents, blob_name, of_platform
from pipe.source.files import shown

INDEX = "index.json"
_LISTED = 20
"""Names of images that are shown."""
_FULL_NAME, _NAME = "io.containerd.image.name", "org.opencontainers.image.ref.name"
"""Annotations that name an image: containerd's and BuildKit's in full, the specification's often only by its tag."""


def read_layout(documents: Documents, name: Reference) -> StoredImage:
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
    platforms = {child.digest: child.platform for manifest in manifests for child in manifest.manifests}
    blobs: dict[str, SourceBlob] = {}
    images = []
    for manifest in manifests:
        for descriptor in _named(documents, manifest):
            if descriptor.digest not in blobs:
                blobs[descriptor.digest] = _blob(documents, descriptor, platforms.get(manifest.digest))
        image = _image(documents, manifest)
        if image is not None:
            images.append(image)
    return StoredImage(tuple(manifests), b"", tuple(blobs.values()), tuple(images))


def _chosen(documents: Documents, roots: Sequence[Descriptor], name: Reference) -> Descriptor:
    if not roots:
        raise documents.error(f"{INDEX} names no image")
    tag = name.tag or "latest"
    by_digest = [root for root in roots if name.digest and root.digest.endswith(name.digest)]
    by_name = [root for root in roots if is_meant(name, [root.annotations.get(key, "") for key in (_FULL_NAME, _NAME)])]
    by_tag = [root for root in roots if root.annotations.get(_NAME) == tag and _FULL_NAME not in root.annotations]
    meant = {root.digest: root for root in by_digest or by_name or by_tag or roots}
    if len(meant) == 1:
        return next(iter(meant.values()))
    raise several(documents, name, [_title(root) for root in roots])


def _title(root: Descriptor) -> str:
    """Return the name by which people may pick an image."""
    name = root.annotations.get(_FULL_NAME) or root.annotations.get(_NAME)
    return name or f"{root.digest} without a name{f', for {root.platform}' if root.platform else ''}"


def is_meant(name: Reference, others: Sequence[str]) -> bool:
    """Tell whether a name is one of those that an image has."""
    return _short(str(name if name.tag else name.with_tag("latest"))) in map(_short, others)


def _short(name: str) -> str:
    """Return a name without what Docker, kaniko, podman and buildah add to short ones."""
    return name.removeprefix("index.").removeprefix("docker.io/").removeprefix("library/").removeprefix("localhost/")


def several(documents: Documents, name: Reference, there: Sequence[str]) -> ArchiveError:
    """Make the error for an archive of several images of which none is meant."""
    listed = "".join(f"\n  - {shown(each)}" for each in list(dict.fromkeys(there))[:_LISTED])
    more = f"\n  and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
    return ArchiveError(
        f"{documents.path} holds several images, and none of them is {name}:{listed}{more}",
        fix="Set IMAGE_NAME to one of them, and PACKAGE_NAME to the package that it belongs in.",
    )


def _named(documents: Documents, manifest: Manifest) -> Iterator[Descriptor]:
    """List the blobs that an image's manifest names."""
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


def _blob(documents: Documents, descriptor: Descriptor, platform: Platform | None) -> SourceBlob:
    name = blob_name(descriptor.digest)
    size = documents.files.size(name)
    if size is None:
        raise documents.missing(descriptor.digest, f"a layer or configuration{of_platform(platform)}")
    if size != descriptor.size:
        raise documents.error(f"the blob {descriptor.digest} has {size} bytes, but {descriptor.size} are named")
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
