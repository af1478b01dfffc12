"""Manifests that are put under their digests, as many at the same time as may be."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby

from pipe.oci.manifest import Manifest
from pipe.registry.repository import Repository


def put_manifests(repository: Repository, manifests: Iterable[Manifest]) -> None:
    """Put manifests, children first, under their digests: each after those that it names, others at the same time.

    Raises:
        PipeError: The first failure; see `Repository.put_manifest`.
    """
    for level in _levels(manifests):
        repository.pool.gather([partial(repository.put_manifest, digest, each) for digest, each in level])


def _levels(manifests: Iterable[Manifest]) -> Iterator[list[tuple[str, Manifest]]]:
    """Yield manifests with their digests, those first that name none of the others."""
    heights: dict[str, int] = {}
    named: dict[str, Manifest] = {}
    for each in manifests:
        digest = each.digest
        named[digest] = each
        heights[digest] = 1 + max((heights.get(child.digest, 0) for child in each.manifests), default=0)
    for _, level in groupby(sorted(named, key=heights.__getitem__), key=heights.__getitem__):
        yield [(digest, named[digest]) for digest in level]
