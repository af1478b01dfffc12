"""The registry's API under `/v2/`: who may do what, then on to Distribution."""

from __future__ import annotations

import asyncio
import contextlib
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from aiohttp import web

from registry.gateway.access import allowed_actions
from registry.gateway.body import Ended
from registry.gateway.documents import LARGEST
from registry.gateway.errors import RefusedError, oci_error
from registry.gateway.exchange import EXCHANGE
from registry.gateway.manifests import (
    DIGEST,
    MOST_BELOW,
    MOST_CHILDREN,
    MOST_LEVELS,
    ONLY_SHA256,
    media_types_of,
    problem_of,
)
from registry.gateway.pushes import TagPushed
from registry.gateway.relay import Relay
from registry.gateway.storage import Storage
from registry.gateway.targets import METHODS, Kind, Target, TargetError, read_target

if TYPE_CHECKING:
    from registry.gateway.backend import Backend
    from registry.gateway.callers import Caller, Gate
    from registry.gateway.context import Context
    from registry.gateway.faults import Fault
    from registry.gateway.tag_rules import Rejection
    from registry.gateway.uploads import Uploads

# A manifest is small: whoever takes longer does not mean to send one.
_MANIFEST_SECONDS = 60.0
_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
_MEDIA_TYPES = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)


class Registry:
    """Answers every request under `/v2/`."""

    def __init__(self, context: Context, backend: Backend, gate: Gate, uploads: Uploads) -> None:
        """Pass on to `backend` what `gate` lets in."""
        self._context = context
        self._backend = backend
        self._gate = gate
        self._uploads = uploads
        self._storage = Storage(context.storage)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            target = _target(request)
            caller = self._admitted(request, target)
            if target.kind is Kind.BASE:
                return web.json_response({}, headers=_VERSION)
            return await self._serve(request, target, caller, Relay(self._backend, request, request[EXCHANGE]))
        except RefusedError as refused:
            return refused.answer

    def _admitted(self, request: web.Request, target: Target) -> Caller:
        """Return who sent the request.

        Raises:
            RefusedError: nobody known, or one who may not do this.

        """
        caller = self._gate.caller(request)
        if caller is None:
            raise RefusedError(self._gate.challenge(request, _scope(request.method, target)))
        if target.kind is Kind.BASE:
            return caller
        package = self._context.packages.find(target.workspace, target.package)
        if package is None or not self._may_know(caller, target.workspace):
            message = f"package {target.package} does not exist in this workspace"
            detail = {"name": target.repository}
            raise RefusedError(oci_error(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", message, detail))
        action = _action(request.method, target.kind)
        if action not in allowed_actions(caller.account, package):
            message = (
                f"{caller.account.name} may not {action} {target.repository}, "
                f"which is linked to repository {package.repository}"
            )
            detail = {"name": target.repository, "action": action}
            raise RefusedError(oci_error(HTTPStatus.FORBIDDEN, "DENIED", message, detail))
        if not caller.in_scope(target.repository, action):
            scope = _scope(request.method, target)
            raise RefusedError(self._gate.challenge(request, scope, "insufficient_scope"))
        return caller

    def _may_know(self, caller: Caller, workspace: str) -> bool:
        """Tell whether an account has some role in a workspace: to others nothing in it exists."""
        return any(of == workspace for of, _ in caller.account.roles)

    async def _serve(self, request: web.Request, target: Target, caller: Caller, relay: Relay) -> web.StreamResponse:
        pushes = self._context.pushes
        match target.kind:
            case Kind.UPLOADS:
                self._check_source(request, target, caller, relay.exchange.fault)
                query = self._mount(request, target, caller, relay.exchange.fault)
                return await self._uploads.start(request, relay, target.repository, query)
            case Kind.UPLOAD:
                digest = request.query.get("digest", "")
                if digest.startswith("sha512:"):
                    raise RefusedError(oci_error(400, "DIGEST_INVALID", ONLY_SHA256))
                if DIGEST.fullmatch(digest):
                    pushes.lease(target.repository, digest)
                return await self._uploads.go_on(request, relay, target)
            case Kind.MANIFEST if request.method == "PUT":
                return await self._put_manifest(target, relay)
        if self._may_push(target, caller):
            await self._lease_looked_at(request.method, target)
        accepted = request.headers.get("Accept", "")
        headers = {}
        if target.kind is Kind.MANIFEST and (not accepted or "*/*" in accepted):
            # To a client that names none of these, Distribution would give a manifest of another kind.
            headers = {"Accept": f"{_MEDIA_TYPES}, */*"}
        async with relay.ask(target.path, headers=headers) as answer:
            return await relay.answer(answer)

    async def _lease_looked_at(self, method: str, target: Target) -> None:
        """Lease what a push may count on, once it was told that it is there."""
        if target.kind is Kind.MANIFEST:
            digest = target.reference if target.by_digest else self._tagged(target)
            if digest is not None:
                body = await asyncio.to_thread(self._storage.content, digest)
                named = await asyncio.to_thread(self._storage.closure, body or b"")
                await self._lease_stored(target.repository, digest, *named.digests)
        elif method == "HEAD":
            await self._lease_stored(target.repository, target.reference)

    async def _lease_stored(self, repository: str, *digests: str) -> None:
        """Lease those of what a push names that are there: whoever brings the others leases them himself.

        So there are no more leases than blobs, whatever a client names.
        """
        stored = await asyncio.to_thread(lambda: [each for each in digests if self._storage.blob_changed(each)])
        self._context.pushes.lease(repository, *stored)

    def _may_push(self, target: Target, caller: Caller) -> bool:
        package = self._context.packages.find(target.workspace, target.package)
        return (
            package is not None
            and "push" in allowed_actions(caller.account, package)
            and caller.in_scope(target.repository, "push")
        )

    def _check_source(self, request: web.Request, target: Target, caller: Caller, fault: Fault | None) -> None:
        """Refuse a mount whose token does not cover its source, if a fault asks for what Distribution does.

        Raises:
            RefusedError: it holds the challenge for both repositories.

        """
        source = request.query.get("from", "")
        if fault is not None and fault.mount == "challenged" and source and not caller.in_scope(source, "pull"):
            scope = f"{_scope(request.method, target)} repository:{source}:pull"
            raise RefusedError(self._gate.challenge(request, scope, "insufficient_scope"))

    def _mount(self, request: web.Request, target: Target, caller: Caller, fault: Fault | None) -> str:
        """Return the query of a mount that is allowed; an empty one opens an upload instead."""
        digest, source = request.query.get("mount", ""), request.query.get("from", "")
        workspace, _, name = source.partition("/")
        package = self._context.packages.find(workspace, name)
        if (
            DIGEST.fullmatch(digest) is None
            or digest.startswith("sha512:")
            or (fault is not None and fault.mount == "ignored")
            or package is None
            or workspace != target.workspace
            or "pull" not in allowed_actions(caller.account, package)
            or not caller.in_scope(source, "pull")
            or self._storage.blob_changed(digest) is None
        ):
            return ""
        self._context.pushes.lease(target.repository, digest)
        return "?" + urlencode({"mount": digest, "from": source})

    async def _put_manifest(self, target: Target, relay: Relay) -> web.StreamResponse:
        body = await self._manifest(relay)
        pushes = self._context.pushes
        named = await asyncio.to_thread(self._storage.closure, body)
        if named.too_much:
            raise _invalid(
                f"a list may lead to {MOST_CHILDREN} manifests in {MOST_LEVELS} levels, itself included, "
                f"and these may name {MOST_BELOW} blobs and manifests"
            )
        digest = f"sha256:{sha256(body).hexdigest()}"
        pushes.lease(target.repository, digest)
        await self._lease_stored(target.repository, *named.digests)
        async with contextlib.AsyncExitStack() as answered:
            # Between the look at a protected tag and its change nobody else may push it.
            async with pushes.manifest_lock(target.repository):
                previous = None if target.by_digest else self._tagged(target)
                policy = self._context.settings.tags(target.workspace)
                if policy.rejects(target.reference, previous, digest):
                    raise RefusedError(_rejected(policy.rejection, target))
                answer = await answered.enter_async_context(relay.ask(target.path, body))
            if answer.status == HTTPStatus.CREATED and not target.by_digest:
                event = TagPushed(target.repository, target.reference, digest, previous)
                pushes.tagged(event)
            return await relay.answer(answer)

    async def _manifest(self, relay: Relay) -> bytes:
        """Return the manifest that was sent.

        Raises:
            RefusedError: it is not to be taken, or does not come.

        """
        deadline = asyncio.get_running_loop().time() + _MANIFEST_SECONDS
        content = relay.body(LARGEST, deadline)
        body = await content.read()
        if content.ended is Ended.TOO_LATE:
            message = f"the manifest did not come within {_MANIFEST_SECONDS:g} seconds"
            raise RefusedError(oci_error(HTTPStatus.REQUEST_TIMEOUT, "MANIFEST_INVALID", message))
        if content.ended is not None:
            raise _invalid(f"the manifest is larger than {LARGEST} bytes")
        if problem := await asyncio.to_thread(problem_of, body):
            raise _invalid(problem)
        await relay.exchange.take_manifest(await asyncio.to_thread(media_types_of, body))
        return body

    def _tagged(self, target: Target) -> str | None:
        """Return the digest that a tag names now."""
        return self._storage.tag_digest(target.repository, target.reference)


def _target(request: web.Request) -> Target:
    """Return what a request asks for.

    Raises:
        RefusedError: what nobody can have.

    """
    if request.method == "DELETE":
        raise _unsupported(request.method)
    try:
        target = read_target(request.path)
    except TargetError as error:
        raise RefusedError(oci_error(error.status, error.code, str(error))) from error
    if request.method not in METHODS[target.kind]:
        raise _unsupported(f"{request.method} of {target.kind}")
    return target


def _action(method: str, kind: Kind) -> str:
    reads = method in ("GET", "HEAD") and kind is not Kind.UPLOAD
    return "pull" if reads else "push"


def _scope(method: str, target: Target) -> str:
    """Return the scope a token needs for this request."""
    if target.kind is Kind.BASE:
        return ""
    # Whether a blob is there is what pushes ask first, and some clients keep the token they get for that.
    only_pulls = _action(method, target.kind) == "pull" and (method, target.kind) != ("HEAD", Kind.BLOB)
    actions = "pull" if only_pulls else "pull,push"
    return f"repository:{target.repository}:{actions}"


def _invalid(message: str) -> RefusedError:
    return RefusedError(oci_error(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", message))


def _rejected(rejection: Rejection, target: Target) -> web.Response:
    """Answer a push that would change a protected tag."""
    if rejection.body is not None:
        headers = {"Content-Type": rejection.content_type}
        return web.Response(status=rejection.status, body=rejection.body.encode(), headers=headers)
    message = rejection.message or f"tag {target.reference} is protected and cannot be overwritten"
    detail = {"name": target.repository, "tag": target.reference}
    return oci_error(rejection.status, rejection.code, message, detail)


def _unsupported(what: str) -> RefusedError:
    message = f"{what} is not supported"
    return RefusedError(oci_error(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", message))
