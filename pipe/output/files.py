"""Files for programs: the result as JSON, and the step's variables."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from pipe.errors import ConfigurationError

_UNSUITED = {
    stat.S_IFDIR: "it is a folder",
    stat.S_IFBLK: "it is a block device",
    stat.S_IFSOCK: "it is a socket",
}


def write_result(path: Path, text: str) -> None:
    """Write a file: all of it or nothing where it is a regular file, which keeps its mode and its owner.

    Args:
        path: A file that may exist; of a symbolic link, its target is replaced. A device or pipe is written to.
        text: What it is to hold.

    Raises:
        OSError: It cannot be written.
    """
    before = _status(path)
    if before is not None and _is_stream(path, before):
        _write_stream(path, before, text)
        return
    target = Path(os.path.realpath(path))
    try:
        _replace(target, before, text)
    except OSError:
        # A file that is mounted by itself cannot be replaced, nor one in a folder that may not be written to.
        if before is None or not os.access(target, os.W_OK):
            raise
        target.write_text(text, "utf-8")


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_stream(path: Path, status: os.stat_result) -> bool:
    """Tell whether a path is to be written to, not replaced; `/dev/stdout` may stand for a regular file."""
    parent = Path(os.path.realpath(path.parent))
    named = parent == Path("/dev") or (parent.name == "fd" and parent.is_relative_to("/proc"))
    return named or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode))


def _replace(target: Path, before: os.stat_result | None, text: str) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, ignore_cleanup_errors=True) as folder:
        file = Path(folder, "result")
        file.write_text(text, "utf-8")
        if before is not None:
            with contextlib.suppress(PermissionError):
                os.chown(file, before.st_uid, before.st_gid)
            file.chmod(stat.S_IMODE(before.st_mode))
        file.replace(target)


def _write_stream(path: Path, status: os.stat_result, text: str) -> None:
    for number in _descriptors(path):
        if _is_open(number, status):
            # Opened anew, a file that a shell redirects to would be written to from its beginning.
            with os.fdopen(os.dup(number), "w", encoding="utf-8") as file:
                file.write(text)
            return
    # A named pipe that nobody reads would keep the step waiting for ever.
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _descriptors(path: Path) -> list[int]:
    return [1, 2, *([int(path.name)] if path.name.isascii() and path.name.isdecimal() else [])]


def _is_open(number: int, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, os.fstat(number))
    except (OSError, OverflowError):
        return False


def check_result_file(path: Path | None) -> None:
    """Make sure that the result can be written, before anything is uploaded.

    Args:
        path: The file, None for none.

    Raises:
        ConfigurationError: It cannot.
    """
    if path is None:
        return
    try:
        problem = _problem(path)
    except OSError as error:
        problem = f"nothing can be written there: {error.strerror}"
    if problem:
        raise ConfigurationError([f"RESULT_FILE is '{path}': {problem}."])


def _problem(path: Path) -> str:
    target, status = Path(os.path.realpath(path)), _status(path)
    if status is not None:
        kind = _UNSUITED.get(stat.S_IFMT(status.st_mode))
        return kind or ("" if os.access(path, os.W_OK) else "it may not be written to")
    if not target.parent.is_dir():
        return f"there is no folder {target.parent}"
    tempfile.TemporaryFile(dir=target.parent).close()
    return ""


def append_variables(path: Path, variables: dict[str, str]) -> None:
    """Append the step's output variables to a file that exists.

    Args:
        path: The file that Pipelines reads them from.
        variables: Names and values.

    Raises:
        OSError: It cannot be written, or does not exist.
    """
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(lines)
