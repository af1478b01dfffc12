"""The proof: what the registry, asked afterwards, says that it has under a tag."""

from typing import Protocol

from pipe.errors import DigestMismatchError, NotInRegistryError
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference

_ONE_AT_A_TIME = "Let only one pipeline at a time push this tag, or use a tag of its own for each build."


class Registry(Protocol):
    """What a proof asks of the registry."""

    def digest(self, reference: str) -> str | None:
        """Ask what a tag or digest names."""

    def manifest(self, reference: str) -> Manifest | None:
        """Read a manifest."""


def holds(manifest: Manifest, image: Image) -> bool:
    """Tell whether a manifest is that of an image.

    Args:
        manifest: The registry's.
        image: Its ID is the digest of its configuration in a graphdriver store and of a docker archive,
            and of its manifest in a containerd store and of an OCI layout. Of an index some of whose
            platforms it does not have, an Engine pushes the manifest of one that it has.

    Returns:
        Whether it is: the same configuration, the same manifest, or one that an Engine pushes instead of its index.
    """
    return image.id in {manifest.config, manifest.digest} or manifest.digest in image.manifests


def proven(registry: Registry, target: Reference, image: Image, pushed: str) -> Manifest:
    """Read a tag back, and make sure that it names the image.

    Args:
        registry: Is asked.
        target: The tag.
        image: What has to be there.
        pushed: The digest of the manifest that was pushed, as far as who pushed it knows.

    Returns:
        The manifest that the registry has under the tag.

    Raises:
        NotInRegistryError: The tag does not exist.
        DigestMismatchError: It names another image.
    """
    manifest = registry.manifest(target.tag)
    if manifest is None:
        raise NotInRegistryError(
            f"{target} does not exist, though {pushed} was pushed.",
            fix="Run the step again. If it fails again, check Bitbucket's status page.",
        )
    if holds(manifest, image):
        return manifest
    if manifest.digest == pushed:
        raise DigestMismatchError(
            f"{target} names {pushed}, which is another image than {image.id}: another push on the same Docker Engine"
            " moved the local tag meanwhile.",
            fix=_ONE_AT_A_TIME,
            temporary=True,
        )
    there = registry.digest(pushed) == pushed
    why = (
        f"another push has moved the tag meanwhile; {pushed} is in the registry, too."
        if there
        else f"the registry does not have {pushed}."
    )
    raise DigestMismatchError(f"{target} names {manifest.digest}, but {pushed} was pushed: {why}", fix=_ONE_AT_A_TIME)
