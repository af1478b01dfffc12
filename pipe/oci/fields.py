"""JSON objects, read as Go's `encoding/json` reads them, since the tools of this field use it."""

import json


def read_json(data: bytes) -> dict[str, object]:
    """Parse a JSON object.

    Raises:
        ValueError: It is something else; the message completes a sentence.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004
    return content


def members(value: object) -> dict[str, object]:
    """Return an object's members by case-folded key; of equal keys the last counts, and `null` is absent."""
    if not isinstance(value, dict):
        return {}
    return {str(key).casefold(): member for key, member in value.items() if member is not None}


def text(value: object) -> str:
    """Return a value if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    """Return the strings of a list."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def objects(value: object) -> list[dict[str, object]]:
    """Return the objects of a list, as they are written."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def annotations(value: object) -> dict[str, str]:
    """Return the members of an object that are strings, as they are written."""
    return {key: each for key, each in value.items() if isinstance(each, str)} if isinstance(value, dict) else {}
