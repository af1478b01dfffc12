"""Distribution's folder on disk: what it stores, and how to take parts of it out.

The layout is the one that `registry/storage/paths.go` of CNCF Distribution 2.8 describes. Its API
can neither delete a tag by its name nor say what is stored, so the gateway works on the files.
Distribution keeps no state of its own beside them while its blob descriptor cache is off.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .manifests import DIGEST, NOTHING, Manifest, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag and the manifest it refers to."""

    name: str
    digest: str
    pushed: datetime


class Storage:
    """The files below Distribution's `rootdirectory`.

    A repository is named `<workspace>/<package>`. What is not there, or is being written at this
    moment, is None or absent from the answer, never an error.
    """

    def __init__(self, root: Path) -> None:
        registry = root / "docker" / "registry" / "v2"
        self._blobs = registry / "blobs" / "sha256"
        self._repositories = registry / "repositories"
        self._trash = root / "trash"

    def repositories(self, workspace: str = "*") -> list[str]:
        """All repositories, or one workspace's."""
        folders = self._repositories.glob(f"{workspace}/*")
        return sorted(f"{folder.parent.name}/{folder.name}" for folder in folders)

    def tag_digest(self, repository: str, tag: str) -> str | None:
        """Digest of the manifest that `tag` refers to."""
        return _read_link(self._tags(repository) / tag / "current" / "link")

    def tags(self, repository: str, pushed_before: datetime | None = None) -> list[Tag]:
        """All tags, or what they were at an earlier moment, newest first."""
        folders = _entries(self._tags(repository))
        tags = (self._tag(repository, folder.name, pushed_before) for folder in folders)
        return sorted(filter(None, tags), key=lambda tag: tag.pushed, reverse=True)

    def revisions(self, repository: str) -> list[str]:
        """Digests of the manifests, tagged or not."""
        return [f"sha256:{entry.name}" for entry in _entries(self._revisions(repository))]

    def layers(self, repository: str) -> list[str]:
        """Digests of the blobs that are linked to a repository: layers and configurations."""
        return [f"sha256:{entry.name}" for entry in _entries(self._layers(repository))]

    def blobs(self) -> Iterator[str]:
        """Digests of everything stored, manifests too, whoever uses it."""
        return (f"sha256:{entry.name}" for entry in self._blobs.glob("*/*"))

    def size(self, digest: str) -> int:
        """Bytes that a blob takes; 0 where there is none."""
        try:
            return self._data(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def content(self, digest: str) -> bytes | None:
        """Bytes of a blob; only for what is small: manifests and configurations."""
        try:
            return self._data(digest).read_bytes()
        except FileNotFoundError:
            return None

    def manifest(self, digest: str) -> Manifest:
        """Read a manifest; one that is not there names nothing."""
        body = self.content(digest)
        return NOTHING if body is None else parse_manifest(body)

    def reachable(self, digest: str) -> Iterator[tuple[str, Manifest]]:
        """Yield a manifest and, for a list, all that it leads to."""
        manifest = self.manifest(digest)
        yield digest, manifest
        for child in manifest.manifests:
            yield from self.reachable(child.digest)

    def remove_tag(self, repository: str, tag: str) -> bool:
        """Remove a reference; its manifest and every other tag of it stay."""
        return self._discard(self._tags(repository) / tag)

    def remove_revision(self, repository: str, digest: str) -> bool:
        """Remove a manifest from one repository."""
        return self._discard(self._revisions(repository) / digest.removeprefix("sha256:"))

    def remove_layer(self, repository: str, digest: str) -> bool:
        """Remove a blob from one repository."""
        return self._discard(self._layers(repository) / digest.removeprefix("sha256:"))

    def remove_blob(self, digest: str) -> bool:
        """Remove the bytes themselves, for every repository."""
        return self._discard(self._data(digest).parent)

    def remove_repository(self, repository: str) -> bool:
        """Remove a repository with its tags, manifests and uploads."""
        return self._discard(self._repositories / repository)

    def empty_trash(self) -> None:
        """Free the space of all that was removed. Slow: large files take their time."""
        shutil.rmtree(self._trash, ignore_errors=True)

    def _discard(self, path: Path) -> bool:
        # Renaming is one step for whoever else looks at these files, and takes no time.
        self._trash.mkdir(parents=True, exist_ok=True)
        try:
            path.rename(self._trash / uuid.uuid4().hex)
        except FileNotFoundError:
            return False
        return True

    def _tag(self, repository: str, name: str, before: datetime | None) -> Tag | None:
        folder = self._tags(repository) / name
        digest = _read_link(folder / "current" / "link")
        if digest is None:
            return None
        current = folder / "index" / "sha256" / digest.removeprefix("sha256:")
        if before is None or (known := _changed(current)) is None or known <= before:
            pushed = _changed(folder / "current" / "link")
            return Tag(name, digest, pushed) if pushed else None
        earlier = [
            Tag(name, f"sha256:{entry.name}", pushed)
            for entry in _entries(current.parent)
            if (pushed := _changed(entry / "link")) and pushed <= before
        ]
        return max(earlier, key=lambda tag: tag.pushed, default=None)

    def _tags(self, repository: str) -> Path:
        return self._repositories / repository / "_manifests" / "tags"

    def _revisions(self, repository: str) -> Path:
        return self._repositories / repository / "_manifests" / "revisions" / "sha256"

    def _layers(self, repository: str) -> Path:
        return self._repositories / repository / "_layers" / "sha256"

    def _data(self, digest: str) -> Path:
        value = digest.removeprefix("sha256:")
        return self._blobs / value[:2] / value / "data"


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read_link(path: Path) -> str | None:
    try:
        digest = path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    # Distribution writes a link in place, so that it may be empty for a moment.
    return digest if DIGEST.fullmatch(digest) else None


def _changed(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    except FileNotFoundError:
        return None
