"""The pipe's name and version, which only `pipe.yml` defines."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SHORT_REVISION = 7
"""Characters of an abbreviated commit hash, as in `git log --oneline`."""
PIPE_YML = Path(__file__).parent.parent / "pipe.yml"
_IMAGE = r"(?m)^image: (\S+)$"


class About(NamedTuple):
    """The identity of this program.

    Attributes:
        name: The last path component of the pipe's image.
        version: The tag of the pipe's image.
        image: The pipe's image, with its tag.
        revision: The commit that the image was built from, "" if unknown.
    """

    name: str
    version: str
    image: str
    revision: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str], path: Path = PIPE_YML) -> "About":
        """Read `pipe.yml`, and the revision from `PIPE_REVISION`, which the pipe's image sets."""
        # The one line that is needed; to import a YAML parser takes longer than to read the settings.
        [image] = re.findall(_IMAGE, path.read_text("utf-8"))
        name, _, version = image.rpartition("/")[2].partition(":")
        return cls(name, version, image, environment.get("PIPE_REVISION", ""))

    def __str__(self) -> str:
        """Return the text of `--version`, which is also the first line of the log."""
        return f"{self.name} {self.version}" + (f" ({self.revision[:SHORT_REVISION]})" if self.revision else "")
