"""Other images of the Engine that share layers with an image: their names lead to packages that may store these."""

import threading
from collections.abc import Callable
from typing import NamedTuple

from docker import APIClient
from docker.errors import NotFound

from pipe.oci.image import Image

RELATIVES = 8
"""Images that are inspected: each takes a small request."""


class Relative(NamedTuple):
    """Another image.

    Attributes:
        id: Its digest.
        size: Its bytes.
        tags: Its names, without those that contain a digest.
        digests: The names under which it was pulled or pushed, with a digest; in a containerd store, every name.
        diff_ids: Of its layers.
    """

    id: str
    size: int
    tags: tuple[str, ...]
    digests: tuple[str, ...] = ()
    diff_ids: frozenset[str] = frozenset()


class Relatives:
    """The other images of an Engine; each list, and each image, is requested once in a run, by any thread."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._lock = threading.Lock()
        self._lists: dict[str | None, tuple[Relative, ...]] = {}
        self._diff_ids: dict[str, frozenset[str]] = {}

    def of(
        self, api: APIClient, image: Image, is_candidate: Callable[[Relative], bool], pattern: str | None
    ) -> tuple[Relative, ...]:
        """Return the newest images that share a layer with an image, newest first.

        Args:
            api: A client of the Engine.
            image: The image.
            is_candidate: Returns whether an image is worth an inspection; its layers are not known then.
            pattern: Of the names, such as `crg.apkg.io/acme/*`; None for all images.
        """
        with self._lock:
            if pattern not in self._lists:
                listed = api.images(filters={"reference": pattern} if pattern else None) or []
                newest = sorted(listed, key=lambda each: -_number(each.get("Created")))
                self._lists[pattern] = tuple(map(_listed, newest))
            candidates = [each for each in self._lists[pattern] if each.id != image.id and is_candidate(each)]
            inspected = [each._replace(diff_ids=self._layers(api, each.id)) for each in candidates[:RELATIVES]]
        diff_ids = {layer.diff_id for layer in image.layers}
        return tuple(each for each in inspected if not diff_ids.isdisjoint(each.diff_ids))

    def _layers(self, api: APIClient, image: str) -> frozenset[str]:
        if image not in self._diff_ids:
            self._diff_ids[image] = _diff_ids(api, image)
        return self._diff_ids[image]


def _listed(found: dict[str, object]) -> Relative:
    tags, digests = (
        tuple(str(name) for name in names) if isinstance(names := found.get(key), list) else ()
        for key in ("RepoTags", "RepoDigests")
    )
    return Relative(str(found.get("Id") or ""), _number(found.get("Size")), tags, digests)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _diff_ids(api: APIClient, image: str) -> frozenset[str]:
    try:
        inspected = api.inspect_image(image)
    except NotFound:
        # It was removed since.
        return frozenset()
    return frozenset((inspected.get("RootFS") or {}).get("Layers") or [])
