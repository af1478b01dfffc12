"""What was pushed: the frozen result that a push makes and the output writes (pure)."""

from dataclasses import asdict, dataclass
from enum import StrEnum

from pipe.oci.image import cut, shorten
from pipe.oci.reference import Reference
from pipe.units import format_duration, format_size


class TagStatus(StrEnum):
    """What became of a tag."""

    PUSHED = "pushed"
    ALREADY_THERE = "already there"
    FAILED = "failed"
    NOT_TRIED = "not tried"
    WOULD_PUSH = "would push"


class LayerStatus(StrEnum):
    """What became of a layer."""

    UPLOADED = "uploaded"
    ALREADY_THERE = "already there"
    MOUNTED = "mounted"
    WOULD_UPLOAD = "would upload"


@dataclass(frozen=True, slots=True)
class TagResult:
    """One tag of the result.

    Attributes:
        target: What was to be pushed, with tag and without digest.
        status: What became of it.
        digest: The manifest's, None where it did not arrive.
        verified: Whether the registry named this digest when it was read back.
        error: Why it did not arrive, None where it did or was not tried.
    """

    target: Reference
    status: TagStatus = TagStatus.NOT_TRIED
    digest: str | None = None
    verified: bool = False
    error: str | None = None

    @property
    def arrived(self) -> bool:
        """Whether the image is in the registry under this tag, as far as known."""
        return self.status in {TagStatus.PUSHED, TagStatus.ALREADY_THERE} and self.digest is not None

    @property
    def reference(self) -> str | None:
        """`registry/workspace/package:tag@sha256:…`, None where it did not arrive."""
        return str(self.target.with_digest(self.digest)) if self.digest and self.arrived else None


@dataclass(frozen=True, slots=True)
class LayerResult:
    """One layer of the result; what is not known is None.

    Attributes:
        digest: Of the stored blob.
        size: Bytes stored.
        unpacked_size: Bytes unpacked.
        instruction: The Dockerfile instruction, values masked.
        seconds: How long its upload lasted.
        status: What became of it.
    """

    digest: str | None
    size: int | None
    unpacked_size: int | None
    instruction: str | None
    seconds: float | None
    status: LayerStatus | None


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
    """

    image: str
    image_id: str | None
    dry_run: bool
    tags: tuple[TagResult, ...]
    layers: tuple[LayerResult, ...]
    exit_code: int

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
                    "error": tag.error,
                }
                for tag in self.tags
            ],
            "layers": [asdict(layer) for layer in self.layers],
            "exit_code": self.exit_code,
        }


def table(layers: tuple[LayerResult, ...]) -> list[str]:
    """Tell what became of each layer.

    Args:
        layers: From the base up.

    Returns:
        A line a layer, in columns; none where nothing is known.
    """
    rows = [
        (
            str(number),
            cut(layer.instruction or shorten(layer.digest or "") or "unknown"),
            _size(layer),
            format_duration(layer.seconds) if layer.seconds is not None else "",
            layer.status or "not uploaded",
        )
        for number, layer in enumerate(layers, start=1)
    ]
    if not rows or all(layer.status is None for layer in layers):
        return []
    rows.insert(0, ("layer", "instruction", "size", "time", "status"))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return [
        f"{number:>{widths[0]}}  {what:<{widths[1]}}  {size:>{widths[2]}}  {time:>{widths[3]}}  {status}"
        for number, what, size, time, status in rows
    ]


def _size(layer: LayerResult) -> str:
    size = layer.unpacked_size if layer.size is None else layer.size
    return "" if size is None else format_size(size)
