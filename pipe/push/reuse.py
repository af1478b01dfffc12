"""Layers that the registry already stores, found by diffID in the manifests and configs of other tags.

A manifest lists the digests of its layers, its config their diffIDs, in the same order. Trusting such a pair is
safe: every client that pulls compares the unpacked layer with the diffID in the config of the image that it pulls, so
a wrong pair, by mistake or by malice, fails the pull and cannot change the image. Most pairs that are wrong by mistake
are found before that: the end of the blob does not fit the layer.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from pipe.config.variables import DEFAULT_TAG
from pipe.errors import PipeError
from pipe.oci.config import CONFIG_SIZE
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image
from pipe.oci.manifest import DOCKER_LAYER, OCI_LAYER, OCI_ZSTD_LAYER, Manifest
from pipe.oci.reference import Reference, is_digest
from pipe.registry.repository import Repository
from pipe.source.trailer import TRAILER

MANIFESTS = 10
"""Manifests of images that are read at most: each takes two requests."""
ORIGINS = 4
"""Places that an image's names lead to: each other repository takes a token."""
GZIP = frozenset((DOCKER_LAYER, OCI_LAYER))


class Place(NamedTuple):
    """A tag whose layers may be reused.

    Attributes:
        repository: Where the tag is.
        tag: The tag.
    """

    repository: Repository
    tag: str


class Stored(NamedTuple):
    """A blob that a manifest pairs with a layer.

    Attributes:
        descriptor: Of the blob.
        repository: The path of the repository that has it.
        proven: Whether it was made from the layer in this run, so that its end need not be compared.
    """

    descriptor: Descriptor
    repository: str
    proven: bool = False


class Wanted(NamedTuple):
    """The layers that are of use.

    Attributes:
        diff_ids: Of layers that the push would compress.
        blobs: Digests of layers that the push would send as they are.
        media_types: Of the former, as the registry stores them.
    """

    diff_ids: frozenset[str]
    blobs: frozenset[str] = frozenset()
    media_types: frozenset[str] = GZIP


class Candidate(NamedTuple):
    """A blob that the registry stores, and that a manifest pairs with a layer.

    Attributes:
        descriptor: Of the blob.
        trailer: The last bytes of the blob, None if they need not or cannot be compared with the layer.
        mounted: Whether it was mounted from another repository.
    """

    descriptor: Descriptor
    trailer: bytes | None
    mounted: bool = False


class Candidates:
    """The blobs that manifests pair with layers; the registry is asked for each before it counts."""

    def __init__(self, repository: Repository, stored: Mapping[str, Stored]) -> None:
        self._repository = repository
        self._stored = dict(stored)
        self._found: dict[str, Candidate | None] = {}
        self._locks = {diff_id: threading.Lock() for diff_id in stored}

    def ask_all(self) -> None:
        """Ask for all of them at once: when a streamed layer's turn comes, the stream would wait for the answer.

        Raises:
            PipeError: The registry does not answer.
        """
        self._repository.pool.gather([partial(self.find, diff_id) for diff_id in list(self._stored)])

    def find(self, diff_id: str) -> Candidate | None:
        """Return the blob of one layer, None if the registry does not have it.

        Raises:
            PipeError: The registry does not answer.
        """
        stored = self._stored.get(diff_id)
        if stored is None:
            return None
        with self._locks[diff_id]:
            if diff_id not in self._found:
                self._found[diff_id] = self._ask(stored)
            return self._found[diff_id]

    def mounted(self, digest: str, source: str = "") -> bool:
        """Return whether a blob could be mounted from another repository: `source` or one with a stored layer."""
        named = (one.repository for one in self._stored.values() if one.descriptor.digest == digest)
        source = source or next(named, "")
        if not source or source == self._repository.path:
            return False
        return self._repository.mount(digest, source)

    def _ask(self, stored: Stored) -> Candidate | None:
        repository, named = self._repository, stored.descriptor
        # The end of a zstd file says nothing about its content.
        comparable = named.media_type in GZIP and not stored.proven
        if named.size < TRAILER and comparable:
            return None
        # If a tag of this repository had the layer, it would be the one that is stored: it need not be asked for first.
        mounted = stored.repository != repository.path and repository.mount(named.digest, stored.repository)
        size = named.size if mounted else repository.stat(named.digest)
        # A registry that stores its blobs elsewhere does not return their size.
        if size not in {0, named.size}:
            return None
        trailer = repository.read_part(named.digest, named.size - TRAILER, TRAILER) if comparable else None
        return Candidate(named, trailer, mounted)

    def clear(self) -> None:
        """Discard all candidates: one of them was wrong."""
        self._stored.clear()


def origins(image: Image, target: Reference, repository: Callable[[str], Repository]) -> list[Place]:
    """Return the places in the target's workspace that an image's names refer to, the likeliest first.

    The target's own tags are no origins. `repository` returns the repository with a path.
    """
    workspace = target.path.partition("/")[0]
    places = []
    for found in parsed(image.origins):
        if found.domain != target.domain or not found.path.startswith(f"{workspace}/"):
            continue
        if found.digest or found.path != target.path:
            places.append(Place(repository(found.path), found.digest or found.tag or DEFAULT_TAG))
    return list(dict.fromkeys(places))[:ORIGINS]


def parsed(names: Iterable[str]) -> Iterator[Reference]:
    """Yield the references of an Engine's names, without those that are none, such as `<none>:<none>`."""
    for name in names:
        with suppress(ValueError):
            yield Reference.parse(name)


def reusable(compression: str) -> frozenset[str]:
    """Return the media types of layers that a push can name: Docker's manifest, which is the usual one, has no zstd."""
    return GZIP | {OCI_ZSTD_LAYER} if compression == "zstd" else GZIP


def known_layers(
    places: Iterable[Place],
    wanted: Wanted,
    read: Mapping[Place, Manifest | None],
    log: Callable[[str], None],
) -> dict[str, Stored]:
    """Find layers that the registry stores.

    Args:
        places: Where to look, the likeliest first.
        wanted: The search ends once all of these are found.
        read: Manifests that were read already, by place; None for a tag that does not exist.
        log: Receives what could not be read.

    Returns:
        The layers that were found, by diffID, or by digest if they are wanted by it.
    """
    diff_ids, blobs = wanted.diff_ids, wanted.blobs
    found: dict[str, Stored] = {}
    queue = list(dict.fromkeys(places))
    seen: set[str] = set()
    while queue and len(seen) < MANIFESTS and not diff_ids | blobs <= found.keys():
        batch, queue = queue[:MANIFESTS], queue[MANIFESTS:]
        pool = batch[0].repository.pool
        manifests = pool.gather([partial(_manifest, place, read, log) for place in batch])
        images: list[tuple[Place, Manifest]] = []
        for place, manifest in zip(batch, manifests, strict=True):
            if manifest is None or manifest.digest in seen or len(seen) >= MANIFESTS:
                continue
            seen.add(manifest.digest)
            images_of = [digest for digest in dict.fromkeys(manifest.images) if digest not in seen]
            queue[:0] = [Place(place.repository, digest) for digest in images_of[:MANIFESTS]]
            for layer in manifest.layers:
                if layer.digest in blobs and not layer.urls:
                    found.setdefault(layer.digest, Stored(layer, place.repository.path))
            if manifest.config and not diff_ids <= found.keys():
                images.append((place, manifest))
        configs = pool.gather([partial(_config, place, manifest, log) for place, manifest in images])
        for (place, manifest), config in zip(images, configs, strict=True):
            for diff_id, layer in pairs(manifest, config, wanted.media_types):
                if diff_id in diff_ids:
                    found.setdefault(diff_id, Stored(layer, place.repository.path))
    return found


def _manifest(place: Place, read: Mapping[Place, Manifest | None], log: Callable[[str], None]) -> Manifest | None:
    if place in read:
        return read[place]
    try:
        return place.repository.manifest(place.tag)
    except PipeError as error:
        log(f"No layers to reuse from {place.repository.path}:{place.tag}. {error.summary}")
        return None


def _config(place: Place, manifest: Manifest, log: Callable[[str], None]) -> bytes:
    try:
        return place.repository.read(manifest.config or "", CONFIG_SIZE) or b""
    except PipeError as error:
        log(f"No layers to reuse from {place.repository.path}:{place.tag}. {error.summary}")
        return b""


def pairs(manifest: Manifest, config: bytes, media_types: frozenset[str] = GZIP) -> Sequence[tuple[str, Descriptor]]:
    """Pair the diffIDs of a config with the layers of its manifest that are of these types and in the registry itself.

    None are paired if the two do not fit together.
    """
    try:
        diff_ids = json.loads(config)["rootfs"]["diff_ids"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return ()
    if not isinstance(diff_ids, list) or len(diff_ids) != len(manifest.layers):
        return ()
    return [
        (diff_id, Descriptor(DOCKER_LAYER if layer.media_type in GZIP else layer.media_type, layer.digest, layer.size))
        for diff_id, layer in zip(diff_ids, manifest.layers, strict=True)
        if isinstance(diff_id, str) and is_digest(diff_id) and layer.media_type in media_types and not layer.urls
    ]
