"""What is sent to the pages and to their JSON: small, and all at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from registry.gateway.context import CONTEXT
from registry.gateway.documents import read_object

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST_FORM = 64 << 10
_MOST_FIELDS = 50


async def read_body(request: web.Request, most: int = _LARGEST_FORM) -> bytes:
    """Return a request's body.

    Raises:
        web.HTTPException: it has more than `most` bytes, or does not come in the time that headers have, too.

    """
    body = bytearray()
    try:
        async with asyncio.timeout(request.app[CONTEXT].options.header_timeout):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > most:
                    raise web.HTTPRequestEntityTooLarge(most, len(body))
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return bytes(body)


async def read_form(request: web.Request) -> Mapping[str, str]:
    """Return the fields of a form; none where what was sent is no form.

    Raises:
        web.HTTPException: as for `read_body`.

    """
    # aiohttp's own way obeys whatever encoding the request names.
    text = (await read_body(request)).decode("utf-8", "replace")
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        return {}


async def read_json(request: web.Request) -> dict[str, Any] | None:
    """Return the JSON object that was sent; None for anything else.

    Raises:
        web.HTTPException: as for `read_body`.

    """
    return read_object(await read_body(request))
