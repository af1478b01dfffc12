"""The proof: what the registry returns for a tag after the push, down to every blob."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from pipe.errors import BlobMissingError, DigestMismatchError, NotInRegistryError
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest, flaw_of
from pipe.oci.reference import Reference
from pipe.push.pusher import Pushed
from pipe.registry.repository import Repository
from pipe.text import listed

_ONE_AT_A_TIME = "Do not push one tag from two pipelines at once; use a unique tag per build."
_SHOWN = 3


def holds(manifest: Manifest, image: Image) -> bool:
    """Return whether a manifest of the registry is that of a local image.

    An image's ID is the digest of its config in a graphdriver store and of a docker archive, and that of its manifest
    in a containerd store and of an OCI layout. In place of an index that lacks platforms, an Engine pushes the manifest
    of one that it has. A manifest with both a config and children can be understood in two ways (CVE-2021-41190).
    """
    if image.id == manifest.digest or manifest.digest in image.manifests:
        return True
    return image.id == manifest.config and not manifest.manifests and len(manifest.layers) == len(image.layers)


def may_stand_for(manifest: Manifest, image: Image, media_types: frozenset[str]) -> bool:
    """Return whether the manifest of another tag can serve in place of the one that a push would put.

    An image with zstd or encrypted layers has the same config as one with gzip layers, but fewer clients can pull it.
    Which of several platforms an Engine pushes in place of an index that lacks some is known once it has pushed it.

    Args:
        manifest: Of the registry.
        image: What is pushed.
        media_types: Of layers that the push may name.
    """
    if not holds(manifest, image) or flaw_of(manifest) or (len(image.manifests) > 1 and image.id != manifest.digest):
        return False
    return image.id != manifest.config or all(layer.media_type in media_types for layer in manifest.layers)


def holds_configs(repository: Repository, index: Manifest, image: Image) -> bool:
    """Return whether an index of the registry has the images of a local one, whose IDs are those of their configs."""
    if not image.platforms or len(index.images) != len(image.platforms):
        return False
    children = repository.pool.gather([partial(repository.manifest, digest) for digest in index.images])
    return all(child is not None and holds(child, each) for child, each in zip(children, image.platforms, strict=True))


def is_pushed(manifest: Manifest, pushed: Pushed, image: Image) -> bool:
    """Return whether a manifest is the one that was pushed: by digest, or by config and every layer.

    An Engine names only a digest. Its manifest must be that of the image too: another push on the same Engine may have
    moved the local tag.
    """
    if pushed.manifest is None:
        return manifest.digest == pushed.digest and holds(manifest, image)
    return manifest.digest == pushed.digest or (
        manifest.config is not None and not manifest.manifests and _contents(manifest) == _contents(pushed.manifest)
    )


def _contents(manifest: Manifest) -> list[tuple[str, int] | None]:
    config = manifest.config_descriptor
    return [(each.digest, each.size) if each else None for each in (config, *manifest.layers)]


def proven(
    repository: Repository, target: Reference, pushed: Pushed, image: Image, whole: str | None = None
) -> Manifest:
    """Read a tag back, and make sure that it names what was pushed and that the registry has all of it.

    `whole` is the digest of a manifest whose parts were found for another tag.

    Returns:
        The manifest that the registry returns for the tag.

    Raises:
        NotInRegistryError: The tag does not exist.
        DigestMismatchError: It names another manifest.
        BlobMissingError: The registry lacks a part of it.
        PipeError: The registry does not answer.
    """
    manifest, lacking = _read_back(repository, target.tag, pushed, whole)
    if manifest is None:
        raise NotInRegistryError(
            f"Pushed {pushed.digest}, but {target} is not in the registry.",
            fix="Run the step again. If it fails again, check Bitbucket's status page.",
        )
    if not is_pushed(manifest, pushed, image):
        raise _mismatch(repository, target, pushed, image, manifest)
    if manifest.digest == whole:
        return manifest
    missing = (
        lacking if manifest.digest == pushed.digest and lacking is not None else missing_parts(repository, manifest)
    )
    if missing:
        raise BlobMissingError(
            f"{target} points to {manifest.digest}, but the registry does not have {listed(missing, _SHOWN)}.",
            fix="Run the step again. If it fails again, check Bitbucket's status page.",
        )
    return manifest


def missing_parts(repository: Repository, manifest: Manifest) -> list[str]:
    """Return the digests of blobs and manifests that a manifest names and the registry does not have, or not whole.

    Blobs that are distributed from elsewhere (`urls`) are not asked for.
    """
    children, missing = [manifest], []
    for _ in range(_DEPTH):
        digests = list(dict.fromkeys(child.digest for parent in children for child in parent.manifests))
        if not digests:
            break
        found = repository.pool.gather([partial(repository.manifest, digest) for digest in digests])
        # Other content under a digest, which no client accepts, may name anything.
        children = [child for digest, child in zip(digests, found, strict=True) if child and child.digest == digest]
        intact = {child.digest for child in children}
        missing += [digest for digest in digests if digest not in intact]
        missing += missing_blobs(repository, children)
    return [*missing_blobs(repository, [manifest]), *missing]


_DEPTH = 4
"""Indexes in indexes that are followed; more is a mistake, or malice."""


def missing_blobs(repository: Repository, manifests: Iterable[Manifest]) -> list[str]:
    """Return the digests of blobs that manifests name and the registry does not have in their sizes."""
    named = _named(manifests)
    return _absent(named, repository.stat_all(named))


def _named(manifests: Iterable[Manifest]) -> dict[str, int]:
    """Return the sizes of the blobs that a registry must have, by digest."""
    return {blob.digest: blob.size for manifest in manifests for blob in manifest.blobs if not blob.urls}


def _absent(named: Mapping[str, int], sizes: Mapping[str, int | None]) -> list[str]:
    # A registry that stores its blobs elsewhere does not return their size: 0.
    return [digest for digest, size in named.items() if sizes[digest] not in {0, size}]


def _read_back(
    repository: Repository, tag: str, pushed: Pushed, whole: str | None
) -> tuple[Manifest | None, list[str] | None]:
    """Read a tag and, at the same time, ask for the blobs that the pushed manifest names; None if that is unknown."""
    expected = pushed.manifest
    if expected is None or expected.manifests or pushed.digest == whole:
        return repository.manifest(tag), None
    named = _named([expected])
    sizes: dict[str, int | None] = {}
    found: list[Manifest | None] = []

    def read() -> None:
        found.append(repository.manifest(tag))

    def ask(digest: str) -> None:
        sizes[digest] = repository.stat(digest)

    asks: list[Callable[[], None]] = [partial(ask, digest) for digest in named]
    repository.pool.gather([read, *asks])
    return found[0], _absent(named, sizes)


def _mismatch(
    repository: Repository, target: Reference, pushed: Pushed, image: Image, manifest: Manifest
) -> DigestMismatchError:
    if manifest.digest == pushed.digest:
        return DigestMismatchError(
            f"{target} points to {pushed.digest}, which is not {image.id}: another push on the same Docker Engine moved"
            " the local tag.",
            fix=_ONE_AT_A_TIME,
            temporary=True,
        )
    there = repository.manifest(pushed.digest)
    also = f"The registry has {pushed.digest} as well." if there else f"The registry does not have {pushed.digest}."
    return DigestMismatchError(
        f"Pushed {pushed.digest}, but {target} points to {manifest.digest}. {also} If another pipeline pushed the same"
        " tag at the same time, that is the reason.",
        fix=_ONE_AT_A_TIME,
    )
