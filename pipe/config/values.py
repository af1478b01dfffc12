"""Readers for single variables, which collect every problem for one report."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pipe.config.variables import default

COUNT_MAXIMUM = 1000
"""The largest number of attempts or tags; a larger one is a typo."""
TOKEN_MAXIMUM = 8 * 1024
"""Characters of a user name or token; servers reject longer headers."""
TOKEN_MINIMUM = 8
"""Characters of a token; a shorter one is a typo, and masking it would garble the log."""
_BOOLEANS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)
_SHOWN_MAXIMUM = 80
_VARIABLE = r"\$(?:(\w+)|\{(\w*)[^}]*\}?)"
_ONE_VARIABLE = r"\$\w+|\$\{\w+\}"
_SET_ONLY = {
    "BITBUCKET_BRANCH": "for branches only, not for tags",
    "BITBUCKET_DEPLOYMENT_ENVIRONMENT": "for deployment steps only",
    "BITBUCKET_PR_ID": "for pull requests only",
    "BITBUCKET_TAG": "for tag pipelines only",
}
"""Variables that Pipelines does not set in every step; source: Atlassian, "Variables and secrets"."""
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
Value = TypeVar("Value")


class Values:
    """An environment, and the problems found in it so far."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read nothing yet. An empty value counts as unset, except in a list."""
        self.environment = environment
        self.values = {name: value for name, value in environment.items() if value}
        self.problems: list[str] = []

    def fail(self, name: str, value: str, rule: str) -> None:
        """Record a value that breaks a rule: what follows "must be" in the message."""
        if not self.fail_if_unexpanded(name, value):
            self.problems.append(f"{name} must be {rule}, got {shown(value)}.")

    def fail_if_unexpanded(self, name: str, value: str) -> bool:
        """Record a value that contains a variable reference, such as `$BITBUCKET_TAG`, and return whether it does."""
        match = re.search(_VARIABLE, value)
        if match is None:
            return False
        variable = match[1] or match[2] or ""
        if variable in _SET_ONLY or "BITBUCKET_BUILD_NUMBER" in self.values:
            why = no_value(variable)
        else:
            why = "was not expanded: the variable is unset, or the value is in single quotes"
        self.problems.append(f"{name}: {f'${variable}' if variable else match[0]} {why}.")
        return True

    def check(self, name: str, value: str, is_valid: Callable[[str], bool], rule: str) -> str:
        """Validate a value and return it unchanged."""
        if not is_valid(value):
            self.fail(name, value, rule)
        return value

    def parse(self, name: str, parse: Callable[[str], Value]) -> Value:
        """Return the value of a variable, or its default if it is unset or invalid.

        `parse` receives the text without surrounding white space; the message of its ValueError is the rule.
        """
        text = self.values.get(name, default(name))
        try:
            return parse(text.strip())
        except ValueError as error:
            self.fail(name, text, str(error))
            return parse(default(name))

    def path(self, name: str, start: Path | None = None) -> Path | None:
        """Read the path of a file or directory; a relative one starts at `start`, else at the working directory."""
        text = self.values.get(name)
        if text is None:
            return None
        self.fail_if_unexpanded(name, text)
        return Path(text) if start is None else start / text

    def items(self, name: str, without: str | None = None) -> tuple[str, ...] | None:
        """Read a list: a string with white space or commas between items, or the array that Pipelines makes of it.

        Args:
            name: The variable; an array is NAME_COUNT, NAME_0, NAME_1 …
            without: What happens if the variable is unset, for the message; None if the list can be empty.

        Returns:
            The items without duplicates; None if the variable is unset.
        """
        is_array = name not in self.environment
        texts = self._array(name) if is_array else [self.environment[name]]
        if texts is None:
            return None
        if without is not None and is_array:
            self._check_entries(name, texts)
        if without is not None and (not texts or (not is_array and not _split(texts[0]))):
            self.problems.append(f"{name} is empty: leave it out to {without}.")
        return self._limited(name, list(dict.fromkeys(item for text in texts for item in _split(text))))

    def names(self, name: str) -> tuple[str, ...]:
        """Read a list of names like `items`, but with duplicates; an empty string counts as unset: no names."""
        if name in self.values:
            texts = [self.values[name]]
        else:
            texts = self._array(name) or []
            self._check_entries(name, texts)
        return self._limited(name, [item for text in texts for item in _split(text)])

    def given(self, name: str) -> bool:
        """Return whether a variable is set, as a string that is not empty or as an array."""
        return any(each in self.values for each in (name, f"{name}_COUNT"))

    def _check_entries(self, name: str, texts: list[str]) -> None:
        """Record the empty entries of an array."""
        for index, text in enumerate(texts):
            if not _split(text):
                self.problems.append(f"The {_ordinal(index)} entry of {name} is empty: remove it, or set its variable.")

    def _limited(self, name: str, items: list[str]) -> tuple[str, ...]:
        if len(items) > COUNT_MAXIMUM:
            self.problems.append(f"{name} has {len(items)} items: at most {COUNT_MAXIMUM} are allowed.")
        return tuple(items[:COUNT_MAXIMUM])

    def _array(self, name: str) -> list[str] | None:
        """Return the entries of an array, None if there is none."""
        count = self.values.get(f"{name}_COUNT")
        if count is None:
            return None
        if count == "0":
            return []
        try:
            length = parse_count(count)
        except ValueError as error:
            self.fail(f"{name}_COUNT", count, str(error))
            return None
        return [self.environment.get(f"{name}_{index}", "") for index in range(length)]

    def credential(self, name: str, minimum: int = 0) -> str:
        """Read a user name or token, of at least `minimum` characters, without ever showing its value."""
        text = self.values.get(name, "").strip()
        if len(text) > TOKEN_MAXIMUM:
            self.problems.append(f"{name} has {len(text)} characters: at most {TOKEN_MAXIMUM} are allowed.")
        elif is_variable(text):
            self.fail_if_unexpanded(name, text)
        elif not text.isprintable():
            self.problems.append(f"{name} contains non-printable characters; copy it again.")
        elif 0 < len(text) < minimum:
            self.problems.append(f"{name} is too short for a token: at least {minimum} characters are required.")
        return text


def parse_boolean(text: str) -> bool:
    """Parse a boolean, ignoring case.

    Raises:
        ValueError: The text is not a boolean.
    """
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("true or false") from None


def parse_count(text: str) -> int:
    """Parse a whole number above zero.

    Raises:
        ValueError: The text is not such a number, or the number is too large.
    """
    digits = text.lstrip("0") if text.isascii() and text.isdecimal() else ""
    if not digits or len(digits) > len(str(COUNT_MAXIMUM)) or int(digits) > COUNT_MAXIMUM:
        raise ValueError(f"a whole number from 1 to {COUNT_MAXIMUM}")
    return int(digits)


def parse_choice(*choices: str) -> Callable[[str], str]:
    """Return a function that parses one of several words, ignoring case."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text.lower()

    return parse


def no_value(variable: str) -> str:
    """Return the predicate of a sentence about a variable of Pipelines that is unset."""
    why = f" (Pipelines sets it {_SET_ONLY[variable]})" if variable in _SET_ONLY else ""
    return f"has no value in this step{why}"


def is_variable(text: str) -> bool:
    """Return whether a text is a reference to one variable, such as `$BITBUCKET_TAG`."""
    return re.fullmatch(_ONE_VARIABLE, text) is not None


def _ordinal(index: int) -> str:
    return _ORDINALS[index] if index < len(_ORDINALS) else f"{index + 1}{_suffix(index + 1)}"


def _suffix(number: int) -> str:
    return "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def shown(value: str) -> str:
    """Return a value in quotes, cut to fit a message."""
    return repr(value if len(value) <= _SHOWN_MAXIMUM else f"{value[:_SHOWN_MAXIMUM]}…")


def _split(text: str) -> list[str]:
    return text.replace(",", " ").split()
