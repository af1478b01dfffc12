"""Secrets, in every form in which a library or a registry may repeat them, replaced (pure)."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "***"
_ALIGNMENTS = 3
_CORE_MINIMUM = 6
"""Characters of base64 below which a form would hide innocent text."""


class Redaction:
    """Replaces secrets in text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Work out the forms.

        Args:
            secrets: Those to hide; empty ones are left out.
        """
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """Return the text with every form of every secret replaced."""
        return self._pattern.sub(MASK, text) if self._pattern else text


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield quote(secret, safe="").lower()
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield from _encoded(secret)
    yield from _encoded(json.dumps(secret)[1:-1])


def _encoded(secret: str) -> Iterator[str]:
    """List what base64 makes of a secret, wherever in a longer text it stands (`user:token`, a JSON object)."""
    data = secret.encode("utf-8", "surrogateescape")
    for alignment in range(_ALIGNMENTS):
        text = base64.b64encode(b"\0" * alignment + data).decode("ascii").rstrip("=")
        # The first characters also hold bits of what precedes, the last of what follows.
        start = (0, 2, 3)[alignment]
        end = len(text) - (1 if (alignment + len(data)) % 3 else 0)
        core = text[start:end]
        if len(core) >= _CORE_MINIMUM:
            yield core
            yield core.replace("+", "-").replace("/", "_")
