"""Files for programs: the result as JSON, and the step's variables."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from pipe.errors import ConfigurationError

_UNSUITED = {
    stat.S_IFDIR: "is a directory",
    stat.S_IFBLK: "is a block device",
    stat.S_IFSOCK: "is a socket",
}


def write_result(path: Path, text: str) -> None:
    """Replace a regular file atomically, keeping its mode and owner; write to a device or named pipe.

    Args:
        path: The file, which need not exist; if it is a symbolic link, its target is replaced.
        text: JSON. Surrogates, of a path that is not UTF-8, are escaped as JSON does it.

    Raises:
        OSError: It cannot be written.
    """
    data = text.encode("utf-8", "backslashreplace")
    before = _status(path)
    if before is not None and _is_stream(path, before):
        _write_stream(path, before, data)
        return
    target = Path(os.path.realpath(path))
    try:
        _replace(target, before, data)
    except OSError:
        # A bind-mounted file cannot be replaced, nor a file in a read-only directory.
        if before is None or not os.access(target, os.W_OK):
            raise
        target.write_bytes(data)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_stream(path: Path, status: os.stat_result) -> bool:
    """Return whether to write to a path instead of replacing it; `/dev/stdout` can be a regular file."""
    parent = Path(os.path.realpath(path.parent))
    named = parent == Path("/dev") or (parent.name == "fd" and parent.is_relative_to("/proc"))
    return named or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode))


def _replace(target: Path, before: os.stat_result | None, data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, ignore_cleanup_errors=True) as folder:
        file = Path(folder, "result")
        file.write_bytes(data)
        if before is not None:
            with contextlib.suppress(PermissionError):
                os.chown(file, before.st_uid, before.st_gid)
            file.chmod(stat.S_IMODE(before.st_mode))
        file.replace(target)


def _write_stream(path: Path, status: os.stat_result, data: bytes) -> None:
    for number in _descriptors(path):
        if _is_open(number, status):
            # If it was opened again, a file that a shell redirects to would be overwritten from its beginning.
            with os.fdopen(os.dup(number), "wb") as stream:
                stream.write(data)
            return
    # Without a reader, opening a named pipe would block forever.
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def _descriptors(path: Path) -> list[int]:
    return [1, 2, *([int(path.name)] if path.name.isascii() and path.name.isdecimal() else [])]


def _is_open(number: int, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, os.fstat(number))
    except (OSError, OverflowError):
        return False


def check_result_file(path: Path | None) -> None:
    """Check that the result can be written, before anything is uploaded.

    Args:
        path: The file, None for none.

    Raises:
        ConfigurationError: It cannot be written.
    """
    if path is None:
        return
    try:
        problem = _problem(path)
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
    if problem:
        raise ConfigurationError([f"RESULT_FILE: '{path}' {problem}."])


def _problem(path: Path) -> str:
    target, status = Path(os.path.realpath(path)), _status(path)
    if status is not None:
        kind = _UNSUITED.get(stat.S_IFMT(status.st_mode))
        return kind or ("" if os.access(path, os.W_OK) else "is not writable")
    if not target.parent.is_dir():
        return f"cannot be written: directory {target.parent} does not exist"
    tempfile.TemporaryFile(dir=target.parent).close()
    return ""


def append_variables(path: Path, variables: dict[str, str]) -> None:
    """Append the step's output variables to a file that exists.

    Args:
        path: The file that Pipelines reads them from.
        variables: Values by name.

    Raises:
        OSError: It does not exist, or cannot be written.
    """
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(lines)
