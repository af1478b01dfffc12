"""The image of a push: found once, checked, and replaced if its layers must be split."""

from typing import TYPE_CHECKING

from pipe.errors import LimitError, PipeError
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.push.checks import check_sizes
from pipe.push.context import Context
from pipe.push.existing_tags import ExistingTags
from pipe.push.outcome import Outcome
from pipe.push.preparation import Preparation
from pipe.push.pusher import CannotPushError
from pipe.push.pushers import Pushers
from pipe.push.questions import Answers
from pipe.push.result import SplitResult
from pipe.push.reuse import Place
from pipe.push.verify import holds, holds_configs
from pipe.source.image_source import ImageSource
from pipe.text import listed

if TYPE_CHECKING:
    from pipe.push.splits import Splits


class Subject:
    """The image of one push."""

    def __init__(
        self,
        context: Context,
        preparation: Preparation,
        pushers: Pushers,
        outcome: Outcome,
        splits: "Splits | None",
    ) -> None:
        """Nothing happens before the first call."""
        self._settings = context.settings
        self._request = context.request
        self._repository = context.repository
        self._report = context.report
        self._clock = context.timing.clock
        self._preparation = preparation
        self._pushers = pushers
        self._outcome = outcome
        self._existing = ExistingTags(context, outcome)
        self._splits = splits
        self._source: ImageSource | None = None

    @property
    def split(self) -> SplitResult | None:
        """The layers that were split; None if none was."""
        return self._splits.result if self._splits else None

    @property
    def image_id(self) -> str | None:
        """The ID of the image that is pushed, None while it is unknown."""
        image, manifest = self._outcome.image, self._outcome.manifest
        if image is not None and image.platforms and self.split:
            # Only the push reveals the digest of an index whose layers were split.
            return manifest.digest if manifest else None
        return image.id if image else None

    def found(self) -> ImageSource:
        """Find the image, check what can be checked without the registry, and let the Engine prepare it.

        Raises:
            LayerTooLargeError: A layer exceeds the limit.
            PipeError: The image cannot be found.
        """
        if self._source is None:
            source = self._source = self._preparation.source()
            self._outcome.found(source.image, source.present)
            self._announce(source.image)
            if self._splits is None:
                check_sizes(source, self._settings, self._report)
            self._preparation.stage(source)
        return self._source

    def survey(self, answers: Answers) -> None:
        """Decide what is left to push, and split the layers that are known to exceed a size.

        Raises:
            TagExistsError: A tag points to another image, and IF_TAG_EXISTS is `fail`.
            CannotSplitError: A layer cannot be split.
            LayerTooLargeError: A layer exceeds the limit, and is not split.
            PipeError: The image cannot be read, or the registry does not answer.
        """
        source, read = self.found(), answers.manifests
        found = [read[Place(self._repository, tag)] for tag in self._request.tags]
        if self._splits is not None:
            if self._settings.if_tag_exists == "fail" and any(found) and not self._splits.marks(read):
                # Nothing in the registry is split: a tag of another image can be found without reading this one.
                self._existing.survey(source.image, found, answers.missing)
            is_there = any(holds(manifest, source.image) for manifest in found if manifest is not None)
            if not (is_there and self._settings.split_auto):
                source = self._replaced(self._splits.in_advance(source, read))
            check_sizes(source, self._settings, self._report)
        others = {
            place.tag: manifest
            for place, manifest in read.items()
            if manifest is not None and place.repository is self._repository and place.tag not in self._request.tags
        }
        self._existing.survey(source.image, found, answers.missing, self._is_held)
        self._existing.elsewhere(source.image, others, answers.missing)

    def _is_held(self, manifest: Manifest, image: Image) -> bool:
        """Return whether a manifest is that of the image; the digest of an index that was split is not known."""
        return holds(manifest, image) or (self.split is not None and holds_configs(self._repository, manifest, image))

    def give_way(self, error: CannotPushError) -> ImageSource:
        """Continue with the next step of the plan, which may split the layers that exceed a limit.

        Returns:
            The image that it pushes.

        Raises:
            PipeError: There is none, or a layer cannot be split.
        """
        following, failure = self._pushers.give_way(error), error.failure
        if following is None:
            raise failure or PipeError(error.reason) from error
        if not following.splits or self._splits is None or not isinstance(failure, LimitError):
            return self.found()
        progress, now = self._pushers.progress(), self._clock()
        return self._replaced(self._splits.after(self.found(), failure, progress, now), is_final=True)

    def _replaced(self, source: ImageSource, *, is_final: bool = False) -> ImageSource:
        """Go on with the image after its layers were split, if they were."""
        if source is not self._source:
            self._preparation.staging.close()
            self._source = source
            self._outcome.found(source.image)
            self._pushers.replace_image(is_final=is_final)
        return source

    def _announce(self, image: Image) -> None:
        targets = f"{self._request.targets[0].repository}: {listed(self._request.tags)}"
        self._report.info(f"{self._request.image}: {image.summary} → {targets}")
