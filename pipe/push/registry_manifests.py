"""The manifests that tags or digests of the registry lead to, down to those of the images."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

from pipe.errors import SourceNotFoundError, SourceUnusableError
from pipe.oci.fields import members, read_json, text
from pipe.oci.manifest import MEDIA_TYPES, Manifest, flaw_of
from pipe.oci.reference import Reference
from pipe.registry.repository import Repository
from pipe.source.tree import DEPTH, MANIFESTS, MANIFESTS_SIZE
from pipe.text import listed


class RegistryManifests:
    """Manifests of one repository, each read once.

    Attributes:
        roots: What the names refer to, in their order.
    """

    def __init__(self, repository: Repository, names: Sequence[Reference], *, attestations: bool = True) -> None:
        """Read every manifest, those of one level at the same time; `names` have a tag or a digest.

        Raises:
            SourceNotFoundError: The registry does not have some of the names.
            SourceUnusableError: An index is not complete, a manifest is not valid, or there are more of them
                than are read.
            PipeError: The registry does not answer.
        """
        self._repository = repository
        self._names = names
        self._attestations = attestations
        self._found: dict[str, Manifest] = {}
        found = self._read([name.digest or name.tag for name in names])
        absent = [name for name, manifest in zip(names, found, strict=True) if manifest is None]
        if absent:
            raise _not_found(absent)
        self.roots = tuple(manifest for manifest in found if manifest is not None)
        for name, root in zip(names, self.roots, strict=True):
            if name.digest:
                self._check(name.digest, root)
        self._add(self.roots)
        level = self._children(self.roots)
        for _ in range(DEPTH):
            if level:
                self._add([self._check(*pair) for pair in zip(level, self._read(level), strict=True)])
                level = self._children(self._found[digest] for digest in level)
        if level:
            raise self.unusable(f"its indexes are nested more than {DEPTH} levels deep")

    def __getitem__(self, digest: str) -> Manifest:
        """Return the manifest that an index names."""
        return self._found[digest]

    def below(self, *roots: Manifest) -> tuple[Manifest, ...]:
        """Return manifests and all that was read below them, children first, each once."""
        return tuple(self._below(roots, set()))

    def unusable(self, problem: str) -> SourceUnusableError:
        """Return the error for an image that cannot be promoted."""
        names = listed([str(name) for name in self._names])
        return SourceUnusableError(
            f"{names}: {problem}. No tag was changed.", fix="Build and push that image again, or choose another one."
        )

    def _below(self, manifests: Sequence[Manifest], seen: set[str]) -> Iterator[Manifest]:
        for manifest in manifests:
            if manifest.digest not in seen:
                seen.add(manifest.digest)
                children = [self._found.get(child.digest) for child in manifest.manifests]
                yield from self._below([child for child in children if child is not None], seen)
                yield manifest

    def _read(self, references: Sequence[str]) -> list[Manifest | None]:
        found = self._repository.pool.gather([partial(self._repository.manifest, each) for each in references])
        return [each and _typed(each) for each in found]

    def _children(self, manifests: Iterator[Manifest] | Sequence[Manifest]) -> list[str]:
        children = (child for manifest in manifests for child in manifest.manifests)
        digests = dict.fromkeys(each.digest for each in children if self._attestations or not each.is_attestation)
        unread = [digest for digest in digests if digest not in self._found]
        if len(self._found) + len(unread) > MANIFESTS:
            raise self.unusable(f"more than {MANIFESTS} manifests")
        return unread

    def _check(self, digest: str, manifest: Manifest | None) -> Manifest:
        if manifest is None:
            raise self.unusable(f"the registry does not have the manifest {digest}, which an index names")
        if manifest.digest != digest:
            raise self.unusable(f"the registry returns {manifest.digest} as {digest}")
        return manifest

    def _add(self, manifests: Sequence[Manifest]) -> None:
        for manifest in manifests:
            if flaw := flaw_of(manifest):
                raise self.unusable(f"the manifest {manifest.digest} {flaw}")
        self._found |= {manifest.digest: manifest for manifest in manifests}
        if sum(len(manifest.body) for manifest in self._found.values()) > MANIFESTS_SIZE:
            raise self.unusable(f"manifests of more than {MANIFESTS_SIZE} bytes in total")


def _typed(manifest: Manifest) -> Manifest:
    """Return a manifest with its own media type if the registry does not return one of a manifest."""
    given = manifest.media_type.partition(";")[0].strip()
    if given not in MEDIA_TYPES:
        with suppress(ValueError):
            named = text(members(read_json(manifest.body)).get("mediatype"))
            given = named if named in MEDIA_TYPES else given
    return manifest._replace(media_type=given)


def _not_found(names: Sequence[Reference]) -> SourceNotFoundError:
    absent = listed([name.digest or name.tag for name in names])
    return SourceNotFoundError(
        f"{names[0].repository} has no {absent}.",
        fix="Check the name, and that the step which pushes the image has succeeded.",
    )
