"""One upload of a blob, as the gateway knows it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from registry.gateway.errors import oci_error
from registry.gateway.ranges import range_of

if TYPE_CHECKING:
    from aiohttp import web

    from registry.gateway.body import RequestBody
    from registry.gateway.ranges import Span


@dataclass(frozen=True, slots=True)
class Traits:
    """How an upload behaves, from its POST on."""

    checked: bool = True
    """Whether `Content-Range` is checked; Distribution 2.8 ignores it."""
    by_request: bool = False
    """Whether the time-out counts each request instead of the upload."""
    least_chunk: int = 0
    """Bytes that every chunk but the last must have (`OCI-Chunk-Min-Length`)."""


@dataclass(slots=True)
class Upload:
    """An open upload; `deadline` is a time of the event loop, sizes are in bytes."""

    repository: str
    identifier: str
    location: str
    """Path and query of Distribution's newest answer."""
    traits: Traits
    deadline: float
    timer: asyncio.TimerHandle | None = None
    size: int = 0
    """What Distribution has acknowledged."""
    patches: int = 0
    """How many PATCHes were acknowledged."""
    busy: int = 0
    overdue: bool = False
    closed: bool = False
    """Whether Distribution has made a blob of it, or let go of it."""
    lost: bool = False
    """Whether a request that passed through broke off or was refused: Distribution judges the rest."""
    cut: bool = False
    """Whether the last chunk broke off."""
    short: bool = False
    """Whether the last chunk was whole, but too small to be followed by another."""
    receiving: RequestBody | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def reached(self) -> int:
        """What has come so far, the chunk under way included."""
        return self.size + (self.receiving.size if self.receiving else 0)

    @property
    def headers(self) -> dict[str, str]:
        """What tells a client where the upload is and how far."""
        return {
            "Location": self.location,
            "Range": range_of(self.reached),
            "Docker-Upload-UUID": self.identifier,
        }

    def refuse(self, status: int, code: str, message: str) -> web.Response:
        """Refuse a request, and tell where to go on."""
        return oci_error(status, code, message, headers=self.headers)

    def out_of_order(self, span: Span) -> web.Response:
        """Refuse a chunk that does not begin where the last one ended."""
        message = f"the chunk begins at byte {span.first}, the upload goes on at byte {self.reached}"
        return self.refuse(416, "BLOB_UPLOAD_INVALID", message)
