"""Draw the log of a command as an SVG: `log_picture.py OUTPUT TITLE COMMAND [ARGUMENT …]`."""

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

REMOTE_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""A picture in a README must not load anything; the reader's own monospace font serves."""


def main(output: Path, title: str, command: list[str]) -> int:
    """Run a command and draw what it writes, colours included.

    Args:
        output: The SVG to write; left alone where the command fails.
        title: What stands above the log.
        command: The program and its arguments.

    Returns:
        The command's exit code.
    """
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    sys.stdout.write(run.stdout)
    if run.returncode == 0:
        log = Text.from_ansi(run.stdout.rstrip())
        console = Console(record=True, width=max(line.cell_len for line in log.split()), file=io.StringIO())
        console.print(log)
        picture = console.export_svg(title=title, unique_id="log")
        output.write_text(REMOTE_FONT.sub("", picture), encoding="utf-8")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
