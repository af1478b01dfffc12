"""JSON objects, read as Go's `encoding/json` reads them: the tools of this field are written in Go."""

import json


def read_json(data: bytes) -> dict[str, object]:
    """Parse a JSON object.

    Raises:
        ValueError: The bytes are anything else; the message completes a sentence about them.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004
    return content


def members(value: object) -> dict[str, object]:
    """Return an object's members by case-folded key.

    Go ignores the case of keys, the last of equal keys counts, and `null` is the same as an absent member.
    """
    if not isinstance(value, dict):
        return {}
    return {str(key).casefold(): member for key, member in value.items() if member is not None}


def text(value: object) -> str:
    """Return a value if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    """Return the strings of a list; an empty list for anything else."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
