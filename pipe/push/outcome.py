"""What a run has achieved so far, from which its result can be built at any time."""

from pipe.errors import PipeError, TagExistsError
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.push.context import Context
from pipe.push.layer_results import forecast, layer_results
from pipe.push.platforms import platform_images, registry_results, split_results
from pipe.push.progress import Snapshot
from pipe.push.result import LayerResult, PlatformResult, TagResult, TagStatus


class Outcome:
    """The state of each tag, and the image's manifest in the registry once it is known.

    Attributes:
        image: What is pushed; None until it was found.
        manifest: The image's manifest in the registry, None while it is unknown.
    """

    def __init__(self, context: Context) -> None:
        self._repository = context.repository
        self._report = context.report
        self._tags = {target.tag: TagResult(target) for target in context.request.targets}
        self._current: tuple[Reference, ...] = ()
        self._single: Manifest | None = None
        self._platforms: tuple[Image, ...] = ()
        self._forecast: tuple[LayerResult, ...] = ()
        self.image: Image | None = None
        self.manifest: Manifest | None = None

    def found(self, image: Image, present: Manifest | None = None) -> None:
        """Record the image, and its manifest if the registry has all that it names."""
        self.image = image
        if present is not None:
            self.remember(present)

    def tag(self, target: Reference) -> TagResult:
        """Return the outcome for a tag so far."""
        return self._tags[target.tag]

    def set(self, *results: TagResult) -> None:
        """Record the outcome for tags."""
        self._tags |= {result.target.tag: result for result in results}

    def start(self, *targets: Reference) -> None:
        """Record which tags are under way now."""
        self._current = targets

    def fail(self, target: Reference, error: PipeError) -> None:
        """Record that a tag failed; an existing tag that must not move is recorded when it is found."""
        self._current = ()
        if not isinstance(error, TagExistsError):
            self.set(TagResult(target, TagStatus.FAILED, error=error.summary, previous=self.tag(target).previous))

    def tags(self) -> tuple[TagResult, ...]:
        """Return the outcome for all tags; those that were under way when a signal came have failed."""
        return tuple(
            TagResult(tag.target, TagStatus.FAILED, error="The push was stopped.", previous=tag.previous)
            if tag.status is TagStatus.NOT_TRIED and tag.target in self._current
            else tag
            for tag in self._tags.values()
        )

    def pending(self) -> list[TagResult]:
        """Return the tags that are left to push."""
        return [tag for tag in self._tags.values() if tag.status is TagStatus.NOT_TRIED]

    def remember(self, manifest: Manifest) -> None:
        """Keep the image's manifest in the registry, for further tags and for the result."""
        if self.manifest is not None:
            return
        self.manifest = self._single = manifest
        if len(manifest.images) == 1:
            try:
                self._single = self._repository.manifest(manifest.images[0])
            except PipeError as error:
                self._report.debug(f"The manifest {manifest.images[0]} could not be read. {error.summary}")
        elif manifest.images and self.image is not None and not self.image.platforms:
            self._platforms = platform_images(self._repository, manifest, self._report.debug)

    def foresee(self, present: frozenset[str]) -> None:
        """Record the expected outcome for each layer, given the diffIDs of those that the registry has."""
        if self.image is not None:
            self._forecast = forecast(self.image, present)

    def layers(self, progress: Snapshot) -> tuple[LayerResult, ...]:
        """Return the outcome for each layer."""
        if self.image is None:
            return ()
        return self._forecast or layer_results(self.image, progress, self._single, self.tags())

    def platforms(self, progress: Snapshot) -> tuple[PlatformResult, ...]:
        """Return the outcome for the image of each platform; one if there is no index."""
        if self.image is None:
            return ()
        layers = self.layers(progress)
        if self.image.platforms:
            return split_results(self.image.platforms, layers, self.manifest.images if self.manifest else ())
        if self._platforms:
            return registry_results(self._platforms, progress)
        platform = str(self.image.platform or "") or None
        return (PlatformResult(platform, self._single.digest if self._single else None, layers),)
