"""Values of variables, read and checked one by one; problems are collected, to be told all at once (pure)."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pipe.config.variables import default

COUNT_MAXIMUM = 1000
"""Attempts, and tags: more is a typo."""
TOKEN_MAXIMUM = 8 * 1024
"""Characters of a user name or token: servers take no longer header."""
NOT_EXPANDED = "the variable is not set, or quoted singly outside a pipeline"
_BOOLEANS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)
_SHOWN_MAXIMUM = 80
_VARIABLE = re.compile(r"\$\w|\$\{")
_ONE_VARIABLE = re.compile(r"\$\w+|\$\{\w+\}")
Value = TypeVar("Value")


class Values:
    """An environment, and the problems found in it so far."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Keep what is set: an empty value is no value, but in a list.

        Args:
            environment: Such as `os.environ`.
        """
        self.environment = environment
        self.values = {name: value for name, value in environment.items() if value}
        self.problems: list[str] = []

    def wrong(self, name: str, value: str, rule: str) -> None:
        """Take note of a value that breaks a rule.

        Args:
            name: The variable.
            value: Its value, which is shown.
            rule: What it has to be.
        """
        shown = value if len(value) <= _SHOWN_MAXIMUM else f"{value[:_SHOWN_MAXIMUM]}…"
        why = f"{NOT_EXPANDED}." if _VARIABLE.search(value) else f"it has to be {rule}."
        self.problems.append(f"{name} is {shown!r}: {why}")

    def checked(self, name: str, value: str, allowed: Callable[[str], bool], rule: str) -> str:
        """Check a value that stays text."""
        if not allowed(value):
            self.wrong(name, value, rule)
        return value

    def parsed(self, name: str, parse: Callable[[str], Value]) -> Value:
        """Read a variable that has a default.

        Args:
            name: The variable.
            parse: Reads its text without surrounding white space; the message of its ValueError is the rule.

        Returns:
            The value, the default's where the variable is not set or wrong.
        """
        text = self.values.get(name, default(name))
        try:
            return parse(text.strip())
        except ValueError as error:
            self.wrong(name, text, str(error))
            return parse(default(name))

    def path(self, name: str) -> Path | None:
        """Read the path of a file."""
        text = self.values.get(name)
        if text is None:
            return None
        if _VARIABLE.search(text):
            self.wrong(name, text, "a path")
        return Path(text)

    def items(self, name: str, without: str | None = None) -> tuple[str, ...] | None:
        """Read a list: a string with white space or commas between its items, or the array that Pipelines makes of one.

        Args:
            name: The variable; an array is NAME_COUNT, NAME_0, NAME_1 …
            without: What happens where it is left out, to say so where it is empty; None where it may be empty.

        Returns:
            The items, none twice; None where the variable is not set.
        """
        texts = self._texts(name)
        if texts is None:
            return None
        for part, text in texts.items():
            if without is not None and not _split(text):
                self.problems.append(f"{part} is empty: leave it out to {without}.")
        found = tuple(dict.fromkeys(item for text in texts.values() for item in _split(text)))
        if len(found) > COUNT_MAXIMUM:
            self.problems.append(f"{name} has {len(found)} items: at most {COUNT_MAXIMUM} are allowed.")
        return found[:COUNT_MAXIMUM]

    def _texts(self, name: str) -> dict[str, str] | None:
        if name in self.environment:
            return {name: self.environment[name]}
        count = self.values.get(f"{name}_COUNT")
        if count is None:
            return None
        if count == "0":
            return {name: ""}
        try:
            length = parse_count(count)
        except ValueError as error:
            self.wrong(f"{name}_COUNT", count, str(error))
            return None
        return {f"{name}_{index}": self.environment.get(f"{name}_{index}", "") for index in range(length)}

    def credential(self, name: str) -> str:
        """Read a part of credentials; its value is never shown."""
        text = self.values.get(name, "").strip()
        if len(text) > TOKEN_MAXIMUM:
            self.problems.append(f"{name} has {len(text)} characters: at most {TOKEN_MAXIMUM} are allowed.")
        elif _ONE_VARIABLE.fullmatch(text):
            self.problems.append(f"{name} is the name of a variable: {NOT_EXPANDED}.")
        elif not text.isprintable():
            self.problems.append(f"{name} holds characters that cannot be printed: copy it again.")
        return text


def parse_boolean(text: str) -> bool:
    """Read a boolean, in any case of letters.

    Raises:
        ValueError: It is none.
    """
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("true or false") from None


def parse_count(text: str) -> int:
    """Read a whole number above zero.

    Raises:
        ValueError: It is none, or too large.
    """
    digits = text.lstrip("0") if text.isascii() and text.isdecimal() else ""
    if not digits or len(digits) > len(str(COUNT_MAXIMUM)) or int(digits) > COUNT_MAXIMUM:
        raise ValueError(f"a whole number from 1 to {COUNT_MAXIMUM}")
    return int(digits)


def parse_choice(*choices: str) -> Callable[[str], str]:
    """Make a function that reads one of several words, in any case of letters."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text.lower()

    return parse


def _split(text: str) -> list[str]:
    return text.replace(",", " ").split()
