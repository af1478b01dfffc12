"""An upload in chunks, as a client of the registry makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.tests.asking import APP
from registry.tests.clients import random_bytes
from registry.tests.images import digest_of

if TYPE_CHECKING:
    import requests
    from registry.client import LocalRegistry

BLOB = random_bytes(30, seed=11)


class Upload:
    """One upload in chunks, which goes on where the registry says."""

    def __init__(self, registry: LocalRegistry, session: requests.Session, blob: bytes) -> None:
        self.registry = registry
        self.session = session
        self.blob = blob
        self.opened = session.post(f"{registry.url}/v2/{APP}/blobs/uploads/")
        self.location = self.opened.headers["Location"]

    def patch(self, first: int, end: int, location: str = "") -> requests.Response:
        return self._send("PATCH", location or self.location, self.blob[first:end], f"{first}-{end - 1}")

    def put(self, first: int | None = None, location: str = "") -> requests.Response:
        """Finish, with all from `first` on as the last chunk."""
        location = f"{location or self.location}&digest={digest_of(self.blob)}"
        if first is None:
            return self._send("PUT", location)
        return self._send("PUT", location, self.blob[first:], f"{first}-{len(self.blob) - 1}")

    def stands(self) -> tuple[int, str]:
        """Return what the registry says when asked."""
        answer = self._send("GET", self.location)
        return answer.status_code, answer.headers.get("Range", "")

    def _send(self, method: str, location: str, body: bytes = b"", content_range: str = "") -> requests.Response:
        headers = {"Content-Range": content_range} if content_range else {}
        answer = self.session.request(method, self.registry.url + location, data=body, headers=headers)
        if answer.status_code in (202, 204, 416):
            self.location = answer.headers["Location"]
        return answer


def read_back(upload: Upload) -> bytes:
    return upload.session.get(f"{upload.registry.url}/v2/{APP}/blobs/{digest_of(upload.blob)}").content


def finished(upload: Upload) -> bool:
    return upload.put().status_code == 201 and read_back(upload) == upload.blob
