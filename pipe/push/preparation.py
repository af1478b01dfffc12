"""What precedes a push: the image is found, the registry is asked; if possible while another image is pushed."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pipe.errors import PipeError
from pipe.oci.manifest import Manifest
from pipe.push.context import Context
from pipe.push.early_sending import EarlySending
from pipe.push.early_staging import EarlyStaging
from pipe.push.pushers import Pushers
from pipe.push.questions import Answers, answers
from pipe.push.reuse import Place, reusable
from pipe.push.verify import holds, may_stand_for, missing_parts
from pipe.registry.repository import LONG_ROUND_TRIP
from pipe.source.image_source import ImageSource

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pipe.threads import Cancel

FRESH = 30.0
"""Seconds for which answers that came ahead count: another push may change the tags."""


class Preparation:
    """Prepares one push.

    Attributes:
        staging: The staging of the image, which ends with the push.
        early: The sending of the blobs before the push.
        is_needed: Whether the push sends anything, as far as `ahead` found out.
    """

    def __init__(self, context: Context, find: Callable[[], ImageSource], pushers: Pushers) -> None:
        """Nothing happens before `find`, `ahead` or `source`; `find` finds the image."""
        self.staging = EarlyStaging(pushers.staged)
        self.early = EarlySending(context, pushers)
        self._context = context
        self._find = find
        self._pushers = pushers
        self._source: ImageSource | None = None
        self._answers: Answers | None = None
        self._asked_at = 0.0
        self._surveyed: ImageSource | None = None
        self.is_needed = True

    def find(self) -> None:
        """Find an image that is in the Engine, before its turn; if that fails, it is done again."""
        # An archive is read in no time, and what is unusual in it is logged.
        if self._source is None and self._context.settings.image_archive is None:
            with suppress(PipeError):
                self._source = self._find()

    def ahead(self) -> None:
        """Do in another thread what can be done ahead, without logging; what fails is done again in its turn."""
        context = self._context
        self.find()
        source = self._source
        if source is None and context.settings.image_archive is None:
            return
        try:
            self._asked_at = context.timing.clock()
            self._answers = self._ask(() if source else self._pushers.likely, check=True)
            if source is not None:
                self._survey(source, self._answers)
                self._note(self._answers)
        except PipeError:
            return

    def _note(self, found: Answers) -> None:
        """Note a repository without tags: the other images of the run need not look for layers there."""
        if found.failure is None and not any(found.manifests.values()):
            self._context.shared.untagged.add(self._context.repository.path)

    def stage_ahead(self) -> None:
        """Let the Engine stage the image if `ahead` found that it must be pushed and that this may pay."""
        if self._surveyed is not None:
            self.stage(self._surveyed, is_missing=True)

    def send_ahead(self, cancel: "Cancel", *, is_next: bool) -> "Future[None] | None":
        """Begin to send the blobs if `ahead` found that the image must be pushed; see `EarlySending.begin`.

        With that the push has begun: its turn relies on the same answers.
        """
        if self._surveyed is not None and not self._is_fresh():
            self._surveyed = None
            self.ahead()
        if self._surveyed is None or self._answers is None or self._answers.is_temporary:
            return None
        try:
            return self.early.begin(self._surveyed, self._answers.manifests, cancel, is_next=is_next)
        except PipeError:
            return None

    def source(self) -> ImageSource:
        """Return the image, staged if that may pay.

        Raises:
            PipeError: It cannot be found.
        """
        source, self._source = self._source, None
        return source or self._find()

    def stage(self, source: ImageSource, *, is_missing: bool = False) -> None:
        """Let the Engine stage the image if that may pay, until `staging` is closed; never if `ahead` ruled it out.

        A registry that is near is asked first: staging an image that turns out to be there takes the Engine longer than
        the whole run takes. If it `is_missing`, the registry is known not to have it.
        """
        is_near = 0 < self._context.repository.round_trip < LONG_ROUND_TRIP
        if self.is_needed and (is_missing or not is_near):
            self.staging.begin(source)

    def answers(self, *, check: bool) -> Answers:
        """Return what the registry answers; see `questions.answers`.

        Raises:
            PipeError: It cannot be reached.
        """
        found, self._answers = self._answers, None
        # A tag that must not move may have been created since.
        may_move = self._context.settings.if_tag_exists == "overwrite"
        if found is not None and may_move and self._is_fresh() and not found.is_temporary:
            return found
        return self._ask(self._pushers.likely, check=check)

    def _is_fresh(self) -> bool:
        """Return whether the answers that came ahead still count; once blobs are sent, they do."""
        return self.early.since is not None or self._context.timing.clock() - self._asked_at <= FRESH

    def _ask(self, others: Sequence[Place], *, check: bool) -> Answers:
        repository = self._context.repository
        repository.connect()
        return answers(repository, self._context.request.tags, others, check=check)

    def _survey(self, source: ImageSource, found: Answers) -> None:
        """Ask what follows from the answers: for the parts of an image that is there, for other images if it is not.

        Raises:
            PipeError: The registry does not answer; the answers so far are kept.
        """
        if found.refusal is not None or found.failure is not None or source.present is not None:
            self.is_needed = False
            return
        repository = self._context.repository
        tags = [found.manifests[Place(repository, tag)] for tag in self._context.request.tags]
        missing = self._missing(each for each in tags if each is not None and holds(each, source.image))
        self._answers = found._replace(missing=missing)
        self.is_needed = all(missing.values())
        if self.is_needed:
            self._surveyed = source
            others = [place for place in self._pushers.likely if place not in found.manifests]
            read = answers(repository, (), others, check=False).manifests
            self._answers = self._answers._replace(manifests=found.manifests | read)
            types = reusable(self._context.settings.compression)
            there = [each for each in read.values() if each is not None]
            missing |= self._missing(each for each in there if may_stand_for(each, source.image, types))
            self._answers = self._answers._replace(missing=missing)
            if not all(missing.values()):
                # Its manifest under another tag is all that the push needs.
                self.is_needed, self._surveyed = False, None

    def _missing(self, manifests: Iterable[Manifest]) -> dict[str, list[str]]:
        """Return what the registry lacks of manifests, by their digest."""
        distinct = {each.digest: each for each in manifests}
        return {digest: missing_parts(self._context.repository, manifest) for digest, manifest in distinct.items()}
