"""The pages people use: browse packages and tags, create a package, delete tags and images."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from registry.gateway.catalogue import Refused
from registry.gateway.context import CONTEXT
from registry.gateway.forms import read_form
from registry.gateway.layout import TAG
from registry.gateway.login import check
from registry.gateway.render import page
from registry.gateway.sessions import SESSIONS, Sessions, from_own_page
from registry.gateway.settings_pages import save_settings, show_settings
from registry.gateway.tag_views import tag_view
from registry.gateway.threads import in_thread
from registry.gateway.visits import Visit, see, visited
from registry.gateway.world import Role

_NAME = r"[a-z0-9][a-z0-9._-]*"
# What a browser might read as an address elsewhere is left out: `//`, backslashes, control characters.
_OWN_PATH = re.compile(r"(?:/[\w.~%-]+)+/?(?:\?[\w.~%=&+-]*)?", re.ASCII)
_WORKSPACE = rf"/workspaces/{{workspace:{_NAME}}}"
_PACKAGE = rf"{_WORKSPACE}/packages/{{package:{_NAME}}}"
_TAG = rf"{_PACKAGE}/tags/{{tag:{TAG.pattern}}}"


@in_thread
def show_login(request: web.Request) -> web.Response:
    """Ask for user name and token."""
    return page(request, "login.html", None, failed=False, user="", next=_next(request))


async def log_in(request: web.Request) -> web.Response:
    """Start a session, and go on to the page that was asked for."""
    form = await read_form(request)
    user, token = form.get("user", ""), form.get("token", "")
    account = check(request.app[CONTEXT].world, user, token)
    if account is None or not from_own_page(request):
        values = {"failed": True, "user": user, "next": _next(request)}
        return await asyncio.to_thread(page, request, "login.html", None, HTTPStatus.UNAUTHORIZED, **values)
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
        side=visit.place(workspace.slug, project, repository, listed=True),
        linked=f"{workspace.slug}/{repository}" if repository else "",
        packages=catalogue.packages(workspace.slug, project, repository),
        usage=catalogue.usage(workspace),
    )


@visited
@in_thread
def show_package(visit: Visit) -> web.Response:
    """Show an image and its tags."""
    listed = visit.catalogue.package(visit["workspace"], visit["package"])
    view = tag_view(listed.tags, visit.request.query)
    return visit.page(
        "package.html",
        listed=listed,
        view=view,
        offered=visit.catalogue.summary(listed, view.offered) if view.offered else None,
        tags=[visit.catalogue.summary(listed, tag) for tag in view.tags],
        **visit.place_of(listed.package),
    )


@visited
@in_thread
def show_tag(visit: Visit) -> web.Response:
    """Show all there is to know of a tag."""
    listed = visit.catalogue.package(visit["workspace"], visit["package"])
    details = visit.catalogue.tag(listed, visit["tag"])
    return visit.page("tag.html", listed=listed, details=details, **visit.place_of(listed.package))


@visited
@in_thread
def ask_for_package(visit: Visit) -> web.Response:
    """Ask for a new package's name and repository."""
    workspace = visit.request.match_info.get("workspace")
    repository = visit.request.query.get("repository", "")
    return _creation(visit, name="", repository=f"{workspace}/{repository}" if workspace else repository)


@visited
async def create_package(visit: Visit) -> web.Response:
    """Create a package; say what is wrong beside the form, as it was filled in."""
    form = await visit.form()
    name, repository = form.get("name", "").strip(), form.get("repository", "")
    try:
        workspace, _, slug = repository.partition("/")
        package = visit.catalogue.create(workspace, name, slug)
    except Refused as refusal:
        return await asyncio.to_thread(_creation, visit, name, repository, refusal)
    raise see(visit, f"/workspaces/{package.workspace}/packages/{package.name}", "created")


@visited
@in_thread
def confirm_tag_deletion(visit: Visit) -> web.Response:
    """Ask whether a tag is really to be deleted."""
    listed = visit.catalogue.package(visit["workspace"], visit["package"], Role.WRITE)
    details = visit.catalogue.tag(listed, visit["tag"])
    if not listed.may_delete(visit["tag"]):
        raise Refused(403, f"Tag {visit['tag']!r} is protected: only an admin of the workspace may delete it.")
    return visit.page("delete_tag.html", details=details, **visit.place_of(listed.package))


@visited
async def delete_tag(visit: Visit) -> web.Response:
    """Delete a tag."""
    await visit.form()
    await visit.catalogue.delete_tag(visit["workspace"], visit["package"], visit["tag"])
    raise see(visit, f"/workspaces/{visit['workspace']}/packages/{visit['package']}", "tag-deleted")


@visited
@in_thread
def confirm_image_deletion(visit: Visit) -> web.Response:
    """Ask whether an image is really to be deleted."""
    listed = visit.catalogue.package(visit["workspace"], visit["package"], Role.ADMIN)
    if not listed.may_delete_image:
        raise Refused(403, "The image has protected tags: only an admin of the workspace may delete it.")
    return visit.page("delete_image.html", listed=listed, **visit.place_of(listed.package))


@visited
async def delete_image(visit: Visit) -> web.Response:
    """Delete an image with all its tags."""
    await visit.form()
    await visit.catalogue.delete_package(visit["workspace"], visit["package"])
    raise see(visit, f"/workspaces/{visit['workspace']}", "image-deleted")


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
            web.get("/create", ask_for_package),
            web.post("/create", create_package),
            web.get(rf"{_WORKSPACE}/create", ask_for_package),
            web.get(rf"{_WORKSPACE}/settings", show_settings),
            web.post(rf"{_WORKSPACE}/settings", save_settings),
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
    repositories = visit.catalogue.linkable()
    if not repositories:
        raise Refused(403, "Creating a package needs the role Admin on a repository.")
    return visit.page(
        "create.html",
        refusal.status if refusal else HTTPStatus.OK,
        repositories=repositories,
        linked=repository,
        name=name,
        repository=repository,
        problem=str(refusal) if refusal else None,
    )


def _next(request: web.Request) -> str:
    path = request.query.get("next", "/")
    return path if _OWN_PATH.fullmatch(path) else "/"
