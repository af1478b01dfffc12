"""What was pushed: the frozen result that a push makes and the output writes (pure)."""

from dataclasses import dataclass
from enum import StrEnum

from pipe.oci.image import ARRIVED as ARRIVED  # noqa: PLC0414
from pipe.oci.image import Layer
from pipe.oci.image import LayerStatus as LayerStatus  # noqa: PLC0414
from pipe.oci.reference import Reference

LayerResult = Layer


class TagStatus(StrEnum):
    """What became of a tag."""

    PUSHED = "pushed"
    ALREADY_THERE = "already there"
    SKIPPED = "skipped"
    FAILED = "failed"
    NOT_TRIED = "not tried"
    WOULD_PUSH = "would push"


@dataclass(frozen=True, slots=True)
class TagResult:
    """One tag of the result.

    Attributes:
        target: What was to be pushed, with tag and without digest.
        status: What became of it.
        digest: The manifest's, None where it did not arrive.
        verified: Whether the registry named this digest when it was read back.
        error: Why it did not arrive, None where it did or was not tried.
        previous: The digest of another image that the tag pointed to before the push, None if it did not exist.
    """

    target: Reference
    status: TagStatus = TagStatus.NOT_TRIED
    digest: str | None = None
    verified: bool = False
    error: str | None = None
    previous: str | None = None

    @property
    def arrived(self) -> bool:
        """Whether the image is in the registry under this tag, as far as known."""
        return self.status in {TagStatus.PUSHED, TagStatus.ALREADY_THERE} and self.digest is not None

    @property
    def reference(self) -> str | None:
        """`registry/workspace/package:tag@sha256:…`, None where it did not arrive."""
        return str(self.target.with_digest(self.digest)) if self.digest and self.arrived else None


@dataclass(frozen=True, slots=True)
class PlatformResult:
    """The image of one platform.

    Attributes:
        platform: Such as `linux/arm64`, None where nobody says.
        digest: Its manifest's, None where that is not known.
        layers: From the base up.
    """

    platform: str | None
    digest: str | None
    layers: tuple[LayerResult, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """Everything there is to say of a run.

    Attributes:
        image: The image's name, as the user wrote it.
        image_id: The Engine's ID of it, None where it was not found.
        dry_run: Whether nothing was to be uploaded.
        tags: In the order of the user.
        layers: From the base up.
        exit_code: What the process ends with.
        uploader: Who pushed, "engine" or "pipe"; None where nobody had to.
        seconds: How long the run lasted, None where it did not begin.
        platforms: The image of each platform; one where there is no index.
    """

    image: str
    image_id: str | None
    dry_run: bool
    tags: tuple[TagResult, ...]
    layers: tuple[LayerResult, ...]
    exit_code: int
    uploader: str | None = None
    seconds: float | None = None
    platforms: tuple[PlatformResult, ...] = ()

    @property
    def shown_layers(self) -> tuple[LayerResult, ...]:
        """The layers of all platforms, one platform after the other."""
        return tuple(layer for each in self.platforms for layer in each.layers) or self.layers

    @property
    def digest(self) -> str | None:
        """The digest of the first tag that arrived, None where none did."""
        return next((tag.digest for tag in self.tags if tag.arrived), None)

    def as_json(self) -> dict[str, object]:
        """Return the object that RESULT_FILE holds."""
        return {
            "image": self.image,
            "image_id": self.image_id,
            "digest": self.digest,
            "dry_run": self.dry_run,
            "tags": [
                {
                    "tag": tag.target.tag,
                    "reference": tag.reference,
                    "digest": tag.digest if tag.arrived else None,
                    "verified": tag.verified,
                    "status": tag.status,
                    "previous": tag.previous,
                    "error": tag.error,
                }
                for tag in self.tags
            ],
            "uploader": self.uploader,
            "layers": [_layer(layer) for layer in self.layers],
            "platforms": [
                {
                    "platform": each.platform,
                    "digest": each.digest,
                    "layers": [_layer(layer) for layer in each.layers],
                }
                for each in self.platforms
            ],
            "exit_code": self.exit_code,
        }


def _layer(layer: LayerResult) -> dict[str, object]:
    told = layer.status in ARRIVED or layer.status is LayerStatus.WOULD_UPLOAD
    return {
        "digest": layer.descriptor.digest if layer.descriptor else None,
        "size": layer.descriptor.size if layer.descriptor else None,
        "unpacked_size": layer.size,
        "instruction": layer.instruction,
        "seconds": None if layer.seconds is None else round(layer.seconds, 3),
        "status": layer.status if told else None,
        "reused": layer.reused,
    }
