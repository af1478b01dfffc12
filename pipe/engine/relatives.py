"""Other images of the Engine that share layers with an image: their names lead to packages that may store these."""

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


def relatives(
    api: APIClient, image: Image, is_candidate: Callable[[Relative], bool], pattern: str | None
) -> tuple[Relative, ...]:
    """Return the newest images that share a layer with an image, newest first.

    Args:
        api: A client of the Engine.
        image: The image.
        is_candidate: Returns whether an image is worth an inspection; its layers are not known then.
        pattern: Of the names, such as `crg.apkg.io/acme/*`; None for all images.
    """
    listed = api.images(filters={"reference": pattern} if pattern else None) or []
    newest = [_listed(each) for each in sorted(listed, key=lambda each: -_number(each.get("Created")))]
    candidates = [each for each in newest if each.id != image.id and is_candidate(each)]
    inspected = [each._replace(diff_ids=_diff_ids(api, each.id)) for each in candidates[:RELATIVES]]
    diff_ids = {layer.diff_id for layer in image.layers}
    return tuple(each for each in inspected if not diff_ids.isdisjoint(each.diff_ids))


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
