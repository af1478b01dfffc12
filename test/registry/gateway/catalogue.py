"""What an account sees of the workspaces, and what it may change there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from registry.gateway.access import role_on
from registry.gateway.collector import COLLECTOR
from registry.gateway.context import CONTEXT
from registry.gateway.documents import read_object
from registry.gateway.manifests import platform_name
from registry.gateway.packages import PackageError
from registry.gateway.storage import Storage
from registry.gateway.world import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aiohttp import web

    from registry.gateway.manifests import Descriptor, Manifest
    from registry.gateway.storage import Tag
    from registry.gateway.world import Account, Package, Repository, Workspace


class Refused(Exception):  # noqa: N818 - it is an answer, with a status
    """What was asked for cannot be had; the text says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Listed:
    """A package as its visitor sees it. Sizes in bytes."""

    package: Package
    repository: Repository
    role: Role
    tags: tuple[Tag, ...]
    """Newest first."""
    contents: frozenset[str]
    """Digests of all its manifests and blobs, those of deleted tags too until they are collected."""
    size: int
    """What all those take."""

    @property
    def pushed(self) -> datetime | None:
        """When a tag was last pushed."""
        return self.tags[0].pushed if self.tags else None


@dataclass(frozen=True, slots=True)
class Image:
    """One image behind a tag: its platform, layers and size."""

    digest: str
    platform: str
    layers: tuple[Descriptor, ...]
    size: int


@dataclass(frozen=True, slots=True)
class TagSummary:
    """What a list shows of a tag."""

    tag: Tag
    media_type: str
    artifact_type: str
    """What it holds, if that is no image."""
    size: int
    """Bytes of all blobs and manifests, each once."""
    platforms: tuple[str, ...]
    """The platforms that the tag has an image for, each once."""

    @property
    def pull(self) -> str:
        """How the command begins that pulls it."""
        return "oras pull " if self.artifact_type else "docker pull "


@dataclass(frozen=True, slots=True)
class TagDetails(TagSummary):
    """All there is to know of a tag."""

    images: tuple[Image, ...]
    same: tuple[str, ...]
    """Other tags of the same manifest."""


class Catalogue:
    """The packages of one visitor: what the account cannot read does not exist for it."""

    def __init__(self, app: web.Application, account: Account) -> None:
        context = app[CONTEXT]
        self.account = account
        self._world = context.world
        self._packages = context.packages
        self._pushes = context.pushes
        self._storage = Storage(context.storage)
        self._collector = app[COLLECTOR]
        self._delay = timedelta(seconds=context.options.visible_delay)

    def workspaces(self) -> list[Workspace]:
        """All workspaces in which the account can read something."""
        return [each for each in self._world.workspaces.values() if self._readable(each)]

    def linkable(self) -> list[Repository]:
        """Return the repositories of all workspaces to which the account may link a package."""
        return [each for workspace in self.workspaces() for each in self.repositories(workspace, Role.ADMIN)]

    def workspace(self, slug: str) -> Workspace:
        """Return one workspace, or refuse with 404."""
        found = self._world.workspaces.get(slug)
        if found is None or not self._readable(found):
            raise Refused(404, f"There is no workspace {slug!r} that {self.account.name} can read.")
        return found

    def repositories(
        self, workspace: Workspace, role: Role = Role.READ, project: str | None = None
    ) -> list[Repository]:
        """Return the repositories on which the account has at least `role`."""
        return [
            repository
            for repository in workspace.repositories.values()
            if project in (None, repository.project) and self.account.role_on(workspace.slug, repository.slug) >= role
        ]

    def packages(self, slug: str, project: str | None = None, repository: str | None = None) -> list[Listed]:
        """List a workspace's packages, or those of one project or repository; 404 if unknown."""
        workspace = self.workspace(slug)
        readable = self.repositories(workspace, project=project)
        shown = {each.slug for each in readable if repository in (None, each.slug)}
        if not shown:
            raise Refused(404, f"Workspace {slug!r} has no such project or repository to read.")
        found = self._packages.in_workspace(slug)
        return [self._listed(package) for package in found if package.repository in shown]

    def package(self, slug: str, name: str, role: Role = Role.READ) -> Listed:
        """Return a package; refuse with 404 if it is not there, with 403 below `role`."""
        return self._listed(self._found(slug, name, role))

    def _found(self, slug: str, name: str, role: Role) -> Package:
        workspace = self.workspace(slug)
        package = self._packages.find(workspace.slug, name)
        if package is None or role_on(self.account, package) < Role.READ:
            raise Refused(404, f"There is no package {name!r} in workspace {slug!r}.")
        if role_on(self.account, package) < role:
            need = f"the role {role.name.title()} on repository {package.repository!r}"
            raise Refused(403, f"This needs {need}, which {self.account.name} does not have.")
        return package

    def tag(self, listed: Listed, name: str) -> TagDetails:
        """Return a tag; refuse with 404 if it is not there."""
        tag = next((each for each in listed.tags if each.name == name), None)
        if tag is None:
            raise Refused(404, f"There is no tag {name!r} in package {listed.package.path!r}.")
        summary = self.summary(listed, tag)
        same = (each.name for each in listed.tags if each.digest == tag.digest)
        return TagDetails(
            tag=tag,
            media_type=summary.media_type,
            artifact_type=summary.artifact_type,
            size=summary.size,
            platforms=summary.platforms,
            images=tuple(self._images(tag.digest)),
            same=tuple(each for each in same if each != name),
        )

    def summary(self, listed: Listed, tag: Tag) -> TagSummary:
        """Return what a list shows of one of a package's tags."""
        manifest = self._storage.manifest(tag.digest)
        return TagSummary(
            tag=tag,
            media_type=manifest.media_type,
            artifact_type=manifest.artifact_type,
            # What a manifest names and the repository does not have is not its own to show.
            size=self._size({*self._everything(tag.digest)}.intersection(listed.contents)),
            platforms=tuple(dict.fromkeys(image.platform for image in self._images(tag.digest))),
        )

    def usage(self, workspace: Workspace) -> int:
        """Return the bytes that a workspace takes, each blob counted once."""
        return self._size(
            digest for repository in self._storage.repositories(workspace.slug) for digest in self._contents(repository)
        )

    def create(self, slug: str, name: str, repository: str) -> Package:
        """Create a package linked to a repository; needs Admin there.

        Raises:
            Refused: 400 for a name that cannot be had, 403 without the role, 409 for one taken.

        """
        workspace = self.workspace(slug)
        if self.account.role_on(workspace.slug, repository) < Role.ADMIN:
            raise Refused(
                403,
                f"Creating a package needs the role Admin on repository {repository!r}, "
                f"which {self.account.name} does not have.",
            )
        if self._packages.find(workspace.slug, name):
            raise Refused(409, f"Workspace {slug!r} has a package {name!r} already.")
        try:
            package = self._packages.create(workspace.slug, name, repository)
        except PackageError as error:
            raise Refused(400, str(error)) from error
        # A push that ended after the deletion of an image of this name may have left something.
        self._storage.remove_repository(package.path)
        return package

    async def delete_tag(self, slug: str, name: str, tag: str) -> None:
        """Delete one tag, whatever else refers to its manifest; needs Write."""
        repository = self._found(slug, name, Role.WRITE).path
        async with self._pushes.manifest_lock(repository):
            removed = self._storage.remove_tag(repository, tag)
        if not removed:
            raise Refused(404, f"There is no tag {tag!r} in package {repository!r}.")
        self._collector.ask()

    async def delete_package(self, slug: str, name: str) -> None:
        """Delete an image with all its tags; needs Admin."""
        package = self._found(slug, name, Role.ADMIN)
        async with self._pushes.manifest_lock(package.path):
            self._packages.delete(package)
            self._storage.remove_repository(package.path)
        self._collector.ask()

    def _readable(self, workspace: Workspace) -> bool:
        return bool(self.repositories(workspace))

    def _listed(self, package: Package) -> Listed:
        visible = self._visible()
        contents = frozenset(self._contents(package.path))
        return Listed(
            package=package,
            repository=self._world.workspaces[package.workspace].repositories[package.repository],
            role=role_on(self.account, package),
            tags=tuple(self._storage.tags(package.path, visible)),
            contents=contents,
            size=self._size(contents),
        )

    def _visible(self) -> datetime | None:
        """Return until when something has to have been pushed to be seen; None for any time."""
        return datetime.now(UTC) - self._delay if self._delay else None

    def _contents(self, repository: str) -> list[str]:
        visible = self._visible()
        return self._storage.layers(repository, visible) + self._storage.revisions(repository, visible)

    def _everything(self, digest: str) -> Iterator[str]:
        for each, manifest in self._storage.reachable(digest):
            yield each
            yield from manifest.named

    def _images(self, digest: str) -> Iterator[Image]:
        """Yield all images that a manifest leads to, each once."""
        manifests: dict[str, Manifest] = {}
        platforms: dict[str, dict[str, None]] = {digest: {}}
        ahead = [digest]
        while ahead:
            digest = ahead.pop()
            manifests[digest] = self._storage.manifest(digest)
            members = [each for each in manifests[digest].manifests if not each.attestation]
            ahead += reversed(dict.fromkeys(each.digest for each in members if each.digest not in platforms))
            for each in members:
                platforms.setdefault(each.digest, {}).update({each.platform: None} if each.platform else {})
        for digest, manifest in manifests.items():
            if manifest.config:
                yield Image(
                    digest=digest,
                    platform=", ".join(platforms[digest]) or self._platform(manifest.config.digest),
                    layers=manifest.layers,
                    size=sum(blob.size for blob in manifest.blobs),
                )

    def _platform(self, config: str) -> str:
        fields = read_object(self._storage.content(config) or b"")
        return "configuration not readable" if fields is None else platform_name(fields) or "unknown"

    def _size(self, digests: Iterable[str]) -> int:
        return sum(self._storage.size(digest) for digest in set(digests))
