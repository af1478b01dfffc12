"""Which tags of a workspace are protected, and what a push gets that would change one (pure).

Source: Bitbucket Cloud support, "Set up and use immutable tags in the container registry". What that page leaves
open is listed in README.md, under "What is assumed".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import re2

MOST_RULES = 7
LONGEST_PATTERN = 100
"""Characters."""
LONGEST_NAME = 100
"""Characters of a rule's name; our choice."""
_KEYS = ("protect", "rules", "rejection", "same_digest")
_RULE_KEYS = ("name", "pattern")
_REJECTION_KEYS = ("status", "code", "message", "body", "content_type")
_SAME_DIGEST = ("accepted", "rejected")


class PolicyError(ValueError):
    """A protection of tags cannot be used; `path` leads to the wrong part by keys and positions from 0."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


class Protect(StrEnum):
    """The three choices of a workspace's Container settings."""

    NONE = "none"
    ALL = "all"
    SOME = "some"


@dataclass(frozen=True, slots=True)
class Rule:
    """Protects the tags in which its RE2 pattern matches anywhere."""

    name: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """The answer to the manifest `PUT` of a protected tag: an OCI error, or `body` exactly if there is one."""

    status: int = 403
    code: str = "DENIED"
    message: str = ""
    """Empty for one that names the tag."""
    body: str | None = None
    content_type: str = "text/html"
    """Of `body`."""


@dataclass(frozen=True, slots=True)
class TagPolicy:
    """How a workspace protects its tags."""

    protect: Protect = Protect.NONE
    rules: tuple[Rule, ...] = ()
    """They count for `Protect.SOME` only, and are kept otherwise."""
    rejection: Rejection = Rejection()
    accepts_same_digest: bool = True
    """Whether a protected tag may be pushed again if it keeps its digest."""

    def protects(self, tag: str) -> bool:
        """Return whether a tag, once pushed, can no longer be changed."""
        if self.protect is Protect.SOME:
            return any(matches(rule.pattern, tag) for rule in self.rules)
        return self.protect is Protect.ALL

    def rejects(self, tag: str, previous: str | None, digest: str) -> bool:
        """Return whether a push that moves `tag` from digest `previous` (None: a new tag) to `digest` is rejected."""
        if previous is None or (previous == digest and self.accepts_same_digest):
            return False
        return self.protects(tag)

    def as_object(self) -> dict[str, Any]:
        """Return the JSON object that `read_policy` reads."""
        return {
            "protect": self.protect.value,
            "rules": [asdict(rule) for rule in self.rules],
            "rejection": {key: value for key, value in asdict(self.rejection).items() if value is not None},
            "same_digest": _SAME_DIGEST[not self.accepts_same_digest],
        }


def matches(pattern: str, tag: str) -> bool:
    """Return whether a pattern that `check_pattern` accepts matches anywhere in a tag's name."""
    return _compiled(pattern).search(tag) is not None


def try_pattern(pattern: str, tag: str) -> bool:
    """Return whether a pattern that somebody tries matches anywhere in a tag's name.

    Raises:
        PolicyError: the pattern cannot be a rule's.

    """
    check_pattern(pattern)
    return matches(pattern, tag)


def check_pattern(pattern: str, *path: str | int) -> None:
    """Accept a rule's pattern.

    Raises:
        PolicyError: it is empty, too long or not RE2; holds `path`.

    """
    if not pattern:
        raise PolicyError("a rule's pattern is empty", *path)
    if len(pattern) > LONGEST_PATTERN:
        message = f"a rule's pattern has {len(pattern)} characters, at most {LONGEST_PATTERN} are allowed"
        raise PolicyError(message, *path)
    try:
        _compiled(pattern)
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise PolicyError(f"the pattern {pattern!r} is no RE2: {text}", *path) from error
    except UnicodeEncodeError as error:
        raise PolicyError(f"the pattern {pattern!r} is not Unicode", *path) from error


def read_policy(values: object) -> TagPolicy:
    """Return the policy that an object of JSON or YAML describes; numbers may be texts.

    Raises:
        PolicyError: an unknown key, or a value that cannot be used.

    """
    parts = _fields(values, "tags", _KEYS)
    protect = _choice(parts.get("protect", "none"), "protect", tuple(Protect), "protect")
    rules = _rules(parts.get("rules", []))
    if protect == Protect.SOME and not rules:
        raise PolicyError("protect: some needs at least one rule", "protect")
    same_digest = _choice(parts.get("same_digest", "accepted"), "same_digest", _SAME_DIGEST, "same_digest")
    return TagPolicy(Protect(protect), rules, _rejection(parts.get("rejection", {})), same_digest == "accepted")


def _rules(values: object) -> tuple[Rule, ...]:
    if not isinstance(values, list):
        raise PolicyError("rules must be a list", "rules")
    rules: list[Rule] = []
    for number, value in enumerate(values):
        if number == MOST_RULES:
            raise PolicyError(f"a workspace has at most {MOST_RULES} rules", "rules", number)
        rule = _rule(value, number)
        if any(rule.name == other.name for other in rules):
            raise PolicyError(f"two rules have the name {rule.name!r}", "rules", number, "name")
        rules.append(rule)
    return tuple(rules)


def _rule(value: object, number: int) -> Rule:
    path = ("rules", number)
    parts = _fields(value, "a rule", _RULE_KEYS, *path)
    for key in _RULE_KEYS:
        if key not in parts:
            raise PolicyError(f"a rule has no {key!r}", *path)
    name = _text(parts["name"], "a rule's name", *path, "name").strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise PolicyError(f"a rule's name has 1 to {LONGEST_NAME} characters, in one line", *path, "name")
    pattern = _text(parts["pattern"], "a rule's pattern", *path, "pattern")
    check_pattern(pattern, *path, "pattern")
    return Rule(name, pattern)


def _rejection(values: object) -> Rejection:
    parts = _fields(values, "rejection", _REJECTION_KEYS, "rejection")
    found: dict[str, Any] = {}
    for key, value in parts.items():
        found[key] = value if key == "status" else _text(value, f"the rejection's {key}", "rejection", key)
    if "status" in found:
        status = str(found["status"])
        if not (status.isascii() and status.isdecimal() and 400 <= int(status) <= 599):  # noqa: PLR2004
            raise PolicyError("the rejection's status is a number from 400 to 599", "rejection", "status")
        found["status"] = int(status)
    content_type = found.get("content_type", "text/html")
    if not content_type.isascii() or not content_type.isprintable():
        raise PolicyError("the rejection's content_type is ASCII, in one line", "rejection", "content_type")
    return Rejection(**found)


def _fields(values: object, what: str, known: tuple[str, ...], *path: str | int) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise PolicyError(f"{what} must be a mapping", *path)
    for key in values:
        if key not in known:
            raise PolicyError(f"unknown key {key!r} in {what}; known are {', '.join(known)}", *path, key)
    return values


def _choice(value: object, what: str, allowed: tuple[str, ...], *path: str | int) -> str:
    text = _text(value, what, *path)
    if text not in allowed:
        raise PolicyError(f"{what} {text!r} is none of {', '.join(allowed)}", *path)
    return text


def _text(value: object, what: str, *path: str | int) -> str:
    if not isinstance(value, str):
        raise PolicyError(f"{what} must be a text", *path)
    return value


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:  # noqa: ANN401 - the module has no types
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)
