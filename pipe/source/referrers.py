"""The artifacts of a layout that refer to its image by `subject`: signatures, software bills, statements.

Source: image-spec, `manifest.md` and `image-index.md`, "subject".
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from pipe.errors import ArchiveError
from pipe.oci.descriptor import Descriptor
from pipe.oci.fields import annotations, members, read_json, text
from pipe.oci.manifest import Manifest, media_type_of
from pipe.source.blob import Referrer, StoredImage
from pipe.source.choice import IMAGES
from pipe.source.documents import Documents

READ = 64 * 1024 * 1024
"""Bytes of all manifests that are read to find artifacts; one has a few hundred."""


def find_referrers(
    documents: Documents,
    roots: Iterable[Descriptor],
    subjects: Iterable[str],
    read: Callable[[Descriptor], StoredImage],
) -> tuple[Referrer, ...]:
    """Return the artifacts that refer to an image, then those that refer to these, and so on.

    Args:
        documents: Of the layout.
        roots: What its index lists; children of these are searched too, since some programs list artifacts there.
        subjects: The digests of the image's manifests, which are no artifacts.
        read: Reads a manifest with everything below it.
    """
    image = frozenset(subjects)
    known = {referrer.digest: referrer for referrer in _all(documents, roots, read) if referrer.digest not in image}
    found: dict[str, Referrer] = {}
    wanted = image
    while wanted:
        level = {digest: each for digest, each in known.items() if each.subject in wanted and digest not in found}
        found |= level
        wanted = frozenset(level)
    return tuple(found.values())


def _all(
    documents: Documents, roots: Iterable[Descriptor], read: Callable[[Descriptor], StoredImage]
) -> Iterator[Referrer]:
    """Yield every manifest with a subject; a damaged one matters only if it is pushed."""
    pending, seen, allowed = list(roots), set[str](), READ
    while pending and len(seen) < IMAGES and allowed > 0:
        descriptor = pending.pop(0)
        if descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)
        try:
            body = documents.named(descriptor)
            content = members(read_json(body))
            media_type = media_type_of(content, descriptor.media_type)
            subject = Descriptor.parse(content["subject"]) if "subject" in content else None
        except (ArchiveError, ValueError):
            continue
        allowed -= len(body)
        manifest = Manifest.parse(media_type, body)
        pending += manifest.manifests
        if subject is not None:
            # A child's descriptor can have a platform and annotations that are not part of the artifact.
            plain = Descriptor(media_type, descriptor.digest, len(body))
            notes = annotations(content.get("annotations"))
            yield Referrer(plain, subject.digest, _kind(content, manifest), notes, partial(read, plain))


def _kind(content: dict[str, object], manifest: Manifest) -> str:
    """Return the type of an artifact: its own, else that of its config."""
    config = manifest.config_descriptor
    return text(content.get("artifacttype")) or (config.media_type if config else "")
