"""Secrets, in every form in which a library or a registry may repeat them, replaced (pure)."""

import base64
import json
import re
from collections.abc import Iterable, Iterator

MASK = "***"
CUT = "…"
"""What ends a text that was cut, maybe in the middle of a secret."""
_ALIGNMENTS = 3
_CORE_MINIMUM = 6
"""Characters of base64, or of a secret that was cut, below which hiding them would hide innocent text."""
_HEAD = 64
"""Characters by which a long secret is known: what follows them, as long as the secret is, is hidden with them.
Each more takes its time at every start, since `re` compiles several spellings of it: 256 of them 15 ms."""
_UNIT = r"(?:%[0-9A-Fa-f]{2}|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\.|[\s\S])"
"""A character as it is or escaped; of one outside ASCII no more are needed than it has octets in UTF-8."""


class Redaction:
    """Replaces secrets in text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Work out the forms.

        Args:
            secrets: Those to hide; empty ones are left out.
        """
        self._secrets = set(filter(None, secrets))
        self._work_out()

    def add(self, secret: str) -> None:
        """Hide one more secret from now on."""
        self._secrets.add(secret)
        self._work_out()

    def _work_out(self) -> None:
        known = sorted(self._secrets, key=len, reverse=True)
        # Base64 first: its forms may hold others, never the other way round.
        encoded = {form: None for secret in known for form in _encoded_forms(secret)}
        forms = [*map(_begun, encoded), *map(_spelled, known)]
        self._pattern = re.compile("|".join(forms)) if forms else None
        self._forms = [*known, *encoded]

    def __call__(self, text: str) -> str:
        """Return the text with every form of every secret replaced."""
        if self._pattern is None:
            return text
        head, *cut = self._pattern.sub(MASK, text).split(CUT)
        for following in cut:
            head = f"{self._without_beginning(head)}{CUT}{following}"
        return head

    def _without_beginning(self, text: str) -> str:
        """Replace the beginning of a secret that ends a text."""
        for form in self._forms:
            head = form[:_CORE_MINIMUM]
            begin = text.find(head, max(0, len(text) - len(form)))
            while begin >= 0:
                if form.startswith(text[begin:]):
                    return text[:begin] + MASK
                begin = text.find(head, begin + 1)
        return text


def _begun(form: str) -> str:
    """Make a pattern for base64, of whose characters only the first are looked at."""
    rest = len(form) - _HEAD
    return re.escape(form[:_HEAD]) + (f"[A-Za-z0-9+/_-]{{0,{rest}}}" if rest > 0 else "")


def _spelled(secret: str) -> str:
    """Make a pattern for a secret, each of whose characters may be escaped as in a URL, in JSON or in Python."""
    head = "".join(f"(?:{'|'.join(map(re.escape, _spellings(character)))})" for character in secret[:_HEAD])
    rest = len(secret[_HEAD:].encode("utf-8", "surrogateescape"))
    return head + (f"{_UNIT}{{0,{rest}}}" if rest else "")


def _spellings(character: str) -> list[str]:
    octets = character.encode("utf-8", "surrogateescape")
    spellings = {"".join(form.format(octet) for octet in octets) for form in ("%{:02X}", "%{:02x}", "\\x{:02x}")}
    spellings |= {character, json.dumps(character)[1:-1], repr(character)[1:-1]}
    if character == " ":
        spellings.add("+")
    if not character.isalnum():
        spellings.add(f"\\{character}")
    return sorted(spellings, key=len, reverse=True)


def _encoded_forms(secret: str) -> Iterator[str]:
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
