"""The entry point, which turns every error into an exit code."""

import gc
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING

from pipe.about import About
from pipe.config.reader import read_settings
from pipe.config.usage import usage
from pipe.config.variables import secrets
from pipe.errors import ConfigurationError, PipeError, StoppedError
from pipe.output.files import check_result_file
from pipe.output.log import Destinations, Output

if TYPE_CHECKING:
    from pipe.push.release import Release

UNEXPECTED = 1
"""Exit code of an unexpected error."""
_SOON = 0.05
"""Seconds after which the exception of a signal is raised again if it was lost."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the pipe.

    Args:
        arguments: Of the command line: none, `--help` or `--version`.
        environment: Such as `os.environ`.

    Returns:
        The exit code.
    """
    output = Output(secrets(environment), colour=not environment.get("NO_COLOR"))
    run = _Run(output, environment)
    error: BaseException | None = None
    sys.unraisablehook = _raised_again
    try:
        try:
            _on_signals(_stop)
            match list(arguments):
                case []:
                    run.push()
                case ["--version"]:
                    output.line(str(About.read(environment)))
                case ["--help" | "-h"]:
                    output.line(usage(About.read(environment).image))
                case _:
                    run.reject(arguments)
        finally:
            # What follows is short and must be complete.
            _on_signals(signal.SIG_IGN)
    except (Exception, StoppedError) as raised:  # noqa: BLE001
        error = raised
    return run.finish(error)


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> None:
    """Turn the first signal into an exception, and ignore further ones."""
    # Of one that came at the same time, Python would print that SIG_IGN ignores it.
    _on_signals(_ignore)
    raise StoppedError(number)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Ignore a signal."""


def _raised_again(lost: "sys.UnraisableHookArgs") -> None:
    """Raise the exception of a signal again that came in a finalizer, such as that of a connection: Python drops it."""
    stopped = lost.exc_value
    if not isinstance(stopped, StoppedError):
        sys.__unraisablehook__(lost)
        return
    number = stopped.number
    # Until then, further signals stay ignored: they would be lost in here.
    signal.signal(signal.SIGALRM, lambda _, frame: _stop(number, frame))
    signal.setitimer(signal.ITIMER_REAL, _SOON)


class _Run:
    """One run, and how far it got."""

    def __init__(self, output: Output, environment: Mapping[str, str]) -> None:
        self._output = output
        self._environment = environment
        self._destinations = Destinations()
        self._release: Release | None = None

    @staticmethod
    def reject(arguments: Sequence[str]) -> None:
        """Reject arguments: the pipe is configured by variables."""
        raise ConfigurationError([f"{' '.join(arguments)!r}: the only arguments are --help and --version."])

    def push(self) -> None:
        """Read the settings and push every image."""
        about = About.read(self._environment)
        self._output.info(str(about))
        settings = read_settings(self._environment, datetime.now(UTC).date())
        self._output.set_debug(debug=settings.debug)
        for request in settings.requests:
            self._output.keep(request.targets[0].repository)
        for sentence in settings.dropped_tags:
            self._output.info(sentence)
        check_result_file(settings.result_file)
        # In a step, stdout is part of the log, which contains the references already.
        in_pipeline = bool(self._environment.get("BITBUCKET_BUILD_NUMBER"))
        self._destinations = Destinations(settings.result_file, settings.variables_file, references=not in_pipeline)
        # requests and the Docker SDK take most of the start-up time: the log begins before them, and the registry
        # answers while the SDK is imported and the Engine looks for the image.
        from pipe.registry.client import Client  # noqa: PLC0415

        client = Client(settings.registry, settings.credentials, f"{about.name}/{about.version}", self._output)
        client.connect_early()
        from pipe.wiring import wired  # noqa: PLC0415

        self._release = wired(settings, client, self._output)
        # The collector was off until here, and never searches what exists by now.
        gc.freeze()
        gc.enable()
        self._release.run()

    def finish(self, error: BaseException | None) -> int:
        """Write the result and the error, if any.

        The error is always logged, also if the result of the failed run cannot be compiled.

        Returns:
            The exit code.
        """
        exit_code = _exit_code(error)
        result = None
        try:
            result = self._release.result(exit_code) if self._release else None
        except Exception as unexpected:  # noqa: BLE001
            error = error or unexpected
            exit_code = _exit_code(error)
            self._output.warning(f"The result could not be compiled: {type(unexpected).__name__}.")
        if result is not None:
            self._output.finish(result, self._destinations, error)
        elif error is not None:
            self._output.failure(error)
        return exit_code


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    return error.exit_code if isinstance(error, PipeError | StoppedError) else UNEXPECTED
