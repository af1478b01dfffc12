"""What precedes a push: the image is found, the registry is asked; if possible while another image is pushed."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pipe.errors import PipeError
from pipe.push.context import Context
from pipe.push.pushers import Pushers
from pipe.push.questions import Answers, answers
from pipe.push.reuse import Place
from pipe.push.verify import holds
from pipe.source.image_source import ImageSource
from pipe.threads import Pool, wait

if TYPE_CHECKING:
    from concurrent.futures import Future

FRESH = 30.0
"""Seconds for which answers that came ahead count: another push may change the tags."""


class Preparation:
    """Prepares one push.

    Attributes:
        staging: Ends the staging of the image when it is closed.
    """

    def __init__(self, context: Context, find: Callable[[], ImageSource], pushers: Pushers) -> None:
        """Nothing happens before `begin` or `source`.

        Args:
            context: Of the push.
            find: Finds the image.
            pushers: Decides what is asked and whether the image is staged.
        """
        self.staging = ExitStack()
        self._context = context
        self._find = find
        self._pushers = pushers
        self._begun: Future[None] | None = None
        self._source: ImageSource | None = None
        self._answers: Answers | None = None
        self._asked_at = 0.0
        self._is_staged = False

    def begin(self) -> None:
        """Start in another thread, which logs nothing; what fails there is done again when its turn comes."""
        self._begun = Pool(1, "preparation").submit(self._ahead)

    def source(self) -> ImageSource:
        """Return the image, staged if that may pay.

        Raises:
            PipeError: It cannot be found.
        """
        self._wait()
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
        self._wait()
        found, self._answers = self._answers, None
        if found is not None and self._context.timing.clock() - self._asked_at <= FRESH:
            return found
        return self._ask(check=check)

    def _wait(self) -> None:
        begun, self._begun = self._begun, None
        if begun is not None:
            wait(begun)

    def _ask(self, *, check: bool) -> Answers:
        repository = self._context.repository
        repository.connect()
        return answers(repository, self._context.request.tags, self._pushers.likely, check=check)

    def _ahead(self) -> None:
        context = self._context
        try:
            source = self._source = self._find()
            self._asked_at = context.timing.clock()
            found = self._answers = self._ask(check=True)
        except PipeError:
            return
        manifests = [found.manifests.get(Place(context.repository, tag)) for tag in context.request.tags]
        is_done = all(manifest is not None and holds(manifest, source.image) for manifest in manifests)
        if not is_done and found.refusal is None and found.failure is None:
            self.stage(source)
