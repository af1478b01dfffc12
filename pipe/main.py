"""Wires the parts, and is the one place where an error becomes an exit code."""

import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType

from pipe.about import About
from pipe.config.settings import Settings
from pipe.config.variables import secrets
from pipe.errors import ConfigurationError, PipeError, StoppedError
from pipe.output.log import Output, check_result_file
from pipe.push.run import Chance, Push

UNEXPECTED = 1
"""Exit code of an error that nobody foresaw."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the pipe.

    Args:
        arguments: Of the command line; all that is understood is `--version`.
        environment: Such as `os.environ`.

    Returns:
        The exit code.
    """
    output = Output(secrets(environment), colour=not environment.get("NO_COLOR"))
    stop = _Stop()
    run = _Run(output, environment, stop)
    error: Exception | None = None
    try:
        if list(arguments) == ["--version"]:
            output.line(str(About.read(environment)))
            return 0
        if arguments:
            run.refuse(arguments)
        run.push()
    except Exception as caught:  # noqa: BLE001
        # A library may have taken the signal's exception for a failure of its own.
        error = stop.error or caught
    stop.ignore()
    if error is None:
        return run.finish(0)
    if isinstance(error, PipeError):
        return run.finish(error.exit_code, partial(output.failure, error))
    return run.finish(UNEXPECTED, partial(output.unexpected, error))


class _Stop:
    """Turns the first signal into an exception, and leaves the way out undisturbed by further ones."""

    def __init__(self) -> None:
        self.error: StoppedError | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self)

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.ignore()
        self.error = StoppedError(number)
        raise self.error

    def check(self) -> None:
        """Raise the exception once more, where something on its way has swallowed it."""
        if self.error is not None:
            raise self.error

    def clock(self) -> float:
        """Return seconds that never go back."""
        self.check()
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.check()
        time.sleep(seconds)

    @staticmethod
    def ignore() -> None:
        """Take no more signals: what is left to do is short, and has to be whole."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


class _Run:
    """One run, as far as it came."""

    def __init__(self, output: Output, environment: Mapping[str, str], stop: _Stop) -> None:
        self._output = output
        self._environment = environment
        self._stop = stop
        self._settings: Settings | None = None
        self._push: Push | None = None

    @staticmethod
    def refuse(arguments: Sequence[str]) -> None:
        """Say that the pipe takes variables, not arguments."""
        raise ConfigurationError([f"the pipe takes no arguments but --version, not {' '.join(arguments)!r}."])

    def push(self) -> None:
        """Go from the environment to the verified result."""
        about = About.read(self._environment)
        self._output.info(f"{about}.")
        self._settings = settings = Settings.from_environment(self._environment)
        self._output.set_debug(debug=settings.debug)
        check_result_file(settings.result_file)
        # The Docker SDK and requests take most of the start: the log begins before them.
        from pipe.engine.client import Engine  # noqa: PLC0415
        from pipe.registry.client import Registry  # noqa: PLC0415
        from pipe.registry.transport import Transport  # noqa: PLC0415

        target = settings.targets[0]
        transport = Transport(target, f"{about.name}/{about.version}", self._output.debug)
        self._push = Push(
            settings,
            Engine(settings.docker),
            Registry(target, settings.credentials, transport, self._output),
            self._output,
            Chance(self._stop.clock, self._stop.sleep, random.random),
        )
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
