"""Files for programs: what is replaced, what is written to, and what is refused before the push."""

import json
import os
import select
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipe.errors import ConfigurationError
from pipe.output.files import append_variables, check_result_file, write_result

TEXT = '{"digest": "sha256:é"}\n'


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Let new files be of a known mode."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    """Return a file's mode, as `ls` shows it."""
    return stat.filemode(path.stat().st_mode)


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("x" * 100_000)
    path.chmod(0o640)
    before = path.stat().st_ino
    write_result(path, TEXT)
    assert path.read_text("utf-8") == TEXT
    assert mode(path) == "-rw-r-----"
    assert path.stat().st_ino != before
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.touch()
    os.chown(path, 12, 34)
    write_result(path, TEXT)
    assert (path.stat().st_uid, path.stat().st_gid) == (12, 34)


def test_a_surrogate_is_written_as_json_escapes_it(tmp_path: Path) -> None:
    """Of a path that is not UTF-8."""
    for path in (tmp_path / "new", tmp_path / "old", Path("/dev/null")):
        (tmp_path / "old").touch()
        write_result(path, json.dumps({"error": "caf\udce9.tar: é"}, ensure_ascii=False))
    for name in ("new", "old"):
        assert json.loads((tmp_path / name).read_text("utf-8")) == {"error": "caf\udce9.tar: é"}


def test_a_new_file_is_as_the_system_makes_it(tmp_path: Path) -> None:
    write_result(tmp_path / "result.json", TEXT)
    assert mode(tmp_path / "result.json") == "-rw-r--r--"


@pytest.mark.parametrize("there", [pytest.param(True, id="file"), pytest.param(False, id="nothing")])
def test_the_target_of_a_link_is_replaced(tmp_path: Path, there: bool) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "result.json", tmp_path / "link"
    if there:
        target.write_text("old")
    link.symlink_to("real/result.json")
    check_result_file(link)
    write_result(link, TEXT)
    assert link.is_symlink()
    assert target.read_text("utf-8") == TEXT
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "real"]


def test_a_device_is_written_to() -> None:
    check_result_file(Path("/dev/null"))
    write_result(Path("/dev/null"), TEXT)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_named_pipe_is_written_to(tmp_path: Path) -> None:
    path, text = tmp_path / "pipe", TEXT * 50_000
    os.mkfifo(path)
    check_result_file(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = threading.Thread(target=write_result, args=(path, text))
    writer.start()
    select.select([descriptor], [], [], 10)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, encoding="utf-8") as file:
        read = file.read()
    writer.join()
    assert read == text
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_named_pipe_that_nobody_reads_does_not_keep_the_step_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device"):
        write_result(tmp_path / "pipe", TEXT)


def test_an_open_file_is_written_to_where_it_stands(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+", encoding="utf-8") as file:
        file.write("before\n")
        file.flush()
        write_result(Path(f"/dev/fd/{file.fileno()}"), TEXT)
        file.write("after\n")
        file.flush()
        assert (tmp_path / "out").read_text("utf-8") == f"before\n{TEXT}after\n"


def test_a_file_in_a_folder_of_devices_is_no_device(tmp_path: Path) -> None:
    folder = Path("/dev/shm") / tmp_path.name  # noqa: S108
    folder.mkdir()
    try:
        (folder / "result.json").write_text("x" * 100)
        write_result(folder / "result.json", TEXT)
        assert (folder / "result.json").read_text("utf-8") == TEXT
    finally:
        (folder / "result.json").unlink()
        folder.rmdir()


def test_a_file_that_cannot_be_replaced_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is mounted by itself."""

    def busy(_: Path, __: Path) -> None:
        raise OSError(16, "Device or resource busy")

    path = tmp_path / "result.json"
    path.write_text("x" * 100)
    monkeypatch.setattr(Path, "replace", busy)
    write_result(path, TEXT)
    assert path.read_text("utf-8") == TEXT
    with pytest.raises(OSError, match="busy"):
        write_result(tmp_path / "new", TEXT)
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("gone/result.json", "cannot be written: directory {}/gone does not exist", id="no-folder"),
        pytest.param("file/result.json", "cannot be written: directory {}/file does not exist", id="file-for-folder"),
        pytest.param("folder", "is a directory", id="folder"),
        pytest.param("loop", "cannot be written: Too many levels of symbolic links", id="loop"),
        pytest.param("x" * 300, "cannot be written: File name too long", id="name-too-long"),
    ],
)
def test_a_result_file_is_checked_before_the_push(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigurationError) as raised:
        check_result_file(tmp_path / name)
    assert raised.value.problems == [f"RESULT_FILE: '{tmp_path / name}' {problem.format(tmp_path)}."]


def test_a_folder_that_takes_no_files_is_known_before_the_push() -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        check_result_file(Path("/proc/self/result.json"))


def test_a_file_that_may_not_be_written_is_known_before_the_push(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").touch()
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    with pytest.raises(ConfigurationError, match="is not writable"):
        check_result_file(tmp_path / "old")


def test_a_result_file_that_can_be_written_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    for name in ("new", "old"):
        check_result_file(tmp_path / name)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"old": "old"}
    check_result_file(None)


def test_variables_are_appended_to_a_file_that_exists(tmp_path: Path) -> None:
    path = tmp_path / "variables"
    with pytest.raises(FileNotFoundError):
        append_variables(path, {"A": "1"})
    assert not path.exists()
    path.write_text("BEFORE=0\n")
    append_variables(path, {"A": "1", "B": "é"})
    assert path.read_text("utf-8") == "BEFORE=0\nA=1\nB=é\n"
