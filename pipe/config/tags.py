"""Descriptions of invalid tags."""

import re

from pipe.config.values import shown
from pipe.oci.reference import TAG_MAXIMUM, suggestion
from pipe.text import listed

FIRST_RULE = "it must begin with a letter, a digit or '_'"
_NOT_ALLOWED = r"[^A-Za-z0-9_.-]"


def tag_problem(tag: str) -> str:
    """Return why a tag such as `feature/login` is invalid, with the nearest valid tag if there is one."""
    too_long = f"it has {len(tag)} characters, at most {TAG_MAXIMUM} are allowed" if len(tag) > TAG_MAXIMUM else ""
    why = not_allowed(tag) or too_long or FIRST_RULE
    return f"{shown(tag)} is not a valid tag: {why}{suggestion(tag)}"


def not_allowed(text: str) -> str:
    """Return a clause that names the characters that no tag can contain, "" if there are none."""
    wrong = [repr(character) for character in dict.fromkeys(re.findall(_NOT_ALLOWED, text))]
    return f"{listed(wrong)} {'is' if len(wrong) == 1 else 'are'} not allowed" if wrong else ""
