"""Draw the log of a real push as an SVG: `log_picture.py OUTPUT PIPE SAMPLE`.

The registry has the sample application already. The pushed image adds a layer to it that Docker Engine would
compress for a while, so the pipe takes over.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.images import real_layers
from registry.client import Registry, local_registry
from rich.console import Console
from rich.text import Text

REMOTE_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""A picture in a README must not load anything; the reader's monospace font is used."""
IMAGE = "my-container-app:with-model"
LAYER = 400_000_000
"""Bytes of the large layer: 16 s of an Engine's time, a few of the pipe's."""
TAKEN_OVER = " directly: Docker Engine would "
"""The line of the log that a user of a large layer sees."""
SHOWN = "crg.apkg.io/my-workspace/"
"""Takes the place of the local registry's address and workspace: it is what users see."""


def main(output: Path, pipe: str, sample: str) -> None:
    """Push an image that the registry has in part, and draw the pipe's log in its colours.

    Args:
        output: The SVG to write.
        pipe: The pipe's image.
        sample: The sample application's image.

    Raises:
        CalledProcessError: A command failed.
        RuntimeError: The pipe did not take over, or the log does not name the registry.
    """
    with local_registry() as registry, larger(sample) as image:
        push(registry, pipe, sample, "latest")
        log = re.sub(rf"{re.escape(registry.host)}/[^/]+/", SHOWN, push(registry, pipe, image, "1.0 1 latest"))
    sys.stdout.write(f"{log}\n")
    for expected in (TAKEN_OVER, SHOWN):
        if expected not in log:
            raise RuntimeError(f"not in the log: {expected}")
    text = Text.from_ansi(log)
    console = Console(record=True, width=max(line.cell_len for line in text.split()), file=io.StringIO())
    console.print(text)
    picture = console.export_svg(title="bbc-packages-push-container-image", unique_id="log")
    output.write_text(REMOTE_FONT.sub("", picture), encoding="utf-8")


@contextlib.contextmanager
def larger(sample: str) -> Iterator[str]:
    """Add a large layer of real files to an image, and remove the new image at the end.

    Yields:
        The new image's name.
    """
    with tempfile.TemporaryDirectory() as folder:
        [layer] = real_layers(LAYER, 1)
        Path(folder, "model.tar").write_bytes(layer)
        del layer
        Path(folder, "Dockerfile").write_text(f"FROM {sample}\nADD model.tar /srv/model\n", "ascii")
        subprocess.run(["docker", "build", "--quiet", "--tag", IMAGE, folder], check=True, capture_output=True)
    try:
        yield IMAGE
    finally:
        subprocess.run(["docker", "image", "rm", IMAGE], check=True, capture_output=True)


def push(registry: Registry, pipe: str, image: str, tags: str) -> str:
    """Push an image with the pipe, and return its log.

    Raises:
        CalledProcessError: The push failed; its log was printed.
    """
    run = subprocess.run(
        [Path(__file__).with_name("push"), pipe, image, f"--env=TAGS={tags}"],
        env=os.environ | {"REGISTRY": registry.host},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        sys.stdout.write(run.stderr)
    run.check_returncode()
    return run.stderr.rstrip()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
