"""The pages people use: browse packages and tags, create a package, delete tags and images."""

from __future__ import annotations

import re
from functools import wraps
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from registry.gateway.catalogue import Catalogue, Refused
from registry.gateway.context import CONTEXT
from registry.gateway.login import check
from registry.gateway.render import page
from registry.gateway.sessions import SESSIONS, Session, Sessions, checked_form, from_own_page
from registry.gateway.threads import in_thread
from registry.gateway.world import Role

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Handler

_NOTICES = {
    "created": "The package is there. Push an image to it with the commands below.",
    "tag-deleted": "The tag is deleted. Its space is freed in the background.",
    "image-deleted": "The image is deleted. Its space is freed in the background.",
}
_NAME = r"[a-z0-9][a-z0-9._-]*"
# What a browser might read as an address elsewhere is left out: `//`, backslashes, control characters.
_OWN_PATH = re.compile(r"(?:/[\w.~%-]+)+/?(?:\?[\w.~%=&+-]*)?", re.ASCII)
_WORKSPACE = rf"/workspaces/{{workspace:{_NAME}}}"
_PACKAGE = rf"{_WORKSPACE}/packages/{{package:{_NAME}}}"
_TAG = rf"{_PACKAGE}/tags/{{tag:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}}}"


class Visit:
    """One request of a visitor who has logged in."""

    def __init__(self, request: web.Request, session: Session) -> None:
        self.request = request
        self.session = session
        self.catalogue = Catalogue(request.app, session.account)

    def __getitem__(self, name: str) -> str:
        """Return a part of the address."""
        return self.request.match_info[name]

    async def form(self) -> dict[str, str]:
        """Return the fields of the form that was sent; refuse a forged one."""
        fields = await checked_form(self.request, self.session)
        if fields is None:
            raise Refused(403, "This form was not sent from a page of yours. Go back and try again.")
        return fields

    def page(self, template: str, status: int = HTTPStatus.OK, **values: object) -> web.Response:
        """Return the page that `template` makes of `values`."""
        notice = _NOTICES.get(self.request.query.get("notice", ""))
        return page(self.request, template, self.session, status, notice=notice, **values)


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
            return visit.page("refused.html", refusal.status, message=str(refusal))

    return answer


async def show_login(request: web.Request) -> web.Response:
    """Ask for user name and token."""
    return page(request, "login.html", None, failed=False, user="", next=_next(request))


async def log_in(request: web.Request) -> web.Response:
    """Start a session, and go on to the page that was asked for."""
    form = await request.post()
    user, token = str(form.get("user", "")), str(form.get("token", ""))
    account = check(request.app[CONTEXT].world, user, token)
    if account is None or not from_own_page(request):
        values = {"failed": True, "user": user, "next": _next(request)}
        return page(request, "login.html", None, HTTPStatus.UNAUTHORIZED, **values)
    response = web.HTTPSeeOther(_next(request))
    request.app[SESSIONS].start(request, response, account)
    raise response


@visited
async def log_out(visit: Visit) -> web.Response:
    """End the session."""
    await visit.form()
    response = web.HTTPSeeOther("/login")
    visit.request.app[SESSIONS].end(visit.session, response)
    raise response


@visited
@in_thread
def show_workspaces(visit: Visit) -> web.Response:
    """List workspaces; a visitor who has only one goes right there."""
    workspaces = visit.catalogue.workspaces()
    if len(workspaces) == 1:
        raise web.HTTPSeeOther(f"/workspaces/{workspaces[0].slug}")
    usage = {each.slug: visit.catalogue.usage(each) for each in workspaces}
    return visit.page("workspaces.html", workspaces=workspaces, usage=usage)


@visited
@in_thread
def show_packages(visit: Visit) -> web.Response:
    """List the packages of a workspace, a project or a repository."""
    catalogue, parts = visit.catalogue, visit.request.match_info
    workspace = catalogue.workspace(parts["workspace"])
    project, repository = parts.get("project"), parts.get("repository")
    return visit.page(
        "packages.html",
        workspace=workspace,
        project=project,
        repository=repository,
        repositories=catalogue.repositories(workspace),
        packages=catalogue.packages(workspace.slug, project, repository),
        usage=catalogue.usage(workspace),
        may_create=bool(catalogue.repositories(workspace, Role.ADMIN)),
    )


@visited
@in_thread
def show_package(visit: Visit) -> web.Response:
    """Show an image and its tags."""
    listed = visit.catalogue.package(visit["workspace"], visit["package"])
    tags = [visit.catalogue.tag(listed, tag.name) for tag in listed.tags]
    return visit.page("package.html", listed=listed, package=listed.package, tags=tags)


@visited
@in_thread
def show_tag(visit: Visit) -> web.Response:
    """Show all there is to know of a tag."""
    listed = visit.catalogue.package(visit["workspace"], visit["package"])
    details = visit.catalogue.tag(listed, visit["tag"])
    return visit.page("tag.html", listed=listed, package=listed.package, details=details)


@visited
@in_thread
def ask_for_package(visit: Visit) -> web.Response:
    """Ask for a new package's name and repository."""
    return _creation(visit, name="", repository=visit.request.query.get("repository", ""))


@visited
async def create_package(visit: Visit) -> web.Response:
    """Create a package; say what is wrong beside the form, as it was filled in."""
    form = await visit.form()
    name, repository = form.get("name", "").strip(), form.get("repository", "")
    try:
        package = visit.catalogue.create(visit["workspace"], name, repository)
    except Refused as refusal:
        return _creation(visit, name, repository, refusal)
    raise web.HTTPSeeOther(f"/workspaces/{package.workspace}/packages/{package.name}?notice=created")


@visited
@in_thread
def confirm_tag_deletion(visit: Visit) -> web.Response:
    """Ask whether a tag is really to be deleted."""
    listed = visit.catalogue.package(visit["workspace"], visit["package"], Role.WRITE)
    details = visit.catalogue.tag(listed, visit["tag"])
    return visit.page("delete_tag.html", package=listed.package, details=details)


@visited
async def delete_tag(visit: Visit) -> web.Response:
    """Delete a tag."""
    await visit.form()
    await visit.catalogue.delete_tag(visit["workspace"], visit["package"], visit["tag"])
    raise web.HTTPSeeOther(f"{_package_path(visit)}?notice=tag-deleted")


@visited
@in_thread
def confirm_image_deletion(visit: Visit) -> web.Response:
    """Ask whether an image is really to be deleted."""
    listed = visit.catalogue.package(visit["workspace"], visit["package"], Role.ADMIN)
    return visit.page("delete_image.html", package=listed.package, listed=listed)


@visited
async def delete_image(visit: Visit) -> web.Response:
    """Delete an image with all its tags."""
    await visit.form()
    await visit.catalogue.delete_package(visit["workspace"], visit["package"])
    raise web.HTTPSeeOther(f"/workspaces/{visit['workspace']}?notice=image-deleted")


@visited
@in_thread
def show_missing(visit: Visit) -> web.Response:
    """Answer for an address that leads nowhere."""
    raise Refused(404, f"There is no page {visit.request.path!r}.")


def add_routes(app: web.Application) -> None:
    """Add the pages; last, since they answer for every address that nothing else answers."""
    app[SESSIONS] = Sessions()
    app.add_routes(
        [
            web.static("/static", Path(__file__).parent / "static"),
            web.get("/login", show_login, name="login"),
            web.post("/login", log_in),
            web.post("/logout", log_out),
            web.get("/", show_workspaces),
            web.get(_WORKSPACE, show_packages),
            web.get(rf"{_WORKSPACE}/projects/{{project}}", show_packages),
            web.get(rf"{_WORKSPACE}/repositories/{{repository}}", show_packages),
            web.get(rf"{_WORKSPACE}/create", ask_for_package),
            web.post(rf"{_WORKSPACE}/create", create_package),
            web.get(_PACKAGE, show_package),
            web.get(rf"{_PACKAGE}/delete", confirm_image_deletion),
            web.post(rf"{_PACKAGE}/delete", delete_image),
            web.get(_TAG, show_tag),
            web.get(rf"{_TAG}/delete", confirm_tag_deletion),
            web.post(rf"{_TAG}/delete", delete_tag),
            web.get("/{anything:.*}", show_missing),
        ]
    )


def _creation(visit: Visit, name: str, repository: str, refusal: Refused | None = None) -> web.Response:
    workspace = visit.catalogue.workspace(visit["workspace"])
    repositories = visit.catalogue.repositories(workspace, Role.ADMIN)
    if not repositories:
        raise Refused(403, "Creating a package needs the role Admin on a repository.")
    return visit.page(
        "create.html",
        refusal.status if refusal else HTTPStatus.OK,
        workspace=workspace,
        repositories=repositories,
        name=name,
        repository=repository,
        problem=str(refusal) if refusal else None,
    )


def _package_path(visit: Visit) -> str:
    return f"/workspaces/{visit['workspace']}/packages/{visit['package']}"


def _next(request: web.Request) -> str:
    path = request.query.get("next", "/")
    return path if _OWN_PATH.fullmatch(path) else "/"
