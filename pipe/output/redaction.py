"""Redaction of secrets in every form in which a library or a registry can repeat them."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from pipe.config.values import TOKEN_MINIMUM

MASK = "***"
CUT = "…"
"""The end of text that was cut, possibly in the middle of a secret."""
_ALIGNMENTS = 3
_CORE_MINIMUM = 6
"""Characters of base64, or of a secret that was cut, from which they are masked; fewer occur in ordinary text."""
_HEAD = 64
"""Characters that identify a long secret; what follows is masked up to the length of the secret. Each character costs
time, since `re` compiles several spellings of it: 256 characters take 15 ms."""
_ESCAPES = frozenset("%&+\\")
"""One of these is in every form of a secret, except in the secret itself and in its base64."""
_PERCENT = "%(?:25)*"
"""The beginning of a percent-encoded octet, encoded once or several times."""
_UNIT = rf"(?:{_PERCENT}[0-9A-Fa-f]{{2}}|&\#?\w{{2,8}};|\\x[0-9a-f]{{2}}|\\u[0-9a-f]{{4}}|\\.|[\s\S])"
"""A character, plain or escaped; one outside ASCII takes at most as many units as it has octets in UTF-8."""
_DIGEST = "sha256:[0-9a-f]{64}"
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}
_COINCIDENCE = 16
"""Characters of a secret from which it is not part of a digest by chance."""


class Redaction:
    """Replaces secrets in text, but not inside references and digests."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Initialize the redaction.

        Args:
            secrets: Those of fewer than `TOKEN_MINIMUM` characters are ignored: masking them would garble the text.
        """
        self._secrets = {secret for secret in secrets if len(secret) >= TOKEN_MINIMUM}
        self._references: list[str] = []
        self._forms = _Forms(self._secrets)

    def add(self, secret: str) -> None:
        """Redact one more secret from now on."""
        if len(secret) >= TOKEN_MINIMUM:
            self._secrets.add(secret)
            self._forms = _Forms(self._secrets)

    def keep(self, repository: str) -> None:
        """Leave references to a repository unchanged from now on."""
        self._references.append(rf"(?<![\w.-]){re.escape(repository)}(?::[\w.-]{{1,128}})?(?:@{_DIGEST})?")

    def __call__(self, text: str) -> str:
        """Return the text with every form of every secret replaced."""
        forms = self._forms
        if forms.may_be_in(text) and forms.pattern.search(text):
            kept = self._kept(text)
            text = forms.pattern.sub(lambda match: match[0] if kept(match) else MASK, text)
        head, *cut = text.split(CUT)
        for following in cut:
            head = f"{forms.without_beginning(head)}{CUT}{following}"
        return head

    def _kept(self, text: str) -> Callable[[re.Match[str]], bool]:
        """Return a function that returns whether a match is inside a reference, or by chance inside a digest."""
        references = [match.span() for pattern in self._references for match in re.finditer(pattern, text)]
        digests = [match.span() for match in re.finditer(_DIGEST, text)]

        def kept(match: re.Match[str]) -> bool:
            spans = references if match.end() - match.start() >= _COINCIDENCE else [*references, *digests]
            return any(begin <= match.start() and match.end() <= end for begin, end in spans)

        return kept


class _Forms:
    """The forms of secrets. Most runs log nothing that resembles one, so the pattern is compiled only when needed."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._plain: Sequence[str] = sorted(secrets, key=len, reverse=True)
        self._encoded = list(dict.fromkeys(form for secret in self._plain for form in _encoded_forms(secret)))
        self._verbatim = [*self._plain, *self._encoded]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """A pattern for every form of every secret; base64 first, which can contain other forms, never vice versa."""
        return re.compile("|".join([*map(_begun, self._encoded), *map(_spelled, self._plain)]))

    def may_be_in(self, text: str) -> bool:
        """Return whether a text may match the pattern."""
        if not self._verbatim:
            return False
        return not _ESCAPES.isdisjoint(text) or any(form[:_HEAD] in text for form in self._verbatim)

    def without_beginning(self, text: str) -> str:
        """Replace the beginning of a secret at the end of a text."""
        for form in self._verbatim:
            head = form[:_CORE_MINIMUM]
            begin = text.find(head, max(0, len(text) - len(form)))
            while begin >= 0:
                if form.startswith(text[begin:]):
                    return text[:begin] + MASK
                begin = text.find(head, begin + 1)
        return text


def _begun(form: str) -> str:
    """Return a pattern for base64, of which only the first characters are compared."""
    rest = len(form) - _HEAD
    return re.escape(form[:_HEAD]) + (f"[A-Za-z0-9+/_-]{{0,{rest}}}" if rest > 0 else "")


def _spelled(secret: str) -> str:
    """Return a pattern for a secret whose characters can be escaped as in a URL, HTML, JSON or Python."""
    head = "".join(f"(?:{'|'.join(_spellings(character))})" for character in secret[:_HEAD])
    rest = len(secret[_HEAD:].encode("utf-8", "surrogateescape"))
    return head + (f"{_UNIT}{{0,{rest}}}" if rest else "")


def _spellings(character: str) -> Iterator[str]:
    """Return patterns for the forms of a character, each before those that it begins with."""
    octets = character.encode("utf-8", "surrogateescape")
    yield "".join(_PERCENT + _any_case(f"{octet:02x}") for octet in octets)
    if character.isascii() and character.isalnum():
        # Only URLs escape these, and each alternative costs time at every start.
        yield character
        return
    yield "".join(f"\\\\x{octet:02x}" for octet in octets)
    yield f"&\\#(?:0*{ord(character)}|[xX]0*{_any_case(f'{ord(character):x}')});"
    plain = {character, _HTML.get(character, character), json.dumps(character)[1:-1], repr(character)[1:-1]}
    if character == " ":
        plain.add("+")
    if not character.isalnum():
        plain.add(f"\\{character}")
    yield from map(re.escape, sorted(plain, key=len, reverse=True))


def _any_case(digits: str) -> str:
    """Return a pattern for hexadecimal digits in upper or lower case."""
    return "".join(digit if digit.isdecimal() else f"[{digit}{digit.upper()}]" for digit in digits)


def _encoded_forms(secret: str) -> Iterator[str]:
    yield from _encoded(secret)
    yield from _encoded(json.dumps(secret)[1:-1])


def _encoded(secret: str) -> Iterator[str]:
    """Yield the base64 of a secret at every position in a longer text (`user:token`, a JSON object)."""
    data = secret.encode("utf-8", "surrogateescape")
    for alignment in range(_ALIGNMENTS):
        text = base64.b64encode(b"\0" * alignment + data).decode("ascii").rstrip("=")
        # The first characters also encode bits of what precedes, the last of what follows.
        start = (0, 2, 3)[alignment]
        end = len(text) - (1 if (alignment + len(data)) % 3 else 0)
        core = text[start:end]
        if len(core) >= _CORE_MINIMUM:
            yield core
            yield core.replace("+", "-").replace("/", "_")
