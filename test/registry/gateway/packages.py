"""Which packages there are: the world's, plus the created, minus the deleted ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from registry.gateway.world import Package, World, valid_package_name

if TYPE_CHECKING:
    from pathlib import Path


class PackageError(ValueError):
    """A package cannot be created or linked as asked; the text says why."""


class Packages:
    """All packages; what differs from the world is kept in `file` over a restart."""

    def __init__(self, world: World, file: Path) -> None:
        """Start with the world's packages and the changes that `file` holds, where it exists."""
        self._world = world
        self._file = file
        self._seeded = {p.path: p for w in world.workspaces.values() for p in w.packages}
        self._packages = dict(self._seeded)
        if file.exists():
            self._apply(json.loads(file.read_text(encoding="utf-8")))

    def find(self, workspace: str, name: str) -> Package | None:
        """Return the package of that name, or None."""
        return self._packages.get(f"{workspace}/{name}")

    def in_workspace(self, workspace: str) -> tuple[Package, ...]:
        """Return a workspace's packages by name."""
        # A copy: pages ask in threads of their own.
        found = (p for p in tuple(self._packages.values()) if p.workspace == workspace)
        return tuple(sorted(found, key=lambda package: package.name))

    def create(self, workspace: str, name: str, repository: str) -> Package:
        """Create a package and return it.

        Raises:
            PackageError: the name is taken or not allowed, or there is no such repository.

        """
        if not valid_package_name(name):
            raise PackageError(
                f"{name!r} cannot be a package's name: lowercase letters and digits, "
                "separated by '.', '_' or '-', at most 128"
            )
        if self.find(workspace, name):
            raise PackageError(f"workspace {workspace!r} has a package {name!r} already")
        package = Package(workspace, name, repository)
        if not self._can_be(package):
            raise PackageError(f"workspace {workspace!r} has no repository {repository!r}")
        self._packages[package.path] = package
        self._save()
        return package

    def delete(self, package: Package) -> None:
        """Forget a package; its storage is not touched."""
        del self._packages[package.path]
        self._save()

    def _can_be(self, package: Package) -> bool:
        workspace = self._world.workspaces.get(package.workspace)
        return workspace is not None and package.repository in workspace.repositories

    def _apply(self, changes: dict[str, list[dict[str, str]]]) -> None:
        for entry in changes["deleted"]:
            self._packages.pop(Package(**entry).path, None)
        for entry in changes["created"]:
            package = Package(**entry)
            if self._can_be(package):
                self._packages[package.path] = package

    def _save(self) -> None:
        changes = {
            "deleted": [asdict(p) for path, p in self._seeded.items() if path not in self._packages],
            "created": [asdict(p) for path, p in self._packages.items() if self._seeded.get(path) != p],
        }
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(changes, indent=1), encoding="utf-8")
        partial.replace(self._file)
