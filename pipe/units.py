"""Sizes in bytes and durations in seconds, as people write and read them."""

import re

SIZE_RULE = "a size such as 32GB, 500MB, 32GiB or a number of bytes"
DURATION_RULE = "a duration such as 7m, 90s, 1h30m or a number of seconds, at most 24h"

_DECIMAL = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY = {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SIZE = r"(?a)([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)"
_DURATION = r"(?a)(?:(?P<h>[0-9]{1,9})h)?(?:(?P<m>[0-9]{1,9})m)?(?:(?P<s>[0-9]{1,9}(?:\.[0-9]{1,9})?)s?)?"
_MINUTE = 60
_HOUR = 60 * _MINUTE
DURATION_MAXIMUM = 24 * _HOUR
"""Seconds; a longer duration is a typo, and sums of clocks and timeouts must not overflow."""


def parse_size(text: str) -> int:
    """Parse a size, ignoring case; GB is decimal and GiB binary.

    Args:
        text: Such as `32GB`, `1.5 GiB` or `1048576`.

    Returns:
        Bytes, at least 1.

    Raises:
        ValueError: The text is not a size above zero.
    """
    match = re.fullmatch(_SIZE, text)
    factor = (_DECIMAL | _BINARY).get(match[2].upper()) if match else None
    size = int(float(match[1]) * factor) if match and factor and "." in match[1] else 0
    if match and factor and "." not in match[1]:
        size = int(match[1]) * factor
    if size < 1:
        raise ValueError(SIZE_RULE)
    return size


def parse_duration(text: str) -> float:
    """Parse a duration.

    Args:
        text: Such as `7m`, `420`, `90s` or `1m30s`.

    Returns:
        Seconds, above zero.

    Raises:
        ValueError: The text is not a duration above zero and up to `DURATION_MAXIMUM`.
    """
    match = re.fullmatch(_DURATION, text)
    if match is None or not text:
        raise ValueError(DURATION_RULE)
    seconds = int(match["h"] or 0) * _HOUR + int(match["m"] or 0) * _MINUTE + float(match["s"] or 0)
    if not 0 < seconds <= DURATION_MAXIMUM:
        raise ValueError(DURATION_RULE)
    return seconds


def format_size(size: float) -> str:
    """Format bytes in decimal units, as Docker does: `999 B`, `14.0 MB`, `32.0 GB`."""
    for unit, factor in reversed(_DECIMAL.items()):
        if factor > 1 and size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"


def format_duration(seconds: float) -> str:
    """Format a duration: `2.5 s`, `1m 05s`, `1h 02m`."""
    if round(seconds, 1) < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02d}s"
    return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02d}m"


def format_clock(seconds: float) -> str:
    """Format a duration as a clock: `0:21`, `7:00`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
