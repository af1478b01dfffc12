"""What the registry has of each platform of an index, as its manifests and configurations say."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from pipe.errors import PipeError
from pipe.oci.config import image_of
from pipe.oci.image import Image, Layer, LayerStatus, shorten
from pipe.oci.manifest import Manifest
from pipe.push.progress import Progress
from pipe.push.result import PlatformResult

PLATFORMS = 20
"""Platforms that are told of at most: each costs two requests, and Docker's official images have a dozen."""
CONFIG_SIZE = 4 * 1024 * 1024
"""Bytes of a configuration that are read; the same as of a manifest."""


class Registry(Protocol):
    """What is asked of the registry."""

    def manifest(self, reference: str) -> Manifest | None:
        """Read a manifest."""

    def read_blob(self, digest: str, maximum: int) -> bytes | None:
        """Read a small blob, None where it is not to be had."""


def platform_images(registry: Registry, index: Manifest, tell: Callable[[str], None]) -> tuple[Image, ...]:
    """Read the images of an index; an Engine tells the layers of one of them only, and without their sizes.

    Args:
        registry: Has them.
        index: Names them.
        tell: Is told what could not be read.

    Returns:
        The images, their layers with their platform's name; none where one of them cannot be read.
    """
    try:
        return tuple(_images(registry, index.images[:PLATFORMS]))
    except (PipeError, ValueError) as error:
        tell(f"The platforms of {index.digest} could not be read: {error}")
        return ()


def _images(registry: Registry, digests: Sequence[str]) -> Iterator[Image]:
    for digest in digests:
        manifest = registry.manifest(digest)
        config = registry.read_blob(manifest.config, CONFIG_SIZE) if manifest and manifest.config else None
        if manifest is None or config is None:
            raise ValueError(f"{digest} is not an image that can be read")
        yield labelled(image_of(digest, config, manifest.layers))


def labelled(image: Image) -> Image:
    """Return an image of an index, whose layers say which platform's they are."""
    platform = str(image.platform or image.id)
    return replace(image, layers=tuple(replace(layer, platform=platform) for layer in image.layers))


def platform_results(
    images: Sequence[Image], layers: Sequence[Layer], progress: Progress | None
) -> tuple[PlatformResult, ...]:
    """Tell what became of each platform's image.

    Args:
        images: Of an index.
        layers: What is known of the layers of all of them, one after the other; none where only the registry knows.
        progress: Of the push, which names layers by their blobs.

    Returns:
        The results, in the same order.
    """
    settled = list(layers) or [_settled(layer, progress) for image in images for layer in image.layers]
    results, position = [], 0
    for image in images:
        own = tuple(settled[position : position + len(image.layers)])
        results.append(PlatformResult(str(image.platform or "") or None, image.id, own))
        position += len(image.layers)
    return tuple(results)


def _settled(layer: Layer, progress: Progress | None) -> Layer:
    """Take what the uploader said of a layer; one that it did not name was there before."""
    digest = layer.descriptor.digest if layer.descriptor else layer.diff_id
    named = progress.layers.get(shorten(digest)) if progress else None
    if named is None:
        return replace(layer, status=LayerStatus.ALREADY_THERE)
    return replace(layer, status=named.status, seconds=named.seconds, started=named.started)
