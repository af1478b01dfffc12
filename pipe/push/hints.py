"""Places in other packages that may have an image's layers: hints, which cost little and never fail a push.

An image's own names lead to packages, and so do the names of images in the Engine that share layers with it. Three
images on one new layer, pushed by three calls: a name of the first is the default of its package, so the second call
finds the layer there, and mounts it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pipe.config.variables import DEFAULT_TAG
from pipe.engine.kind import EngineKind
from pipe.oci.image import Image
from pipe.oci.reference import Reference
from pipe.push.plan import PendingLayer, reason_to_start
from pipe.push.reuse import Place, origins, parsed
from pipe.registry.repository import Repository

if TYPE_CHECKING:
    from pipe.engine.relatives import Relative

WORTH = 8_000_000
"""Unpacked bytes of the layers that a guess must promise: fewer are sent in the time of its three round trips."""
PACKAGES = 3
"""Packages that are guessed."""
TAGS = 2
"""Tags of the push that are read of each guessed package, beside `latest`."""
LOCAL = frozenset(("", "localhost"))
"""Registries of names that no registry has; podman adds the second one."""


class Related(Protocol):
    """An Engine, as far as its images give hints."""

    def relatives(
        self, image: Image, is_candidate: "Callable[[Relative], bool]", pattern: str | None = None
    ) -> "tuple[Relative, ...]":
        """Return other images that share a layer; see `pipe.engine.relatives`."""


class Hints:
    """Finds places that an image leads to."""

    def __init__(
        self,
        targets: Sequence[Reference],
        repository: Callable[[str], Repository],
        glimpse: Callable[[str, Sequence[str]], Sequence[Repository]],
        engine: Related | None,
        untagged: Collection[str] = (),
    ) -> None:
        """Nothing is requested yet.

        Args:
            targets: Of the push, at least one.
            repository: Returns the repository with a path.
            glimpse: Returns other repositories to read by chance; see `pipe.registry.glimpse`.
            engine: It has the image; None if no Engine has it.
            untagged: Paths of repositories that are known to be of no use.
        """
        self._target = targets[0]
        self._tags = tuple(dict.fromkeys((*(each.tag for each in targets[:TAGS]), DEFAULT_TAG)))
        self._repository = repository
        self._glimpse = glimpse
        self._engine = engine
        self._untagged = untagged

    def named(self, image: Image) -> Sequence[Place]:
        """Return the places that names in the registry lead to: those of the image, and of its relatives."""
        names = image.origins
        if self._engine is not None:
            workspace = self._target.path.partition("/")[0]
            found = self._engine.relatives(image, lambda _: True, f"{self._target.domain}/{workspace}/*")
            names += tuple(name for each in found for name in (*each.tags, *each.digests))
        return origins(image._replace(origins=names), self._target, self._repository)

    def guessed(self, image: Image, missing: frozenset[str]) -> Sequence[Place]:
        """Return the places to which the names of relatives would be pushed by default.

        Args:
            image: The image.
            missing: DiffIDs of its layers that are not known to be anywhere.

        Returns:
            Tags of a few packages, those with most of the missing bytes first; none if that is not worth a question.
        """
        sizes = {layer.diff_id: layer.size for layer in image.layers if layer.diff_id in missing}
        if self._engine is None or weight(sizes, missing, image.size) < WORTH:
            return ()
        found = self._engine.relatives(image, lambda each: each.size >= WORTH and bool(self._packages(each)))
        shared = [(weight(sizes, missing & each.diff_ids, image.size), each) for each in found]
        worth = sorted((each for each in shared if each[0] >= WORTH), key=lambda each: -each[0])
        paths = dict.fromkeys(path for _, each in worth for path in self._packages(each))
        chosen = self._glimpse(self._target.path, tuple(paths)[:PACKAGES]) if paths else ()
        return [Place(repository, tag) for repository in chosen for tag in self._tags]

    def _packages(self, relative: "Relative") -> list[str]:
        return [path for path in packages(relative, self._target) if path not in self._untagged]


def sent_by_pipe(image: Image, kind: EngineKind, round_trip: float) -> bool:
    """Return whether an earlier run has sent such an image itself, so that the Engine does not know what it sent.

    It decided as this run would if nothing were known. If the Engine began, it may have been ended, or not.
    """
    fresh = [PendingLayer(each.label, each.size or 0) for each in image.layers]
    return reason_to_start(fresh, image, kind, round_trip) is not None


def weight(sizes: Mapping[str, int | None], diff_ids: frozenset[str], whole: int) -> int:
    """Return the bytes of layers; those of the whole image if one's size is unknown, as in a containerd store."""
    found = [sizes.get(diff_id) for diff_id in diff_ids]
    known = [size for size in found if size is not None]
    return sum(known) if len(known) == len(found) else whole


def packages(relative: "Relative", target: Reference) -> tuple[str, ...]:
    """Return the paths of the packages of the target's workspace, other than its own, that an image may be in.

    A name without a registry leads to the package of its last component. A name under which the image was pulled from
    another registry does not: a base image is seldom pushed.
    """
    workspace = target.path.partition("/")[0]
    own = f"@{relative.id}"
    # In a containerd store each name has a digest, which is the ID, so it proves nothing.
    pulled = {name.partition("@")[0] for name in relative.digests if not name.endswith(own)}
    paths = []
    for found in parsed(relative.tags):
        if found.domain == target.domain and found.path.startswith(f"{workspace}/"):
            paths.append(found.path)
        elif found.domain in LOCAL and (found.domain or found.repository not in pulled):
            paths.append(f"{workspace}/{found.path.rpartition('/')[2]}")
    return tuple(path for path in dict.fromkeys(paths) if path != target.path)
