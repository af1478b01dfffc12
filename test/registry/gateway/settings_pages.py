"""The workspace's Container settings: which tags are protected, and a tester for patterns."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from registry.gateway.tag_rules import (
    LONGEST_NAME,
    LONGEST_PATTERN,
    MOST_RULES,
    PolicyError,
    Protect,
    read_policy,
    try_pattern,
)
from registry.gateway.threads import in_thread
from registry.gateway.visits import Visit, see, visited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

CHOICES: Mapping[str, str] = {
    Protect.NONE: "No tags are protected",
    Protect.ALL: "All tags are protected",
    Protect.SOME: "Some tags are protected",
}
"""As Bitbucket's page words them."""
_Row = tuple[str, str]


@visited
@in_thread
def show_settings(visit: Visit) -> web.Response:
    """Show the settings; with `?pattern=…&tag=…` also whether the pattern matches the tag."""
    policy = visit.catalogue.tag_policy(visit["workspace"])
    rows = [(rule.name, rule.pattern) for rule in policy.rules]
    return _page(visit, policy.protect, rows)


@visited
async def save_settings(visit: Visit) -> web.Response:
    """Save the settings; say what is wrong beside the form, as it was filled in."""
    form, workspace = await visit.form(), visit["workspace"]
    before = visit.catalogue.tag_policy(workspace).as_object()
    rows = [(form.get(f"name-{row}", ""), form.get(f"pattern-{row}", "")) for row in range(MOST_RULES)]
    filled = [row for row, texts in enumerate(rows) if any(texts)]
    rules = [{"name": rows[row][0], "pattern": rows[row][1]} for row in filled]
    changed = {**before, "protect": form.get("protect", ""), "rules": rules}
    try:
        policy = await asyncio.to_thread(read_policy, changed)
    except PolicyError as error:
        wrong = filled[int(error.path[1])] if error.path[:1] == ("rules",) else None
        return await asyncio.to_thread(_page, visit, form.get("protect", ""), rows, str(error), wrong)
    visit.catalogue.set_tag_policy(workspace, policy)
    raise see(visit, visit.request.path, "settings-saved")


def _page(visit: Visit, protect: str, rows: list[_Row], problem: str = "", wrong: int | None = None) -> web.Response:
    workspace = visit["workspace"]
    query = visit.request.query
    pattern, tag = query.get("pattern", ""), query.get("tag", "")
    matched, pattern_problem = _tried(pattern, tag)
    return visit.page(
        "settings.html",
        HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK,
        side=visit.place(workspace, None, None),
        workspace=workspace,
        choices=CHOICES,
        protect=protect,
        rows=rows + [("", "")] * (MOST_RULES - len(rows)),
        problem=_sentence(problem),
        wrong=wrong,
        limits={"rules": MOST_RULES, "pattern": LONGEST_PATTERN, "name": LONGEST_NAME},
        tried={"pattern": pattern, "tag": tag, "matched": matched, "problem": _sentence(pattern_problem)},
    )


def _tried(pattern: str, tag: str) -> tuple[bool | None, str]:
    """Return whether the tester's pattern matches, None if there is none, and what is wrong with it."""
    if not pattern:
        return None, ""
    try:
        return try_pattern(pattern, tag), ""
    except PolicyError as error:
        return None, str(error)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
