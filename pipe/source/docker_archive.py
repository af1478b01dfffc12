"""A docker archive, as `docker save`, kaniko, jib, buildah, podman, nix and bazel write it.

Source: moby, `image/spec/spec.md`, "Combined Image JSON + Filesystem Changeset Format".
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipe.errors import ArchiveError
from pipe.oci.config import CONFIG_SIZE, image_of
from pipe.oci.descriptor import Descriptor, Platform, digest_of
from pipe.oci.fields import members, read_json, texts
from pipe.oci.manifest import DOCKER_LAYER
from pipe.oci.reference import Reference
from pipe.source import gunzip
from pipe.source.blob import Reader, SourceBlob, StoredImage, read_up_to
from pipe.source.choice import IMAGES, ImageEntry, ambiguous, chosen
from pipe.source.documents import Documents
from pipe.source.files import shown
from pipe.source.opening import MAGIC_SIZE, compression
from pipe.source.tree import refuse_undistributable

MANIFEST = "manifest.json"
CONFIGS_SIZE = 64 * 1024 * 1024
"""Bytes of configurations that are read to choose one."""
EXPANDED = 256 * 1024 * 1024
"""Bytes that layers can always decompress to, however small the archive is."""
_DIGEST_IN_NAME = re.compile(r"(?:^|[/:])([0-9a-f]{64})(?:\.json)?$")
"""The digest of a configuration in its name: Docker Engine, kaniko, podman and nix write it, jib does not."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """An image in manifest.json."""

    config: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]
    sources: tuple[object, ...]


def read_docker_archive(documents: Documents, name: Reference, *, strict: bool = False) -> StoredImage:
    """Return the image in a docker archive; its manifest must be made.

    Raises:
        ArchiveError: There is none, or IMAGE_NAME refers to none of several, or it is damaged.
    """
    listed = _selected(documents, name, strict=strict)
    config = documents.read(listed.config, CONFIG_SIZE)
    identifier = digest_of(config)
    named = _DIGEST_IN_NAME.search(listed.config)
    if named is not None and not identifier.endswith(named[1]):
        raise documents.error(f"the configuration {listed.config} is damaged: its digest is {identifier}")
    for source in listed.sources:
        _refuse_elsewhere(documents, source)
    try:
        diff_ids = [layer.diff_id for layer in image_of("", config, [None] * len(listed.layers)).layers]
        blobs = _Layers(documents).read(listed.layers, diff_ids)
        sizes = [None if blob.descriptor else blob.size for blob in blobs]
        image = image_of(identifier, config, [blob.descriptor for blob in blobs], sizes)
    except ValueError as error:
        raise documents.error(f"the configuration {listed.config} {error}") from None
    return StoredImage((), config, tuple(blobs), (image,))


def _selected(documents: Documents, name: Reference, *, strict: bool) -> _Listed:
    """Return the image that a name refers to."""
    images = _images(documents)
    candidates = [ImageEntry(repr((each.config, each.layers)), each.tags, "", _id_in(each.config)) for each in images]
    found = chosen(name, candidates, strict=strict)
    if len(found) != 1 or (name.digest and len({each.key for each in candidates}) > 1):
        # Configurations whose names are not their digests are read only if necessary.
        ids = _Configurations(documents)
        by_key = {each.key: image for each, image in zip(candidates, images, strict=True)}
        candidates = [
            ImageEntry(each.key, each.names, "", each.digest or ids.digest(by_key[each.key].config))
            for each in candidates
        ]
        found = chosen(name, candidates, strict=strict)
        if len(found) != 1:
            raise ambiguous(documents, name, candidates, lambda each: ids.platform(by_key[each.key].config))
    [key] = found
    return next(image for each, image in zip(candidates, images, strict=True) if each.key == key)


def _images(documents: Documents) -> list[_Listed]:
    try:
        content = json.loads(documents.read(MANIFEST))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, list) or not content:
        raise documents.error(f"{MANIFEST} lists no image")
    if len(content) > IMAGES:
        raise documents.error(f"{MANIFEST} lists more than {IMAGES} images")
    return [_listed(documents, members(each)) for each in content]


def _listed(documents: Documents, content: dict[str, object]) -> _Listed:
    config, layers, sources = content.get("config"), content.get("layers", []), content.get("layersources")
    if not isinstance(config, str) or not isinstance(layers, list) or len(texts(layers)) != len(layers):
        raise documents.error(f"{MANIFEST} lists an image without a valid configuration and layers")
    tags = texts(content.get("repotags"))
    return _Listed(config, tuple(layers), tuple(tags), tuple(sources.values()) if isinstance(sources, dict) else ())


def _id_in(config: str) -> str:
    named = _DIGEST_IN_NAME.search(config)
    return f"sha256:{named[1]}" if named else ""


class _Configurations:
    """Reads configurations; a damaged one matters only if it is chosen."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._allowed = CONFIGS_SIZE
        self._digests: dict[str, str] = {}

    def digest(self, config: str) -> str:
        """Return an image's ID, "" if unknown."""
        if config not in self._digests:
            body = self._body(config)
            self._digests[config] = digest_of(body) if body else ""
        return self._digests[config]

    def platform(self, config: str) -> str:
        """Return an image's platform, "" if unknown."""
        try:
            return str(Platform.parse(read_json(self._body(config))))
        except ValueError:
            return ""

    def _body(self, config: str) -> bytes:
        if self._allowed < 0:
            return b""
        try:
            body = self._documents.read(config, CONFIG_SIZE)
        except ArchiveError:
            return b""
        self._allowed -= len(body)
        return body


def _refuse_elsewhere(documents: Documents, source: object) -> None:
    """Refuse a layer that is not from a registry, such as those of Windows."""
    try:
        descriptor = Descriptor.parse(source)
    except ValueError:
        return
    refuse_undistributable(documents, descriptor)


class _Layers:
    """Reads the layers of one image."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        compressed = documents.files.compressed_size
        # More means that the archive was compressed more than once, which only a decompression bomb is worth.
        self._allowed = None if compressed is None else max(EXPANDED, gunzip.EXPANSION * compressed)

    def read(self, names: Sequence[str], diff_ids: Sequence[str]) -> list[SourceBlob]:
        """Return the blob of each layer, equal ones once."""
        by_diff_id = dict(zip(diff_ids, names, strict=True))
        read = {diff_id: self._blob(name, diff_id) for diff_id, name in by_diff_id.items()}
        return [read[diff_id] for diff_id in diff_ids]

    def _blob(self, name: str, diff_id: str) -> SourceBlob:
        documents = self._documents
        size = documents.files.size(name)
        if size is None:
            raise documents.error(f"the layer {name} is listed but missing")
        beginning = read_up_to(documents.files.open(name), MAGIC_SIZE)
        program = compression(beginning)
        if program:
            raise documents.error(
                f"the layer {name} has unsupported compression {program} (expected none or gzip)",
                fix="Write an OCI layout, whose layers are pushed as they are: crane pull --format=oci,"
                " skopeo copy … oci-archive:image.tar, or kaniko --oci-layout-path.",
            )
        descriptor = self._verified(name, diff_id) if beginning.startswith(gunzip.MAGIC) else None
        label = f"{documents.path}: {shown(name)}"
        return SourceBlob(label, size, diff_id, descriptor, lambda: documents.files.open(name))

    def _verified(self, name: str, diff_id: str) -> Descriptor:
        """Return the descriptor of a gzipped layer if it has its diffID."""
        documents = self._documents
        stored, plain = _Hashing(documents.files.open(name)), hashlib.sha256()
        try:
            for piece in gunzip.decompressed(stored, self._allowed):
                plain.update(piece)
                if self._allowed is not None:
                    self._allowed -= len(piece)
        except gunzip.GunzipError as error:
            raise documents.error(f"the layer {name} is damaged: {error}") from None
        found = f"sha256:{plain.hexdigest()}"
        if found != diff_id:
            raise documents.error(f"the layer {name} has the diffID {found}, but its image lists {diff_id}")
        return Descriptor(DOCKER_LAYER, stored.digest, stored.size)


class _Hashing:
    """Hashes what is read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        """The digest of the bytes that were read."""
        return f"sha256:{self._hash.hexdigest()}"

    def readinto(self, buffer: memoryview, /) -> int:
        """Read and hash."""
        length = self._reader.readinto(buffer)
        self._hash.update(buffer[:length])
        self.size += length
        return length
