"""The world the registry serves: workspaces, repositories, packages and accounts (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.gateway.tag_rules import TagPolicy

# One path component of a repository's name, as the distribution specification allows it.
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_LONGEST_NAME = 128


class Role(IntEnum):
    """What an account may do on a repository; each role includes the ones before it."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Repository:
    """A source repository; packages linked to it inherit its permissions."""

    workspace: str
    project: str
    slug: str


@dataclass(frozen=True, slots=True)
class Package:
    """One container image's place, linked to the repository `repository` (a slug)."""

    workspace: str
    name: str
    repository: str

    @property
    def path(self) -> str:
        """The name under `/v2/`: `<workspace>/<package>`."""
        return f"{self.workspace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace with its projects' keys, its repositories by slug, its first packages and first settings."""

    slug: str
    projects: tuple[str, ...]
    repositories: Mapping[str, Repository]
    packages: tuple[Package, ...]
    tags: TagPolicy


@dataclass(frozen=True, slots=True)
class Account:
    """A user name and token; `roles` by (workspace, repository slug), none of them above `scope`."""

    name: str
    token: str = field(repr=False)
    roles: Mapping[tuple[str, str], Role]
    scope: Role
    operator: bool = False
    """Whether it may set faults on, and see, everyone's requests."""
    workspaces: frozenset[str] = frozenset()
    """Those that it is an admin of; `roles` has all their repositories."""

    def administers(self, workspace: str) -> bool:
        """Return whether this account's token may do what only an admin of the workspace may."""
        return self.scope >= Role.ADMIN and workspace in self.workspaces

    @property
    def may_create(self) -> bool:
        """Whether the account may link a package to some repository."""
        return any(min(self.scope, role) >= Role.ADMIN for role in self.roles.values())

    def role_on(self, workspace: str, repository: str) -> Role:
        """Return what this account's token may do on a repository."""
        return min(self.scope, self.roles.get((workspace, repository), Role.NONE))


@dataclass(frozen=True, slots=True)
class World:
    """Everything the file describes."""

    workspaces: Mapping[str, Workspace]
    accounts: Mapping[str, Account]


def valid_package_name(name: str) -> bool:
    """Tell whether `name` may be a package's name (one path component of a reference)."""
    return len(name) <= _LONGEST_NAME and _COMPONENT.fullmatch(name) is not None
