"""What goes where: the log to stderr, references to stdout, the result and the step's variables to files."""

import io
import json
import logging
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from pipe.errors import PushDeniedError, StoppedError
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Layer
from pipe.oci.reference import Reference
from pipe.output.log import Destinations, Output
from pipe.push.result import LayerResult, LayerStatus, ReleaseResult, Result, TagResult, TagStatus

pytestmark = pytest.mark.usefixtures("process")

SECRET = "s3cr3t-t0ken"
DIGEST = "sha256:" + "d" * 64
TARGET = Reference("crg.apkg.io", "acme/app", "1.0")
PUSHED = TagResult(TARGET, TagStatus.PUSHED, DIGEST, verified=True)
LAYER = LayerResult(
    Layer(1, DIGEST, 456, "COPY . /app"), LayerStatus.UPLOADED, Descriptor("", "sha256:" + "1" * 64, 123)
)
BLUE, GREEN, YELLOW, RED, RESET = ("\x1b[34m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m")


def result(*tags: TagResult, layers: tuple[LayerResult, ...] = (), exit_code: int = 0) -> ReleaseResult:
    """Make the result of a run with one image."""
    return ReleaseResult((Result("app", "sha256:" + "c" * 64, False, tags, layers, exit_code),), exit_code)


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
    failure = ["✖ Permission denied: cannot push to this package: why.", "Do this."]
    assert shown(everything) == (["INFO: two", "WARNING: three", *failure], [])
    assert shown(everything, debug=True) == (["DEBUG: one", "INFO: two", "WARNING: three", *failure], [])


def test_each_level_has_its_colour_also_without_a_terminal() -> None:
    log, _ = shown(everything, colour=True)
    assert log == [
        f"{BLUE}INFO: two{RESET}",
        f"{YELLOW}WARNING: three{RESET}",
        f"{RED}✖ Permission denied: cannot push to this package: why.",
        f"Do this.{RESET}",
    ]


def test_references_go_to_standard_output_and_the_log_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Output([]).finish(result(PUSHED), Destinations())
    out, err = capsys.readouterr()
    assert out == f"crg.apkg.io/acme/app:1.0@{DIGEST}\n"
    assert err == f"{GREEN}✔ Pushed 1.0: crg.apkg.io/acme/app@{DIGEST}{RESET}\n"


def test_every_tag_has_a_line_for_programs_and_all_have_one_for_people() -> None:
    second = TagResult(TARGET.with_tag("2"), TagStatus.PUSHED, DIGEST, verified=True)
    failed = TagResult(TARGET.with_tag("3"), TagStatus.FAILED, error="x")
    error = PushDeniedError("3 is protected.", fix="Do this.")
    log, out = shown(lambda output: output.finish(result(PUSHED, second, failed), Destinations(), error))
    assert log == [
        f"✔ Pushed 1.0, 2: crg.apkg.io/acme/app@{DIGEST}",
        "✖ Permission denied: cannot push to this package: 3 is protected.",
        "Do this.",
        "✖ Not pushed: 3",
    ]
    assert out == [f"crg.apkg.io/acme/app:1.0@{DIGEST}", f"crg.apkg.io/acme/app:2@{DIGEST}"]


def test_files_come_before_the_log_and_standard_output_comes_last(tmp_path: Path) -> None:
    seen: list[str] = []
    (tmp_path / "variables").touch()

    class Watched(io.StringIO):
        def __init__(self, name: str) -> None:
            super().__init__()
            self._name = name

        def write(self, text: str, /) -> int:
            if "sha256" in text:
                seen.extend([self._name, *sorted(path.name for path in tmp_path.iterdir() if path.stat().st_size)])
            return super().write(text)

    output = Output([], log=Watched("log"), out=Watched("out"))
    output.finish(result(PUSHED, layers=(LAYER,)), Destinations(tmp_path / "result", tmp_path / "variables"))
    assert seen == ["log", "result", "variables", "out", "result", "variables"]


def test_a_step_writes_no_references_to_standard_output() -> None:
    """There, it is part of the log, whose last line has the reference."""
    log, out = shown(lambda output: output.finish(result(PUSHED), Destinations(references=False)))
    assert (log, out) == ([f"✔ Pushed 1.0: crg.apkg.io/acme/app@{DIGEST}"], [])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(BrokenPipeError(32, "Broken pipe"), "Broken pipe", id="broken-pipe"),
        pytest.param(ValueError("I/O operation on closed file."), "I/O operation on closed file.", id="closed"),
    ],
)
def test_an_output_that_is_closed_is_reported_and_loses_nothing_else(
    tmp_path: Path, error: Exception, reason: str
) -> None:
    class Closed(io.StringIO):
        def write(self, _: str, /) -> int:
            raise error

    log, second = io.StringIO(), TagResult(TARGET.with_tag("2"), TagStatus.PUSHED, DIGEST, verified=True)
    output = Output([], colour=False, log=log, out=Closed())
    output.finish(result(PUSHED, second), Destinations(tmp_path / "result"))
    assert log.getvalue().splitlines() == [
        f"✔ Pushed 1.0, 2: crg.apkg.io/acme/app@{DIGEST}",
        f"WARNING: Standard output could not be written: {reason.rstrip('.')}.",
    ]
    assert json.loads((tmp_path / "result").read_text("utf-8"))["digest"] == DIGEST


def test_a_process_without_output_writes_nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    log = io.StringIO()
    Output([], colour=False, log=log).finish(result(PUSHED), Destinations())
    assert log.getvalue() == f"✔ Pushed 1.0: crg.apkg.io/acme/app@{DIGEST}\n"


def test_the_table_precedes_the_tags() -> None:
    log, _ = shown(lambda output: output.finish(result(PUSHED, layers=(LAYER,)), Destinations()))
    assert log[0].split() == ["INFO:", "stored", "time", "status", "layer"]
    assert log[1].endswith("uploaded  COPY . /app")
    assert log[2].startswith("✔")


def test_the_result_is_in_a_debug_log() -> None:
    log, _ = shown(lambda output: output.finish(result(PUSHED), Destinations()), debug=True)
    assert json.loads(log[0].removeprefix("DEBUG: ")) == result(PUSHED).as_json()


def fail(text: str) -> Exception:
    """Make an exception with a traceback."""
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(text)
    return raised.value


def test_an_unexpected_error_has_its_traceback() -> None:
    log, _ = shown(lambda output: output.failure(fail("oops")))
    assert log[0] == "✖ An unexpected error. Please report it with this traceback."
    assert log[1] == "Traceback (most recent call last):"
    assert log[-1] == "RuntimeError: oops"


def test_no_secret_is_written_anywhere(tmp_path: Path) -> None:
    def write(output: Output) -> None:
        output.info(SECRET)
        output.debug(SECRET)
        output.warning(SECRET)
        output.line(SECRET)
        output.failure(PushDeniedError(SECRET, fix=SECRET))
        output.failure(fail(SECRET))
        logging.getLogger("urllib3").warning("header %s", SECRET)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(SECRET, stacklevel=1)
        failed = TagResult(TARGET, TagStatus.FAILED, error=f"says {SECRET}")
        (tmp_path / "variables").touch()
        output.finish(
            result(PUSHED, failed, layers=(LAYER,)), Destinations(tmp_path / "result", tmp_path / "variables")
        )

    log, out = shown(write, debug=True)
    files = "".join(path.read_text("utf-8") for path in tmp_path.iterdir())
    assert SECRET not in "\n".join([*log, *out, files])
    assert log[0] == "INFO: ***"
    assert "DEBUG: urllib3: header ***" in log
    assert any(line.startswith("DEBUG: py.warnings: ") and "UserWarning: ***" in line for line in log)
    assert json.loads((tmp_path / "result").read_text("utf-8"))["tags"][1]["error"] == "says ***"


def test_libraries_do_not_show_their_debug_output() -> None:
    def write(_: Output) -> None:
        logging.getLogger("urllib3").debug("GET /v2/")
        logging.getLogger("docker").info("headers")

    assert shown(write, debug=True) == ([], [])


def test_a_librarys_warning_is_debug_output_without_traceback_and_state() -> None:
    """As urllib3 warns of response headers that it cannot parse."""

    def write(_: Output) -> None:
        logging.getLogger("urllib3.connectionpool").warning(
            "Failed to parse headers (url=%s): %s",
            "http://r.io/v2/w/p/blobs/uploads/1?_state=private",
            "[StartBoundary\nNotFound]",
            exc_info=fail("private"),
        )

    assert shown(write) == ([], [])
    url = "http://r.io/v2/w/p/blobs/uploads/1?…"
    words = f"DEBUG: urllib3.connectionpool: Failed to parse headers (url={url} [StartBoundary NotFound]"
    assert shown(write, debug=True) == ([words], [])


def test_a_line_that_cannot_be_written_shows_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.StringIO):
        def write(self, _: str, /) -> int:
            raise OSError(28, "No space left on device")

    Output([], log=Full()).info("private")
    assert capsys.readouterr() == ("", "")


def test_a_part_of_the_result_that_fails_is_named_and_the_others_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> list[str]:
        raise LookupError("odd")

    for name in ("table", "summary", "not_pushed"):
        monkeypatch.setattr(f"pipe.output.log.{name}", fails)
    (tmp_path / "result").mkdir()
    error = PushDeniedError("why.")
    log, out = shown(lambda output: output.finish(result(PUSHED), Destinations(tmp_path / "result"), error))
    assert log == [
        "WARNING: The table of layers could not be written: odd.",
        f"WARNING: RESULT_FILE {tmp_path / 'result'} could not be written: Is a directory.",
        "WARNING: The summary could not be written: odd.",
        "✖ Permission denied: cannot push to this package: why.",
        "WARNING: The list of missing tags could not be written: odd.",
    ]
    assert out == [f"crg.apkg.io/acme/app:1.0@{DIGEST}"]


def test_a_path_that_is_not_utf_8_is_written(tmp_path: Path) -> None:
    failed = TagResult(TARGET, TagStatus.FAILED, error="caf\udce9.tar does not exist")
    log, _ = shown(lambda output: output.finish(result(failed), Destinations(tmp_path / "result"), fail("caf\udce9")))
    assert log[-1] == "RuntimeError: caf\udce9"
    written = json.loads((tmp_path / "result").read_text("utf-8"))
    assert written["tags"][0]["error"] == "caf\udce9.tar does not exist"


def test_a_secret_does_not_garble_references_and_digests(tmp_path: Path) -> None:
    """A token that is also a name, a status, a part of a digest."""
    tag = TagResult(TARGET.with_tag("uploaded"), TagStatus.PUSHED, DIGEST, verified=True)
    log, out = io.StringIO(), io.StringIO()
    output = Output(["acme/app", "uploaded", "dddddddd"], colour=False, log=log, out=out)
    output.keep("crg.apkg.io/acme/app")
    output.info(f"To crg.apkg.io/acme/app:uploaded, not acme/app or dddddddd, {DIGEST}")
    output.finish(result(tag, layers=(LAYER,)), Destinations(tmp_path / "result"))
    reference = f"crg.apkg.io/acme/app:uploaded@{DIGEST}"
    assert log.getvalue().splitlines()[0] == f"INFO: To crg.apkg.io/acme/app:uploaded, not *** or ***, {DIGEST}"
    assert log.getvalue().splitlines()[-1] == f"✔ Pushed ***: crg.apkg.io/acme/app@{DIGEST}"
    assert out.getvalue() == f"{reference}\n"
    written = json.loads((tmp_path / "result").read_text("utf-8"))
    assert written["digest"] == DIGEST
    assert written["tags"][0]["reference"] == reference
    assert written["layers"][0]["status"] == "uploaded"


def test_references_for_programs_are_never_redacted(tmp_path: Path) -> None:
    """Not even by a secret that is no coincidence: a wrong digest is worse than one that everyone can read."""
    out = io.StringIO()
    output = Output([DIGEST[:40]], log=io.StringIO(), out=out)
    output.finish(result(PUSHED), Destinations(tmp_path / "result"))
    assert out.getvalue() == f"crg.apkg.io/acme/app:1.0@{DIGEST}\n"
    assert json.loads((tmp_path / "result").read_text("utf-8"))["digest"] == DIGEST


def test_a_signal_while_a_line_is_written_is_not_swallowed() -> None:
    class Interrupted(io.StringIO):
        def write(self, _: str, /) -> int:
            raise StoppedError(signal.SIGTERM)

    with pytest.raises(StoppedError):
        Output([], log=Interrupted()).info("Hello.")


def test_a_secret_with_quotes_leaves_the_result_valid(tmp_path: Path) -> None:
    failed = TagResult(TARGET, TagStatus.FAILED, error='a"b\\c-defg')
    Output(['a"b\\c-defg'], log=io.StringIO()).finish(result(failed), Destinations(tmp_path / "result"))
    assert json.loads((tmp_path / "result").read_text("utf-8"))["tags"][0]["error"] == "***"


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
    log, _ = shown(lambda output: output.finish(result(), Destinations(tmp_path / name)))
    assert log == [f"WARNING: RESULT_FILE {tmp_path / name} could not be written: {reason}."]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


def test_the_steps_variables_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "variables"
    path.write_text("BEFORE=1\n")
    first = TagResult(TARGET.with_tag("0"), TagStatus.FAILED, error="x")
    log, _ = shown(lambda output: output.finish(result(first, PUSHED), Destinations(variables_file=path)), debug=True)
    assert path.read_text() == f"BEFORE=1\nIMAGE_REFERENCE=crg.apkg.io/acme/app@{DIGEST}\nIMAGE_DIGEST={DIGEST}\n"
    assert "INFO: Set the step variables: IMAGE_REFERENCE, IMAGE_DIGEST." in log


def test_a_file_of_variables_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "variables"
    log, _ = shown(lambda output: output.finish(result(PUSHED), Destinations(variables_file=path)), debug=True)
    assert not path.exists()
    assert f"DEBUG: No step variables were set: the file {path} does not exist." in log
    assert not [line for line in log if "variables" in line and not line.startswith("DEBUG")]


@pytest.mark.parametrize(
    "tag",
    [
        pytest.param(TagResult(TARGET, TagStatus.FAILED, error="x"), id="failed"),
        pytest.param(TagResult(TARGET, TagStatus.WOULD_PUSH), id="dry-run"),
    ],
)
def test_no_variables_for_what_did_not_arrive(tmp_path: Path, tag: TagResult) -> None:
    (tmp_path / "variables").touch()
    shown(lambda output: output.finish(result(tag), Destinations(variables_file=tmp_path / "variables")))
    assert (tmp_path / "variables").read_text() == ""


def test_variables_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    log, _ = shown(lambda output: output.finish(result(PUSHED), Destinations(variables_file=tmp_path)))
    assert log[0] == f"WARNING: The step variables in {tmp_path} could not be written: Is a directory."


def release(*images: tuple[str, TagStatus, int]) -> ReleaseResult:
    """Make the result of a run with several images, each with its name, the status of its tag and its exit code."""
    results = []
    for name, status, code in images:
        there = status in {TagStatus.PUSHED, TagStatus.ALREADY_THERE}
        target = Reference("crg.apkg.io", f"acme/{name}", "1.0")
        tag = TagResult(target, status, DIGEST if there else None, verified=there, error="x" if code else None)
        seconds = None if status is TagStatus.NOT_TRIED else 1.0
        results.append(Result(name, None, False, (tag,), (), code, seconds=seconds))
    return ReleaseResult(tuple(results), next((code for *_, code in images if code), 0))


SEVERAL = release(("api", TagStatus.FAILED, 4), ("web", TagStatus.PUSHED, 0), ("worker", TagStatus.ALREADY_THERE, 0))
"""A run with several images, the first of which failed."""


def test_one_image_of_several_is_logged_as_a_single_one() -> None:
    result = SEVERAL.images[1]._replace(layers=(LAYER,))
    log, out = shown(lambda output: output.image(result, None))
    assert [line.split(" ")[0] for line in log] == ["INFO:", "INFO:", "INFO:", "✔"]
    assert log[-1] == f"✔ Pushed 1.0: crg.apkg.io/acme/web@{DIGEST}"
    log, _ = shown(lambda output: output.image(SEVERAL.images[0], PushDeniedError("why.", fix="Do this.")))
    assert log == ["✖ Permission denied: cannot push to this package: why.", "Do this."]
    assert out == []


def test_several_images_end_with_a_line_for_each_outcome_and_a_reference_for_each_tag() -> None:
    log, out = shown(lambda output: output.finish(SEVERAL, Destinations(), PushDeniedError("why.")))
    assert log == ["✔ Pushed: web", "✔ Up to date: worker", "✖ Failed: api"]
    assert out == [f"crg.apkg.io/acme/{name}:1.0@{DIGEST}" for name in ("web", "worker")]


def test_what_ended_a_run_with_several_images_precedes_the_last_lines() -> None:
    stopped = release(
        ("api", TagStatus.PUSHED, 0), ("web", TagStatus.FAILED, 143), ("worker", TagStatus.NOT_TRIED, 143)
    )
    log, _ = shown(lambda output: output.finish(stopped, Destinations(), StoppedError(signal.SIGTERM)))
    assert log == [
        "✖ The push was stopped by signal SIGTERM.",
        "✔ Pushed: api",
        "✖ Not tried: worker",
        "✖ Failed: web",
    ]


def test_a_signal_is_logged_once_with_the_outcome_for_the_image_that_it_stopped() -> None:
    error = StoppedError(signal.SIGTERM)
    failed = TagResult(TARGET.with_tag("2.0"), TagStatus.FAILED, error="The push was stopped.")
    stopped = release(("api", TagStatus.PUSHED, 143)).images[0]._replace(exit_code=143)
    stopped = stopped._replace(tags=(*stopped.tags, failed))

    def end(output: Output) -> None:
        output.image(stopped, error)
        output.finish(ReleaseResult((stopped, stopped), 143), Destinations(), error)

    log, _ = shown(end)
    assert [line for line in log if line.startswith(("✔", "✖"))] == [
        f"✔ Pushed {stopped.tags[0].target.tag}: {stopped.reference}",
        "✖ The push was stopped by signal SIGTERM.",
        "✖ Not pushed: 2.0",
        "✖ Failed: api, api",
    ]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        pytest.param(TagStatus.SKIPPED, "INFO: Left alone: api, web", id="skipped"),
        pytest.param(TagStatus.WOULD_PUSH, "✔ Would be pushed: api, web", id="dry-run"),
    ],
)
def test_other_outcomes_of_several_images(status: TagStatus, line: str) -> None:
    log, out = shown(lambda output: output.finish(release(("api", status, 0), ("web", status, 0)), Destinations()))
    assert (log, out) == ([line], [])


def test_the_result_of_several_images_is_a_list(tmp_path: Path) -> None:
    shown(lambda output: output.finish(SEVERAL, Destinations(tmp_path / "result"), PushDeniedError("why.")))
    assert json.loads((tmp_path / "result").read_text("utf-8")) == {
        "images": [image.as_json() for image in SEVERAL.images],
        "exit_code": 4,
    }


def test_texts_of_several_images_are_redacted(tmp_path: Path) -> None:
    failed = SEVERAL.images[0].tags[0]._replace(error=SECRET)
    result = ReleaseResult((SEVERAL.images[0]._replace(tags=(failed,)), SEVERAL.images[1]), 4)
    shown(lambda output: output.finish(result, Destinations(tmp_path / "result")))
    assert json.loads((tmp_path / "result").read_text("utf-8"))["images"][0]["tags"][0]["error"] == "***"


ALL = (("api", TagStatus.PUSHED, 0), ("web", TagStatus.ALREADY_THERE, 0))
FIRST = [f"IMAGE_REFERENCE=crg.apkg.io/acme/api@{DIGEST}", f"IMAGE_DIGEST={DIGEST}"]


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        pytest.param(
            release(*ALL),
            [*FIRST, f"IMAGE_REFERENCES=crg.apkg.io/acme/api@{DIGEST} crg.apkg.io/acme/web@{DIGEST}"],
            id="all",
        ),
        pytest.param(
            SEVERAL,
            [f"IMAGE_REFERENCES=crg.apkg.io/acme/web@{DIGEST} crg.apkg.io/acme/worker@{DIGEST}"],
            id="first-failed",
        ),
        pytest.param(release(("api", TagStatus.FAILED, 4), ("web", TagStatus.FAILED, 4)), [], id="none"),
    ],
)
def test_the_steps_variables_of_several_images(tmp_path: Path, result: ReleaseResult, lines: list[str]) -> None:
    path = tmp_path / "variables"
    path.touch()
    shown(lambda output: output.finish(result, Destinations(variables_file=path)))
    assert path.read_text().splitlines() == lines
