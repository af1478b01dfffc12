"""Which bytes of a blob a chunk holds (pure).

Source: opencontainers/distribution-spec, "Pushing a blob in chunks".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Inclusive on both ends, and without the unit that HTTP's own header has.
_CONTENT_RANGE = re.compile(r"(\d{1,19})-(\d{1,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes it holds."""
        return self.last - self.first + 1


def read_content_range(text: str) -> Span | None:
    """Return what a chunk's `Content-Range` says; None for what says nothing."""
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if match is None or int(match[1]) > int(match[2]):
        return None
    return Span(int(match[1]), int(match[2]))


def range_of(size: int) -> str:
    """Return the `Range` of an upload that has `size` bytes; `0-0` stands for none too, as in Distribution."""
    return f"0-{max(0, size - 1)}"


def size_in(text: str, least: int) -> int:
    """Return the size that Distribution's `Range` stands for, which is at least `least`."""
    match = _CONTENT_RANGE.fullmatch(text)
    last = int(match[2]) if match else 0
    return last + 1 if last else least
