"""Draw the log of a real push as an SVG: `log_picture.py OUTPUT PIPE IMAGE`."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from registry.client import local_registry
from rich.console import Console
from rich.text import Text

REMOTE_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""A picture in a README must not load anything; the reader's own monospace font serves."""


def main(output: Path, pipe: str, image: str) -> None:
    """Push an image to a registry that never saw it, and draw what the pipe writes, colours included.

    Args:
        output: The SVG to write.
        pipe: The pipe's image.
        image: The image to push.

    Raises:
        CalledProcessError: The push failed; its log has been printed.
    """
    with local_registry() as registry:
        run = subprocess.run(
            [Path(__file__).with_name("push"), pipe, image, "--env=TAGS=1.0 latest"],
            env=os.environ | {"REGISTRY": registry.host},
            capture_output=True,
            text=True,
            check=False,
        )
    shown = run.stderr + run.stdout.rstrip()
    sys.stdout.write(f"{shown}\n")
    run.check_returncode()
    log = Text.from_ansi(shown)
    console = Console(record=True, width=max(line.cell_len for line in log.split()), file=io.StringIO())
    console.print(log)
    picture = console.export_svg(title="bbc-packages-push-container-image", unique_id="log")
    output.write_text(REMOTE_FONT.sub("", picture), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
