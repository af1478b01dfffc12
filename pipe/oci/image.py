"""An image and its layers, as an Engine or an archive describes them."""

import re
from typing import NamedTuple

from pipe.oci.descriptor import Descriptor, Platform
from pipe.units import format_size

SHORT_ID = 12
"""Characters of a layer's name in the Engine's push stream; source: moby, `pkg/stringid`."""

BASE_IMAGE = "base image"
_BASE_FILES = r"# debian\.sh .*|ADD \S+ (?:in )?/"
"""Instructions that make the lowest layer of official images: a Debian script, or one archive added to `/`."""
SHOWN = 60
"""Characters of an instruction that fit a line of the log."""


class Layer(NamedTuple):
    """One layer of an image.

    Attributes:
        number: 1 for the lowest layer; 0 if only the Engine's name for it is known.
        diff_id: The digest of its uncompressed content, or the Engine's short name if only that is known.
        size: Uncompressed bytes, None if unknown.
        instruction: The Dockerfile instruction with values masked, None if the match is uncertain.
        descriptor: The blob that stores it, None if the blob is not known before the push.
        platform: The platform of its image, such as `linux/arm64`; "" if there is only one image.
    """

    number: int
    diff_id: str
    size: int | None = None
    instruction: str | None = None
    descriptor: Descriptor | None = None
    platform: str = ""

    @property
    def short_id(self) -> str:
        """The layer's name in the push stream of a graphdriver Engine."""
        return shorten(self.diff_id)

    @property
    def label(self) -> str:
        """The layer's name for people: its number, and its instruction cut to fit a line."""
        return f"{self.name} ({cut(self.origin)})" if self.number and self.instruction else self.name

    @property
    def origin(self) -> str:
        """The instruction that made the layer, or `base image`; "" if uncertain."""
        if self.number == 1 and (self.instruction is None or re.fullmatch(_BASE_FILES, self.instruction)):
            return BASE_IMAGE
        return self.instruction or ""

    @property
    def name(self) -> str:
        """The layer's number, or the Engine's name for it if only that is known."""
        platform = f"{self.platform} " if self.platform else ""
        return f"{platform}layer {self.number or self.short_id}"


class Image(NamedTuple):
    """One image in an Engine or an archive.

    Attributes:
        id: The digest of its config; in a containerd store and an OCI layout, that of its manifest.
        size: Bytes of the whole image, as its source counts them.
        layers: From the lowest up.
        manifests: Digests of the manifests that an Engine may push in place of an index whose platforms it does not
            have completely; empty if it pushes the index.
        platform: None if unknown.
        platforms: For an index, the image of each platform; `layers` is then the concatenation of their layers.
        origins: Names under which registries may have the image or one that it was built from, the likeliest first.
        revision: The commit that it was built from, "" if no label names it.
    """

    id: str
    size: int
    layers: tuple[Layer, ...]
    manifests: frozenset[str] = frozenset()
    platform: Platform | None = None
    platforms: tuple["Image", ...] = ()
    origins: tuple[str, ...] = ()
    revision: str = ""

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The diffIDs of its layers, from the lowest up."""
        return tuple(layer.diff_id for layer in self.layers)

    @property
    def summary(self) -> str:
        """Its layers and size, and the revision if it is known."""
        layers = f"{len(self.layers)} layer{'s'[: len(self.layers) != 1]}"
        kind = "uncompressed" if all(layer.size is not None for layer in self.layers) else "stored"
        built = f", built from revision {self.revision}" if self.revision else ""
        return f"{layers}, {format_size(self.size)} {kind}{built}"


def labelled(image: Image) -> Image:
    """Return an image of an index with layers that name its platform."""
    platform = str(image.platform or image.id)
    return image._replace(layers=tuple(layer._replace(platform=platform) for layer in image.layers))


def cut(instruction: str) -> str:
    """Return an instruction shortened to fit a line of the log."""
    return instruction if len(instruction) <= SHOWN else f"{instruction[: SHOWN - 1]}…"


def shorten(digest: str) -> str:
    """Return the first characters of a digest, without its algorithm."""
    return digest.removeprefix("sha256:")[:SHORT_ID]
