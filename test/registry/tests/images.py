"""Images made of given bytes, pushed and pulled over plain HTTP as clients do it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import requests

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_TYPES = (
    MANIFEST,
    INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_ACCEPT = {"Accept": f"{MANIFEST}, {INDEX}"}


class PushError(RuntimeError):
    """The registry did not do what a push needs; the text is its answer."""


def digest_of(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest and the bytes of all its blobs; `members` for a list."""

    manifest: bytes
    media_type: str
    blobs: tuple[bytes, ...] = ()
    members: tuple[Image, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def image(layers: Sequence[bytes], architecture: str = "amd64") -> Image:
    """Return an image for `linux/<architecture>`."""
    config = json.dumps(
        {
            "os": "linux",
            "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(each, "application/vnd.oci.image.layer.v1.tar") for each in layers],
    }
    return Image(json.dumps(manifest).encode(), MANIFEST, (*layers, config))


def image_list(**members: Image) -> Image:
    """Return a manifest list with a member for each architecture."""
    manifests = [
        {
            **descriptor(each.manifest, MANIFEST),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, each in members.items()
    ]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return Image(json.dumps(document).encode(), INDEX, members=tuple(members.values()))


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of a registry, by way of a session that is logged in."""

    session: requests.Session
    url: str
    name: str

    def push(self, pushed: Image, reference: str | None = None) -> None:
        """Push an image under a tag, or only by its digest.

        Raises:
            PushError: the registry refused a part of it.

        """
        for member in pushed.members:
            self.push(member)
        for blob in pushed.blobs:
            if not self.has_blob(blob):
                self.upload(blob)
        self.put_manifest(pushed, reference)

    def has_blob(self, blob: bytes) -> bool:
        answer = self.session.head(self._path("blobs", digest_of(blob)))
        return answer.status_code == HTTPStatus.OK

    def has_manifest(self, pushed: Image) -> bool:
        answer = self.session.head(self._path("manifests", pushed.digest), headers=_ACCEPT)
        return answer.status_code == HTTPStatus.OK

    def upload(self, blob: bytes) -> None:
        opened = self._expect(HTTPStatus.ACCEPTED, "POST", self._path("blobs", "uploads/"))
        location = _absolute(self.url, opened.headers["Location"])
        separator = "&" if "?" in location else "?"
        self._expect(HTTPStatus.CREATED, "PUT", f"{location}{separator}digest={digest_of(blob)}", blob)

    def put_manifest(self, pushed: Image, reference: str | None = None) -> None:
        path = self._path("manifests", reference or pushed.digest)
        headers = {"Content-Type": pushed.media_type}
        self._expect(HTTPStatus.CREATED, "PUT", path, pushed.manifest, headers)

    def manifest_status(self, reference: str) -> int:
        return self.session.get(self._path("manifests", reference), headers=_ACCEPT).status_code

    def problems(self, expected: Image, reference: str | None = None) -> list[str]:
        """Pull an image and say what of it is missing or wrong; nothing if all is there."""
        reference = reference or expected.digest
        answer = self.session.get(self._path("manifests", reference), headers=_ACCEPT)
        if answer.content != expected.manifest:
            return [f"manifest {reference}: {answer.status_code} {answer.text[:200]}"]
        found = [problem for member in expected.members for problem in self.problems(member)]
        for blob in expected.blobs:
            digest = digest_of(blob)
            answer = self.session.get(self._path("blobs", digest))
            if digest_of(answer.content) != digest:
                found.append(f"blob {digest} of {reference}: {answer.status_code}")
        return found

    def _path(self, kind: str, reference: str) -> str:
        return f"{self.url}/v2/{self.name}/{kind}/{reference}"

    def _expect(
        self, status: int, method: str, url: str, data: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        answer = self.session.request(method, url, data=data, headers=headers)
        if answer.status_code != status:
            raise PushError(f"{method} {url}: {answer.status_code} {answer.text[:300]}")
        return answer


def _absolute(url: str, location: str) -> str:
    return location if "://" in location else url + location


def descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
