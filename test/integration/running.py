"""The pipe, run as a process of its own, so that exit codes, streams and signals are the real ones."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import quote, quote_plus

from registry.client import Registry

ROOT = Path(__file__).parents[2]
PATIENCE = 100.0
"""Seconds after which a pipe that should have ended is stuck."""
AT_ONCE = 8.0
"""Seconds in which a pipe ends that waits for no timeout, of which the shortest is 10 s, even on a busy machine."""
_SHOWN_PAUSES = Path(__file__).parent / "shown_pauses"
ENGINE_BUSY = 30.0
"""Seconds that a layer may wait for one of the five uploads of the whole Engine, which other tests use, too."""
_SECRETS = ("BITBUCKET_PACKAGES_TOKEN", "ATLASSIAN_API_TOKEN")


@dataclass(frozen=True, slots=True)
class Finished:
    """A pipe that has ended; its string shows all there is to know of it.

    Attributes:
        environment: What it was started with.
        exit_code: As a shell has it: 128 and the signal's number where a signal ended the process itself.
        out: Standard output.
        log: Standard error.
        seconds: From its start, or from the signal that it was sent, to its end.
    """

    environment: Mapping[str, str]
    exit_code: int
    out: str
    log: str
    seconds: float

    def expect(self, exit_code: int, *words: str, within: float = PATIENCE) -> None:
        """Assert how it ended, the exit code first.

        Args:
            exit_code: The expected one.
            words: What the log has to hold.
            within: Seconds that it may have taken.
        """
        assert self.exit_code == exit_code, self.shown(f"exit code {exit_code}")
        for text in words:
            assert text in self.log, self.shown(f"in the log: {text}")
        assert self.seconds <= within, self.shown(f"an end within {within} s")

    def expect_not(self, *words: str) -> None:
        """Assert what neither output nor log may hold."""
        for text in words:
            assert text not in self.out + self.log, self.shown(f"nowhere: {text}")

    @property
    def references(self) -> list[str]:
        """What standard output names."""
        return self.out.splitlines()

    @property
    def result(self) -> dict[str, object]:
        """What is in the file that RESULT_FILE names."""
        content: dict[str, object] = json.loads(Path(self.environment["RESULT_FILE"]).read_text("utf-8"))
        return content

    def shown(self, expected: str) -> str:
        """Return a block with what was expected and what came."""
        return (
            f"\n--- expected ---\n{expected}\n--- actual: exit code {self.exit_code} after {self.seconds:.1f} s ---\n"
            f"stdout:\n{self.out}\nstderr:\n{self.log}\n---"
        )


class Running:
    """A pipe under way; leaving its block ends it."""

    def __init__(self, folder: Path, environment: Mapping[str, str], inside: tuple[str, ...] = ()) -> None:
        """Start it.

        Args:
            folder: Where it runs.
            environment: All of its environment.
            inside: What its command begins with, such as `nsenter …`.
        """
        self._environment = environment
        self._began = self._ended = time.monotonic()
        self._streams = ("", "")
        self._process = subprocess.Popen(
            # The Docker SDK leaves a socket open where nothing listens any more.
            [*inside, sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-m", "pipe"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        # Takes the time of its end, also where the test waits for something else by then.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        self._streams = self._process.communicate()
        self._ended = time.monotonic()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, where it has not ended."""
        self._process.kill()
        self._reader.join()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, and take the time from now on."""
        self.restart_clock()
        self._process.send_signal(number)

    def restart_clock(self) -> None:
        """Take the time from now on."""
        self._began = time.monotonic()

    def finish(self) -> Finished:
        """Wait for its end, and assert that it gave nothing secret away."""
        self._reader.join(PATIENCE)
        if self._reader.is_alive():
            self._process.kill()
            self._reader.join()
        code = self._process.returncode
        exit_code = code if code >= 0 else 128 - code
        finished = Finished(self._environment, exit_code, *self._streams, self._ended - self._began)
        _expect_no_secret(finished)
        return finished


class Start(Protocol):
    """Starts a pipe."""

    def __call__(self, registry: Registry, *inside: str, **variables: str) -> Running:
        """Start it for a registry, by what its command begins with, with variables beside those of a good push."""


class Run(Protocol):
    """Runs a pipe."""

    def __call__(self, registry: Registry, *inside: str, **variables: str) -> Finished:
        """Run it to its end."""


def at_once(run: Run, registry: Registry, *inside: str, **variables: str) -> Finished:
    """Run a pipe, and assert that it never paused, as it does before it tries anything again."""
    finished = run(registry, *inside, PYTHONPATH=f"{_SHOWN_PAUSES}:{ROOT}", **variables)
    finished.expect_not("pauses for")
    return finished


def environment_of(**variables: str) -> dict[str, str]:
    """Return a step's environment, as small as it can be.

    Args:
        variables: What differs from a good push by the account `pipeline`; empty ones are absent.

    Returns:
        The whole environment of a pipe.
    """
    engine = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    step = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "BITBUCKET_WORKSPACE": "demo-workspace",
        "BITBUCKET_PACKAGES_USERNAME": "pipeline",
        "BITBUCKET_PACKAGES_TOKEN": "pipeline-token",
    }
    return {name: value for name, value in (engine | step | variables).items() if value}


def _expect_no_secret(finished: Finished) -> None:
    result = Path(finished.environment.get("RESULT_FILE", ""))
    written = finished.out + finished.log + (result.read_text("utf-8") if result.is_file() else "")
    for token in filter(None, map(finished.environment.get, _SECRETS)):
        for form in _forms(finished.environment.get("BITBUCKET_PACKAGES_USERNAME", ""), token.strip()):
            assert form not in written, finished.shown(f"nowhere: {form}")
    finished.expect_not("Traceback", "Authorization", "Bearer", "X-Registry-Auth")


def _forms(user: str, token: str) -> Iterator[str]:
    """List how a token may come to light."""
    yield from (token, quote(token), quote(token, safe=""), quote_plus(token), json.dumps(token)[1:-1])
    for text in (token, f"{user}:{token}", json.dumps(token)[1:-1]):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(text.encode()).decode().rstrip("=")
