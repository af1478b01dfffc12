"""The manifests under one descriptor, with the platforms of an index that the archive holds.

What is incomplete is left out, as `docker save` leaves it. If one image remains, the tag will refer to its
manifest, as after the Engine's own push; if several remain, to an index of these.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from pipe.errors import ArchiveError
from pipe.oci.descriptor import Descriptor, Platform
from pipe.oci.fields import members, objects, read_json
from pipe.oci.manifest import INDEXES, MEDIA_TYPES, Manifest, media_type_of
from pipe.source.documents import Documents

DEPTH = 4
"""Levels of indexes within indexes."""
MANIFESTS = 200
"""Manifests of one image: all platforms and attestations."""
MANIFESTS_SIZE = 16 * 1024 * 1024
"""Bytes of all these manifests, which are in memory together; an image's have a few thousand each."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A manifest that is incomplete, and why."""

    descriptor: Descriptor
    error: ArchiveError


class Tree:
    """The manifests under one descriptor.

    Attributes:
        manifests: Children first, each once; the last one belongs under the tag.
        absent: What was left out.
        complete: Whether nothing was.
    """

    def __init__(self, documents: Documents, root: Descriptor) -> None:
        """Read every manifest.

        Raises:
            ArchiveError: One is damaged, or none is complete, or there are too many.
        """
        self._documents = documents
        self._root = root
        self._seen: dict[str, Manifest | None] = {}
        self._size = 0
        self.absent: list[Absent] = []
        top = self._read(root, frozenset())
        if top is None:
            raise self.absent[0].error if self.absent else documents.error("its index lists no image")
        self.complete = top.digest == root.digest
        self._left = {manifest.digest: manifest for manifest in self._seen.values() if manifest}
        self.manifests = tuple(self._below(top))

    def _below(self, manifest: Manifest) -> Iterator[Manifest]:
        for child in manifest.manifests:
            found = self._left.pop(child.digest, None)
            if found is not None:
                yield from self._below(found)
        yield manifest

    def _read(self, descriptor: Descriptor, above: frozenset[str]) -> Manifest | None:
        """Return a manifest without incomplete children, None if nothing remains."""
        digest, documents = descriptor.digest, self._documents
        if digest in above:
            raise documents.error(f"the index {digest} contains itself")
        if len(above) > DEPTH:
            raise documents.error(f"its indexes are nested more than {DEPTH} levels deep")
        if digest not in self._seen:
            self._seen[digest] = None
            if documents.has(documents.blob_name(digest)):
                self._seen[digest] = self._parsed(descriptor, above | {digest})
            else:
                self._leave_out(descriptor, digest, "the manifest")
        return self._seen[digest]

    def _parsed(self, descriptor: Descriptor, above: frozenset[str]) -> Manifest | None:
        documents = self._documents
        body = documents.named(descriptor)
        self._size += len(body)
        if len(self._seen) > MANIFESTS:
            raise documents.error(f"its index lists more than {MANIFESTS} manifests")
        if self._size > MANIFESTS_SIZE:
            raise documents.error(f"its manifests have more than {MANIFESTS_SIZE} bytes in total")
        manifest = self._checked(descriptor, body)
        if manifest.media_type in INDEXES:
            return self._reduced(manifest, above)
        for blob in manifest.blobs:
            refuse_undistributable(documents, blob)
            if not documents.has(documents.blob_name(blob.digest)):
                self._leave_out(descriptor, blob.digest, "a layer or configuration")
                return None
        return manifest

    def _leave_out(self, descriptor: Descriptor, digest: str, what: str) -> None:
        of_index = descriptor.digest != self._root.digest
        fix = "Include all platforms listed in the index, or build for one platform." if of_index else ""
        error = self._documents.missing(digest, f"{what}{of_platform(descriptor.platform)}", fix)
        self.absent.append(Absent(descriptor, error))

    def _reduced(self, index: Manifest, above: frozenset[str]) -> Manifest | None:
        """Return an index without incomplete children, or its only image."""
        children = [(child, self._read(child, above)) for child in index.manifests]
        kept = [(child, manifest) for child, manifest in children if manifest is not None]
        if all(manifest and manifest.digest == child.digest for child, manifest in children):
            return index if kept else None
        images = {manifest.digest: manifest for child, manifest in kept if not child.is_attestation}
        if len(images) <= 1:
            return next(iter(images.values()), None)
        content = read_json(index.body)
        listed = next(value for key, value in reversed(content.items()) if key.casefold() == "manifests" and value)
        entries = [
            {key: value for key, value in entry.items() if key.casefold() not in _IDENTITY}
            | {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.body)}
            for entry, (_, manifest) in zip(objects(listed), children, strict=True)
            if manifest is not None
        ]
        rest = {key: value for key, value in content.items() if key.casefold() != "manifests"}
        return Manifest.parse(index.media_type, json.dumps(rest | {"manifests": entries}).encode())

    def _checked(self, descriptor: Descriptor, body: bytes) -> Manifest:
        """Refuse a manifest that could be understood in two ways (CVE-2021-41190)."""
        documents, digest = self._documents, descriptor.digest
        try:
            content = members(read_json(body))
            media_type = media_type_of(content, descriptor.media_type)
        except ValueError as error:
            raise documents.error(f"the manifest {digest} {error}") from None
        if media_type not in MEDIA_TYPES:
            raise documents.error(f"{digest} is {media_type}, which is not an image")
        is_index = media_type in INDEXES
        if (is_index and ("layers" in content or "config" in content)) or (not is_index and "manifests" in content):
            raise documents.error(f"{digest} is ambiguous (manifest or index)")
        manifest = Manifest.parse(media_type, body)
        key, parsed = ("manifests", manifest.manifests) if is_index else ("layers", manifest.layers)
        listed = content.get(key, [])
        if not isinstance(listed, list) or len(listed) != len(parsed):
            raise self._invalid(digest, key, listed)
        if not is_index and manifest.config_descriptor is None:
            raise self._invalid(digest, "config", content.get("config"))
        return manifest

    def _invalid(self, digest: str, key: str, value: object) -> ArchiveError:
        try:
            for each in value if isinstance(value, list) else [value]:
                Descriptor.parse(each)
        except ValueError as error:
            return self._documents.error(f"the manifest {digest}: {key}: {error}")
        return self._documents.error(f"the manifest {digest}: {key}: a list is expected")


_IDENTITY = frozenset(("mediatype", "digest", "size"))


def refuse_undistributable(documents: Documents, layer: Descriptor) -> None:
    """Refuse a layer that a registry cannot store.

    Raises:
        ArchiveError: It is encrypted, or stored elsewhere.
    """
    if "encrypted" in layer.media_type:
        raise documents.error(f"the layer {layer.digest} is encrypted, which is not supported")
    if layer.urls or "foreign" in layer.media_type or "nondistributable" in layer.media_type:
        raise documents.error(f"the layer {layer.digest} is non-distributable")


def of_platform(platform: Platform | None) -> str:
    """Return a clause that names a platform, if known."""
    return f" for {platform}" if platform and str(platform) else ""
