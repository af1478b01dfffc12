"""What goes where: the log to stderr, references to stdout, the result and the step's variables to files."""

import io
import json
import logging
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from pipe.errors import ConfigurationError, PushDeniedError, StoppedError
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Layer, LayerStatus
from pipe.oci.reference import Reference
from pipe.output.log import Output, check_result_file
from pipe.push.result import Result, TagResult, TagStatus

pytestmark = pytest.mark.usefixtures("process")

SECRET = "s3cr3t-t0ken"
DIGEST = "sha256:" + "d" * 64
TARGET = Reference("crg.apkg.io", "acme/app", "1.0")
PUSHED = TagResult(TARGET, TagStatus.PUSHED, DIGEST, verified=True)
LAYER = Layer(1, DIGEST, 456, "COPY . /app", Descriptor("", "sha256:" + "1" * 64, 123), LayerStatus.UPLOADED)
BLUE, GREEN, YELLOW, RED, RESET = ("\x1b[34m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m")


def result(*tags: TagResult, layers: tuple[Layer, ...] = (), exit_code: int = 0) -> Result:
    """Make a result."""
    return Result("app", "sha256:" + "c" * 64, False, tags, layers, exit_code)


def shown(write: Callable[[Output], None], *, debug: bool = False, colour: bool = False) -> tuple[list[str], list[str]]:
    """Return the lines of the log and of the output."""
    log, out = io.StringIO(), io.StringIO()
    write(Output([SECRET], debug=debug, colour=colour, log=log, out=out))
    return log.getvalue().splitlines(), out.getvalue().splitlines()


def everything(output: Output) -> None:
    """Write at every level."""
    output.debug("one")
    output.info("two")
    output.warning("three")
    output.failure(PushDeniedError("why.", fix="Do this."))


def test_each_level_has_its_mark() -> None:
    failure = ["✖ The registry does not allow this push: why.", "Do this."]
    assert shown(everything) == (["INFO: two", "WARNING: three", *failure], [])
    assert shown(everything, debug=True) == (["DEBUG: one", "INFO: two", "WARNING: three", *failure], [])


def test_each_level_has_its_colour_also_without_a_terminal() -> None:
    log, _ = shown(everything, colour=True)
    assert log == [
        f"{BLUE}INFO: two{RESET}",
        f"{YELLOW}WARNING: three{RESET}",
        f"{RED}✖ The registry does not allow this push: why.",
        f"Do this.{RESET}",
    ]


def test_references_go_to_standard_output_and_the_log_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Output([]).finish(result(PUSHED), None, None)
    out, err = capsys.readouterr()
    assert out == f"crg.apkg.io/acme/app:1.0@{DIGEST}\n"
    assert err == f"{GREEN}✔ Pushed: crg.apkg.io/acme/app:1.0@{DIGEST}{RESET}\n"


@pytest.mark.parametrize(
    ("tags", "log", "out"),
    [
        pytest.param(
            (TagResult(TARGET, TagStatus.ALREADY_THERE, DIGEST, verified=True),),
            [f"✔ Already there: crg.apkg.io/acme/app:1.0@{DIGEST}"],
            [f"crg.apkg.io/acme/app:1.0@{DIGEST}"],
            id="already-there",
        ),
        pytest.param(
            (TagResult(TARGET, TagStatus.PUSHED, DIGEST),),
            [f"WARNING: Pushed by the Engine, but not verified: crg.apkg.io/acme/app:1.0@{DIGEST}"],
            [f"crg.apkg.io/acme/app:1.0@{DIGEST}"],
            id="not-verified",
        ),
        pytest.param(
            (PUSHED, TagResult(TARGET.with_tag("2"), TagStatus.FAILED, error="x"), TagResult(TARGET.with_tag("3"))),
            [
                f"✔ Pushed: crg.apkg.io/acme/app:1.0@{DIGEST}",
                "✖ Failed: crg.apkg.io/acme/app:2",
                "✖ Not tried: crg.apkg.io/acme/app:3",
            ],
            [f"crg.apkg.io/acme/app:1.0@{DIGEST}"],
            id="second-of-three-failed",
        ),
        pytest.param((TagResult(TARGET, TagStatus.FAILED, error="x"),), [], [], id="only-tag-failed"),
        pytest.param(
            (TagResult(TARGET, TagStatus.WOULD_PUSH),), ["INFO: Would push: crg.apkg.io/acme/app:1.0"], [], id="dry-run"
        ),
    ],
)
def test_each_tag_is_told(tags: tuple[TagResult, ...], log: list[str], out: list[str]) -> None:
    assert shown(lambda output: output.finish(result(*tags), None, None)) == (log, out)


def test_the_table_precedes_the_tags() -> None:
    log, _ = shown(lambda output: output.finish(result(PUSHED, layers=(LAYER,)), None, None))
    assert log[0].split() == ["INFO:", "stored", "time", "status", "layer"]
    assert log[1].endswith("uploaded  COPY . /app")
    assert log[2].startswith("✔")


def test_the_result_is_in_a_debug_log() -> None:
    log, _ = shown(lambda output: output.finish(result(PUSHED), None, None), debug=True)
    assert json.loads(log[-1].removeprefix("DEBUG: ")) == result(PUSHED).as_json()


def fail(text: str) -> Exception:
    """Make an exception with a traceback."""
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(text)
    return raised.value


def test_an_unexpected_error_has_its_traceback() -> None:
    log, _ = shown(lambda output: output.unexpected(fail("oops")))
    assert log[0] == "✖ An unexpected error; please report it with this traceback."
    assert log[1] == "Traceback (most recent call last):"
    assert log[-1] == "RuntimeError: oops"


def test_no_secret_is_written_anywhere(tmp_path: Path) -> None:
    def write(output: Output) -> None:
        output.info(SECRET)
        output.debug(SECRET)
        output.warning(SECRET)
        output.line(SECRET)
        output.failure(PushDeniedError(SECRET, fix=SECRET))
        output.unexpected(fail(SECRET))
        logging.getLogger("urllib3").warning("header %s", SECRET)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(SECRET, stacklevel=1)
        failed = TagResult(TARGET, TagStatus.FAILED, error=f"says {SECRET}")
        output.finish(result(PUSHED, failed, layers=(LAYER,)), tmp_path / "result", tmp_path / "variables")

    log, out = shown(write, debug=True)
    files = "".join(path.read_text("utf-8") for path in tmp_path.iterdir())
    assert SECRET not in "\n".join([*log, *out, files])
    assert log[0] == "INFO: ***"
    assert "WARNING: header ***" in log
    assert any("UserWarning: ***" in line for line in log)
    assert json.loads((tmp_path / "result").read_text("utf-8"))["tags"][1]["error"] == "says ***"


def test_libraries_do_not_show_their_debug_output() -> None:
    def write(_: Output) -> None:
        logging.getLogger("urllib3").debug("GET /v2/")
        logging.getLogger("docker").info("headers")

    assert shown(write, debug=True) == ([], [])


def test_a_signal_while_a_line_is_written_is_not_swallowed() -> None:
    class Interrupted(io.StringIO):
        def write(self, _: str, /) -> int:
            raise StoppedError(signal.SIGTERM)

    with pytest.raises(StoppedError):
        Output([], log=Interrupted()).info("Hello.")


def test_a_secret_with_quotes_leaves_the_result_valid(tmp_path: Path) -> None:
    failed = TagResult(TARGET, TagStatus.FAILED, error='a"b\\c')
    Output(['a"b\\c'], log=io.StringIO()).finish(result(failed), tmp_path / "result", None)
    assert json.loads((tmp_path / "result").read_text("utf-8"))["tags"][0]["error"] == "***"


def test_the_result_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("x" * 100_000)
    shown(lambda output: output.finish(result(PUSHED, layers=(LAYER,)), path, None))
    assert json.loads(path.read_text("utf-8")) == result(PUSHED, layers=(LAYER,)).as_json()
    assert path.read_text("utf-8").endswith("}\n")
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("gone/result.json", "No such file or directory", id="no-folder"),
        pytest.param("file/result.json", "Not a directory", id="file-for-folder"),
        pytest.param("folder", "Is a directory", id="folder"),
        pytest.param("x" * 300, "File name too long", id="name-too-long"),
    ],
)
def test_a_result_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    log, _ = shown(lambda output: output.finish(result(), tmp_path / name, None))
    assert log == [f"WARNING: RESULT_FILE {tmp_path / name} could not be written: {reason}."]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


def test_the_steps_variables_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "variables"
    path.write_text("BEFORE=1\n")
    first = TagResult(TARGET.with_tag("0"), TagStatus.FAILED, error="x")
    log, _ = shown(lambda output: output.finish(result(first, PUSHED), None, path))
    assert path.read_text() == f"BEFORE=1\nIMAGE_REFERENCE=crg.apkg.io/acme/app@{DIGEST}\nIMAGE_DIGEST={DIGEST}\n"
    assert log[-1] == "INFO: Set the step's output variables IMAGE_REFERENCE and IMAGE_DIGEST."


@pytest.mark.parametrize(
    "tag",
    [
        pytest.param(TagResult(TARGET, TagStatus.FAILED, error="x"), id="failed"),
        pytest.param(TagResult(TARGET, TagStatus.WOULD_PUSH), id="dry-run"),
    ],
)
def test_no_variables_for_what_did_not_arrive(tmp_path: Path, tag: TagResult) -> None:
    shown(lambda output: output.finish(result(tag), None, tmp_path / "variables"))
    assert not (tmp_path / "variables").exists()


def test_variables_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    log, _ = shown(lambda output: output.finish(result(PUSHED), None, tmp_path))
    assert log[-1] == f"WARNING: The step's output variables could not be written to {tmp_path}: Is a directory."


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("gone/result.json", "there is no folder {}/gone", id="no-folder"),
        pytest.param("file/result.json", "there is no folder {}/file", id="file-for-folder"),
        pytest.param("folder", "it is not a file", id="folder"),
        pytest.param("x" * 300, "nothing can be written there: File name too long", id="name-too-long"),
    ],
)
def test_a_result_file_is_checked_before_the_push(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError) as raised:
        check_result_file(tmp_path / name)
    assert raised.value.problems == [f"RESULT_FILE is '{tmp_path / name}': {problem.format(tmp_path)}."]


def test_a_folder_that_takes_no_files_is_known_before_the_push() -> None:
    with pytest.raises(ConfigurationError, match="nothing can be written there"):
        check_result_file(Path("/proc/self/result.json"))


def test_a_result_file_that_can_be_written_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    for name in ("new", "old"):
        check_result_file(tmp_path / name)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"old": "old"}
    check_result_file(None)
