"""What the Engine knows of an image, and which Dockerfile instruction made which layer (pure)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pipe.errors import clean

EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
"""The diffID of a layer with no files: the SHA-256 of an empty tar archive (1024 zero bytes)."""

SHORT_ID = 12
"""Characters by which the Engine's stream names a layer; source: moby, `pkg/stringid`."""

SHOWN = 60
"""Characters of an instruction that a line of the log has room for."""

WIDTH = 1000
"""Characters of an instruction that the result has room for."""

_METADATA = re.compile(
    r"ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME"
)
_BUILDKIT = "# buildkit"
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


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image.

    Attributes:
        number: 1 for the base's first layer.
        diff_id: The digest of its unpacked content.
        size: Unpacked bytes, None where the Engine does not say.
        instruction: The Dockerfile instruction with values masked, None where it is not certain.
    """

    number: int
    diff_id: str
    size: int | None = None
    instruction: str | None = None

    @property
    def short_id(self) -> str:
        """The name of the layer in a graphdriver Engine's push stream."""
        return shorten(self.diff_id)

    @property
    def label(self) -> str:
        """The layer as people know it, its instruction cut to fit a line."""
        return f"layer {self.number} ({cut(self.instruction)})" if self.instruction else f"layer {self.number}"


@dataclass(frozen=True, slots=True)
class Image:
    """One image in the Engine.

    Attributes:
        id: The digest of its configuration, or in a containerd store of its manifest.
        size: Bytes of all of it, as the Engine counts.
        layers: From the base up.
    """

    id: str
    size: int
    layers: tuple[Layer, ...]


def cut(instruction: str) -> str:
    """Return as much of an instruction as fits a line."""
    return instruction if len(instruction) <= SHOWN else f"{instruction[: SHOWN - 1]}…"


def shorten(digest: str) -> str:
    """Return the first characters of a digest, without its algorithm."""
    return digest.removeprefix("sha256:")[:SHORT_ID]


def image_from(inspected: Mapping[str, object], history: Sequence[Mapping[str, object]]) -> Image:
    """Bring together what the Engine says in two places.

    Args:
        inspected: `GET /images/{name}/json`.
        history: `GET /images/{name}/history`, newest first.

    Returns:
        The image. Sizes and instructions are there as far as the match is certain.
    """
    root = inspected.get("RootFS")
    diff_ids = [str(d) for d in (root.get("Layers") or [])] if isinstance(root, dict) else []
    size = _integer(inspected.get("Size"))
    entries = [(str(e.get("CreatedBy") or ""), _integer(e.get("Size"))) for e in reversed(history)]
    sizes_known = sum(entry_size for _, entry_size in entries) == size
    matched = _match(diff_ids, entries) if sizes_known else []
    layers = tuple(
        Layer(number, diff_id, *(entry or (None, None)))
        for number, (diff_id, entry) in enumerate(zip_longest(diff_ids, matched), start=1)
    )
    return Image(str(inspected.get("Id") or ""), size, layers)


def _match(diff_ids: list[str], entries: list[tuple[str, int]]) -> list[tuple[int, str | None]]:
    """Pair layers with history entries from the base up, until a pair is not certain.

    An entry with bytes made a layer, one of a metadata instruction did not. Another one without
    bytes (`WORKDIR`, `RUN rm …`, `RUN true`) may have made a layer or not; it surely did where all such
    entries are needed to make up the number of layers, or where BuildKit says so and nothing was squashed.
    """
    candidates = [(text, size) for text, size in entries if size > 0 or not _METADATA.fullmatch(_verb(text))]
    everyone = len(candidates) == len(diff_ids)
    squashed = sum(size > 0 or text.endswith(_BUILDKIT) for text, size in candidates) > len(diff_ids)
    matched: list[tuple[int, str | None]] = []
    for diff_id, (text, size) in zip(diff_ids, candidates, strict=False):
        certain = everyone or size > 0 or (text.endswith(_BUILDKIT) and not squashed)
        if not certain or (diff_id == EMPTY_LAYER and size > 0):
            break
        matched.append((size, instruction(text) or None))
    return matched


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0


def _verb(created_by: str) -> str:
    words = instruction(created_by, mask=False).split(maxsplit=1)
    return words[0].upper() if words else ""


def instruction(created_by: str, *, mask: bool = True) -> str:
    """Turn a history entry into the Dockerfile instruction that made it.

    Build arguments go and values are masked, since both may be secrets.

    Args:
        created_by: `CreatedBy` of a history entry, of the classic builder or of BuildKit.
        mask: Whether to mask values.

    Returns:
        The instruction on one line; "" where there is none.
    """
    text = created_by.strip().removesuffix(_BUILDKIT).strip()
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
