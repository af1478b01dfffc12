"""Challenges of the header `WWW-Authenticate` (pure). Source: RFC 9110, section 11.6.1."""

import re
from dataclasses import dataclass, field

_ITEM = re.compile(
    r"\s*,?\s*(?:(?P<key>[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>[^\s,\"]*))"
    r"|(?P<scheme>[!#$%&'*+.^_`|~0-9A-Za-z-]+)(?=\s|,|$))"
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """How a registry wants to be shown credentials.

    Attributes:
        scheme: In lower case, such as `basic` or `bearer`.
        parameters: Such as `realm`, `service`, `scope`; keys in lower case.
    """

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse_challenges(header: str) -> dict[str, Challenge]:
    """Read the challenges of a response.

    Args:
        header: The value of `WWW-Authenticate`, "" where there is none.

    Returns:
        The challenges by scheme; what cannot be read ends the list.
    """
    challenges: dict[str, Challenge] = {}
    current: Challenge | None = None
    position = 0
    while match := _ITEM.match(header, position):
        position = match.end()
        if match["scheme"]:
            current = challenges.setdefault(match["scheme"].lower(), Challenge(match["scheme"].lower()))
        elif current is not None:
            value = match["plain"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
            current.parameters.setdefault(match["key"].lower(), value)
    return challenges
