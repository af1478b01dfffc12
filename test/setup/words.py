"""List words in pipe/, README.md and docs/ that a native engineer would not write: `words.py [FILE...]`.

Docstrings, comments and string literals are checked, and Markdown outside of code. Each hit is a line with file,
line, word, and what to write instead.
"""

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

WORDS = {
    r"tell|tells|telling|told": "report, return, show",
    r"(?:has|have) to": "must",
    r"(?:is|are) to(?! the)": "must, will",
    r"by (?:itself|themselves)": "directly, alone",
    r"of (?:its|their|his|one's|your|our) own": "separate, its own …",
    r"(?:broke|broken|breaks|breaking) off": "lost the connection, closed, interrupted",
    r"nobody|no one": "nothing, no …, if unknown",
    r"who(?:m)?ever": "users who, if you",
    r"meanwhile": "during the push, at the same time",
    r"forget|forgets|forgot|forgotten": "lose, discard, expire",
    r"mind|minds|minded": "reject, affect",
    r"(?:hear|hears|heard) (?:of|from)": "receive, get",
    r"believe|believes|believed": "trust, accept",
    r"would do": "try …",
    r"\(pure\)": "leave it out",
    r"where": "if",
}
"""Patterns of words, and the better ones."""
ALLOWED = re.compile(
    r"(?:from|to|of|place|directory|point|line|position|knows?|finds?|shows?|says?|see|and|exactly) where\b"
    r"|where (?:to|from|in|on|else)\b"
    r"|where (?:it|they|(?:the|its|a) \S+) (?:stop|st[ao]o?nd|beg[ai]n|start|end|live|lie|go)|where that of \S+ does"
    r"|where (?:it|they|(?:the|its) \S+) (?:is|are|was|were)[:,.;]"
    r"|where (?:it|they|(?:the|its) \S+) (?:is|are|was|were) (?:stored|written|kept|measured|raised|read|sent)\b",
    re.IGNORECASE,
)
"""True uses of `where`: for places."""
CODE = "\0"
TEXTS = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
QUOTES = re.compile(r"""^[rbfRBF]*(?:\"{3}|'{3}|["'])|(?:\"{3}|'{3}|["'])$|^#+""")
MARKDOWN_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`|\]\([^)\n]*\)", re.DOTALL | re.MULTILINE)


def prose(path: Path) -> str:
    """Return a file's text with all code masked, so that lines keep their numbers."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return MARKDOWN_CODE.sub(lambda match: re.sub(r"\S", CODE, match[0]), text)
    lines = [re.sub(r"\S", CODE, line) for line in text.splitlines()]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in TEXTS:
            shown = QUOTES.sub(lambda match: " " * len(match[0]), token.string).split("\n")
            for number, part in enumerate(shown):
                row, column = token.start[0] - 1 + number, 0 if number else token.start[1]
                lines[row] = lines[row][:column] + part + lines[row][column + len(part) :]
    return "\n".join(lines)


def check(path: Path) -> list[str]:
    """Return a line for each hit in a file, in the order of the file."""
    text, found = prose(path), []
    for word, better in WORDS.items():
        spaced = word.replace(" ", r"\s+")
        pattern = rf"(?<![\w-])(?:{spaced})(?![\w-])"
        for match in re.finditer(pattern, text, re.IGNORECASE):
            around = " ".join(text[max(0, match.start() - 12) : match.end() + 40].split())
            if word != "where" or not ALLOWED.search(around):
                line = text.count("\n", 0, match.start()) + 1
                found.append((match.start(), f"{path}:{line}: {' '.join(match[0].split())} -> {better}"))
    return [hit for _, hit in sorted(found)]


if __name__ == "__main__":
    listed = ["git", "ls-files", "pipe/*.py", "README.md", "docs/*.md"]
    names = sys.argv[1:] or subprocess.run(listed, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    sys.exit("\n".join(hit for name in names for hit in check(Path(name))) or None)
