"""Reading the world from YAML, strictly: what cannot be meant is refused with the line it stands in (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from registry.gateway.tag_rules import PolicyError, TagPolicy, read_policy
from registry.gateway.world import Account, Package, Repository, Role, Workspace, World, valid_package_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCOPES: Mapping[str, str] = {"read": "read:package:bitbucket", "write": "write:package:bitbucket"}


class WorldError(ValueError):
    """The world's file cannot be used; the text begins with `file:line:`."""


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
        parts = self._fields(node, f"workspace {slug!r}", required=("projects",), optional=("packages", "tags"))
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
        tags = self._tags(parts["tags"]) if "tags" in parts else TagPolicy()
        return Workspace(slug, tuple(projects), repositories, tuple(packages.values()), tags)

    def _tags(self, node: yaml.Node) -> TagPolicy:
        try:
            return read_policy(self._plain(node))
        except PolicyError as error:
            raise self._error(_node_at(node, error.path), str(error)) from error

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
        administered: set[str] = set()
        for key, value in self._pairs(parts.get("roles"), "roles"):
            for repository in self._repositories(key, workspaces):
                if repository in roles:
                    raise self._error(key, f"account {name!r} has two roles on repository {'/'.join(repository)!r}")
                roles[repository] = Role[self._choice(value, "role", ("read", "write", "admin")).upper()]
            if "/" not in key.value:
                self._choice(value, "role in a workspace", ("admin",))
                administered.add(key.value)
        operator = parts.get("operator")
        operates = operator is not None and self._choice(operator, "operator", ("true", "false")) == "true"
        return Account(name, token, roles, self._scope(parts.get("scope")), operates, frozenset(administered))

    def _repositories(self, key: yaml.ScalarNode, workspaces: Mapping[str, Workspace]) -> list[tuple[str, str]]:
        """Return what a role is for: one repository, or all those of a workspace."""
        workspace, separator, repository = key.value.partition("/")
        known = workspaces[workspace].repositories if workspace in workspaces else {}
        if workspace not in workspaces or (separator and repository not in known):
            raise self._error(key, f"there is no {'repository' if separator else 'workspace'} {key.value!r}")
        return [(workspace, repository)] if separator else [(workspace, each) for each in known]

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

    def _plain(self, node: yaml.Node) -> object:
        """Return a node as JSON has it, with every scalar as a text."""
        if isinstance(node, yaml.MappingNode):
            return {key.value: self._plain(value) for key, value in self._pairs(node, "tags")}
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(each) for each in node.value]
        return str(node.value)

    def _text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, f"{what} must be a text")
        return str(node.value)

    def _error(self, node: yaml.Node, message: str) -> WorldError:
        return WorldError(f"{self._source}:{node.start_mark.line + 1}: {message}")


def _node_at(node: yaml.Node, path: tuple[str | int, ...]) -> yaml.Node:
    """Return the node that a path leads to, or its key if that is in another line."""
    for step in path:
        if isinstance(node, yaml.MappingNode):
            key, value = next(pair for pair in node.value if pair[0].value == step)
            node = value if step != path[-1] or isinstance(value, yaml.ScalarNode) else key
        elif isinstance(node, yaml.SequenceNode):
            node = node.value[step]
    return node
