"""The registry's API under `/v2/`: who may do what, then on to Distribution."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from registry.gateway.access import allowed_actions
from registry.gateway.errors import oci_error
from registry.gateway.exchange import EXCHANGE
from registry.gateway.layout import tag_link
from registry.gateway.manifests import DIGEST
from registry.gateway.pushes import TagPushed
from registry.gateway.relay import Relay, broken
from registry.gateway.targets import METHODS, Kind, Target, TargetError, read_target

if TYPE_CHECKING:
    from registry.gateway.backend import Backend
    from registry.gateway.callers import Caller, Gate
    from registry.gateway.context import Context
    from registry.gateway.uploads import Uploads

_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
# Distribution takes no larger one (registry/handlers/manifests.go, maxManifestBodySize).
MAX_MANIFEST = 4 << 20


class Registry:
    """Answers every request under `/v2/`."""

    def __init__(self, context: Context, backend: Backend, gate: Gate, uploads: Uploads) -> None:
        """Pass on to `backend` what `gate` lets in."""
        self._context = context
        self._backend = backend
        self._gate = gate
        self._uploads = uploads

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if request.method == "DELETE":
            return _unsupported(request.method)
        try:
            target = read_target(request.path)
        except TargetError as error:
            return oci_error(error.status, error.code, str(error))
        if request.method not in METHODS[target.kind]:
            return _unsupported(f"{request.method} of {target.kind}")
        caller = self._gate.caller(request)
        if caller is None:
            return self._gate.challenge(request, _scope(request.method, target))
        if target.kind is Kind.BASE:
            return web.json_response({}, headers=_VERSION)
        refusal = self._refusal(request, target, caller)
        if refusal is not None:
            return refusal
        relay = Relay(self._backend, request, request[EXCHANGE])
        try:
            return await self._serve(request, target, caller, relay)
        except aiohttp.ClientError as error:
            return broken(error)

    def _refusal(
        self, request: web.Request, target: Target, caller: Caller
    ) -> web.Response | None:
        """Return why the caller may not do this; None if it may."""
        package = self._context.packages.find(target.workspace, target.package)
        if package is None:
            return oci_error(
                HTTPStatus.NOT_FOUND,
                "NAME_UNKNOWN",
                f"package {target.package} does not exist in this workspace",
                {"name": target.repository},
            )
        action = _action(request.method, target.kind)
        if action not in allowed_actions(caller.account, package):
            return oci_error(
                HTTPStatus.FORBIDDEN,
                "DENIED",
                f"{caller.account.name} may not {action} {target.repository}, "
                f"which is linked to repository {package.repository}",
                {"name": target.repository, "action": action},
            )
        if not caller.in_scope(target.repository, action):
            return self._gate.challenge(request, _scope(request.method, target), "insufficient_scope")
        return None

    async def _serve(
        self, request: web.Request, target: Target, caller: Caller, relay: Relay
    ) -> web.StreamResponse:
        pushes = self._context.pushes
        match target.kind:
            case Kind.UPLOADS:
                return await self._uploads.start(
                    request, relay, target.repository, self._mount(request, target, caller)
                )
            case Kind.UPLOAD:
                digest = request.query.get("digest", "")
                if request.method == "PUT" and DIGEST.fullmatch(digest):
                    pushes.lease(target.repository, digest, caller.push)
                return await self._uploads.go_on(request, relay, target)
            case Kind.MANIFEST if request.method == "PUT":
                return await self._put_manifest(request, target, caller, relay)
        if request.method == "HEAD" and target.by_digest and self._may_push(target, caller):
            lease = pushes.lease if target.kind is Kind.BLOB else pushes.lease_manifest
            lease(target.repository, target.reference, caller.push)
        async with relay.ask(target.path) as answer:
            return await relay.answer(answer)

    def _may_push(self, target: Target, caller: Caller) -> bool:
        package = self._context.packages.find(target.workspace, target.package)
        return (
            package is not None
            and "push" in allowed_actions(caller.account, package)
            and caller.in_scope(target.repository, "push")
        )

    def _mount(self, request: web.Request, target: Target, caller: Caller) -> str:
        """Return the query of a mount that is allowed; an empty one opens an upload instead."""
        digest, source = request.query.get("mount", ""), request.query.get("from", "")
        workspace, _, name = source.partition("/")
        package = self._context.packages.find(workspace, name)
        if (
            DIGEST.fullmatch(digest) is None
            or package is None
            or workspace != target.workspace
            or "pull" not in allowed_actions(caller.account, package)
            or not caller.in_scope(source, "pull")
        ):
            return ""
        self._context.pushes.lease(target.repository, digest, caller.push)
        return "?" + urlencode({"mount": digest, "from": source})

    async def _put_manifest(
        self, request: web.Request, target: Target, caller: Caller, relay: Relay
    ) -> web.StreamResponse:
        content = relay.body(MAX_MANIFEST)
        body = await content.read() if content.ended is None else b""
        if content.ended is not None:
            return oci_error(
                HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", f"larger than {MAX_MANIFEST} bytes"
            )
        pushes = self._context.pushes
        pushes.put(target.repository, body, caller.push)
        previous = self._tagged(target)
        async with relay.ask(target.path, body) as answer:
            if answer.status == HTTPStatus.CREATED and not target.by_digest:
                digest = answer.headers["Docker-Content-Digest"]
                event = TagPushed(target.repository, target.reference, digest, previous)
                pushes.tagged(event, body, caller.push)
            return await relay.answer(answer)

    def _tagged(self, target: Target) -> str | None:
        """Return the digest that a tag names now."""
        if target.by_digest:
            return None
        link = tag_link(self._context.storage, target.repository, target.reference)
        try:
            return link.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None


def _action(method: str, kind: Kind) -> str:
    reads = method in ("GET", "HEAD") and kind is not Kind.UPLOAD
    return "pull" if reads else "push"


def _scope(method: str, target: Target) -> str:
    """Return the scope a token needs for this request."""
    if target.kind is Kind.BASE:
        return ""
    actions = "pull" if _action(method, target.kind) == "pull" else "pull,push"
    return f"repository:{target.repository}:{actions}"


def _unsupported(what: str) -> web.Response:
    return oci_error(
        HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", f"{what} is not supported"
    )
