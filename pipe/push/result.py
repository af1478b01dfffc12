"""The frozen result of a run, which the output writes."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Layer
from pipe.oci.reference import Reference


class LayerStatus(StrEnum):
    """How far a layer has come; spelled as the result spells it."""

    WAITING = "waiting"
    UPLOADING = "uploading"
    RETRYING = "retrying"
    UPLOADED = "uploaded"
    ALREADY_THERE = "already there"
    MOUNTED = "mounted"
    WOULD_UPLOAD = "would upload"


ARRIVED = frozenset((LayerStatus.UPLOADED, LayerStatus.ALREADY_THERE, LayerStatus.MOUNTED))
"""Statuses of layers that the registry has."""


class TagStatus(StrEnum):
    """The outcome for one tag."""

    PUSHED = "pushed"
    ALREADY_THERE = "already there"
    SKIPPED = "skipped"
    FAILED = "failed"
    NOT_TRIED = "not tried"
    WOULD_PUSH = "would push"


class TagResult(NamedTuple):
    """One tag of the result.

    Attributes:
        target: The reference to push, with a tag and without a digest.
        status: The outcome.
        digest: The digest of the pushed manifest, None if it did not arrive.
        verified: Whether the registry returned this digest for the tag after the push.
        error: Why it did not arrive, None if it did or was not tried.
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
        """Whether the registry has the image under this tag, as far as is known."""
        return self.status in {TagStatus.PUSHED, TagStatus.ALREADY_THERE} and self.digest is not None

    @property
    def reference(self) -> str | None:
        """`registry/workspace/package:tag@sha256:…`, None if the tag did not arrive."""
        return str(self.target.with_digest(self.digest)) if self.digest and self.arrived else None


class LayerResult(NamedTuple):
    """The outcome for one layer.

    Attributes:
        layer: The layer.
        status: How far it has come.
        descriptor: The blob that stores it in the registry, None if unknown.
        seconds: Duration of its upload, None if it was not uploaded or the start was not seen.
        reused: Whether the registry had the layer in another image, by which the pipe found it.
    """

    layer: Layer
    status: LayerStatus = LayerStatus.WAITING
    descriptor: Descriptor | None = None
    seconds: float | None = None
    reused: bool = False


class PlatformResult(NamedTuple):
    """The image of one platform.

    Attributes:
        platform: Such as `linux/arm64`, None if unknown.
        digest: The digest of its manifest, None if unknown.
        layers: From the lowest up.
    """

    platform: str | None
    digest: str | None
    layers: tuple[LayerResult, ...]


class ReferrerStatus(StrEnum):
    """The outcome for one artifact."""

    PUSHED = "pushed"
    ALREADY_THERE = "already there"
    NOT_TRIED = "not tried"
    WOULD_PUSH = "would push"


class ReferrerResult(NamedTuple):
    """The outcome for one artifact that refers to the image.

    Attributes:
        digest: The digest of its manifest.
        kind: Its artifact type.
        subject: The digest of the manifest that it refers to.
        status: The outcome.
    """

    digest: str
    kind: str
    subject: str
    status: ReferrerStatus = ReferrerStatus.NOT_TRIED


class SplitResult(NamedTuple):
    """The layers that were split.

    Attributes:
        layers: Each with the number of its parts, from the lowest up.
        original_image_id: The image's ID before.
    """

    layers: tuple[tuple[Layer, int], ...]
    original_image_id: str

    def as_json(self) -> dict[str, object]:
        """Return the object that RESULT_FILE holds: the first layer, then the others."""
        first, *others = [
            {"layer": layer.number, "parts": parts, "platform": layer.platform or None} for layer, parts in self.layers
        ]
        return first | {"original_image_id": self.original_image_id, "others": others}


class Result(NamedTuple):
    """The outcome of the push of one image.

    Attributes:
        image: The image's name, as the user wrote it.
        image_id: The ID of the image that is pushed, None if it was not found.
        dry_run: Whether uploading was ruled out.
        tags: In the order of the user.
        layers: From the lowest up.
        exit_code: The exit code of the process, if this were its only image.
        uploader: "engine" or "pipe"; None if nothing had to be pushed.
        seconds: Duration of the push, None if it did not begin.
        platforms: The image of each platform; one if there is no index.
        referrers: Artifacts that refer to the image, if REFERRERS is true.
        split: The layers that were split; None if none was.
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
    referrers: tuple[ReferrerResult, ...] = ()
    split: SplitResult | None = None

    @property
    def shown_layers(self) -> tuple[LayerResult, ...]:
        """The layers of all platforms, one platform after the other."""
        return tuple(layer for each in self.platforms for layer in each.layers) or self.layers

    @property
    def digest(self) -> str | None:
        """The digest of the first tag that arrived, None if none did."""
        return next((tag.digest for tag in self.tags if tag.arrived), None)

    @property
    def reference(self) -> str | None:
        """`registry/workspace/package@sha256:…` of the first tag that arrived, None if none did."""
        found = next((tag for tag in self.tags if tag.arrived), None)
        return str(found.target.with_tag("").with_digest(found.digest or "")) if found else None

    def as_json(self) -> dict[str, object]:
        """Return the object that RESULT_FILE holds if it is the only image."""
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
            "split": self.split.as_json() if self.split else None,
            "layers": _layers(self.layers),
            "platforms": [
                {"platform": each.platform, "digest": each.digest, "layers": _layers(each.layers)}
                for each in self.platforms
            ],
            "referrers": [
                {"digest": each.digest, "artifact_type": each.kind, "subject": each.subject, "status": each.status}
                for each in self.referrers
            ],
            "exit_code": self.exit_code,
        }


class ReleaseResult(NamedTuple):
    """The outcome of a run.

    Attributes:
        images: The outcome for each image, at least one, in the order of the user.
        exit_code: The exit code of the process.
    """

    images: tuple[Result, ...]
    exit_code: int

    @property
    def is_single(self) -> bool:
        """Whether the run has only one image."""
        return len(self.images) == 1

    @property
    def tags(self) -> tuple[TagResult, ...]:
        """The tags of all images."""
        return tuple(tag for image in self.images for tag in image.tags)

    def as_json(self) -> dict[str, object]:
        """Return the object that RESULT_FILE holds: that of the image, or a list of them if there are several."""
        if self.is_single:
            return self.images[0].as_json()
        return {"images": [image.as_json() for image in self.images], "exit_code": self.exit_code}


def _layers(layers: Sequence[LayerResult]) -> list[dict[str, object]]:
    return [
        {
            "digest": each.descriptor.digest if each.descriptor else None,
            "size": each.descriptor.size if each.descriptor else None,
            "unpacked_size": each.layer.size,
            "instruction": each.layer.instruction,
            "seconds": None if each.seconds is None else round(each.seconds, 3),
            "status": each.status if each.status in ARRIVED or each.status is LayerStatus.WOULD_UPLOAD else None,
            "reused": each.reused,
        }
        for each in layers
    ]
