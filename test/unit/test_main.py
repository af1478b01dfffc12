"""The one place where an error becomes an exit code. What needs an Engine is tested with one, elsewhere."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipe.about import About
from pipe.config.settings import Settings
from pipe.errors import ConfigurationError, PipeError, RegistryFailedError
from pipe.main import main
from pipe.oci.reference import Reference
from pipe.output.log import Output
from pipe.push.result import ReleaseResult, Result, TagResult, TagStatus

pytestmark = pytest.mark.usefixtures("process", "_connects_to_nothing")

ROOT = Path(__file__).parents[2]
STEP = {
    "IMAGE_NAME": "my-container-app",
    "BITBUCKET_WORKSPACE": "acme",
    "BITBUCKET_PACKAGES_USERNAME": "step",
    "BITBUCKET_PACKAGES_TOKEN": "s3cr3t-t0ken",
    "NO_COLOR": "1",
}


@pytest.fixture
def _connects_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipe.registry.client.Client.connect", lambda _: None)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"], {"PIPE_REVISION": "abc"}) == 0
    assert capsys.readouterr() == (f"{About.read({'PIPE_REVISION': 'abc'})}\n", "")


@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help(capsys: pytest.CaptureFixture[str], argument: str) -> None:
    assert main([argument], {}) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("Pushes the container image that a Bitbucket Pipelines step built")
    assert out.endswith("BITBUCKET_PACKAGES_TOKEN: $BITBUCKET_PACKAGES_TOKEN\n")


def test_the_log_begins_with_name_version_and_revision(capsys: pytest.CaptureFixture[str]) -> None:
    about = About.read({})
    assert main([], {"PIPE_REVISION": "f25b7a1" + "0" * 33, "NO_COLOR": "1"}) == 2
    assert capsys.readouterr().err.startswith(f"INFO: {about.name} {about.version} (f25b7a1)\n✖ ")


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        pytest.param([], {}, ["IMAGE_NAME is missing", "WORKSPACE is missing", "TOKEN are missing"], id="nothing"),
        pytest.param([], STEP | {"DEBUG": "maybe"}, ["DEBUG must be true or false, got 'maybe'."], id="debug"),
        pytest.param(
            [],
            STEP | {"IMAGE_NAME": "s3cr3t-t0ken!"},
            ["IMAGE_NAME: '***!' is not the name of an image"],
            id="token-as-image",
        ),
        pytest.param([], STEP | {"RESULT_FILE": "/gone/r.json"}, ["directory /gone does not exist"], id="result-file"),
        pytest.param(["push"], STEP, ["'push': the only arguments are --help and --version."], id="argument"),
        pytest.param(["--version", "x"], STEP, ["'--version x': the only arguments"], id="arguments"),
    ],
)
def test_variables_that_are_wrong_end_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], environment: dict[str, str], words: list[str]
) -> None:
    assert main(arguments, {"NO_COLOR": "1"} | environment) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "✖ Invalid configuration:\n  - " in err
    assert [word for word in words if word not in err] == [], err
    assert "s3cr3t" not in err
    assert "Traceback" not in err


def test_the_log_names_tags_without_a_value_once(capsys: pytest.CaptureFixture[str]) -> None:
    tags = {"TAGS": "{version} {major} latest", "BITBUCKET_TAG": "v1.5.0-rc.1"}
    assert main([], STEP | tags | {"RESULT_FILE": "/gone/r.json"}) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "Not pushing" in line] == [
        "INFO: Not pushing {major}: 1.5.0-rc.1 is a pre-release."
    ]


def test_the_date_in_a_tag_is_that_of_utc(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    dates = []

    def read(_: object, today: date) -> Settings:
        dates.append(today)
        raise ConfigurationError(["read"])

    monkeypatch.setattr("pipe.main.read_settings", read)
    before = datetime.now(UTC).date()
    assert main([], STEP) == 2
    assert before <= dates[0] <= datetime.now(UTC).date()
    assert "read" in capsys.readouterr().err


def test_an_unexpected_error_ends_with_1_and_its_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: object) -> About:
        raise LookupError("s3cr3t-t0ken")

    monkeypatch.setattr(About, "read", read)
    assert main([], STEP) == 1
    err = capsys.readouterr().err
    assert "✖ An unexpected error. Please report it with this traceback.\nTraceback" in err
    assert err.endswith("LookupError: ***\n")


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        pytest.param({}, True, id="by-default"),
        pytest.param({"NO_COLOR": ""}, True, id="empty"),
        pytest.param({"NO_COLOR": "1"}, False, id="set"),
    ],
)
def test_colours_without_a_terminal_but_for_no_color(
    capsys: pytest.CaptureFixture[str],
    environment: dict[str, str],
    coloured: bool,
) -> None:
    assert main([], environment) == 2
    assert ("\x1b[31m✖ " in capsys.readouterr().err) is coloured


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, id="SIGTERM"), pytest.param(signal.SIGINT, id="SIGINT")]
)
def test_a_signal_ends_with_its_code_whatever_a_library_catches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def read(_: object) -> About:
        with contextlib.suppress(Exception):
            os.kill(os.getpid(), number)
        raise AssertionError("the signal was swallowed")

    monkeypatch.setattr(About, "read", read)
    assert main([], STEP) == 128 + number
    assert capsys.readouterr().err.endswith(f"✖ The push was stopped by signal {number.name}.\n")
    assert signal.getsignal(number) is signal.SIG_IGN, "a second signal leaves the way out undisturbed"


class Connection:
    """A connection that a signal finds while it is finalized, where Python drops exceptions."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def finalize_in_a_run(connection: type[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next run finalize such a connection, and then wait for the signal."""

    def read(_: object) -> About:
        connection()
        threading.Event().wait(60)
        raise AssertionError("the signal was lost")

    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(About, "read", read)


def test_a_signal_that_comes_in_a_finalizer_is_not_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finalize_in_a_run(Connection, monkeypatch)
    assert main([], STEP) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "✖ The push was stopped by signal SIGTERM.\n"


@contextlib.contextmanager
def signals_with_handlers(*, is_begun: Callable[[], bool]) -> Iterator[None]:
    """Let a signal come whenever a handler has been set, once it `is_begun`."""
    set_handler = signal.signal

    def then_signal(number: signal.Signals, handler: Any) -> None:  # noqa: ANN401
        set_handler(number, handler)
        if is_begun():
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal, "signal", then_signal)
        yield


def test_a_signal_that_comes_at_once_ends_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    def is_handled() -> bool:
        return callable(signal.getsignal(signal.SIGTERM))

    with signals_with_handlers(is_begun=is_handled):
        assert main([], STEP) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "✖ The push was stopped by signal SIGTERM.\n"


def test_further_signals_do_not_lose_one_that_comes_in_a_finalizer(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finalized = threading.Event()

    class First(Connection):
        def __del__(self) -> None:
            finalized.set()
            super().__del__()

    finalize_in_a_run(First, monkeypatch)
    with signals_with_handlers(is_begun=finalized.is_set):
        assert main([], STEP) == 128 + signal.SIGTERM
    assert capfd.readouterr().err == "✖ The push was stopped by signal SIGTERM.\n"


def test_two_signals_at_once_end_with_the_code_of_one(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {signal.SIGINT, signal.SIGTERM}

    def read(_: object) -> About:
        signal.pthread_sigmask(signal.SIG_BLOCK, both)
        for number in both:
            # For this thread: another one would take a signal of the process at once.
            signal.raise_signal(number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
        raise AssertionError("the signals were swallowed")

    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(About, "read", read)
    assert main([], STEP) == 128 + signal.SIGINT
    assert capfd.readouterr().err == "✖ The push was stopped by signal SIGINT.\n"


@pytest.mark.parametrize(
    ("arguments", "code"), [pytest.param(["--version"], 0, id="version"), pytest.param([], 2, id="nothing-set")]
)
def test_the_process_ends_with_the_exit_code(arguments: list[str], code: int) -> None:
    run = subprocess.run([sys.executable, "-m", "pipe", *arguments], cwd=ROOT, env={}, capture_output=True, check=False)
    assert run.returncode == code, run.stderr.decode()
    assert bool(run.stdout) is (code == 0)


def test_no_signal_disturbs_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def failure(_: Output, error: PipeError) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        assert error.exit_code == 2

    monkeypatch.setattr(Output, "failure", failure)
    assert main([], {}) == 2


def test_a_path_that_is_not_utf_8_neither_hides_the_failure_nor_the_result(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    environment = STEP | {"IMAGE_ARCHIVE": os.fsdecode(b"caf\xe9.tar"), "RESULT_FILE": str(result)}
    run = subprocess.run(
        [sys.executable, "-m", "pipe"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 3, run.stderr
    assert "✖ The image archive cannot be used: caf" in run.stderr
    assert "Traceback" not in run.stderr
    written = json.loads(result.read_text("utf-8"))
    assert written["exit_code"] == 3
    assert written["tags"][0]["error"].startswith("The image archive cannot be used: caf")


class Broken:
    """A push whose result cannot be compiled."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def run(self) -> None:
        if self._error:
            raise self._error

    def result(self, _: int) -> ReleaseResult:
        raise LookupError("s3cr3t-t0ken")


@pytest.mark.parametrize(
    ("error", "code", "last"),
    [
        pytest.param(RegistryFailedError("HTTP 500."), 6, "✖ The registry failed: HTTP 500.", id="failed"),
        pytest.param(ValueError("first"), 1, "ValueError: first", id="unexpected"),
        pytest.param(None, 1, "LookupError: ***", id="succeeded"),
    ],
)
def test_the_first_failure_is_reported_even_if_the_result_cannot_be_compiled(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception | None,
    code: int,
    last: str,
) -> None:
    monkeypatch.setattr("pipe.wiring.wired", lambda *_: Broken(error))
    assert main([], STEP) == code
    err = capsys.readouterr().err
    assert "WARNING: The result could not be compiled: LookupError." in err
    assert err.splitlines()[-1] == last
    assert "s3cr3t" not in err


class Pushed:
    """A push that has succeeded."""

    def run(self) -> None:
        """Do nothing."""

    def result(self, exit_code: int) -> ReleaseResult:
        """Return the result."""
        target = Reference("crg.apkg.io", "acme/my-container-app", "latest")
        tag = TagResult(target, TagStatus.PUSHED, "sha256:" + "d" * 64, verified=True)
        image = Result("app", None, dry_run=False, tags=(tag,), layers=(), exit_code=exit_code)
        return ReleaseResult((image,), exit_code)


@pytest.mark.parametrize(
    ("environment", "out"),
    [
        pytest.param({}, f"crg.apkg.io/acme/my-container-app:latest@sha256:{'d' * 64}\n", id="elsewhere"),
        pytest.param({"BITBUCKET_BUILD_NUMBER": "7"}, "", id="in-a-step"),
    ],
)
def test_references_go_to_standard_output_outside_a_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], out: str
) -> None:
    monkeypatch.setattr("pipe.wiring.wired", lambda *_: Pushed())
    assert main([], STEP | environment) == 0
    assert capsys.readouterr().out == out


def test_a_token_that_is_also_a_name_does_not_garble_the_reference(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipe.wiring.wired", lambda *_: Pushed())
    assert main([], STEP | {"BITBUCKET_PACKAGES_TOKEN": "my-container-app"}) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"✔ Pushed latest: crg.apkg.io/acme/my-container-app@sha256:{'d' * 64}"


WIRED = (
    "from pathlib import Path; from unit.fakes import REQUEST, SETTINGS, Messages;"
    "from pipe.config.settings import Promotion; from pipe.registry.client import Client;"
    "from pipe.wiring import wired;"
    "wired(SETTINGS._replace({settings}), Client('h:1', SETTINGS.credentials, 'test/1', Messages()), None)"
)
STARTED = (
    "from datetime import date; import pipe.main; from pipe.config.reader import read_settings;"
    "from pipe.output.log import Output; from pipe.registry.client import Client; from pipe.wiring import wired;"
    f"output, settings = Output(()), read_settings({STEP}, date.min);"
    "wired(settings, Client('h:1', settings.credentials, 'test/1', output), output)"
)
PROMOTION = "Promotion('acme/app', ('rc',), is_joined=False)"
ENCODING = {"pipe.encoding", "pipe.push.transfer", "deflate", "isal"}
PUSHING = {"pipe.engine.prefixes", "pipe.engine.stream", "pipe.push.engine_pusher", "pipe.push.takeover"}


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        pytest.param(
            "from pipe.main import main; main(['--version'], {})",
            {"docker", "requests", "urllib3", "yaml"} | ENCODING,
            id="version",
        ),
        pytest.param(
            f"from datetime import date; from pipe.config.reader import read_settings; read_settings({STEP}, date.min)",
            {"difflib", "docker", "requests", "yaml"},
            id="settings",
        ),
        pytest.param(
            WIRED.format(settings="image_archive=None"),
            {"difflib", "pipe.source.archive"} | ENCODING | PUSHING,
            id="engine",
        ),
        pytest.param(WIRED.format(settings="image_archive=Path('image.tar')"), {"docker"}, id="archive"),
        pytest.param(
            WIRED.format(settings=f"requests=(REQUEST._replace(promotion={PROMOTION}),)"),
            {"docker", "pipe.engine.client", "pipe.source.archive", "yaml"} | ENCODING,
            id="promotion",
        ),
    ],
)
def test_only_what_is_needed_is_loaded(code: str, unwanted: set[str]) -> None:
    """Imports take most of the time of a run that finds everything up to date."""
    assert set(printed(f"{code}; import sys; print(*sys.modules)")) & unwanted == set()


def printed(code: str) -> list[str]:
    """Return the words in the last line that a new Python prints."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "test")))},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return run.stdout.splitlines()[-1].split()


@pytest.mark.parametrize(
    ("costly", "there"),
    [
        # Each is made of source text that is compiled, and the first one loads Python's parser. A named tuple takes a
        # tenth of the time.
        pytest.param(
            "isinstance(value, type) and '__dataclass_fields__' in vars(value)",
            set(),
            id="dataclasses",
        ),
        # A pattern that is a string is compiled when `re` first matches it.
        pytest.param("isinstance(value, re.Pattern)", {"pipe.registry.challenge._ITEM"}, id="patterns"),
    ],
)
def test_little_is_compiled_at_the_start(costly: str, there: set[str]) -> None:
    found = (
        "import re, sys; names = {"
        "value.__name__ if isinstance(value, type) else f'{module}.{name}'"
        " for module, loaded in list(sys.modules.items()) if module.partition('.')[0] == 'pipe'"
        f" for name, value in vars(loaded).items() if {costly}}}; print(*names)"
    )
    assert set(printed(f"{STARTED}; {found}")) == there
