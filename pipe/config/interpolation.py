"""Variables in a compose file: `$NAME`, `${NAME}`, `${NAME:-default}`, and those of the file `.env`.

Source: compose-spec, "Interpolation"; Docker, "Syntax for environment files in Docker Compose".
"""

import contextlib
import re
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

from pipe.config.values import no_value, shown

_SIZE = 1024 * 1024
LENGTH = 64 * 1024
"""Characters of a text with its variables filled; more are a mistake, or malice."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(rf"({_NAME.pattern})(?:(:?[-?+])(.*))?", re.DOTALL)
_LINE = re.compile(rf"(?:export\s+)?({_NAME.pattern})\s*[=:](.*)")
_QUOTED = re.compile(r"""(['"])(.*?)\1\s*(?:#.*)?""")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_DEPTH = 20


class Interpolation:
    """Fills variables in texts.

    Attributes:
        values: The variables.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values

    def fill(self, text: str, depth: int = 0) -> str:
        """Return a text with its variables filled.

        Raises:
            ValueError: One has neither a value nor a default, or is malformed; the message is a clause.
        """
        if depth > _DEPTH:
            raise ValueError(f"{shown(text)} is nested too deeply")
        filled, position, size = [], 0, len(text)
        while size <= LENGTH and (at := text.find("$", position)) >= 0:
            filled.append(text[position:at])
            rest = text[at + 1 :]
            if rest.startswith("$"):
                value, length = "$", 1
            elif rest.startswith("{"):
                length = _end_of_braces(rest)
                value = self._braced(rest[1 : length - 1], depth)
            elif match := _NAME.match(rest):
                value, length = self._value(match[0]), match.end()
            else:
                value, length = "$", 0
            filled.append(value)
            size += len(value)
            position = at + 1 + length
        if size > LENGTH:
            raise ValueError(f"{shown(text)} is too long")
        return "".join(filled) + text[position:]

    def _braced(self, expression: str, depth: int) -> str:
        match = _BRACED.fullmatch(expression)
        if match is None:
            raise ValueError(f"{shown(f'${{{expression}}}')} is not a variable")
        name, operator, argument = match[1], match[2] or "", match[3] or ""
        value = self.values.get(name)
        is_there = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return self.fill(argument, depth + 1) if is_there else ""
        if operator.endswith("-") and not is_there:
            return self.fill(argument, depth + 1)
        if operator.endswith("?") and not is_there:
            raise _unset(name)
        return self._value(name)

    def _value(self, name: str) -> str:
        """Return a value; Compose replaces an unset variable by nothing, which makes no useful name."""
        if name not in self.values:
            raise _unset(name)
        return self.values[name]


def _unset(name: str) -> ValueError:
    return ValueError(f"${name} {no_value(name)}; add it to the pipe's `variables`")


def read_env_file(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment file, as far as they can be read; none if there is no such file.

    In values that refer to variables, those of the environment take precedence.
    """
    values: dict[str, str] = {}
    known = Interpolation(ChainMap(dict(environment), values))
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_SIZE).splitlines()
    except (OSError, ValueError):
        return values
    for line in lines:
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        name, text = match[1], match[2].strip()
        quoted, literal = _QUOTED.fullmatch(text), text.startswith("'")
        value = quoted[2] if quoted else _COMMENT.sub("", text)
        # A value that is used for no name may refer to anything.
        with contextlib.suppress(ValueError):
            values[name] = value if literal else known.fill(value)
    return values


def _end_of_braces(text: str) -> int:
    """Return the length of `{…}` at the beginning of a text, whose defaults may contain braces."""
    depth, position = 1, 1
    while position < len(text):
        if text.startswith("${", position):
            depth, position = depth + 1, position + 2
            continue
        depth -= text[position] == "}"
        position += 1
        if depth == 0:
            return position
    raise ValueError(f"{shown('$' + text)} has no closing brace")
