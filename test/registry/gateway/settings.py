"""What workspace admins have set on Container settings: the world's settings, and what replaced them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from registry.gateway.tag_rules import TagPolicy, read_policy

if TYPE_CHECKING:
    from pathlib import Path

    from registry.gateway.world import World


class Settings:
    """The protection of tags of every workspace; what differs from the world is kept in `file` over a restart."""

    def __init__(self, world: World, file: Path) -> None:
        """Start with the world's settings and the changes in `file`, except those of a setting the world changed."""
        self._file = file
        self._seeded = {slug: workspace.tags for slug, workspace in world.workspaces.items()}
        self._tags = dict(self._seeded)
        if file.exists():
            for slug, change in json.loads(file.read_text(encoding="utf-8")).items():
                if slug in self._seeded and read_policy(change["world"]) == self._seeded[slug]:
                    self._tags[slug] = read_policy(change["tags"])

    def tags(self, workspace: str) -> TagPolicy:
        """Return how a workspace of the world protects its tags."""
        return self._tags[workspace]

    def set_tags(self, workspace: str, policy: TagPolicy) -> None:
        """Replace how a workspace of the world protects its tags."""
        self._tags[workspace] = policy
        changes = {
            slug: {"world": self._seeded[slug].as_object(), "tags": tags.as_object()}
            for slug, tags in self._tags.items()
            if tags != self._seeded[slug]
        }
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(changes, indent=1), encoding="utf-8")
        partial.replace(self._file)
