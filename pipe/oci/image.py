"""An image and its layers (pure)."""

from dataclasses import dataclass

SHORT_ID = 12
"""Characters by which the Engine's stream names a layer; source: moby, `pkg/stringid`."""

SHOWN = 60
"""Characters of an instruction that a line of the log has room for."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image.

    Attributes:
        number: 1 for the base's first layer.
        diff_id: The digest of its unpacked content.
        size: Unpacked bytes, None where the Engine does not say.
        instruction: The Dockerfile instruction with values masked, None where it is not certain.
    """

    number: int
    diff_id: str
    size: int | None = None
    instruction: str | None = None

    @property
    def short_id(self) -> str:
        """The name of the layer in a graphdriver Engine's push stream."""
        return shorten(self.diff_id)

    @property
    def label(self) -> str:
        """The layer as people know it, its instruction cut to fit a line."""
        return f"layer {self.number} ({cut(self.instruction)})" if self.instruction else f"layer {self.number}"


@dataclass(frozen=True, slots=True)
class Image:
    """One image in the Engine.

    Attributes:
        id: The digest of its configuration, or in a containerd store of its manifest.
        size: Bytes of all of it, as the Engine counts.
        layers: From the base up.
    """

    id: str
    size: int
    layers: tuple[Layer, ...]


def cut(instruction: str) -> str:
    """Return as much of an instruction as fits a line."""
    return instruction if len(instruction) <= SHOWN else f"{instruction[: SHOWN - 1]}…"


def shorten(digest: str) -> str:
    """Return the first characters of a digest, without its algorithm."""
    return digest.removeprefix("sha256:")[:SHORT_ID]
