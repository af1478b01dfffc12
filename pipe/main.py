"""Wires the parts, and is the one place where an error becomes an exit code."""

import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

from pipe.about import About
from pipe.config.settings import Settings
from pipe.config.usage import usage
from pipe.config.variables import secrets
from pipe.errors import ConfigurationError, PipeError, StoppedError
from pipe.output.files import check_result_file
from pipe.output.log import Output

if TYPE_CHECKING:
    from pipe.push.run import Push

UNEXPECTED = 1
"""Exit code of an error that nobody foresaw."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the pipe.

    Args:
        arguments: Of the command line; all that is understood is `--help` and `--version`.
        environment: Such as `os.environ`.

    Returns:
        The exit code.
    """
    output = Output(secrets(environment), colour=not environment.get("NO_COLOR"))
    _on_signals(_stop)
    run = _Run(output, environment)
    try:
        match list(arguments):
            case []:
                run.push()
            case ["--version"]:
                output.line(str(About.read(environment)))
            case ["--help" | "-h"]:
                output.line(usage(About.read(environment).image))
            case _:
                run.refuse(arguments)
    except PipeError as error:
        outcome: tuple[int, Callable[[], None]] = error.exit_code, partial(output.failure, error)
    except StoppedError as error:
        outcome = error.exit_code, partial(output.failure, error)
    except Exception as error:  # noqa: BLE001
        outcome = UNEXPECTED, partial(output.unexpected, error)
    else:
        outcome = 0, lambda: None
    # What is left to do is short, and has to be whole.
    _on_signals(signal.SIG_IGN)
    return run.finish(*outcome)


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> None:
    """Turn the first signal into an exception, and leave the way out undisturbed by further ones."""
    _on_signals(signal.SIG_IGN)
    raise StoppedError(number)


class _Run:
    """One run, as far as it came."""

    def __init__(self, output: Output, environment: Mapping[str, str]) -> None:
        self._output = output
        self._environment = environment
        self._settings: Settings | None = None
        self._push: Push | None = None

    @staticmethod
    def refuse(arguments: Sequence[str]) -> None:
        """Say that the pipe takes variables, not arguments."""
        raise ConfigurationError([f"{' '.join(arguments)!r}: the only arguments are --help and --version."])

    def push(self) -> None:
        """Go from the environment to the verified result."""
        about = About.read(self._environment)
        self._output.info(str(about))
        self._settings = settings = Settings.from_environment(self._environment)
        self._output.set_debug(debug=settings.debug)
        check_result_file(settings.result_file)
        # The Docker SDK and requests take most of the start: the log begins before them.
        from pipe.wiring import wired  # noqa: PLC0415

        self._push = wired(settings, about, self._output)
        self._push.run()

    def finish(self, exit_code: int, tell: Callable[[], None] = lambda: None) -> int:
        """Tell and write the result, also of a run that failed, and end with what went wrong.

        Args:
            exit_code: What the process ends with.
            tell: Tells what went wrong.

        Returns:
            The exit code.
        """
        if self._push is not None and self._settings is not None:
            result = self._push.result(exit_code)
            self._output.finish(result, self._settings.result_file, self._settings.variables_file)
        tell()
        return exit_code
