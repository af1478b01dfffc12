"""The world the registry serves: workspaces, repositories, packages and accounts, read from YAML.

Reading is strict: what cannot be meant is refused with the line it stands in. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# One path component of a repository's name, as the distribution specification allows it.
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_LONGEST_NAME = 128
SCOPES: Mapping[str, str] = {"read": "read:package:bitbucket", "write": "write:package:bitbucket"}


class WorldError(ValueError):
    """The world's file cannot be used; the text begins with `file:line:`."""


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
    """A workspace with its projects' keys, its repositories by slug and its first packages."""

    slug: str
    projects: tuple[str, ...]
    repositories: Mapping[str, Repository]
    packages: tuple[Package, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """A user name and token; `roles` by (workspace, repository slug), none of them above `scope`."""

    name: str
    token: str = field(repr=False)
    roles: Mapping[tuple[str, str], Role]
    scope: Role
    operator: bool = False
    """Whether it may set faults on, and see, everyone's requests."""

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


def read_world(text: str, source: str = "world.yaml") -> World:
    """Read a world from YAML; `source` is the file's name in errors.

    Raises:
        WorldError: for anything unknown, repeated, missing or of the wrong kind.

    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise WorldError(f"{source}:{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise WorldError(f"{source}:1: not YAML: {error}") from error
    if node is None:
        raise WorldError(f"{source}:1: the file is empty")
    return _Reader(source).world(node)


class _Reader:
    """Turns YAML nodes into the world; a node knows its line, a plain value would not."""

    def __init__(self, source: str) -> None:
        self._source = source

    def world(self, node: yaml.Node) -> World:
        parts = self._fields(node, "the file", required=("workspaces", "accounts"))
        workspaces = {
            self._slug(key, "workspace"): self._workspace(key.value, value)
            for key, value in self._pairs(parts["workspaces"], "workspaces")
        }
        accounts = {
            self._account_name(key): self._account(key.value, value, workspaces)
            for key, value in self._pairs(parts["accounts"], "accounts")
        }
        return World(workspaces, accounts)

    def _workspace(self, slug: str, node: yaml.Node) -> Workspace:
        parts = self._fields(node, f"workspace {slug!r}", required=("projects",), optional=("packages",))
        projects: list[str] = []
        repositories: dict[str, Repository] = {}
        for key, value in self._pairs(parts["projects"], "projects"):
            projects.append(key.value)
            for item in self._items(value, f"the repositories of project {key.value!r}"):
                repository = self._slug(item, "repository")
                if repository in repositories:
                    raise self._error(item, f"repository {repository!r} stands twice in workspace {slug!r}")
                repositories[repository] = Repository(slug, key.value, repository)
        packages: dict[str, Package] = {}
        for item in self._items(parts.get("packages"), f"the packages of workspace {slug!r}"):
            package = self._package(slug, item, repositories)
            if package.name in packages:
                raise self._error(item, f"workspace {slug!r} has two packages of the name {package.name!r}")
            packages[package.name] = package
        return Workspace(slug, tuple(projects), repositories, tuple(packages.values()))

    def _package(self, workspace: str, node: yaml.Node, repositories: Mapping[str, Repository]) -> Package:
        parts = self._fields(node, "a package", required=("name", "repository"))
        name = self._slug(parts["name"], "package")
        repository = self._text(parts["repository"], "a package's repository")
        if repository not in repositories:
            raise self._error(parts["repository"], f"workspace {workspace!r} has no repository {repository!r}")
        return Package(workspace, name, repository)

    def _account(self, name: str, node: yaml.Node, workspaces: Mapping[str, Workspace]) -> Account:
        parts = self._fields(node, f"account {name!r}", required=("token",), optional=("roles", "scope", "operator"))
        token = self._text(parts["token"], "a token")
        if not token:
            raise self._error(parts["token"], f"the token of account {name!r} is empty")
        roles: dict[tuple[str, str], Role] = {}
        for key, value in self._pairs(parts.get("roles"), "roles"):
            workspace, _, repository = key.value.partition("/")
            if workspace not in workspaces or repository not in workspaces[workspace].repositories:
                raise self._error(key, f"there is no repository {key.value!r}")
            roles[workspace, repository] = Role[self._choice(value, "role", ("read", "write", "admin")).upper()]
        operator = parts.get("operator")
        operates = operator is not None and self._choice(operator, "operator", ("true", "false")) == "true"
        return Account(name, token, roles, self._scope(parts.get("scope")), operates)

    def _scope(self, node: yaml.Node | None) -> Role:
        """Read the scope of an API token; credentials without one may all that their roles say."""
        if node is None:
            return Role.ADMIN
        read_only = self._choice(node, "scope", tuple(SCOPES.values())) == SCOPES["read"]
        return Role.READ if read_only else Role.WRITE

    def _account_name(self, node: yaml.ScalarNode) -> str:
        if not node.value or ":" in node.value:
            raise self._error(node, "an account's name may be neither empty nor hold a colon")
        return str(node.value)

    def _slug(self, node: yaml.Node, what: str) -> str:
        text = self._text(node, f"a {what}'s name")
        if not valid_package_name(text):
            raise self._error(
                node,
                f"{what} {text!r}: lowercase letters and digits, separated by '.', '_' or '-'",
            )
        return text

    def _choice(self, node: yaml.Node, what: str, allowed: tuple[str, ...]) -> str:
        text = self._text(node, f"a {what}")
        if text not in allowed:
            raise self._error(node, f"{what} {text!r} is none of {', '.join(allowed)}")
        return text

    def _fields(
        self,
        node: yaml.Node,
        what: str,
        *,
        required: tuple[str, ...],
        optional: tuple[str, ...] = (),
    ) -> dict[str, yaml.Node]:
        found = {}
        for key, value in self._pairs(node, what):
            if key.value not in required + optional:
                known = ", ".join(required + optional)
                raise self._error(key, f"unknown key {key.value!r} in {what}; known are {known}")
            found[key.value] = value
        for name in required:
            if name not in found:
                raise self._error(node, f"{what} has no {name!r}")
        return found

    def _pairs(self, node: yaml.Node | None, what: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        if node is None:
            return
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, f"{what} must be a mapping")
        seen = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key, f"a key of {what} must be a text")
            if key.value in seen:
                raise self._error(key, f"{key.value!r} stands twice in {what}")
            seen.add(key.value)
            yield key, value

    def _items(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self._error(node, f"{what} must be a list")
        return list(node.value)

    def _text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, f"{what} must be a text")
        return str(node.value)

    def _error(self, node: yaml.Node, message: str) -> WorldError:
        return WorldError(f"{self._source}:{node.start_mark.line + 1}: {message}")
