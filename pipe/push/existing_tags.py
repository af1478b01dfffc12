"""The tags that the registry has before the push, and after it rejected one."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pipe.errors import PipeError
from pipe.oci.config import CONFIG_SIZE, Origin
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.push import tags
from pipe.push.context import Context
from pipe.push.outcome import Outcome
from pipe.push.result import TagResult, TagStatus
from pipe.push.reuse import reusable
from pipe.push.verify import holds, may_stand_for, missing_parts
from pipe.text import listed

_SHOWN = 3


class ExistingTags:
    """Reads the tags of one repository, and records in the outcome of the push what is decided."""

    def __init__(self, context: Context, outcome: Outcome) -> None:
        self._settings = context.settings
        self._targets = context.request.targets
        self._repository = context.repository
        self._report = context.report
        self._outcome = outcome

    def survey(
        self,
        image: Image,
        found: Sequence[Manifest | None],
        missing: Mapping[str, Sequence[str]],
        is_held: Callable[[Manifest, Image], bool] = holds,
    ) -> None:
        """Record the tags that are done, and apply IF_TAG_EXISTS to those with another image.

        Args:
            image: What is pushed.
            found: The manifest of each target, None if there is none.
            missing: What the registry lacks of some manifests, by their digest.
            is_held: Returns whether a manifest is that of the image.

        Raises:
            TagExistsError: A tag points to another image, and IF_TAG_EXISTS is `fail`.
            PipeError: The registry does not answer.
        """
        targets, outcome = self._targets, self._outcome
        whole = {outcome.manifest.digest: True} if outcome.manifest is not None else {}
        for target, manifest in zip(targets, found, strict=True):
            if manifest is None:
                continue
            if not is_held(manifest, image):
                outcome.set(self._other(target, manifest))
                continue
            if manifest.digest not in whole:
                whole[manifest.digest] = self._is_whole(target, manifest, missing)
            if whole[manifest.digest]:
                outcome.remember(manifest)
                outcome.set(TagResult(target, TagStatus.ALREADY_THERE, manifest.digest, verified=True))
        self._reject(dict(zip(targets, found, strict=True)))

    def elsewhere(self, image: Image, others: Mapping[str, Manifest], missing: Mapping[str, Sequence[str]]) -> None:
        """Find the image under a tag that is no target: its manifest is all that the targets need.

        Args:
            image: What is pushed.
            others: The manifests of further tags.
            missing: What the registry lacks of some manifests, by their digest.
        """
        outcome, types = self._outcome, reusable(self._settings.compression)
        held = [(tag, manifest) for tag, manifest in others.items() if may_stand_for(manifest, image, types)]
        for tag, manifest in held if outcome.pending() and outcome.manifest is None else ():
            if self._has_all_of(manifest, missing):
                self._report.info(f"{tag} already points to this image: nothing is uploaded.")
                outcome.remember(manifest)
                return

    def _has_all_of(self, manifest: Manifest, known: Mapping[str, Sequence[str]]) -> bool:
        """Return whether the registry has a manifest that is of use, but not needed, with all that it names."""
        try:
            return not self._missing(manifest, known)
        except PipeError as error:
            self._report.debug(f"{manifest.digest} is not used. {error.summary}")
            return False

    def rejected(self, image: Image, target: Reference, error: PipeError) -> TagResult:
        """Find out why the registry rejected a tag: it may point to the image already, or be protected.

        Raises:
            TagRejectedError: The tag points to another image, and IF_TAG_EXISTS is not `skip`.
            PipeError: The tag does not exist, so the rejection has another reason.
        """
        manifest = self._repository.manifest(target.tag)
        if manifest is None:
            raise error
        if holds(manifest, image) and not missing_parts(self._repository, manifest):
            self._outcome.remember(manifest)
            return TagResult(target, TagStatus.ALREADY_THERE, manifest.digest, verified=True)
        if self._settings.if_tag_exists == "skip":
            # Another push created it after the survey.
            return TagResult(target, TagStatus.SKIPPED, previous=manifest.digest)
        raise tags.rejected(target, manifest.digest, self._origin(manifest), error) from error

    def _is_whole(self, target: Reference, manifest: Manifest, known: Mapping[str, Sequence[str]]) -> bool:
        missing = self._missing(manifest, known)
        if missing:
            self._report.warning(
                f"{target} points to this image, but the registry does not have {listed(missing, _SHOWN)}:"
                " pushing it again."
            )
        return not missing

    def _missing(self, manifest: Manifest, known: Mapping[str, Sequence[str]]) -> Sequence[str]:
        missing = known.get(manifest.digest)
        return missing_parts(self._repository, manifest) if missing is None else missing

    def _other(self, target: Reference, manifest: Manifest) -> TagResult:
        """Return the outcome for a tag that points to another image, as far as it is decided."""
        skipped = self._settings.if_tag_exists == "skip"
        return TagResult(target, TagStatus.SKIPPED if skipped else TagStatus.NOT_TRIED, previous=manifest.digest)

    def _reject(self, found: dict[Reference, Manifest | None]) -> None:
        """Reject the push if a tag would move although IF_TAG_EXISTS is `fail`."""
        if self._settings.if_tag_exists != "fail":
            return
        errors = []
        moving = [(tag, found[tag.target]) for tag in self._outcome.pending() if tag.previous is not None]
        others = [(tag, manifest) for tag, manifest in moving if manifest is not None]
        origins = self._repository.pool.gather([partial(self._origin, manifest) for _, manifest in others])
        for (tag, manifest), origin in zip(others, origins, strict=True):
            error = tags.exists(tag.target, manifest.digest, origin)
            self._outcome.set(TagResult(tag.target, TagStatus.FAILED, error=error.summary, previous=tag.previous))
            errors.append(error)
        for error in errors[1:]:
            self._report.warning(error.summary)
        if errors:
            raise errors[0]

    def _origin(self, manifest: Manifest) -> Origin:
        """Return the build that an image of the registry comes from, as far as its config can be read."""
        try:
            if manifest.images:
                manifest = self._repository.manifest(manifest.images[0]) or manifest
            config = self._repository.read(manifest.config, CONFIG_SIZE) if manifest.config else None
        except PipeError as error:
            self._report.debug(f"The config of {manifest.digest} could not be read. {error.summary}")
            return Origin()
        return Origin.parse(config or b"")
