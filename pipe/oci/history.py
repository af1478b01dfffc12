"""History entries → the Dockerfile instructions that made them, with values masked (pure)."""

import re

from pipe.text import clean

WIDTH = 1000
"""Characters of an instruction that the result has room for."""

BUILDKIT = "# buildkit"
"""Ends an entry of BuildKit's that made a layer; source: moby/buildkit, `dockerfile2llb/convert.go`."""
_SHELL = r"(?:/\S*/)?(?:ba|da|a|z|k)?sh(?:\s+-\w+|\s+pipefail)*?\s+-\w*c\s+"
_ARGUMENTS = re.compile(r"(?:RUN\s+)?\|[0-9]+\s")
_FIRST_NAME = re.compile(r"(ENV|ARG|LABEL) (?:([\w.-]+)(?=[ =]|$))?.*", re.IGNORECASE)
_VALUE = re.compile(r"(?<![\w])(--?[\w-]+|\w+)=(\"[^\"]*\"|'[^']*'|\S+)")
_SENSITIVE = r"[\w-]*(?:passw(?:or)?d|passphrase|token|secret|key|auth|credential)[\w-]*"
_OPTION = re.compile(
    rf"(-{{1,2}}{_SENSITIVE}|\b(?:bearer|basic)|(?<!mkdir )-[pu])\s+(\"[^\"]*\"|'[^']*'|\S+)", re.IGNORECASE
)
_HEADER = re.compile(rf"(\b{_SENSITIVE}:)\s*(?:(?:bearer|basic|token)\s+)?[^\s\"']+", re.IGNORECASE)
_CONTENT = re.compile(r"\b(?:file|dir|multi):[0-9a-f]{64} in ")
"""What the classic builder writes in place of the sources of ADD and COPY."""


def instruction(created_by: str, *, mask: bool = True) -> str:
    """Turn a history entry into the Dockerfile instruction that made it.

    Build arguments go and values are masked, since both may be secrets.

    Args:
        created_by: `CreatedBy` of a history entry, of the classic builder or of BuildKit.
        mask: Whether to mask values.

    Returns:
        The instruction on one line; "" where there is none.
    """
    text = created_by.strip().removesuffix(BUILDKIT).strip()
    if _ARGUMENTS.match(text):
        shells = list(re.finditer(rf"(?<!\S){_SHELL}", text))
        if len(shells) != 1:
            # A value may hold spaces, and even what looks like a shell: nothing tells where the arguments end.
            return "RUN …"
        text = text[shells[0].start() :]
    text = text.removeprefix("RUN ") if re.match(rf"RUN\s+{_SHELL}", text) else text
    without_shell = re.sub(rf"^{_SHELL}", "", text)
    if without_shell.startswith("#(nop)"):
        text = without_shell.removeprefix("#(nop)")
    elif without_shell != text:
        text = f"RUN {without_shell}"
    text = _CONTENT.sub("… in ", " ".join(text.split()))
    if not mask:
        return text
    name = _FIRST_NAME.fullmatch(text)
    if name:
        return f"{name[1]} {name[2]}=***" if name[2] else f"{name[1]} ***"
    text = _HEADER.sub(r"\1 ***", _VALUE.sub(r"\1=***", clean(text, lines=1, width=WIDTH)))
    return _OPTION.sub(r"\1 ***", text)
