"""The tags by which pipes that share an Engine know of each other."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

PREFIX = "pipe-"
BEAT = 20.0
"""Seconds between two renewals of a marker."""
DEAD_AFTER = 120
"""Seconds without a renewal after which the run of a marker is dead: five renewals may fail or be late."""
_NOTHING = "none"
# The time was added later: a marker without one is an old release's, and certainly dead.
_MARKER = re.compile(r"pipe-([0-9a-f]{12})-([0-9a-f]{64}|none)-([0-9a-f]{8})(?:-([0-9]{1,12})(-leaving)?)?")


@dataclass(frozen=True, slots=True)
class Marker:
    """A tag beside the target's, on the image that a run pushes.

    Attributes:
        key: A hash of the target's tag; see `key_of`.
        original: The ID of the image that the target's tag named before the first run; "" if there was none.
        run: A random ID of the run.
        at: Unix seconds of the last renewal, by the Engine's clock; 0 if the tag has none.
        leaving: Whether its push has ended, and it is about to restore the target's tag unless another run needs it.
    """

    key: str
    original: str
    run: str
    at: int
    leaving: bool = False

    @classmethod
    def parse(cls, tag: str) -> Self | None:
        """Read a tag, None if it is no marker."""
        match = _MARKER.fullmatch(tag)
        if not match:
            return None
        original = "" if match[2] == _NOTHING else f"sha256:{match[2]}"
        return cls(match[1], original, match[3], int(match[4] or 0), bool(match[5]))

    def __str__(self) -> str:
        """Return the tag, at most 110 of the 128 characters that one may have."""
        tag = f"{PREFIX}{self.key}-{self.original.removeprefix('sha256:') or _NOTHING}-{self.run}"
        return f"{tag}-{self.at}{'-leaving' if self.leaving else ''}" if self.at else tag

    def is_dead(self, now: int) -> bool:
        """Return whether the run ended without removing its marker."""
        return now - self.at > DEAD_AFTER


def key_of(tag: str) -> str:
    """Return a short hash of a tag; the tag itself does not fit into a marker."""
    return hashlib.sha256(tag.encode()).hexdigest()[:12]
