"""The output of a run: the log on stderr, references on stdout, the result file, the step's variables."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TextIO

from colorlog import ColoredFormatter

from pipe.errors import PipeError, StoppedError
from pipe.output.files import append_variables, write_result
from pipe.output.redaction import Redaction
from pipe.output.summary import Level, Line, closing, not_pushed, step_variables, summary
from pipe.output.table import table
from pipe.push.result import ReleaseResult, Result
from pipe.text import clean, root_cause

_LOGGER = "pipe"
_SUCCESS = 25
_FAILURE = 45
_COLOURS = {"DEBUG": "white", "INFO": "blue", "SUCCESS": "green", "WARNING": "yellow", "ERROR": "red", "FAILURE": "red"}
_LEVELS = {
    Level.INFO: logging.INFO,
    Level.SUCCESS: _SUCCESS,
    Level.WARNING: logging.WARNING,
    Level.FAILURE: _FAILURE,
}
_MARKS = {"SUCCESS": "✔ ", "FAILURE": "✖ "}
_TEXTS = frozenset(("image", "instruction", "error"))
"""Keys of the result whose values can contain text from outside; all others are names, numbers and digests."""


class _Handler(logging.StreamHandler[TextIO]):
    """Writes the log; ignores a line that cannot be written, since there is no other place to report it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Ignore an exception; the default prints a traceback that is not redacted."""


class _Formatter(ColoredFormatter):
    """Formats a line in colour and redacts secrets, also in a traceback."""

    def __init__(self, redaction: Redaction, *, colour: bool) -> None:
        super().__init__(
            "%(log_color)s%(mark)s%(message)s%(reset)s", log_colors=_COLOURS, no_color=not colour, force_color=colour
        )
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without secrets."""
        if record.name != _LOGGER:
            record = _library_record(record)
        record.mark = _MARKS.get(record.levelname, f"{record.levelname}: ")
        return self._redaction(super().format(record))


def _library_record(record: logging.LogRecord) -> logging.LogRecord:
    """Return a library's record as debug output, without its traceback and the queries of its URLs."""
    text = clean(" ".join(f"{record.name}: {record.getMessage()}".split()))
    return logging.LogRecord(record.name, logging.DEBUG, record.pathname, record.lineno, text, None, None)


class Destinations(NamedTuple):
    """Where the result is written, besides the log.

    Attributes:
        result_file: The file for the result as JSON, None for none.
        variables_file: The file that the step reads its output variables from, None for none.
        references: Whether to write the references to stdout.
    """

    result_file: Path | None = None
    variables_file: Path | None = None
    references: bool = True


class Output:
    """The only writer of a run."""

    def __init__(
        self,
        secrets: Iterable[str],
        *,
        debug: bool = False,
        colour: bool = True,
        log: TextIO | None = None,
        out: TextIO | None = None,
    ) -> None:
        """Open the log.

        Args:
            secrets: What must not be written anywhere.
            debug: Whether to write debug output.
            colour: Whether to colour the log; Bitbucket shows colours although its log is not a terminal.
            log: The stream for the log, by default stderr.
            out: The stream for references, by default stdout.
        """
        self._redaction = Redaction(secrets)
        # None if the process was started without one.
        self._out: TextIO | None = out or sys.stdout
        self._ended: BaseException | None = None
        for level, name in ((_SUCCESS, "SUCCESS"), (_FAILURE, "FAILURE")):
            logging.addLevelName(level, name)
        self._log = logging.getLogger(_LOGGER)
        self.set_debug(debug=debug)
        handler = _Handler(log or sys.stderr)
        handler.setFormatter(_Formatter(self._redaction, colour=colour))
        handler.addFilter(lambda record: record.name == _LOGGER or self._log.isEnabledFor(logging.DEBUG))
        # Libraries share the handler, for its redaction. Their debug output stays off, since it contains headers.
        logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
        logging.captureWarnings(capture=True)

    def hide(self, secret: str) -> None:
        """Redact a secret that was not known at the start, such as a bearer token."""
        self._redaction.add(secret)

    def keep(self, repository: str) -> None:
        """Exempt references to a repository from redaction."""
        self._redaction.keep(repository)

    def set_debug(self, *, debug: bool) -> None:
        """Turn debug output on or off."""
        self._log.setLevel(logging.DEBUG if debug else logging.INFO)

    def debug(self, text: str) -> None:
        """Log what matters only for finding a fault."""
        self._log.debug(text)

    def info(self, text: str) -> None:
        """Log what happens."""
        self._log.info(text)

    def warning(self, text: str) -> None:
        """Log what users should know."""
        self._log.warning(text)

    def failure(self, error: BaseException) -> None:
        """Log a failure: an expected one with its message, any other with its traceback."""
        if isinstance(error, PipeError | StoppedError):
            self._log.log(_FAILURE, str(error))
        else:
            self._log.log(_FAILURE, "An unexpected error. Please report it with this traceback.", exc_info=error)

    def line(self, text: str) -> None:
        """Write a line to stdout, redacted."""
        self._write(self._redaction(text))

    def _write(self, text: str) -> None:
        """Write a line to stdout; if stdout is closed or full, the push does not fail."""
        if self._out is None:
            return
        try:
            self._out.write(f"{text}\n")
            self._out.flush()
        except (OSError, ValueError) as error:
            self.warning(f"Standard output could not be written: {_reason(error)}.")
            self._discard_output()

    def _discard_output(self) -> None:
        """Redirect stdout to /dev/null, or Python would flush its buffer at exit, and fail."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._out.fileno() if self._out else null)
        self._out = None

    def image(self, result: Result, error: BaseException | None) -> None:
        """Log the outcome for one image, and why its push failed or the run ended, if it did."""
        self._ended = error
        self._table(result)
        self._outcome(result, error)

    def finish(self, result: ReleaseResult, destinations: Destinations, error: BaseException | None = None) -> None:
        """Write the result: the files, the end of the log, then stdout.

        What cannot be written is named in the log, and the rest is written nevertheless.

        Args:
            result: The result, also of a run that failed. Of several images, `image` has logged the outcome.
            destinations: Where it is written.
            error: Why the run failed, None if it succeeded.
        """
        if result.is_single:
            self._table(result.images[0])
        self._attempt("The result in the log", lambda: self.debug(json.dumps(result.as_json())))
        if (path := destinations.result_file) is not None:
            self._attempt(f"RESULT_FILE {path}", lambda: self._write_result(result, path))
        if (variables := destinations.variables_file) is not None:
            self._attempt(f"The step variables in {variables}", lambda: self._write_variables(result, variables))
        if result.is_single:
            self._outcome(result.images[0], error)
        else:
            if error is not None and not isinstance(error, PipeError) and error is not self._ended:
                self.failure(error)
            self._attempt("The summary", lambda: self._lines(closing(result)))
        if destinations.references:
            for tag in result.tags:
                if tag.reference is not None:
                    self._write(tag.reference)

    def _table(self, result: Result) -> None:
        self._attempt(
            "The table of layers", lambda: self._lines([(Level.INFO, row) for row in table(result.shown_layers)])
        )

    def _outcome(self, result: Result, error: BaseException | None) -> None:
        self._attempt("The summary", lambda: self._lines(summary(result)))
        if error is not None:
            self.failure(error)
        self._attempt("The list of missing tags", lambda: self._lines(not_pushed(result)))

    def _attempt(self, what: str, write: Callable[[], None]) -> None:
        """Write one part of the result; if that fails, name the part, so that the others are not lost."""
        try:
            write()
        except Exception as error:  # noqa: BLE001
            self.warning(f"{what} could not be written: {_reason(error)}.")
            self._log.debug("Why it could not be written:", exc_info=error)

    def _lines(self, lines: Iterable[Line]) -> None:
        for level, text in lines:
            self._log.log(_LEVELS[level], text)

    def _write_result(self, result: ReleaseResult, path: Path) -> None:
        text = json.dumps(self._redacted(result.as_json()), indent=2, ensure_ascii=False)
        write_result(path, f"{text}\n")
        self.debug(f"The result is in {path}.")

    def _redacted(self, value: object, key: str = "") -> object:
        """Redact texts from outside, but not the values that the pipe made itself."""
        if isinstance(value, str):
            return self._redaction(value) if key in _TEXTS else value
        if isinstance(value, dict):
            return {name: self._redacted(item, name) for name, item in value.items()}
        return [self._redacted(item) for item in value] if isinstance(value, list) else value

    def _write_variables(self, result: ReleaseResult, path: Path) -> None:
        """Pass references to later commands of the step."""
        variables = step_variables(result)
        if not variables:
            return
        try:
            append_variables(path, variables)
        except FileNotFoundError:
            self.debug(f"No step variables were set: the file {path} does not exist.")
        else:
            self.info(f"Set the step variables: {', '.join(variables)}.")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or root_cause(error).rstrip(".")
