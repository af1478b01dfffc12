"""A docker archive: what `docker save`, kaniko, jib, buildah, podman, nix and bazel write.

Source: moby, `image/spec/spec.md`, "Combined Image JSON + Filesystem Changeset Format".
"""

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from isal import isal_zlib

from pipe.oci.config import image_of
from pipe.oci.descriptor import Descriptor
from pipe.oci.manifest import DOCKER_LAYER
from pipe.oci.reference import Reference
from pipe.source.blob import SourceBlob, StoredImage
from pipe.source.documents import DOCUMENT, Documents
from pipe.source.files import GZIP, PACKED, shown
from pipe.source.layout import is_meant, refuse_undistributable, several

MANIFEST = "manifest.json"
IMAGES = 1000
"""Images of an archive that are still looked at."""
_PIECE = 256 * 1024
_DIGEST_IN_NAME = re.compile(r"(?:^|[/:])([0-9a-f]{64})(?:\.json)?$")
"""Docker Engine, kaniko, podman and nix name a configuration by its digest, jib does not."""


def read_docker_archive(documents: Documents, name: Reference) -> StoredImage:
    """Read the image that a docker archive holds.

    Args:
        documents: Of the archive.
        name: Which image is meant, where there are several.

    Returns:
        The image; its manifest has to be made.

    Raises:
        ArchiveError: It holds none, several of which none is meant, or a damaged one.
    """
    config_name, layer_names = _chosen(documents, name)
    config = documents.read(config_name)
    identifier = f"sha256:{hashlib.sha256(config).hexdigest()}"
    named = _DIGEST_IN_NAME.search(config_name)
    if named is not None and not identifier.endswith(named[1]):
        raise documents.error(f"the configuration {config_name} is damaged: its digest is {identifier}")
    try:
        diff_ids = [layer.diff_id for layer in image_of("", config, [None] * len(layer_names)).layers]
        # The same layer is looked at once, however often it is named.
        by_diff_id = {diff_id: layer_name for layer_name, diff_id in zip(layer_names, diff_ids, strict=True)}
        read = {diff_id: _layer(documents, layer_name, diff_id) for diff_id, layer_name in by_diff_id.items()}
        blobs = [read[diff_id] for diff_id in diff_ids]
        image = image_of(identifier, config, [blob.descriptor for blob in blobs])
    except ValueError as error:
        raise documents.error(f"the configuration {config_name} {error}") from None
    layers = tuple(
        replace(layer, size=None if blob.descriptor else blob.size)
        for layer, blob in zip(image.layers, blobs, strict=True)
    )
    return StoredImage((), config, tuple(blobs), (replace(image, layers=layers),))


def _chosen(documents: Documents, name: Reference) -> tuple[str, list[str]]:
    """Return the configuration's and the layers' names of the image that is meant."""
    try:
        images = json.loads(documents.read(MANIFEST))
    except (ValueError, RecursionError):
        images = None
    if not isinstance(images, list) or not all(isinstance(each, dict) for each in images) or not images:
        raise documents.error(f"{MANIFEST} lists no image")
    if len(images) > IMAGES:
        raise documents.error(f"{MANIFEST} lists more than {IMAGES} images")
    by_id = [each for each in images if name.digest and name.digest[-64:] in str(each.get("Config"))]
    meant = by_id or [each for each in images if is_meant(name, _texts(each.get("RepoTags")))] or images
    distinct = {json.dumps([each.get("Config"), each.get("Layers")]): each for each in meant}
    if len(distinct) > 1:
        raise several(documents, name, [_title(each) for each in images])
    [image] = distinct.values()
    config, layers = image.get("Config"), image.get("Layers")
    if not isinstance(config, str) or not isinstance(layers, list) or len(_texts(layers)) != len(layers):
        raise documents.error(f"{MANIFEST} does not name a configuration and layers")
    _refuse_elsewhere(documents, image.get("LayerSources"))
    return config, layers


def _title(image: Mapping[str, object]) -> str:
    return ", ".join(_texts(image.get("RepoTags"))) or f"{image.get('Config')} without a name"


def _refuse_elsewhere(documents: Documents, sources: object) -> None:
    """Refuse layers that Docker Engine took from elsewhere than a registry, as those of Windows are."""
    for source in sources.values() if isinstance(sources, dict) else ():
        try:
            refuse_undistributable(documents, Descriptor.parse(source))
        except ValueError:
            continue


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _layer(documents: Documents, name: str, diff_id: str) -> SourceBlob:
    size = documents.files.size(name)
    if size is None:
        raise documents.error(f"the layer {name} is named, but missing")
    beginning = memoryview(bytearray(max(map(len, PACKED))))
    documents.files.open(name).readinto(beginning)
    program = next((program for magic, program in PACKED.items() if bytes(beginning).startswith(magic)), None)
    if program is not None:
        raise documents.error(f"the layer {name} is compressed with {program}, and not plain or gzipped")
    descriptor = _checked(documents, name, diff_id) if bytes(beginning).startswith(GZIP) else None
    label = f"{documents.path}: {shown(name)}"
    return SourceBlob(label, size, diff_id, descriptor, lambda: documents.files.open(name))


def _checked(documents: Documents, name: str, diff_id: str) -> Descriptor:
    """Read a gzipped layer once: it is sent as it is, its digest is not known yet, and it has to have its diffID."""
    packed, plain, size = hashlib.sha256(), hashlib.sha256(), 0
    unpack = isal_zlib.decompressobj(isal_zlib.MAX_WBITS | 16)
    reader, buffer = documents.files.open(name), memoryview(bytearray(_PIECE))
    try:
        while length := reader.readinto(buffer):
            packed.update(buffer[:length])
            size += length
            unpack = _unpack(unpack, buffer[:length], plain)
    except (isal_zlib.IsalError, zlib.error) as error:  # type: ignore[misc] # its stubs call it an object
        raise documents.error(f"the layer {name} is damaged: {error}") from None
    found = f"sha256:{plain.hexdigest()}"
    if not unpack.eof:
        raise documents.error(f"the layer {name} is damaged: its gzip stream has no end")
    if found != diff_id:
        raise documents.error(f"the layer {name} unpacks to {found}, but its image names {diff_id}")
    return Descriptor(DOCKER_LAYER, f"sha256:{packed.hexdigest()}", size)


def _unpack(unpack: Any, piece: memoryview, plain: Any) -> Any:  # noqa: ANN401
    """Unpack a piece, also over the boundary of two gzip members; a bounded part of it is in memory."""
    rest: bytes | memoryview = piece
    while rest:
        if unpack.eof:
            unpack = isal_zlib.decompressobj(isal_zlib.MAX_WBITS | 16)
        plain.update(unpack.decompress(rest, DOCUMENT))
        rest = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
    return unpack
