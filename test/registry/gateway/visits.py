"""One request of somebody who looks at the pages."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from registry.gateway.catalogue import Catalogue, Refused
from registry.gateway.render import page
from registry.gateway.sessions import SESSIONS, Session, checked_form, over_tls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp.typedefs import Handler

    from registry.gateway.world import Package, Repository

_NOTICES = {
    "created": "The package has been created. Push an image to it with the commands below.",
    "tag-deleted": "The tag has been deleted. A background garbage collection frees what nothing else refers to.",
    "image-deleted": "The image has been deleted. A background garbage collection frees what nothing else refers to.",
    "settings-saved": "The settings have been saved. They count for every push from now on.",
}
_NOTICE = "registry_notice"
_NOTICE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Place:
    """A workspace, or a project or repository in it, and what else of the workspace one may read."""

    workspace: str
    project: str | None
    repository: str | None
    repositories: list[Repository]
    listed: bool
    """Whether its list of packages is what is shown."""
    may_set: bool
    """Whether the visitor may change the workspace's settings."""


class Visit:
    """One request of a visitor who has logged in."""

    def __init__(self, request: web.Request, session: Session) -> None:
        self.request = request
        self.session = session
        self.catalogue = Catalogue(request.app, session.account)

    def __getitem__(self, name: str) -> str:
        """Return a part of the address."""
        return self.request.match_info[name]

    async def form(self) -> Mapping[str, str]:
        """Return the fields of the form that was sent; refuse a forged one."""
        fields = await checked_form(self.request, self.session)
        if fields is None:
            raise Refused(403, "This form was not sent from a page of yours. Go back and try again.")
        return fields

    def page(self, template: str, status: int = HTTPStatus.OK, **values: object) -> web.Response:
        """Return the page that `template` makes of `values`."""
        notice = _NOTICES.get(self.request.cookies.get(_NOTICE, ""))
        response = page(self.request, template, self.session, status, notice=notice, **values)
        if notice:
            response.del_cookie(_NOTICE)
        return response

    def refused(self, refusal: Refused) -> web.Response:
        """Return the page that says why something cannot be had."""
        return self.page("refused.html", refusal.status, message=str(refusal), crumbs=self._crumbs())

    def _crumbs(self) -> list[tuple[str, str]]:
        """Return the way to where the visitor wanted to go, as far as it exists."""
        slug, name = (self.request.match_info.get(part, "") for part in ("workspace", "package"))
        found = []
        with suppress(Refused):
            found.append((self.catalogue.workspace(slug).slug, f"/workspaces/{slug}"))
            self.catalogue.package(slug, name)
            found.append((name, f"/workspaces/{slug}/packages/{name}"))
        return found

    def place(self, slug: str, project: str | None, repository: str | None, *, listed: bool = False) -> Place:
        """Return where in a workspace the visitor is, for the bar at the side."""
        workspace = self.catalogue.workspace(slug)
        repositories, may_set = self.catalogue.repositories(workspace), self.catalogue.may_set(slug)
        return Place(slug, project, repository, repositories, listed, may_set)

    def place_of(self, package: Package) -> dict[str, Any]:
        """Return what the pages of a package show around it."""
        return {
            "side": self.place(package.workspace, None, package.repository),
            "linked": f"{package.workspace}/{package.repository}",
            "package": package,
        }


def visited(handler: Callable[[Visit], Awaitable[web.Response]]) -> Handler:
    """Let only visitors in who have logged in, and show them why something is refused."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        session = request.app[SESSIONS].find(request)
        if session is None:
            # What a form asked for is not done after the login: its page has to be seen first.
            query = {"next": request.path_qs} if request.method == "GET" else {}
            raise web.HTTPSeeOther(request.app.router["login"].url_for().with_query(query))
        visit = Visit(request, session)
        try:
            return await handler(visit)
        except Refused as refusal:
            return await asyncio.to_thread(visit.refused, refusal)

    return answer


def see(visit: Visit, path: str, notice: str) -> web.HTTPSeeOther:
    """Lead to a page that shows a notice once."""
    response = web.HTTPSeeOther(path)
    response.set_cookie(
        _NOTICE, notice, max_age=_NOTICE_SECONDS, httponly=True, samesite="Lax", secure=over_tls(visit.request)
    )
    return response
