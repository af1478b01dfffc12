"""What the registry has already: the layers of its own manifests, by their diffIDs.

A manifest lists the digests of its layers, its config their diffIDs, in the same order. It is safe to
believe that: every client that pulls compares the unpacked layer with the diffID in the config of the
image that it pulls, so a wrong pair, by mistake or by malice, fails the pull and cannot change the image.
A pair that is wrong by mistake does not come that far: the end of the blob does not fit the layer.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pipe.errors import PipeError, UploadForgottenError
from pipe.oci.descriptor import Descriptor
from pipe.oci.manifest import DOCKER_LAYER, OCI_LAYER, Manifest
from pipe.oci.reference import is_digest
from pipe.source.blob import SourceBlob
from pipe.source.trailer import TRAILER, is_made_from, may_be

MANIFESTS = 10
"""Manifests that are read at most: each costs two requests."""
CONFIG_SIZE = 4 * 1024 * 1024
"""Bytes of a config that are read; the same as of a manifest."""
_GZIP = frozenset((DOCKER_LAYER, OCI_LAYER))


class Registry(Protocol):
    """What reuse asks of the registry."""

    def manifest(self, reference: str) -> Manifest | None:
        """Read a manifest."""

    def read_blob(self, digest: str, maximum: int) -> bytes | None:
        """Read a small blob, None where it is not to be had."""


class Stored(Protocol):
    """What the registry says of a blob; see `pipe.registry.blobs`."""

    def size(self, digest: str) -> int | None:
        """Ask whether the registry has a blob."""

    def read_end(self, digest: str, size: int, length: int) -> bytes | None:
        """Read the last bytes of a blob, None where the registry gives no part of one."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A blob of the registry's that its manifests say is a layer.

    Attributes:
        descriptor: How a manifest names it.
        trailer: The blob's last bytes, None where the registry gives no part of one.
    """

    descriptor: Descriptor
    trailer: bytes | None


class Candidates:
    """The blobs that the registry is said to have, by diffID; it is asked for each before that counts."""

    def __init__(self, blobs: Stored, named: Mapping[str, Descriptor]) -> None:
        """Prepare; nothing is asked yet.

        Args:
            blobs: The registry's.
            named: What its manifests say.
        """
        self._blobs = blobs
        self._named = dict(named)
        self._asked: dict[str, Candidate | None] = {}

    def ask(self, go_on: Callable[[], None]) -> None:
        """Ask for all of them now: when a streamed layer's turn comes, the stream would have to wait.

        Args:
            go_on: Called before each question; raises what ends the asking.

        Raises:
            PipeError: The registry does not answer.
        """
        for diff_id in list(self._named):
            go_on()
            self.find(diff_id)

    def find(self, diff_id: str) -> Candidate | None:
        """Ask for the blob of one layer, unless that was done.

        Args:
            diff_id: The layer's.

        Returns:
            The blob; None where the registry does not have it.

        Raises:
            PipeError: The registry does not answer.
        """
        named = self._named.get(diff_id)
        if named is None:
            return None
        if diff_id not in self._asked:
            self._asked[diff_id] = self._look(named)
        return self._asked[diff_id]

    def _look(self, named: Descriptor) -> Candidate | None:
        # A registry that keeps its blobs elsewhere does not tell their size.
        if named.size < TRAILER or self._blobs.size(named.digest) not in {0, named.size}:
            return None
        return Candidate(named, self._blobs.read_end(named.digest, named.size, TRAILER))

    def clear(self) -> None:
        """Believe none of it any more."""
        self._named.clear()


def is_layer(candidate: Candidate, layer: SourceBlob, go_on: Callable[[], None]) -> bool:
    """Make sure that a blob of the registry's is a layer, gzipped.

    Args:
        candidate: The blob.
        layer: The layer; its bytes are read where the registry gives the end of the blob.
        go_on: Called now and then; raises what ends the reading.

    Returns:
        Whether it is, as far as can be told.

    Raises:
        UploadForgottenError: It is not, and that showed only when the layer's bytes had been read.
    """
    named, trailer = candidate.descriptor, candidate.trailer
    if trailer is None:
        return True
    if not may_be(layer, trailer):
        return False
    if not is_made_from(layer, trailer, go_on):
        raise UploadForgottenError(
            f"the registry's own manifests say that {layer.name} is the blob {named.digest}, but it is not.",
            fix="Run the step again.",
        )
    return True


def known_layers(
    registry: Registry, tags: Iterable[str], wanted: frozenset[str], tell: Callable[[str], None]
) -> dict[str, Descriptor]:
    """Find layers that the registry has.

    Args:
        registry: Is asked for manifests and configs.
        tags: Where to look, the likeliest first.
        wanted: The diffIDs that are of use; reading ends once all are found.
        tell: Is told what could not be read.

    Returns:
        Descriptors of gzipped layers, by diffID.
    """
    found: dict[str, Descriptor] = {}
    waiting, seen = list(dict.fromkeys(tags)), set[str]()
    for _ in range(MANIFESTS):
        if not waiting or wanted <= found.keys():
            break
        reference = waiting.pop(0)
        try:
            manifest = registry.manifest(reference)
            if manifest is None or manifest.digest in seen:
                continue
            seen.add(manifest.digest)
            waiting[:0] = [digest for digest in manifest.images if digest not in seen]
            config = registry.read_blob(manifest.config, CONFIG_SIZE) if manifest.config else None
        except PipeError as error:
            tell(f"No layers to reuse from {reference}. {error.summary}")
            continue
        for diff_id, layer in pairs(manifest, config or b""):
            if diff_id in wanted:
                found.setdefault(diff_id, layer)
    return found


def pairs(manifest: Manifest, config: bytes) -> list[tuple[str, Descriptor]]:
    """Pair the diffIDs of a config with the layers of its manifest.

    Args:
        manifest: An image's.
        config: The bytes that its config's digest names.

    Returns:
        A pair for each layer that is gzipped and in the registry itself; none where the two do not fit together.
    """
    try:
        diff_ids = json.loads(config)["rootfs"]["diff_ids"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return []
    if not isinstance(diff_ids, list) or len(diff_ids) != len(manifest.layers):
        return []
    return [
        (diff_id, Descriptor(DOCKER_LAYER, layer.digest, layer.size))
        for diff_id, layer in zip(diff_ids, manifest.layers, strict=True)
        if isinstance(diff_id, str) and is_digest(diff_id) and layer.media_type in _GZIP and not layer.urls
    ]
