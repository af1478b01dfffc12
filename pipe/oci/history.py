"""The Dockerfile instruction behind an image's history entry, with values masked.

History comes from strangers' images, so every pattern runs in linear time: unbounded repeats are possessive, or
lie in a lookahead that starts once per name.
"""

import re

from pipe.text import clean

WIDTH = 1000
"""Characters of an instruction in the result."""
READ = 4 * WIDTH
"""Characters of an instruction that are masked; the rest is dropped before any further work."""
LONGEST = 64 * 1024
"""Characters of a history entry that are read at all: build arguments come first and may be long."""

BUILDKIT = "# buildkit"
"""Ends an entry of BuildKit's that made a layer; source: moby/buildkit, `dockerfile2llb/convert.go`."""
_BUILDAH = r"(?:(?:inherit|unset)(?:Annotation|Label)s?|(?:clamp|force)-mtime)=\S*+"
"""What buildah adds after "|", for its cache; source: containers/buildah, `imagebuildah/stage_executor.go`."""
_SHELL = (
    r"(?:/(?:[^\s/]*+/)*+)?+(?:ba|da|a|z|k)?+sh"
    r"(?:\s++(?:pipefail|-(?!\w*+(?<=c)\s)\w++)(?=\s))*+\s++-\w*+(?<=c)\s++"
)
_SHELLS = rf"(?<!\S){_SHELL}"
_RUN_SHELL = rf"RUN\s++{_SHELL}"
_ARGUMENTS = r"(?:RUN\s++)?+\|[0-9]++\s"
_CONTENT = r"\b(?:file|dir|multi):[0-9a-f]{64} in "
"""What the classic builder writes in place of the sources of ADD and COPY."""
_FIRST_NAME = r"(?i)(ENV|ARG|LABEL) (?:([\w.-]++)(?=[ =]|$))?+.*+"

_WORD = r"(?:passw(?:or)?d|passphrase|token|secret|key|auth|credential)"
_START = r"(?<![\w-])"
# The closing quote may be missing: the text may have been cut.
_QUOTED = r"\"[^\"]*+\"?|'[^']*+'?"
_VALUE = rf"{_START}([\w-]++)=({_QUOTED}|\S++)"
_HEADER = rf"(?i)({_START}(?=[\w-]*?{_WORD})[\w-]++:)\s*+(?:(?:bearer|basic|token)\s++)?[^\s\"']++"
_OPTION = rf"(?i)({_START}(?=\w*+-[\w-]*?{_WORD})[\w-]++|\b(?:bearer|basic)|(?<!mkdir )-[pu])\s++({_QUOTED}|\S++)"


def instruction(created_by: str, *, mask: bool = True) -> str:
    """Return the Dockerfile instruction of a history entry.

    Build arguments are dropped and values are masked, since both may be secrets.

    Args:
        created_by: `created_by` of the entry, from the classic builder or BuildKit.
        mask: Whether to mask values and to cut the instruction.

    Returns:
        One line of at most `WIDTH` characters; "" if there is no instruction.
    """
    parts = created_by[:LONGEST].strip().removesuffix(BUILDKIT).split("|")
    while parts[1:] and re.fullmatch(_BUILDAH, parts[-1].rstrip()):
        parts.pop()
    text = "|".join(parts).strip()
    if re.match(_ARGUMENTS, text):
        shells = list(re.finditer(_SHELLS, text))
        if len(shells) != 1:
            # A value may contain spaces, and even a shell command: the end of the arguments is unknown.
            return "RUN …"
        text = text[shells[0].start() :]
    text = text.removeprefix("RUN ") if re.match(_RUN_SHELL, text) else text
    shell = re.match(_SHELL, text)
    without_shell = text[shell.end() :] if shell else text
    if without_shell.startswith("#(nop)"):
        text = without_shell.removeprefix("#(nop)")
    elif shell:
        text = f"RUN {without_shell}"
    text = re.sub(_CONTENT, "… in ", " ".join(text.split()))
    return _masked(text) if mask else text


def _masked(text: str) -> str:
    if len(text) > READ:
        # Between words: the half of a URL would show its password.
        text = f"{text[:READ].rpartition(' ')[0]} …"
    name = re.fullmatch(_FIRST_NAME, text)
    if name:
        return f"{name[1]} {name[2]}=***" if name[2] else f"{name[1]} ***"
    text = re.sub(_VALUE, r"\1=***", clean(text, lines=1, width=READ))
    text = re.sub(_OPTION, r"\1 ***", re.sub(_HEADER, r"\1 ***", text))
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
