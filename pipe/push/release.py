"""Several pushes in one run: each image after the other, whatever happens to the others."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Protocol

from pipe.errors import (
    CertificateError,
    CredentialsRefusedError,
    EngineUnreachableError,
    PipeError,
    RegistryTooSlowError,
    RegistryUnreachableError,
    UntrustedHostError,
)
from pipe.push.lookahead import Lookahead, Prepared
from pipe.push.result import ReleaseResult, Result
from pipe.push.shared_layers import SharedLayers
from pipe.report import Report

_CONCERN_ALL = (
    CertificateError,
    EngineUnreachableError,
    RegistryTooSlowError,
    RegistryUnreachableError,
    UntrustedHostError,
)
"""Failures with which the push of any other image would end, too."""


class ReleaseLog(Report, Protocol):
    """The log of a run with several images."""

    def image(self, result: Result, error: BaseException | None) -> None:
        """Log the outcome for one image."""


class ReleasePart(Protocol):
    """One push of a release.

    Attributes:
        name: What is pushed, for the log.
    """

    name: str

    @property
    def preparation(self) -> Prepared:
        """What can be done before its turn."""

    def run(self, allowed: Callable[[], None], sent: Callable[[], None]) -> None:
        """Push.

        Args:
            allowed: Called once the registry has allowed it.
            sent: Called once all blobs are in the registry, unless an Engine sends them.

        Raises:
            PipeError: The push failed.
        """

    def result(self, exit_code: int) -> Result:
        """Return the outcome, at any time."""


class Release:
    """The pushes of one run, at least one, in the order of the user."""

    def __init__(self, parts: Sequence[ReleasePart], shared: SharedLayers, log: ReleaseLog) -> None:
        """Nothing happens before `run`; `shared` receives the layers of each image, for those that follow."""
        self._parts = parts
        self._shared = shared
        self._log = log
        self._results: list[Result] = []
        self._allowed = False
        self._lookahead = Lookahead([part.preparation for part in parts])

    def run(self) -> None:
        """Push every image; one that fails does not stop the others unless they would fail for the same reason.

        Raises:
            PipeError: The first failure; `result` has the outcome for each image.
        """
        if len(self._parts) == 1:
            self._parts[0].run(lambda: None, lambda: None)
            return
        try:
            self._run_all()
        finally:
            self._lookahead.close()

    def result(self, exit_code: int) -> ReleaseResult:
        """Return the outcome for every image, at any time; `exit_code` is that of the process."""
        others = [part.result(exit_code) for part in self._parts[len(self._results) :]]
        return ReleaseResult((*self._results, *others), exit_code)

    def _run_all(self) -> None:
        failure: PipeError | None = None
        self._lookahead.find()
        for index, part in enumerate(self._parts):
            self._log.info(f"Image {index + 1} of {len(self._parts)}: {part.name}")
            try:
                error = self._run(index, part)
            except BaseException as ended:
                with suppress(Exception):
                    self._log.image(part.result(1), ended)
                raise
            result = part.result(error.exit_code if error else 0)
            self._results.append(result)
            self._shared.add(result)
            self._log.image(result, error)
            failure = failure or error
            if error is not None and self._concerns_all(error) and part is not self._parts[-1]:
                self._log.info("The other images would fail for the same reason.")
                break
        if failure is not None:
            raise failure

    def _run(self, index: int, part: ReleasePart) -> PipeError | None:
        """Push one image while the following ones are prepared; return why that failed."""
        self._lookahead.wait(index)

        def allowed() -> None:
            self._allowed = True
            self._lookahead.begin(index)

        def sent() -> None:
            self._shared.add(part.result(0))
            self._lookahead.send(index)

        try:
            part.run(allowed, sent)
        except PipeError as error:
            return error
        return None

    def _concerns_all(self, error: PipeError) -> bool:
        """Return whether the push of any other image would fail for the same reason.

        Credentials that were never accepted are not sent again: too many failures can lock an account.
        """
        # A token server that knows the credentials returns 403 for a package.
        refused = (
            isinstance(error, CredentialsRefusedError) and not self._allowed and error.status != HTTPStatus.FORBIDDEN
        )
        return refused or isinstance(error, _CONCERN_ALL)
