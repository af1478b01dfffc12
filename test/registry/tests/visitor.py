"""A visitor of the pages who speaks plain HTTP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests
    from registry.client import LocalRegistry

DEMO = "/workspaces/demo-workspace"
APP = f"{DEMO}/packages/my-container-app"
TAG = f"{APP}/tags/1.0"


class Visitor:
    """A browser without a screen."""

    def __init__(self, registry: LocalRegistry, session: requests.Session) -> None:
        self.url = registry.url
        self.session = session

    def get(self, path: str, status: int = 200) -> str:
        answer = self.session.get(self.url + path)
        assert answer.status_code == status, answer.text
        return answer.text

    def post(
        self, path: str, fields: dict[str, str], status: int = 200, origin: str | None = None
    ) -> requests.Response:
        headers = {"Origin": origin} if origin else {}
        answer = self.session.post(self.url + path, data=fields, headers=headers)
        assert answer.status_code == status, answer.text
        return answer

    def log_in(self, user: str) -> Visitor:
        self.post("/login", {"user": user, "token": f"{user}-token"})
        return self

    def form_token(self) -> str:
        match = re.search(r'name="form_token" value="([^"]+)"', self.get(DEMO))
        assert match
        return match[1]
