"""Sanitizing and joining of text for the log."""

import re
from collections.abc import Sequence

_CONTROL_CHARACTERS = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
_TERMINAL_SEQUENCES = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])"
_URL_QUERY = r"(://[^\s\"'<>?]{0,1000})\?[^\s\"'<>]+|(?<=[^\s\"'<>])\?[^\s\"'<>?]*=[^\s\"'<>]*"
_ERROR_NUMBER = r"^\[Errno -?[0-9]+\] "
_URL_USER = r"(?<=://)[^\s/\"']+@"


def clean(text: str, *, lines: int = 3, width: int = 300) -> str:
    """Sanitize text from a registry, the Engine or an archive for the log.

    Control characters and terminal sequences are removed, the queries and passwords of URLs (private
    state such as `_state=…`) are masked, and long text is cut.

    Args:
        text: Any text.
        lines: The maximum number of lines.
        width: The maximum number of characters of a line.

    Returns:
        At most `lines` lines, without surrounding white space.
    """
    text = re.sub(_TERMINAL_SEQUENCES, "", text[: 64 * 1024].replace("\r\n", "\n"))
    text = re.sub(_URL_USER, "***@", re.sub(_URL_QUERY, r"\1?…", text))
    kept = [re.sub(_CONTROL_CHARACTERS, "", line).strip() for line in text.splitlines()]
    kept = [line if len(line) <= width else line[: width - 1] + "…" for line in kept if line]
    return "\n".join([*kept[:lines], "…"] if len(kept) > lines else kept)


def root_cause(error: BaseException) -> str:
    """Return the message of the innermost exception that an exception wraps, as one sanitized line without its number.

    Exceptions of requests wrap those of urllib3, which wrap the system's.
    """
    return clean(re.sub(_ERROR_NUMBER, "", str(causes(error)[-1])) or type(error).__name__, lines=1)


def causes(error: BaseException) -> list[BaseException]:
    """Return an exception and those that it wraps, the innermost last."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        wrapped = [getattr(current, "reason", None), *reversed(current.args), current.__cause__]
        current = next((inner for inner in wrapped if isinstance(inner, BaseException)), None)
    return found


def listed(names: Sequence[str], maximum: int = 5) -> str:
    """Join names, and count those beyond the maximum: `1.0, 1, latest` or `a, b, c, d, e and 7 more`."""
    more = len(names) - maximum
    return ", ".join(names[:maximum]) + (f" and {more} more" if more > 0 else "")
