"""The pipes that are measured: an image, the checkout of another version, or any command."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.running import run


@dataclass(frozen=True, slots=True)
class Pipe:
    """A version of the pipe, and how it is run.

    Attributes:
        name: As it is called in tables.
        image: Run with `docker run`; empty if `command` is run instead.
        command: Run on this machine, without a container.
        folder: The checkout whose package `pipe` the command imports; None if the command itself knows.
    """

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    folder: Path | None = None

    def version(self) -> str:
        """Return the version of the pipe and of its Python."""
        if self.image:
            pipe = run("docker", "run", "--rm", self.image, "--version").stdout
            python = run("docker", "run", "--rm", "--entrypoint=python3", self.image, "--version").stdout
            return f"{pipe.partition(' (')[0].split()[-1]}, {python.strip()}"
        revision = (
            "" if self.folder is None else run("git", "-C", str(self.folder), "rev-parse", "--short", "HEAD").stdout
        )
        return f"`{shlex.join(self.command)}` {revision}".strip()


def pipe_of(name: str, how: str) -> Pipe:
    """Return the pipe that an option of the command line names.

    Args:
        name: As it is called in tables.
        how: The folder of a checkout, or a command.

    Raises:
        ValueError: It is neither.
    """
    folder = Path(how)
    if folder.is_dir():
        if not (folder / "pipe" / "__main__.py").is_file():
            raise ValueError(f"{how} has no package pipe")
        own = folder / ".venv/bin/python"
        python = str(own.absolute()) if own.exists() else sys.executable
        return Pipe(name, command=(python, "-m", "pipe"), folder=folder.resolve())
    if not how.strip():
        raise ValueError("a command or the folder of a checkout is needed")
    return Pipe(name, command=tuple(shlex.split(how)))
