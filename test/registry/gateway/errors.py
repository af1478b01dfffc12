"""Error bodies of the distribution specification."""

from __future__ import annotations

from aiohttp import web


def oci_error(
    status: int,
    code: str,
    message: str,
    detail: object = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Return an answer with the specification's JSON error body."""
    error = {"code": code, "message": message, "detail": detail}
    return web.json_response({"errors": [error]}, status=status, headers=headers)


class RefusedError(Exception):
    """A request is not served; `answer` says why."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__(answer.reason)
        self.answer = answer
