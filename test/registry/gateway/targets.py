"""What a path under `/v2/` means (pure).

Source: opencontainers/distribution-spec, "Endpoints".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from registry.gateway.layout import TAG
from registry.gateway.manifests import DIGEST, ONLY_SHA256
from registry.gateway.world import valid_package_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH = re.compile(
    r"/v2/(?P<name>.+)/(?:"
    r"(?P<tags>tags/list)|"
    r"blobs/(?P<uploads>uploads)/?|"
    r"blobs/uploads/(?P<upload>[^/]+)|"
    r"blobs/(?P<blob>[^/]+)|"
    r"manifests/(?P<manifest>[^/]+))"
)
_UPLOAD = re.compile(r"[\w.=-]+", re.ASCII)


class Kind(StrEnum):
    """The endpoints."""

    BASE = "base"
    CATALOGUE = "catalogue"
    TAGS = "tags"
    BLOB = "blob"
    MANIFEST = "manifest"
    UPLOADS = "uploads"
    UPLOAD = "upload"


# Every DELETE, the tags API and the catalogue are not supported.
METHODS: Mapping[Kind, frozenset[str]] = {
    Kind.BASE: frozenset({"GET", "HEAD"}),
    Kind.CATALOGUE: frozenset(),
    Kind.TAGS: frozenset(),
    Kind.BLOB: frozenset({"GET", "HEAD"}),
    Kind.MANIFEST: frozenset({"GET", "HEAD", "PUT"}),
    Kind.UPLOADS: frozenset({"POST"}),
    Kind.UPLOAD: frozenset({"GET", "HEAD", "PATCH", "PUT"}),
}


class TargetError(ValueError):
    """A path means nothing; `status` and `code` are the answer's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Keep the answer's parts."""
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint of a repository; `reference` is a tag, a digest or an upload's identifier."""

    kind: Kind
    workspace: str = ""
    package: str = ""
    reference: str = ""

    @property
    def repository(self) -> str:
        """The name under `/v2/`."""
        return f"{self.workspace}/{self.package}"

    @property
    def by_digest(self) -> bool:
        """Tell whether the reference is a digest."""
        return ":" in self.reference

    @property
    def path(self) -> str:
        """The one way to write this target's path."""
        infix = {Kind.BLOB: "blobs", Kind.MANIFEST: "manifests"}.get(self.kind, "blobs/uploads")
        return f"/v2/{self.repository}/{infix}/{self.reference}"


def read_target(path: str) -> Target:
    """Return what a decoded path means.

    Raises:
        TargetError: no such endpoint, or a name, tag, digest or upload that cannot exist.

    """
    if path in ("/v2", "/v2/"):
        return Target(Kind.BASE)
    if path == "/v2/_catalog":
        return Target(Kind.CATALOGUE)
    match = _PATH.fullmatch(path)
    if match is None:
        raise TargetError(404, "UNSUPPORTED", "there is no such endpoint")
    kind = Kind(match.lastgroup or "")
    reference = "" if kind in (Kind.UPLOADS, Kind.TAGS) else match[kind]
    workspace, _, package = match["name"].partition("/")
    if not all(valid_package_name(part) for part in match["name"].split("/")):
        raise TargetError(400, "NAME_INVALID", "invalid repository name")
    _check_reference(kind, reference)
    return Target(kind, workspace, package, reference)


def _check_reference(kind: Kind, reference: str) -> None:
    if kind is Kind.UPLOAD and _UPLOAD.fullmatch(reference) is None:
        raise TargetError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    digest_expected = kind is Kind.BLOB or (kind is Kind.MANIFEST and ":" in reference)
    if digest_expected and reference.startswith("sha512:"):
        raise TargetError(400, "DIGEST_INVALID", ONLY_SHA256)
    if digest_expected and DIGEST.fullmatch(reference) is None:
        raise TargetError(400, "DIGEST_INVALID", "invalid digest")
    if kind is Kind.MANIFEST and not digest_expected and TAG.fullmatch(reference) is None:
        raise TargetError(400, "TAG_INVALID", "invalid tag")
