"""Where CNCF Distribution keeps what, on its file system storage (pure).

Source: distribution/distribution, registry/storage/paths.go.
"""

from __future__ import annotations

import re
from pathlib import Path

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
"""What a tag may be; so none leads to another folder."""
_TREE = Path("docker/registry/v2")


def _split(digest: str) -> tuple[str, str]:
    algorithm, _, encoded = digest.partition(":")
    return algorithm, encoded


def blobs_folder(root: Path) -> Path:
    """Return the folder of all blobs of all repositories."""
    return root / _TREE / "blobs"


def blob_folder(root: Path, digest: str) -> Path:
    """Return the folder of one blob."""
    algorithm, encoded = _split(digest)
    return blobs_folder(root) / algorithm / encoded[:2] / encoded


def blob_data(root: Path, digest: str) -> Path:
    """Return the file with a blob's bytes."""
    return blob_folder(root, digest) / "data"


def repositories_folder(root: Path) -> Path:
    """Return the folder under which repositories lie as `<workspace>/<package>`."""
    return root / _TREE / "repositories"


def repository_folder(root: Path, name: str) -> Path:
    """Return the folder of the repository `<workspace>/<package>`."""
    return repositories_folder(root) / name


def tags_folder(root: Path, name: str) -> Path:
    """Return the folder that holds one folder for each tag."""
    return repository_folder(root, name) / "_manifests" / "tags"


def tag_folder(root: Path, name: str, tag: str) -> Path:
    """Return the folder of one tag.

    Raises:
        ValueError: nothing can be tagged so.

    """
    if TAG.fullmatch(tag) is None:
        raise ValueError(f"{tag!r} is no tag")
    return tags_folder(root, name) / tag


def tag_link(root: Path, name: str, tag: str) -> Path:
    """Return the file whose text is the digest a tag names."""
    return tag_folder(root, name, tag) / "current" / "link"


def manifest_links_folder(root: Path, name: str) -> Path:
    """Return the folder of a repository's manifests, tagged or not."""
    return repository_folder(root, name) / "_manifests" / "revisions"


def manifest_link_folder(root: Path, name: str, digest: str) -> Path:
    """Return the folder that makes a manifest part of a repository."""
    algorithm, encoded = _split(digest)
    return manifest_links_folder(root, name) / algorithm / encoded


def layer_links_folder(root: Path, name: str) -> Path:
    """Return the folder of a repository's blobs that are no manifests."""
    return repository_folder(root, name) / "_layers"


def layer_link_folder(root: Path, name: str, digest: str) -> Path:
    """Return the folder that makes a blob part of a repository."""
    algorithm, encoded = _split(digest)
    return layer_links_folder(root, name) / algorithm / encoded


def upload_folder(root: Path, name: str, identifier: str) -> Path:
    """Return the folder of an upload that is not finished."""
    return repository_folder(root, name) / "_uploads" / identifier
