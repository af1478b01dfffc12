"""Distribution's folder on disk: what it stores, and how to take parts of it out.

Its API can neither delete a tag by its name nor say what is stored, so the gateway works on the
files. Distribution keeps no state beside them while its blob descriptor cache is off.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry.gateway import layout
from registry.gateway.documents import LARGEST
from registry.gateway.manifests import DIGEST, NOTHING, Closure, Manifest, closure_of, parse_manifest

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
        self._root = root
        self._trash = root / "trash"

    def repositories(self, workspace: str = "*") -> list[str]:
        """All repositories, or one workspace's."""
        folders = layout.repositories_folder(self._root).glob(f"{workspace}/*")
        return sorted(f"{folder.parent.name}/{folder.name}" for folder in folders)

    def tag_digest(self, repository: str, tag: str) -> str | None:
        """Digest of the manifest that `tag` refers to."""
        return _read_link(layout.tag_link(self._root, repository, tag))

    def tags(self, repository: str, pushed_before: datetime | None = None) -> list[Tag]:
        """All tags, or what they were at an earlier moment, newest first."""
        folders = _entries(layout.tags_folder(self._root, repository))
        tags = (self._tag(repository, folder.name, pushed_before) for folder in folders)
        return sorted(filter(None, tags), key=lambda tag: tag.pushed, reverse=True)

    def revisions(self, repository: str, before: datetime | None = None) -> list[str]:
        """Digests of the manifests, tagged or not, or of those that were there at an earlier moment."""
        return _digests(layout.manifest_links_folder(self._root, repository), before)

    def layers(self, repository: str, before: datetime | None = None) -> list[str]:
        """Digests of the blobs that are linked to a repository: layers and configurations."""
        return _digests(layout.layer_links_folder(self._root, repository), before)

    def layer_changed(self, repository: str, digest: str) -> datetime | None:
        """When a blob was last pushed to a repository."""
        return _changed(layout.layer_link_folder(self._root, repository, digest) / "link")

    def revision_changed(self, repository: str, digest: str) -> datetime | None:
        """When a manifest was last pushed to a repository."""
        return _changed(layout.manifest_link_folder(self._root, repository, digest) / "link")

    def blob_changed(self, digest: str) -> datetime | None:
        """When the bytes of a blob were stored."""
        return _changed(layout.blob_data(self._root, digest))

    def aliased(self, repository: str) -> set[str]:
        """Digests of the blobs that were pushed under another one, by SHA-512."""
        folder = layout.layer_links_folder(self._root, repository) / "sha512"
        return {target for entry in _entries(folder) if (target := _read_link(entry / "link"))}

    def blobs(self) -> list[str]:
        """Digests of everything stored, manifests too, whoever uses it."""
        prefixes = layout.blobs_folder(self._root).glob("*/*")
        return [f"{p.parent.name}:{entry.name}" for p in prefixes for entry in _entries(p)]

    def size(self, digest: str) -> int:
        """Bytes that a blob takes; 0 where there is none."""
        try:
            return layout.blob_data(self._root, digest).stat().st_size
        except FileNotFoundError:
            return 0

    def content(self, digest: str) -> bytes | None:
        """Bytes of a manifest or a configuration; nothing where a blob is larger than those are."""
        try:
            with layout.blob_data(self._root, digest).open("rb") as data:
                content = data.read(LARGEST + 1)
        except FileNotFoundError:
            return None
        return content if len(content) <= LARGEST else b""

    def manifest(self, digest: str) -> Manifest:
        """Read a manifest; one that is not there names nothing."""
        body = self.content(digest)
        return NOTHING if body is None else parse_manifest(body)

    def reachable(self, digest: str) -> Iterator[tuple[str, Manifest]]:
        """Yield a manifest and, for a list, all that it leads to, each once."""
        seen, ahead = {digest}, [digest]
        while ahead:
            digest = ahead.pop()
            manifest = self.manifest(digest)
            yield digest, manifest
            for child in manifest.manifests:
                if child.digest not in seen:
                    seen.add(child.digest)
                    ahead.append(child.digest)

    def closure(self, body: bytes) -> Closure:
        """Return what a manifest leads to."""
        return closure_of(body, lambda digest: self.content(digest) or b"")

    def remove_tag(self, repository: str, tag: str) -> bool:
        """Remove a reference; its manifest and every other tag of it stay."""
        return self._discard(layout.tag_folder(self._root, repository, tag))

    def remove_revision(self, repository: str, digest: str) -> bool:
        """Remove a manifest from one repository."""
        return self._discard(layout.manifest_link_folder(self._root, repository, digest))

    def remove_layer(self, repository: str, digest: str) -> bool:
        """Remove a blob from one repository."""
        return self._discard(layout.layer_link_folder(self._root, repository, digest))

    def remove_blob(self, digest: str) -> bool:
        """Remove the bytes themselves, for every repository."""
        return self._discard(layout.blob_folder(self._root, digest))

    def remove_repository(self, repository: str) -> bool:
        """Remove a repository with its tags, manifests and uploads."""
        return self._discard(layout.repository_folder(self._root, repository))

    def empty_trash(self) -> None:
        """Free the space of all that was removed. Slow: large files take their time."""
        for entry in _entries(self._trash):
            shutil.rmtree(entry, ignore_errors=True)

    def _discard(self, path: Path) -> bool:
        # Renaming is one step for whoever else looks at these files, and takes no time.
        self._trash.mkdir(exist_ok=True)
        try:
            path.rename(self._trash / uuid.uuid4().hex)
        except FileNotFoundError:
            return False
        return True

    def _tag(self, repository: str, name: str, before: datetime | None) -> Tag | None:
        folder = layout.tag_folder(self._root, repository, name)
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


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _digests(folder: Path, before: datetime | None = None) -> list[str]:
    return [
        f"{by.name}:{entry.name}"
        for by in _entries(folder)
        for entry in _entries(by)
        if before is None or ((changed := _changed(entry / "link")) and changed <= before)
    ]


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
