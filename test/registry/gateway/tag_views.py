"""Which of an image's tags a page shows (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry.gateway.storage import Tag

PAGE = 50
# The tag of what refers to a manifest, where a registry has no referrers API: the distribution
# specification's fallback, and with an ending what cosign makes of it.
_REFERRER = re.compile(r"sha256-[0-9a-f]{64}(?:\.\w+)?")


@dataclass(frozen=True, slots=True)
class TagView:
    """The tags of one page, and what was asked for."""

    tags: Sequence[Tag]
    text: str
    sort: str
    """`name` or `pushed`, with a minus for the other way round."""
    page: int
    pages: int
    found: int
    all: int
    offered: Tag | None
    """The tag to pull: `latest` if there is one, else the one that was pushed last."""
    newest: bool
    """Whether that is the image that was pushed last."""
    referrers: Sequence[Tag]


def tag_view(tags: Sequence[Tag], query: Mapping[str, str]) -> TagView:
    """Return the page of tags (newest first, as given) that a query asks for by `q`, `sort` and `page`."""
    text = query.get("q", "").strip()
    sort = query.get("sort", "")
    if sort not in ("name", "-name", "pushed", "-pushed"):
        sort = "-pushed"
    own = [tag for tag in tags if not _REFERRER.fullmatch(tag.name)]
    offered = next((tag for tag in own if tag.name == "latest"), own[0] if own else None)
    found = [tag for tag in own if text.lower() in tag.name.lower()]
    if sort.endswith("name"):
        found.sort(key=lambda tag: _by_number(tag.name))
    else:
        found.reverse()
    if sort.startswith("-"):
        found.reverse()
    pages = max(1, -(-len(found) // PAGE))
    asked = query.get("page", "1")
    page = min(pages, max(1, int(asked))) if re.fullmatch(r"[0-9]{1,6}", asked) else 1
    return TagView(
        tags=found[(page - 1) * PAGE : page * PAGE],
        text=text,
        sort=sort,
        page=page,
        pages=pages,
        found=len(found),
        all=len(own),
        offered=offered,
        newest=offered is not None and offered.digest == own[0].digest,
        referrers=[tag for tag in tags if _REFERRER.fullmatch(tag.name)],
    )


def _by_number(name: str) -> list[tuple[int, str]]:
    """Order 1.9 before 1.10."""
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in re.split(r"(\d+)", name)]
