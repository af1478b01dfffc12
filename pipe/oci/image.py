"""An image and its layers, from what the Engine or an archive says of them to what became of each (pure)."""

import re
from dataclasses import dataclass
from enum import StrEnum

from pipe.oci.descriptor import Descriptor, Platform

SHORT_ID = 12
"""Characters by which the Engine's stream names a layer; source: moby, `pkg/stringid`."""

BASE_IMAGE = "base image"
_BASE_FILES = re.compile(r"# debian\.sh .*|ADD \S+ (?:in )?/")
"""How the lowest layer of official images came about: Debian's says a script, others one archive below `/`."""
SHOWN = 60
"""Characters of an instruction that a line of the log has room for."""


class LayerStatus(StrEnum):
    """How far a layer has come; those of the result are spelled as it spells them."""

    WAITING = "waiting"
    UPLOADING = "uploading"
    RETRYING = "retrying"
    UPLOADED = "uploaded"
    ALREADY_THERE = "already there"
    MOUNTED = "mounted"
    WOULD_UPLOAD = "would upload"


ARRIVED = frozenset((LayerStatus.UPLOADED, LayerStatus.ALREADY_THERE, LayerStatus.MOUNTED))
"""Statuses of layers that the registry has."""


@dataclass(slots=True)
class Layer:
    """One layer of an image: what is known of it, and how far it has come.

    Attributes:
        number: 1 for the base's first layer; 0 where only the Engine's name of it is known.
        diff_id: The digest of its unpacked content, or the Engine's short name of it where only that is known.
        size: Unpacked bytes, None where nobody says.
        instruction: The Dockerfile instruction with values masked, None where it is not certain.
        descriptor: How the registry stores it, None while that is not known.
        status: How far it has come.
        sent: Bytes sent since its upload last began, as its uploader counts them: an Engine with
            graphdrivers counts unpacked bytes, all others stored ones.
        total: Bytes of all of it, counted likewise; 0 where not known yet.
        started: When its upload last began, by the clock; None while it has not.
        seconds: How long the upload lasted, None while it is not done and where nobody saw it begin.
        retries: How often the Engine began it again.
        warned: Whether people were told that it is too slow.
        reused: Whether the registry had it in another image, by which the pipe found it.
        platform: What its image runs on, such as `linux/arm64`; "" where there is only one image.
    """

    number: int
    diff_id: str
    size: int | None = None
    instruction: str | None = None
    descriptor: Descriptor | None = None
    status: LayerStatus = LayerStatus.WAITING
    sent: int = 0
    total: int = 0
    started: float | None = None
    seconds: float | None = None
    retries: int = 0
    warned: bool = False
    reused: bool = False
    platform: str = ""

    @property
    def short_id(self) -> str:
        """The name of the layer in a graphdriver Engine's push stream."""
        return shorten(self.diff_id)

    @property
    def label(self) -> str:
        """The layer as people know it, its instruction cut to fit a line."""
        return f"{self.name} ({cut(self.origin)})" if self.number and self.instruction else self.name

    @property
    def origin(self) -> str:
        """What made the layer, as people know it, "" where that is not certain; a base image's files are its own."""
        if self.number == 1 and (self.instruction is None or _BASE_FILES.fullmatch(self.instruction)):
            return BASE_IMAGE
        return self.instruction or ""

    @property
    def name(self) -> str:
        """The layer by its number, or by the Engine's name of it where only that is known."""
        platform = f"{self.platform} " if self.platform else ""
        return f"{platform}layer {self.number or self.short_id}"

    def elapsed(self, now: float) -> float:
        """Return the seconds since the upload last began, 0 while it has not."""
        return 0.0 if self.started is None else now - self.started


@dataclass(frozen=True, slots=True)
class Image:
    """One image in the Engine, or in an archive.

    Attributes:
        id: The digest of its configuration, or in a containerd store of its manifest.
        size: Bytes of all of it, as the Engine counts.
        layers: From the base up.
        manifests: Digests of the manifests that the Engine may push instead of its index, where it does not have
            every platform; none where it pushes the index.
        platform: What it runs on, None where nobody says.
        platforms: Of an index, the image of each platform; their layers, one after the other, are its `layers`.
    """

    id: str
    size: int
    layers: tuple[Layer, ...]
    manifests: frozenset[str] = frozenset()
    platform: Platform | None = None
    platforms: tuple["Image", ...] = ()


def cut(instruction: str) -> str:
    """Return as much of an instruction as fits a line."""
    return instruction if len(instruction) <= SHOWN else f"{instruction[: SHOWN - 1]}…"


def shorten(digest: str) -> str:
    """Return the first characters of a digest, without its algorithm."""
    return digest.removeprefix("sha256:")[:SHORT_ID]
