"""The images of an index, as the registry's manifests and configs describe them."""

from collections.abc import Callable, Sequence
from functools import partial

from pipe.errors import PipeError
from pipe.oci.config import CONFIG_SIZE, image_of
from pipe.oci.image import Image, labelled, shorten
from pipe.oci.manifest import Manifest
from pipe.push.progress import Snapshot
from pipe.push.result import LayerResult, LayerStatus, PlatformResult
from pipe.registry.repository import Repository

PLATFORMS = 20
"""Maximum platforms reported: each takes two requests, and Docker's official images have a dozen."""


def platform_images(repository: Repository, index: Manifest, log: Callable[[str], None]) -> tuple[Image, ...]:
    """Read the images of an index; an Engine describes the layers of one of them only, and without their sizes.

    Returns:
        The images, their layers with their platform's name; none if one of them cannot be read, which is logged.
    """
    try:
        digests = list(dict.fromkeys(index.images))[:PLATFORMS]
        return tuple(repository.pool.gather([partial(_image_of, repository, digest) for digest in digests]))
    except (PipeError, ValueError) as error:
        log(f"The platforms of {index.digest} could not be read: {error}")
        return ()


def _image_of(repository: Repository, digest: str) -> Image:
    manifest = repository.manifest(digest)
    config = repository.read(manifest.config, CONFIG_SIZE) if manifest and manifest.config else None
    if manifest is None or config is None:
        raise ValueError(f"{digest} is not a readable image")
    return labelled(image_of(digest, config, manifest.layers))


def split_results(
    images: Sequence[Image], layers: Sequence[LayerResult], digests: Sequence[str] = ()
) -> tuple[PlatformResult, ...]:
    """Distribute the results of the layers of all images, one after the other, to the images.

    `digests` are those of their manifests; without one for each, their IDs count.
    """
    if len(digests) != len(images):
        digests = [image.id for image in images]
    results, position = [], 0
    for image, digest in zip(images, digests, strict=True):
        own = tuple(layers[position : position + len(image.layers)])
        results.append(PlatformResult(str(image.platform or "") or None, digest, own))
        position += len(image.layers)
    return tuple(results)


def registry_results(images: Sequence[Image], progress: Snapshot) -> tuple[PlatformResult, ...]:
    """Return the results of images that only the registry describes; layers that were not sent were there before."""
    layers = []
    for layer in (layer for image in images for layer in image.layers):
        digest = layer.descriptor.digest if layer.descriptor else layer.diff_id
        one = progress.get(shorten(digest))
        status, seconds = (one.status, one.seconds) if one else (LayerStatus.ALREADY_THERE, None)
        layers.append(LayerResult(layer, status, layer.descriptor, seconds))
    return split_results(images, layers)
