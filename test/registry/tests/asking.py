"""Requests to the registry, each with a token of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry.tests.clients import random_bytes
from registry.tests.images import MANIFEST, Image, Repository, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests
    from registry.client import LocalRegistry

APP = "demo-workspace/my-container-app"
LARGE = random_bytes(12_000_000, seed=3)
"""More than fits into the buffers between a client and the gateway."""


def ask(
    registry: LocalRegistry,
    method: str,
    path: str,
    user: str = "writer",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> requests.Response:
    """Send a request with a token for the repository that the path names."""
    with registry.session() as session:
        bearer = {}
        if user:
            name = re.match(r"/v2/([^/]+/[^/]+)/", path)
            scopes = [f"{name[1]}:pull,push"] if name else []
            bearer = registry.bearer(user, *scopes)
        return session.request(
            method, registry.url + path, headers={**bearer, **(headers or {})}, data=body, timeout=30
        )


def error(answer: requests.Response) -> tuple[int, str]:
    """Return the status and the OCI code of an error."""
    assert answer.headers["Content-Type"].startswith("application/json"), answer.text
    [entry] = answer.json()["errors"]
    assert entry["message"], answer.text
    return answer.status_code, entry["code"]


def pushed(registry: LocalRegistry, content: Image, name: str, tag: str, user: str = "writer") -> None:
    with registry.session() as session:
        session.headers.update(registry.bearer(user, f"{name}:pull,push"))
        Repository(session, registry.url, name).push(content, tag)


def send_blob(registry: LocalRegistry, session: requests.Session, body: bytes) -> requests.Response:
    """Open an upload and PATCH it, on a connection of its own."""
    answer = session.post(f"{registry.url}/v2/{APP}/blobs/uploads/")
    return session.patch(registry.url + answer.headers["Location"], data=body)


def put(repository: Repository, body: bytes, reference: str = "", media_type: str = MANIFEST) -> requests.Response:
    """Put any bytes as a manifest."""
    url = f"{repository.url}/v2/{repository.name}/manifests/{reference or digest_of(body)}"
    return repository.session.put(url, data=body, headers={"Content-Type": media_type})
