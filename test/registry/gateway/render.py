"""Pages from templates, with what they need to show sizes and times."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from registry.gateway.context import CONTEXT
from registry.gateway.sessions import SESSIONS
from registry.gateway.world import Role

if TYPE_CHECKING:
    from registry.gateway.sessions import Session

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    # Not `no-referrer`: browsers would then hide a form's origin from us too.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def size_text(size: int) -> str:
    """Return a size in decimal units, as the pipe's log has it: `999 B`, `126.3 KB`, `3.0 MB`."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def age_text(moment: datetime, now: datetime) -> str:
    """Return how long ago something was, in its largest unit."""
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, length in (("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE)):
        if count := seconds // length:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _short(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"{algorithm}:{value[:12]}"


def _soft(text: str) -> Markup:
    """Let a media type be broken where its parts end, and nowhere else."""
    return Markup(re.sub(r"([/.+])", r"\1<wbr>", str(escape(text))))  # noqa: S704 - escaped


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["size"] = size_text
    environment.filters["age"] = lambda moment: age_text(moment, datetime.now(UTC))
    environment.filters["short"] = _short
    environment.filters["clock"] = lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC"
    environment.filters["soft"] = _soft
    environment.globals["Role"] = Role
    return environment


_TEMPLATES = _templates()


def page(
    request: web.Request,
    template: str,
    session: Session | None,
    status: int = HTTPStatus.OK,
    **values: object,
) -> web.Response:
    """Return the page that `template` makes of `values`."""
    host = urlsplit(request.app[CONTEXT].options.url).netloc or request.host
    text = _TEMPLATES.get_template(template).render(session=session, host=host, status=int(status), **values)
    return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)


def failure_page(request: web.Request, status: int, message: str) -> web.Response:
    """Return the page that says that a page cannot be had."""
    session = request.app[SESSIONS].find(request)
    return page(request, "refused.html", session, status, message=message, crumbs=())
