"""What an account sees of the workspaces, and what it may change there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from registry.gateway.access import role_on
from registry.gateway.collector import COLLECTOR
from registry.gateway.context import CONTEXT
from registry.gateway.images import Images
from registry.gateway.listings import Listed, TagDetails, TagSummary
from registry.gateway.packages import PackageError
from registry.gateway.storage import Storage
from registry.gateway.world import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aiohttp import web

    from registry.gateway.storage import Tag
    from registry.gateway.tag_rules import TagPolicy
    from registry.gateway.world import Account, Package, Repository, Workspace


class Refused(Exception):  # noqa: N818 - it is an answer, with a status
    """What was asked for cannot be had; the text says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Catalogue:
    """The packages of one visitor: what the account cannot read does not exist for it."""

    def __init__(self, app: web.Application, account: Account) -> None:
        context = app[CONTEXT]
        self.account = account
        self._world = context.world
        self._packages = context.packages
        self._pushes = context.pushes
        self._settings = context.settings
        self._storage = Storage(context.storage)
        self._images = Images(self._storage)
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
            images=tuple(self._images.behind(tag.digest)),
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
            platforms=self._images.platforms(tag.digest),
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
        """Delete one tag, whatever else refers to its manifest; needs Write, for a protected one an admin."""
        repository = self._found(slug, name, Role.WRITE).path
        async with self._pushes.manifest_lock(repository):
            if self._storage.tag_digest(repository, tag) is not None:
                self._check_protection(slug, [tag])
            removed = self._storage.remove_tag(repository, tag)
        if not removed:
            raise Refused(404, f"There is no tag {tag!r} in package {repository!r}.")
        self._collector.ask()

    async def delete_package(self, slug: str, name: str) -> None:
        """Delete an image with all its tags; needs Admin, with protected tags an admin of the workspace."""
        package = self._found(slug, name, Role.ADMIN)
        async with self._pushes.manifest_lock(package.path):
            self._check_protection(slug, [tag.name for tag in self._storage.tags(package.path)])
            self._packages.delete(package)
            self._storage.remove_repository(package.path)
        self._collector.ask()

    def _check_protection(self, slug: str, tags: list[str]) -> None:
        """Refuse with 403 to delete protected tags, unless the account is an admin of the workspace."""
        policy = self._settings.tags(slug)
        protected = [tag for tag in tags if policy.protects(tag)]
        if protected and not self.account.administers(slug):
            what = f"Tag {protected[0]!r} is" if len(protected) == 1 else f"{len(protected)} tags are"
            raise Refused(403, f"{what} protected: only an admin of workspace {slug!r} may delete that.")

    def may_set(self, slug: str) -> bool:
        """Return whether the account may change a workspace's settings: its admins may, and operators."""
        return self.account.administers(slug) or self.account.operator

    def tag_policy(self, slug: str) -> TagPolicy:
        """Return how a workspace protects its tags; refuse with 404 if there is none, with 403 to all but admins."""
        if slug not in self._world.workspaces or not (
            self.may_set(slug) or self._readable(self._world.workspaces[slug])
        ):
            raise Refused(404, f"There is no workspace {slug!r} that {self.account.name} can read.")
        if not self.may_set(slug):
            raise Refused(403, f"Only an admin of workspace {slug!r} may see and change its settings.")
        return self._settings.tags(slug)

    def set_tag_policy(self, slug: str, policy: TagPolicy) -> None:
        """Change how a workspace protects its tags; refuses as `tag_policy` does."""
        self.tag_policy(slug)
        self._settings.set_tags(slug, policy)

    def _readable(self, workspace: Workspace) -> bool:
        return bool(self.repositories(workspace))

    def _listed(self, package: Package) -> Listed:
        visible = self._visible()
        contents = frozenset(self._contents(package.path))
        tags = tuple(self._storage.tags(package.path, visible))
        policy = self._settings.tags(package.workspace)
        return Listed(
            package=package,
            repository=self._world.workspaces[package.workspace].repositories[package.repository],
            role=role_on(self.account, package),
            tags=tags,
            contents=contents,
            size=self._size(contents),
            protected=frozenset(tag.name for tag in tags if policy.protects(tag.name)),
            administers=self.account.administers(package.workspace),
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

    def _size(self, digests: Iterable[str]) -> int:
        return sum(self._storage.size(digest) for digest in set(digests))
