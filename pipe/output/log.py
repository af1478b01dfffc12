"""The only writer: log on stderr, references on stdout, result file, the step's variables."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from colorlog import ColoredFormatter

from pipe.errors import PipeError, StoppedError
from pipe.output.files import append_variables, write_result
from pipe.output.redaction import Redaction
from pipe.output.summary import Level, summary
from pipe.output.table import table
from pipe.push.result import Result

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


class _Formatter(ColoredFormatter):
    """Colours a line and hides secrets in it, also in a traceback."""

    def __init__(self, redaction: Redaction, *, colour: bool) -> None:
        super().__init__(
            "%(log_color)s%(mark)s%(message)s%(reset)s", log_colors=_COLOURS, no_color=not colour, force_color=colour
        )
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without secrets."""
        record.mark = _MARKS.get(record.levelname, f"{record.levelname}: ")
        return self._redaction(super().format(record))


class Output:
    """What people and programs get to see."""

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
            secrets: What must not appear anywhere.
            debug: Whether to show what matters only when something is wrong.
            colour: Whether to colour the log; Bitbucket's shows colours without a terminal.
            log: Where the log goes, by default standard error.
            out: Where references go, by default standard output.
        """
        self._redaction = Redaction(secrets)
        # None where the process was started without one.
        self._out: TextIO | None = out or sys.stdout
        for level, name in ((_SUCCESS, "SUCCESS"), (_FAILURE, "FAILURE")):
            logging.addLevelName(level, name)
        handler = logging.StreamHandler(log or sys.stderr)
        handler.setFormatter(_Formatter(self._redaction, colour=colour))
        # Libraries warn through the same handler, so that nothing passes by the redaction; their debug
        # output stays off, since it shows headers.
        logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
        logging.captureWarnings(capture=True)
        self._log = logging.getLogger("pipe")
        self.set_debug(debug=debug)

    def hide(self, secret: str) -> None:
        """Hide a secret that was not known at the start, such as a bearer token."""
        self._redaction.add(secret)

    def set_debug(self, *, debug: bool) -> None:
        """Show, or do not show, what matters only when something is wrong."""
        self._log.setLevel(logging.DEBUG if debug else logging.INFO)

    def debug(self, text: str) -> None:
        """Tell what matters only when something is wrong."""
        self._log.debug(text)

    def info(self, text: str) -> None:
        """Tell what happens."""
        self._log.info(text)

    def warning(self, text: str) -> None:
        """Tell what people should know."""
        self._log.warning(text)

    def failure(self, error: PipeError | StoppedError) -> None:
        """Tell what went wrong, why, and what to do."""
        self._log.log(_FAILURE, str(error))

    def unexpected(self, error: Exception) -> None:
        """Tell of an exception that nobody foresaw, with its traceback."""
        self._log.log(_FAILURE, "An unexpected error. Please report it with this traceback.", exc_info=error)

    def line(self, text: str) -> None:
        """Write a line for programs to read; where they no longer do, that is no failure of the push."""
        if self._out is None:
            return
        try:
            self._out.write(f"{self._redaction(text)}\n")
            self._out.flush()
        except OSError as error:
            self.warning(f"Nothing can be written to standard output: {error.strerror}.")
            self._discard_output()

    def _discard_output(self) -> None:
        """Let go of what was not written: Python would try again at its end, and fail."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._out.fileno() if self._out else null)
        self._out = None

    def finish(self, result: Result, result_file: Path | None, variables_file: Path | None) -> None:
        """Write and tell what came out of it, also of a run that failed: files first, people last.

        Args:
            result: What was pushed.
            result_file: Where to write it as JSON, None for nowhere.
            variables_file: Where the step reads its output variables, None for nowhere.
        """
        for text in table(result.shown_layers):
            self.info(text)
        self.debug(json.dumps(result.as_json()))
        if result_file is not None:
            self._write_result(result, result_file)
        if variables_file is not None and result.digest is not None:
            self._write_variables(result, variables_file)
        for tag in result.tags:
            if tag.reference is not None:
                self.line(tag.reference)
        for level, text in summary(result):
            self._log.log(_LEVELS[level], text)

    def _write_result(self, result: Result, path: Path) -> None:
        text = json.dumps(self._redacted(result.as_json()), indent=2, ensure_ascii=False)
        try:
            write_result(path, f"{text}\n")
        except OSError as error:
            self.warning(f"RESULT_FILE {path} could not be written: {error.strerror}.")
            return
        self.debug(f"The result is in {path}.")

    def _redacted(self, value: object) -> object:
        if isinstance(value, str):
            return self._redaction(value)
        if isinstance(value, dict):
            return {key: self._redacted(item) for key, item in value.items()}
        return [self._redacted(item) for item in value] if isinstance(value, list) else value

    def _write_variables(self, result: Result, path: Path) -> None:
        """Hand the digest to the step's later commands; no push fails for it."""
        first = next(tag for tag in result.tags if tag.arrived)
        reference = first.target.with_tag("").with_digest(first.digest or "")
        variables = {"IMAGE_REFERENCE": str(reference), "IMAGE_DIGEST": first.digest or ""}
        try:
            append_variables(path, variables)
        except FileNotFoundError:
            self.debug(f"No step variables were set: there is no file {path}.")
        except OSError as error:
            self.warning(f"The step variables could not be written to {path}: {error.strerror}.")
        else:
            self.info(f"Set the step variables {' and '.join(variables)}.")
