"""Challenges of the header `WWW-Authenticate` (RFC 9110, section 11.6.1)."""

import re
from typing import NamedTuple

CHALLENGE_MAXIMUM = 8 * 1024
"""Characters of a header that are parsed; real challenges have a few hundred."""
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105
_ITEM = re.compile(
    rf"[\s,]*+(?P<word>{_TOKEN}+)(?:\s*+=\s*+(?:\"(?P<quoted>(?:[^\"\\]|\\.)*+)\"|(?P<plain>[^\s,\"]*+))|(?=[\s,]|$))"
)
"""A scheme, or a parameter with its value. Every repetition is possessive, so that matching takes linear time."""


class Challenge(NamedTuple):
    """How a registry requests credentials.

    Attributes:
        scheme: In lower case, such as `basic` or `bearer`.
        parameters: Such as `realm`, `service`, `scope`; keys in lower case.
    """

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> dict[str, Challenge]:
    """Parse the challenges of an answer.

    Args:
        header: The value of `WWW-Authenticate`, "" if the answer has none.

    Returns:
        The challenges by scheme, up to the first invalid one; none if the header is longer than 8 KB.
    """
    challenges: dict[str, Challenge] = {}
    current: Challenge | None = None
    position = 0 if len(header) <= CHALLENGE_MAXIMUM else len(header)
    while match := _ITEM.match(header, position):
        position = match.end()
        if match["quoted"] is None and match["plain"] is None:
            current = challenges.setdefault(match["word"].lower(), Challenge(match["word"].lower(), {}))
        elif current is not None:
            value = match["plain"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
            current.parameters.setdefault(match["word"].lower(), value)
    return challenges
