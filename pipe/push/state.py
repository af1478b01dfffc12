"""What a run knows so far, from which its result is made at any time."""

from dataclasses import dataclass, field

from pipe.oci.image import Image, Layer
from pipe.oci.manifest import Manifest
from pipe.push.platforms import platform_results
from pipe.push.result import PlatformResult, TagResult
from pipe.push.watch import Watch


@dataclass(slots=True)
class State:
    """What is known so far.

    Attributes:
        image: What is pushed.
        watch: The clocks and the progress of its layers.
        reachable: Whether the pipe itself reaches the registry.
        manifest: The image's manifest in the registry.
        single: The manifest of its one platform, where that is another.
        platforms: The image of each of its platforms, where there are several and only the registry tells them.
        tags: What became of each tag.
        surveyed: Whether it was looked, before anything was sent, which tags hold the image.
        uploaded: Tags that were put in an attempt whose proof failed.
    """

    tags: dict[str, TagResult]
    image: Image | None = None
    watch: Watch | None = None
    reachable: bool = False
    manifest: Manifest | None = None
    single: Manifest | None = None
    platforms: tuple[Image, ...] = ()
    surveyed: bool = False
    uploaded: set[str] = field(default_factory=set)

    def platform_results(self, layers: tuple[Layer, ...]) -> tuple[PlatformResult, ...]:
        """Tell what became of the image of each platform.

        Args:
            layers: What became of each layer that the source told of.

        Returns:
            The results; one where there is no index, none where no image was found.
        """
        if self.image is None:
            return ()
        if self.image.platforms:
            return platform_results(self.image.platforms, layers, None)
        if self.platforms and self.watch is not None:
            return platform_results(self.platforms, (), self.watch.progress)
        platform = str(self.image.platform or "") or None
        return (PlatformResult(platform, self.single.digest if self.single else None, layers),)
