"""The use case: check → plan → push → verify, for every tag, with retries."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pipe.errors import (
    BlobMissingError,
    PipeError,
    RegistryUnreachableError,
    SourceUnusableError,
    StatusLostError,
    UnsupportedError,
)
from pipe.oci.image import Image
from pipe.oci.reference import Reference
from pipe.push import tags
from pipe.push.context import Context
from pipe.push.early_staging import EarlyStaging
from pipe.push.existing_tags import ExistingTags
from pipe.push.outcome import Outcome
from pipe.push.preparation import Preparation
from pipe.push.pusher import CannotPushError, Pushed
from pipe.push.pushers import Pushers
from pipe.push.result import Result, TagResult, TagStatus
from pipe.push.step import Kind
from pipe.push.subject import Subject
from pipe.push.verify import is_pushed, missing_parts, proven
from pipe.registry.errors import recast
from pipe.retry import RetryPolicy
from pipe.source.image_source import ImageSource

if TYPE_CHECKING:
    from pipe.push.referrers import Referrers
    from pipe.push.splits import Splits

Value = TypeVar("Value")


class Push:
    """Every tag of one image, to one repository.

    Attributes:
        name: The image's name, as the user wrote it.
        preparation: What can be done before its turn.
    """

    def __init__(
        self,
        context: Context,
        find: Callable[[], ImageSource],
        pushers: Pushers,
        referrers: "Referrers | None" = None,
        splits: "Splits | None" = None,
    ) -> None:
        """Nothing happens before `run`; only an archive has `referrers`, and without `splits` no layer is split."""
        self.name = context.request.image
        self._settings = context.settings
        self._request = context.request
        self._repository = context.repository
        self._report = context.report
        self._timing = context.timing
        self._pushers = pushers
        self._referrers = referrers
        self._attempts = RetryPolicy(self._settings.max_attempts, self._timing.random)
        self._outcome = Outcome(context)
        self._existing = ExistingTags(context, self._outcome)
        self._began: float | None = None
        self.preparation = Preparation(context, find, pushers)
        self._subject = Subject(context, self.preparation, pushers, self._outcome, splits)
        self._allowed: Callable[[], None] = lambda: None
        self._sent: Callable[[], None] = lambda: None
        self._reachable = self._surveyed = self._is_sending = False
        self._checked_in: int | None = None
        self._pushed: dict[str, Pushed] = {}
        self._ahead: set[Reference] = set()

    def run(self, allowed: Callable[[], None] = lambda: None, sent: Callable[[], None] = lambda: None) -> None:
        """Push every tag; a tag that the registry rejects does not stop the others.

        Args:
            allowed: Called once the registry has allowed the push.
            sent: Called once all blobs are in the registry, unless an Engine sends them.

        Raises:
            PipeError: A tag did not arrive; `result` has the outcome for each.
        """
        self._began = self.preparation.early.since or self._timing.clock()
        self._allowed, self._sent = allowed, sent
        rejected: PipeError | None = None
        with closing(self.preparation.staging):
            self._attempted(self._request.targets[0], self._prepared)
            for target in tags.ordered(self._outcome.pending()):
                self._put_ahead(target)
                try:
                    self._outcome.set(self._attempted(target, partial(self._push, target)))
                except PipeError as error:
                    is_stored = self._reachable and self._outcome.manifest is not None
                    if not tags.concerns_only_a_tag(error, is_stored=is_stored):
                        raise
                    if rejected is not None:
                        # The first is raised at the end.
                        self._report.warning(error.summary)
                    rejected = rejected or error
            if self._referrers is not None:
                self._referrers.push(self._outcome.tags())
            if rejected is not None:
                raise rejected
            if self._settings.dry_run:
                self._foresee(self._subject.found())

    def result(self, exit_code: int) -> Result:
        """Return the outcome of the run, at any time."""
        outcome, progress = self._outcome, self._pushers.progress()
        return Result(
            image=self._request.image,
            image_id=self._subject.image_id,
            dry_run=self._settings.dry_run,
            tags=outcome.tags(),
            layers=outcome.layers(progress),
            exit_code=exit_code,
            uploader=self._pushers.used,
            seconds=None if self._began is None else self._timing.clock() - self._began,
            platforms=outcome.platforms(progress),
            referrers=self._referrers.results() if self._referrers else (),
            split=self._subject.split,
        )

    def _attempted(self, target: Reference, call: Callable[[], Value]) -> Value:
        """Make a call for a tag, and retry it after a temporary failure."""
        self._outcome.start(target)
        try:
            return self._attempts.call(call, self._before_retry, self._repository.run_clock.left)
        except PipeError as error:
            self._outcome.fail(target, error)
            raise

    def _before_retry(self, error: PipeError, delay: float) -> None:
        self._report.warning(
            f"Attempt {self._attempts.made} of {self._attempts.maximum} failed. {error.summary}"
            f"\nRetrying in {delay:.0f} s; uploaded layers are kept."
        )
        with self._repository.run_clock.waiting():
            self._timing.sleep(delay)

    def _prepared(self) -> ImageSource:
        """Find the image, check what can be checked, and find out what the registry has under the tags."""
        self._subject.found()
        if (not self._reachable and self._checked_in != self._attempts.made) or (
            self._reachable and not self._surveyed
        ):
            self._checked_in = self._attempts.made
            self._survey()
        return self._subject.found()

    def _survey(self) -> None:
        """Make sure that a push is allowed, and find out what the registry has under the tags.

        Only a registry that cannot be reached from here is left to the Engine.
        """
        check = not self._reachable
        try:
            found = self.preparation.answers(check=check)
            if found.refusal is not None:
                raise found.refusal
        except RegistryUnreachableError as error:
            if not check or self._settings.dry_run or not self._pushers.engine_may_push:
                raise
            # One warning is enough: later attempts find out the same.
            log = self._report.debug if self._attempts.made else self._report.warning
            log(f"{error.summary}\nContinuing with Docker Engine, which may still reach it.")
            return
        if check:
            self._reachable = self._attempts.allowed = True
            self._allowed()
        if found.failure is not None:
            raise found.failure
        self._pushers.surveyed(found.manifests)
        self._subject.survey(found)
        self._surveyed = True
        if self._outcome.pending():
            self._report.info("Push access confirmed.")
            if self._outcome.manifest is None:
                self.preparation.stage(self._subject.found(), is_missing=True)

    def _push(self, target: Reference) -> TagResult:
        """Make one attempt for one tag."""
        source = self._prepared()
        before = self._outcome.tag(target)
        if before.status is not TagStatus.NOT_TRIED:
            return before
        if self._settings.dry_run:
            return TagResult(target, TagStatus.WOULD_PUSH, previous=before.previous)
        self._is_sending = False
        try:
            pushed = (
                self._arrived_before(source, target) or self._retagged(source, target) or self._uploaded(source, target)
            )
        except PipeError as error:
            if not self._reachable or self._is_sending or not tags.may_be_protected(error):
                raise
            return self._existing.rejected(source.image, target, error)
        self._pushed[target.tag] = pushed
        return self._verified(self._subject.found().image, before, pushed)

    def _put_ahead(self, target: Reference) -> None:
        """Put the manifest that is in the registry under a tag and those that may be pushed with it; best effort."""
        manifest = self._outcome.manifest
        if manifest is None or not self._reachable or self._settings.dry_run or target in self._ahead:
            return
        targets = tags.alike(target, self._outcome.pending())
        self._ahead.update(targets)
        if len(targets) > 1:
            self._outcome.start(*targets)
            for each in tags.put_all(self._repository, manifest, targets, self._report.debug):
                previous = self._outcome.tag(each).previous
                self._outcome.set(TagResult(each, TagStatus.PUSHED, manifest.digest, verified=True, previous=previous))

    def _arrived_before(self, source: ImageSource, target: Reference) -> Pushed | None:
        """Return what an earlier attempt pushed whose proof failed, if the tag points to it now."""
        pushed = self._pushed.get(target.tag)
        if pushed is None or not self._reachable:
            return None
        manifest = self._repository.manifest(target.tag)
        if manifest is None or not is_pushed(manifest, pushed, source.image):
            return None
        return pushed if not missing_parts(self._repository, manifest) else None

    def _retagged(self, source: ImageSource, target: Reference) -> Pushed | None:
        """Put the manifest that is in the registry under a further tag; return None if it must be pushed."""
        manifest = self._outcome.manifest
        if manifest is None or not self._reachable:
            return None
        try:
            self._repository.put_manifest(target.tag, manifest)
        except BlobMissingError as error:
            if source.present is not None:
                # The registry had the image before: another attempt would not complete it.
                raise recast(SourceUnusableError, error) from error
            self._outcome.manifest = None
            self._pushers.forget()
            raise
        except UnsupportedError as error:
            if self._outcome.tag(target).previous is not None or not self._pushers.engine_may_push:
                raise
            self._report.debug(f"{error.summary} Docker Engine pushes the tag.")
            return None
        return Pushed(manifest.digest, manifest)

    def _uploaded(self, source: ImageSource, target: Reference) -> Pushed:
        """Push the image with the first pusher of the plan that can."""
        self.preparation.early.wait(source.image)
        with closing(EarlyStaging()) as staging:
            while True:
                step = self._pushers.current(source, reachable=self._reachable)
                if step.kind is Kind.ENGINE:
                    # What was staged before the plan was made is for the pipe.
                    self.preparation.staging.close()
                # Until all blobs have arrived, a rejection by the registry does not concern the tag; an Engine's may.
                self._is_sending = step.kind is Kind.REGISTRY
                try:
                    return self._pushers.push(source, target, step, staging, self._arrived)
                except CannotPushError as error:
                    source = self._subject.give_way(error)
                except StatusLostError:
                    # The Engine lost the status of a rejection: the registry's own answer decides.
                    if self._reachable:
                        self._repository.check_push()
                    raise

    def _arrived(self) -> None:
        self._is_sending = False
        self._sent()

    def _verified(self, image: Image, before: TagResult, pushed: Pushed) -> TagResult:
        """Read the tag back."""
        target, previous = before.target, before.previous
        if not self._reachable:
            return TagResult(target, TagStatus.PUSHED, pushed.digest, verified=False, previous=previous)
        try:
            whole = self._outcome.manifest.digest if self._outcome.manifest else None
            manifest = proven(self._repository, target, pushed, image, whole)
        except BlobMissingError:
            self._outcome.manifest = None
            self._pushers.forget()
            raise
        self._outcome.remember(manifest)
        return TagResult(target, TagStatus.PUSHED, manifest.digest, verified=True, previous=previous)

    def _foresee(self, source: ImageSource) -> None:
        """Log and keep the outcome that a push is expected to have."""
        if all(tag.status is not TagStatus.WOULD_PUSH for tag in self._outcome.tags()):
            return
        if self._outcome.manifest is not None:
            self._outcome.foresee(frozenset(layer.diff_id for layer in source.image.layers))
            return
        self._report.info(self._pushers.forecast(source))
        self._outcome.foresee(self._pushers.present(source.image))
