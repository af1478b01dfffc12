"""What precedes a push: the image is found, the registry is asked; if possible while another image is pushed."""

from collections.abc import Callable
from contextlib import ExitStack

from pipe.errors import PipeError
from pipe.push.context import Context
from pipe.push.pushers import Pushers
from pipe.push.questions import Answers, answers
from pipe.push.reuse import Place
from pipe.push.verify import holds
from pipe.source.image_source import ImageSource

FRESH = 30.0
"""Seconds for which answers that came ahead count: another push may change the tags."""


class Preparation:
    """Prepares one push.

    Attributes:
        staging: Ends the staging of the image when it is closed.
    """

    def __init__(self, context: Context, find: Callable[[], ImageSource], pushers: Pushers) -> None:
        """Nothing happens before `ahead` or `source`.

        Args:
            context: Of the push.
            find: Finds the image.
            pushers: Decides what is asked and whether the image is staged.
        """
        self.staging = ExitStack()
        self._context = context
        self._find = find
        self._pushers = pushers
        self._source: ImageSource | None = None
        self._answers: Answers | None = None
        self._asked_at = 0.0
        self._is_staged = False

    def ahead(self) -> None:
        """Do in another thread what can be done ahead, without logging; what fails is done again in its turn."""
        context = self._context
        # An archive is read in no time, and what is unusual in it is logged.
        in_engine = context.settings.image_archive is None
        try:
            source = self._source = self._find() if in_engine else None
            self._asked_at = context.timing.clock()
            found = self._answers = self._ask(check=True)
        except PipeError:
            return
        if source is None:
            return
        manifests = [found.manifests.get(Place(context.repository, tag)) for tag in context.request.tags]
        is_done = all(manifest is not None and holds(manifest, source.image) for manifest in manifests)
        if not is_done and found.refusal is None and found.failure is None:
            self.stage(source)

    def source(self) -> ImageSource:
        """Return the image, staged if that may pay.

        Raises:
            PipeError: It cannot be found.
        """
        source, self._source = self._source, None
        return source or self._find()

    def stage(self, source: ImageSource) -> None:
        """Let the Engine stage the image if that may pay, until `staging` is closed."""
        if not self._is_staged:
            self._is_staged = True
            self.staging.enter_context(self._pushers.staged(source))

    def answers(self, *, check: bool) -> Answers:
        """Return what the registry answers; see `questions.answers`.

        Raises:
            PipeError: It cannot be reached.
        """
        found, self._answers = self._answers, None
        # A tag that must not move may have been created since.
        may_move = self._context.settings.if_tag_exists == "overwrite"
        if found is not None and may_move and self._context.timing.clock() - self._asked_at <= FRESH:
            return found
        return self._ask(check=check)

    def _ask(self, *, check: bool) -> Answers:
        repository = self._context.repository
        repository.connect()
        return answers(repository, self._context.request.tags, self._pushers.likely, check=check)
