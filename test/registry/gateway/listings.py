"""What a visitor sees of a package and of its tags. Sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.gateway.world import Role

if TYPE_CHECKING:
    from datetime import datetime

    from registry.gateway.images import Image
    from registry.gateway.storage import Tag
    from registry.gateway.world import Package, Repository


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
    protected: frozenset[str]
    """Names of the tags that cannot be changed any more."""
    administers: bool
    """Whether the visitor is an admin of the workspace, who may delete those."""

    def may_delete(self, tag: str) -> bool:
        """Return whether the visitor may delete a tag."""
        return self.role >= Role.WRITE and (self.administers or tag not in self.protected)

    @property
    def may_delete_image(self) -> bool:
        """Whether the visitor may delete the image with all its tags."""
        return self.role >= Role.ADMIN and (self.administers or not self.protected)

    @property
    def pushed(self) -> datetime | None:
        """When a tag was last pushed."""
        return self.tags[0].pushed if self.tags else None


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

    @property
    def created(self) -> datetime | None:
        """When the newest of the images was created, if any of them tells."""
        return max((image.created for image in self.images if image.created), default=None)

    @property
    def revisions(self) -> tuple[str, ...]:
        """The commits that the images were built from, each once."""
        return tuple(dict.fromkeys(image.revision for image in self.images if image.revision))
