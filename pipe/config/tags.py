"""Descriptions of invalid tags."""

import re

from pipe.config.values import shown
from pipe.oci.reference import TAG_MAXIMUM, suggestion
from pipe.text import listed

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_.-]")


def tag_problem(tag: str) -> str:
    """Return why a tag is invalid, with the nearest valid tag if there is one.

    Args:
        tag: Such as `feature/login`, the name of a branch.
    """
    wrong = [repr(character) for character in dict.fromkeys(_NOT_ALLOWED.findall(tag))]
    if wrong:
        why = f"{listed(wrong)} {'is' if len(wrong) == 1 else 'are'} not allowed"
    elif len(tag) > TAG_MAXIMUM:
        why = f"it has {len(tag)} characters, at most {TAG_MAXIMUM} are allowed"
    else:
        why = "it must begin with a letter, a digit or '_'"
    return f"{shown(tag)} is not a valid tag: {why}{suggestion(tag)}"
