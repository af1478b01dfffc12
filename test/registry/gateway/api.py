"""What the pages show and do, as JSON for tests: the same accounts by Basic login, same rules."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from registry.gateway.catalogue import Catalogue, Refused
from registry.gateway.collector import COLLECTOR
from registry.gateway.context import CONTEXT
from registry.gateway.forms import read_json
from registry.gateway.layout import TAG
from registry.gateway.login import authenticate
from registry.gateway.sessions import from_own_page
from registry.gateway.tag_rules import PolicyError, read_policy, try_pattern
from registry.gateway.threads import in_thread
from registry.gateway.world import Role

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Handler

    from registry.gateway.listings import Listed, TagDetails

_PACKAGE = "/api/packages/{workspace}/{package}"
_TAG = _PACKAGE + f"/tags/{{tag:{TAG.pattern}}}"
_FIELDS = ("workspace", "name", "repository")


def _known(
    handler: Callable[[web.Request, Catalogue], Awaitable[web.Response]],
) -> Handler:
    """Let only known accounts in, and tell them why something is refused."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        account = authenticate(request, request.app[CONTEXT].world)
        if account is None:
            headers = {"WWW-Authenticate": 'Basic realm="packages"'}
            return web.json_response({"error": "log in with Basic"}, status=401, headers=headers)
        if request.method not in ("GET", "HEAD") and not from_own_page(request):
            return web.json_response({"error": "a page of another site sent this"}, status=403)
        try:
            return await handler(request, Catalogue(request.app, account))
        except Refused as refusal:
            return web.json_response({"error": str(refusal)}, status=refusal.status)

    return answer


@_known
@in_thread
def show_workspace(request: web.Request, catalogue: Catalogue) -> web.Response:
    """Answer with a workspace's repositories and the bytes it uses."""
    workspace = catalogue.workspace(request.match_info["workspace"])
    return web.json_response(
        {
            "workspace": workspace.slug,
            "repositories": [asdict(each) for each in catalogue.repositories(workspace)],
            "storage_used": catalogue.usage(workspace),
        }
    )


@_known
@in_thread
def list_packages(request: web.Request, catalogue: Catalogue) -> web.Response:
    """List a workspace's packages, or those of `?project=` or `?repository=`."""
    packages = catalogue.packages(
        request.match_info["workspace"],
        request.query.get("project"),
        request.query.get("repository"),
    )
    return web.json_response({"packages": [_package(listed) for listed in packages]})


@_known
async def create_package(request: web.Request, catalogue: Catalogue) -> web.Response:
    """Create a package from an object with `workspace`, `name` and `repository`."""
    fields = await _sent(request)
    values = [value for name in _FIELDS if isinstance(value := fields.get(name), str)]
    if len(values) < len(_FIELDS):
        raise Refused(400, f"Send an object with the texts {', '.join(_FIELDS)}.")
    return web.json_response(asdict(catalogue.create(*values)), status=HTTPStatus.CREATED)


@_known
@in_thread
def show_package(request: web.Request, catalogue: Catalogue) -> web.Response:
    """Answer with an image and its tags, newest first."""
    listed = catalogue.package(request.match_info["workspace"], request.match_info["package"])
    tags = [{"name": tag.name, "digest": tag.digest, "pushed": tag.pushed.isoformat()} for tag in listed.tags]
    return web.json_response({**_package(listed), "tags": tags})


@_known
@in_thread
def show_tag(request: web.Request, catalogue: Catalogue) -> web.Response:
    """Answer with a tag."""
    listed = catalogue.package(request.match_info["workspace"], request.match_info["package"])
    details = catalogue.tag(listed, request.match_info["tag"])
    return web.json_response(_tag(details, protected=details.tag.name in listed.protected))


@_known
async def delete_tag(request: web.Request, catalogue: Catalogue) -> web.Response:
    """Delete a tag."""
    parts = request.match_info
    await catalogue.delete_tag(parts["workspace"], parts["package"], parts["tag"])
    return web.Response(status=HTTPStatus.NO_CONTENT)


@_known
async def delete_package(request: web.Request, catalogue: Catalogue) -> web.Response:
    """Delete an image with all its tags."""
    await catalogue.delete_package(request.match_info["workspace"], request.match_info["package"])
    return web.Response(status=HTTPStatus.NO_CONTENT)


@_known
async def collect(request: web.Request, catalogue: Catalogue) -> web.Response:
    """Collect garbage now, and answer with what that removed."""
    if Role.ADMIN not in catalogue.account.roles.values():
        raise Refused(403, "This needs the role Admin on some repository.")
    return web.json_response(asdict(await request.app[COLLECTOR].collect()))


@_known
async def show_tag_settings(request: web.Request, catalogue: Catalogue) -> web.Response:
    """Answer with how a workspace protects its tags."""
    return web.json_response(catalogue.tag_policy(request.match_info["workspace"]).as_object())


@_known
async def set_tag_settings(request: web.Request, catalogue: Catalogue) -> web.Response:
    """Replace how a workspace protects its tags by an object with the keys of `tags` in a world."""
    workspace = request.match_info["workspace"]
    catalogue.tag_policy(workspace)
    try:
        policy = await asyncio.to_thread(read_policy, await _sent(request))
    except PolicyError as error:
        raise Refused(400, str(error)) from error
    catalogue.set_tag_policy(workspace, policy)
    return web.json_response(policy.as_object())


@_known
async def check_tag_pattern(request: web.Request, _: Catalogue) -> web.Response:
    """Answer whether the `pattern` of an object matches its `tag`."""
    fields = await _sent(request)
    pattern, tag = fields.get("pattern"), fields.get("tag")
    if not isinstance(pattern, str) or not isinstance(tag, str):
        raise Refused(400, "Send an object with the texts pattern, tag.")
    try:
        found = await asyncio.to_thread(try_pattern, pattern, tag)
    except PolicyError as error:
        raise Refused(400, str(error)) from error
    return web.json_response({"matches": found})


async def show_missing(request: web.Request) -> web.Response:
    """Answer for what nothing else answers for."""
    return web.json_response({"error": f"there is no {request.method} of {request.path}"}, status=404)


def add_routes(app: web.Application) -> None:
    """Add everything under `/api/` that the pages know."""
    app.add_routes(
        [
            web.get("/api/workspaces/{workspace}", show_workspace),
            web.get("/api/workspaces/{workspace}/tags", show_tag_settings),
            web.put("/api/workspaces/{workspace}/tags", set_tag_settings),
            web.post("/api/patterns", check_tag_pattern),
            web.get("/api/packages/{workspace}", list_packages),
            web.post("/api/packages", create_package),
            web.get(_PACKAGE, show_package),
            web.delete(_PACKAGE, delete_package),
            web.get(_TAG, show_tag),
            web.delete(_TAG, delete_tag),
            web.post("/api/collections", collect),
            web.route("*", "/api/{rest:.*}", show_missing),
        ]
    )


async def _sent(request: web.Request) -> dict[str, Any]:
    """Return the object that was sent; refuse what is none."""
    if request.content_type != "application/json":
        # No form of another site can send this type, whoever is logged in to this one.
        raise Refused(415, "Send application/json.")
    fields = await read_json(request)
    if fields is None:
        raise Refused(400, "Send a JSON object.")
    return fields


def _package(listed: Listed) -> dict[str, Any]:
    return {
        **asdict(listed.package),
        "project": listed.repository.project,
        "role": listed.role.name.lower(),
        "tags": [tag.name for tag in listed.tags],
        "size": listed.size,
        "pushed": listed.pushed.isoformat() if listed.pushed else None,
    }


def _tag(details: TagDetails, *, protected: bool) -> dict[str, Any]:
    return {
        "name": details.tag.name,
        "digest": details.tag.digest,
        "media_type": details.media_type,
        "artifact_type": details.artifact_type,
        "size": details.size,
        "pushed": details.tag.pushed.isoformat(),
        "same": list(details.same),
        "protected": protected,
        "images": [
            {
                "digest": image.digest,
                "platform": image.platform,
                "size": image.size,
                "created": image.created.isoformat() if image.created else None,
                "revision": image.revision,
                "layers": [asdict(layer) for layer in image.layers],
            }
            for image in details.images
        ],
    }
