"""An OCI layout, in a directory or an archive: pushed byte for byte. Source: image-spec, `image-layout.md`."""

import re
from collections.abc import Callable, Sequence
from functools import partial

from pipe.errors import ArchiveError
from pipe.oci.config import CONFIG_SIZE, image_of
from pipe.oci.descriptor import Descriptor, Platform, digest_of
from pipe.oci.fields import members, read_json
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.source.blob import SourceBlob, StoredImage
from pipe.source.choice import IMAGES, ImageEntry, ambiguous, chosen, is_named
from pipe.source.documents import DirectoryTransport, Documents
from pipe.source.referrers import find_referrers
from pipe.source.tree import MANIFESTS, Absent, Tree, of_platform
from pipe.text import listed

INDEX = "index.json"
_FULL_NAME, _NAME = "io.containerd.image.name", "org.opencontainers.image.ref.name"
"""Annotations that name an image: containerd and BuildKit write the full name, many others only the tag."""
_KIND, _COSIGN = "kind", "dev.cosignproject.cosign/"
"""The annotation by which `cosign save` distinguishes images (`image`, `imageIndex`) from their signatures.
Source: cosign, `pkg/oci/layout`."""
_OF_ANOTHER = re.compile(r"sha256-[0-9a-f]{64}(?:\.\w+)?")
"""The tag of signatures of a manifest, or of the list of its referrers; source: distribution-spec, "Referrers Tag
Schema", and cosign."""
_IMAGE_CONFIGS = ("image.v1+json", "image.config.v1+json")


def read_layout(
    documents: Documents, name: Reference, warn: Callable[[str], None], *, strict: bool = False
) -> StoredImage:
    """Return the image in a layout; `warn` receives the platforms that are missing.

    Raises:
        ArchiveError: There is none, or IMAGE_NAME refers to none of several, or it is damaged.
    """
    roots, root = _root(documents, name, strict=strict)
    stored = _stored(documents, root, warn)
    if any(_is_cosigned(each) for each in roots if each != root):
        warn(
            f"{documents.path} also contains signatures or attestations that `cosign save` wrote, which stay behind:"
            " `cosign load` pushes them."
        )
    subjects = [manifest.digest for manifest in stored.manifests]
    return stored._replace(referrers=find_referrers(documents, roots, subjects, partial(_stored, documents)))


def read_directory_transport(documents: DirectoryTransport, manifest: str, warn: Callable[[str], None]) -> StoredImage:
    """Return the image that skopeo wrote as `dir:`, from the name of its top manifest.

    Raises:
        ArchiveError: It is damaged.
    """
    body = documents.read(manifest)
    return _stored(documents, Descriptor("", digest_of(body), len(body)), warn)


def _stored(documents: Documents, root: Descriptor, warn: Callable[[str], None] | None = None) -> StoredImage:
    """Read everything below one descriptor; without `warn`, nothing may be missing."""
    tree = Tree(documents, root)
    if tree.absent and warn is None:
        raise tree.absent[0].error
    platforms = {child.digest: child.platform for manifest in tree.manifests for child in manifest.manifests}
    blobs: dict[str, SourceBlob] = {}
    images = []
    for manifest in tree.manifests:
        for descriptor in manifest.blobs:
            if descriptor.digest not in blobs:
                blobs[descriptor.digest] = _blob(documents, descriptor, platforms.get(manifest.digest))
        image = _image(documents, manifest)
        if image is not None:
            images.append(image)
    if not tree.complete and warn is not None:
        warn(_incomplete(documents, tree.absent, images))
    return StoredImage(tree.manifests, b"", tuple(blobs.values()), tuple(images))


def _incomplete(documents: Documents, absent: Sequence[Absent], images: Sequence[Image]) -> str:
    descriptors = [each.descriptor for each in absent]
    lacking = [str(each.platform or "") or each.digest for each in descriptors if not each.is_attestation]
    present = listed(list(dict.fromkeys(str(image.platform) for image in images if image.platform))) if images else ""
    what = listed(list(dict.fromkeys(lacking))) if lacking else "an attestation"
    advice = (
        " `docker save --platform` saves one platform of an image; to push them all, save the image after pulling or"
        " building every platform."
    )
    return (
        f"{documents.path} does not contain {what}, which its index lists: pushing only {present or 'the rest'}."
        f"{advice if lacking else ''}"
    )


def _root(documents: Documents, name: Reference, *, strict: bool) -> tuple[list[Descriptor], Descriptor]:
    """Return everything that the index lists, and the image among it."""
    entries = documents.object(INDEX).get("manifests")
    if isinstance(entries, list) and len(entries) > IMAGES:
        raise documents.error(f"{INDEX} lists more than {IMAGES} images")
    roots, invalid = [], ""
    for each in entries if isinstance(entries, list) else []:
        try:
            roots.append(Descriptor.parse(each))
        except ValueError as error:
            invalid = str(error)
    candidates = [_candidate(root) for root in roots]
    if invalid and not is_named(name, candidates):
        raise documents.error(f"{INDEX}: {invalid}")
    if not roots:
        raise documents.error(f"{INDEX} lists no image")
    found = chosen(name, candidates, strict=strict)
    by_digest = {root.digest: root for root in roots}
    if len(found) > 1:
        dependents = _dependents(documents, [by_digest[key] for key in found])
        found = {key: each for key, each in found.items() if key not in dependents} or found
    if len(found) == 1:
        return roots, by_digest[next(iter(found))]
    raise ambiguous(documents, name, candidates, lambda each: _platform(documents, by_digest[each.key]))


def _candidate(root: Descriptor) -> ImageEntry:
    full, name = (root.annotations.get(key, "") for key in (_FULL_NAME, _NAME))
    return ImageEntry(root.digest, tuple(filter(None, (full, name))), "" if full else name, root.digest)


def _dependents(documents: Documents, roots: Sequence[Descriptor]) -> frozenset[str]:
    """Return the digests of children of indexes, artifacts with a subject, signatures, and lists of referrers."""
    found = {root.digest for root in roots if _is_cosigned(root) or _OF_ANOTHER.fullmatch(_candidate(root).tag)}
    for root in roots[:MANIFESTS]:
        body = _body(documents, root)
        found |= {child.digest for child in Manifest.parse("", body).manifests}
        if "subject" in _members(body):
            found.add(root.digest)
    return frozenset(found)


def _is_cosigned(root: Descriptor) -> bool:
    kind = root.annotations.get(_KIND, "")
    return kind.startswith(_COSIGN) and not kind.startswith(f"{_COSIGN}image")


def _body(documents: Documents, descriptor: Descriptor) -> bytes:
    """Return a document, b"" if it is damaged, which matters only if it is chosen."""
    try:
        return documents.named(descriptor, CONFIG_SIZE)
    except ArchiveError:
        return b""


def _members(body: bytes) -> dict[str, object]:
    try:
        return members(read_json(body))
    except ValueError:
        return {}


def _platform(documents: Documents, root: Descriptor) -> str:
    """Return the platforms of an image, for a list."""
    if root.platform and str(root.platform):
        return str(root.platform)
    manifest = Manifest.parse("", _body(documents, root))
    config = manifest.config_descriptor
    platforms = [child.platform for child in manifest.manifests if not child.is_attestation]
    if config is not None and config.media_type.endswith(_IMAGE_CONFIGS):
        platforms.append(Platform.parse(_members(_body(documents, config))))
    return ", ".join(dict.fromkeys(filter(None, map(str, filter(None, platforms)))))


def _blob(documents: Documents, descriptor: Descriptor, platform: Platform | None) -> SourceBlob:
    name = documents.blob_name(descriptor.digest)
    size = documents.files.size(name)
    if size is None:
        raise documents.missing(descriptor.digest, f"a layer or configuration{of_platform(platform)}")
    if size != descriptor.size:
        raise documents.error(
            f"the blob {descriptor.digest} has {size} bytes, but its descriptor says {descriptor.size}"
        )
    return SourceBlob(f"{documents.path}: {name}", size, None, descriptor, lambda: documents.files.open(name))


def _image(documents: Documents, manifest: Manifest) -> Image | None:
    """Return the image for the log; None for an artifact."""
    config = manifest.config_descriptor
    if config is None or not config.media_type.endswith(_IMAGE_CONFIGS):
        return None
    if any("in-toto" in layer.media_type for layer in manifest.layers):
        return None
    body = documents.named(config, CONFIG_SIZE)
    if manifest.layers and "rootfs" not in _members(body):
        # Of policies, for example, which are pushed with an image's media types.
        return None
    try:
        return image_of(manifest.digest, body, manifest.layers)
    except ValueError as error:
        raise documents.error(f"the configuration {config.digest} {error}") from None
