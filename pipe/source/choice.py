"""The choice of one image among those of an archive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipe.config.variables import DEFAULT_TAG
from pipe.errors import ArchiveError
from pipe.oci.reference import Reference, is_digest
from pipe.source.documents import Documents
from pipe.source.files import shown

IMAGES = 1000
"""Images of the largest archive that is read."""
LISTED = 20
"""Images that a message lists."""


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """The entry of one image in an archive's list.

    Attributes:
        key: Equal for entries that are the same image.
        names: Full names.
        tag: The tag, if the rest of the name is unknown.
        digest: "" if unknown.
    """

    key: str
    names: tuple[str, ...] = ()
    tag: str = ""
    digest: str = ""


def chosen(name: Reference, candidates: Sequence[ImageEntry], *, strict: bool = False) -> dict[str, ImageEntry]:
    """Return the distinct images that a name in IMAGE_NAME refers to.

    Args:
        name: The name.
        candidates: All images of the archive.
        strict: Whether it must be the whole name or digest of an image. Otherwise its tag suffices, and a name that
            refers to none refers to all of them.
    """
    tag = name.tag or DEFAULT_TAG
    by_digest = [each for each in candidates if name.digest and each.digest.endswith(name.digest[-64:])]
    by_name = [each for each in candidates if is_meant(name, each.names)]
    by_tag = [each for each in candidates if each.tag == tag and not strict]
    found = by_digest or ([] if name.digest else by_name or by_tag)
    return {each.key: each for each in found or ([] if strict else candidates)}


def is_named(name: Reference, candidates: Sequence[ImageEntry]) -> bool:
    """Return whether IMAGE_NAME refers to any of the images."""
    if name.digest:
        return any(each.digest.endswith(name.digest[-64:]) for each in candidates)
    return any(is_meant(name, each.names) or each.tag == (name.tag or DEFAULT_TAG) for each in candidates)


def is_meant(name: Reference, others: Sequence[str]) -> bool:
    """Return whether a name is one of an image's names."""
    return str(name) in others or _short(str(name if name.tag else name.with_tag(DEFAULT_TAG))) in map(_short, others)


def _short(name: str) -> str:
    """Return a name without the prefixes that tools add to short ones."""
    name = name.partition("@")[0]
    return name.removeprefix("index.").removeprefix("docker.io/").removeprefix("library/").removeprefix("localhost/")


def ambiguous(
    documents: Documents, name: Reference, candidates: Sequence[ImageEntry], platform: Callable[[ImageEntry], str]
) -> ArchiveError:
    """Return the error for a name that does not refer to exactly one image."""
    distinct = list({each.key: each for each in candidates}.values())
    lines = []
    for each in distinct[:LISTED]:
        text = _reference_to(each, name, candidates)
        details = [platform(each), "" if each.digest in text else each.digest]
        described = f" ({', '.join(filter(None, details))})" if any(details) else ""
        lines.append(f"\n  - {shown(text + described)}")
    if len(distinct) > LISTED:
        lines.append(f"\n  and {len(distinct) - LISTED} more")
    which = "more than one of them is" if is_named(name, candidates) else "none of them is"
    there = "one image, which is not" if len(distinct) == 1 else f"several images, and {which}"
    written = str(name).removeprefix("@")
    return ArchiveError(
        f"{documents.path} contains {there} {written}:{''.join(lines)}",
        fix="Set IMAGE_NAME to one of these, and PACKAGE_NAME to the package to push to.",
    )


def _reference_to(candidate: ImageEntry, name: Reference, candidates: Sequence[ImageEntry]) -> str:
    """Return an IMAGE_NAME that refers to this image only."""
    tagged = (f"{name.repository}:{candidate.tag}",) if candidate.tag and name.path else ()
    names = (*tagged, *candidate.names)
    digest = candidate.digest
    with_digest = [f"{each}@{digest}" for each in (*names, name.repository) if digest and each]
    options: list[str] = [*names, *with_digest]
    for text in options:
        try:
            found = chosen(Reference.parse(text), candidates)
        except ValueError:
            continue
        if is_named(Reference.parse(text), candidates) and list(found) == [candidate.key]:
            return text
    return digest if is_digest(digest) else next(iter(names), "an image without a name")
