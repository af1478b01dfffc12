"""The pipe's name and version; `pipe.yml` is the one place of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

SHORT_REVISION = 7
"""Characters of a commit's hash that name it, as `git log --oneline` has it."""
PIPE_YML = Path(__file__).parent.parent / "pipe.yml"


@dataclass(frozen=True, slots=True)
class About:
    """What this program is.

    Attributes:
        name: The last path component of the pipe's image.
        version: The tag of the pipe's image.
        image: The pipe's image, with its tag.
        revision: The commit that the image was built from, "" where it was not said.
    """

    name: str
    version: str
    image: str
    revision: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str], path: Path = PIPE_YML) -> "About":
        """Read the pipe's own definition.

        Args:
            environment: `PIPE_REVISION` is set in the image.
            path: The file.

        Returns:
            Name, version and revision.
        """
        # The C loader is not in every build of PyYAML, and this file is small.
        image = str(yaml.safe_load(path.read_text("utf-8"))["image"])
        name, _, version = image.rpartition("/")[2].partition(":")
        return cls(name, version, image, environment.get("PIPE_REVISION", ""))

    def __str__(self) -> str:
        """Return what `--version` prints, and the log begins with."""
        return f"{self.name} {self.version}" + (f" ({self.revision[:SHORT_REVISION]})" if self.revision else "")
