"""An image out of an Engine's stream (`GET /images/{name}/get`), in whatever form and order the Engine sends it.

Engines up to 24 send directories with `layer.tar`, later ones an OCI layout; with graphdrivers its layers
are plain and named by their diffIDs, from a containerd store all blobs of all platforms come as they are
stored, and what they are shows only at the end.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence

from pipe.errors import EngineSaveError
from pipe.oci.descriptor import Descriptor
from pipe.oci.manifest import DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from pipe.oci.reference import is_digest
from pipe.source.blob import Reader, SourceBlob, in_memory
from pipe.source.chain import diff_id_of
from pipe.source.tar import Entry, TarError, entries, padding

SMALL = 4 * 1024 * 1024
"""Bytes of a blob that may be a manifest or a configuration, and is kept until that is known where it may be JSON."""
KEPT = 32 * 1024 * 1024
"""Bytes kept at most; what comes after is sent as it comes."""
_SKIP = 1024 * 1024
_BLOBS = "blobs/sha256/"
_DIGEST = re.compile(rf"{_BLOBS}([0-9a-f]{{64}})|([0-9a-f]{{64}})\.tar")
"""Names that hold a digest; podman's service, which speaks Docker's API, names a layer by its diffID and `.tar`."""
_LAYER, _DESCRIPTION = "/layer.tar", "/json"


class DaemonStream:
    """An image that an Engine streams.

    Attributes:
        config: The image's configuration, b"" until it came, and from a containerd store.
    """

    def __init__(self, stream: Reader, image_id: str, diff_ids: Sequence[str]) -> None:
        """Prepare; nothing is read yet.

        Args:
            stream: The bytes.
            image_id: The digest of the configuration or, in a containerd store, of the manifest.
            diff_ids: Of the image's layers, from the base up.
        """
        self._stream = stream
        self._image_id = image_id
        self._diff_ids = diff_ids
        self._left = 0
        self._kept: dict[str, bytes] = {}
        self._plain = False
        self.config = b""

    def __iter__(self) -> Iterator[SourceBlob]:
        """Give the layers, or all blobs of a containerd store; what is not read of one is skipped.

        Raises:
            EngineSaveError: The stream is not an image's, or ends in the middle.
        """
        descriptions: dict[str, bytes] = {}
        try:
            for entry in entries(self._read):
                self._left = entry.size
                if entry.is_file:
                    blob = self._blob(entry, descriptions)
                    if blob is not None:
                        yield blob
                self._skip(self._left)
                self._skip(padding(entry.size))
        except TarError as error:
            raise _nonsense(str(error)) from error
        # What follows the end is filling.
        while self._stream.readinto(memoryview(bytearray(_SKIP))):
            pass
        if not self.config:
            yield from self._stored()

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """The image's manifests, children before parents, the image's own last; none of a graphdriver store."""
        return () if self.config else tuple(self._found(self._image_id, set()))

    def readinto(self, buffer: memoryview, /) -> int:
        """Read on in the content of the present entry."""
        length = self._stream.readinto(buffer[: self._left]) if self._left else 0
        if self._left and not length:
            raise _nonsense("it ends in the middle of an entry")
        self._left -= length
        return length

    def _blob(self, entry: Entry, descriptions: dict[str, bytes]) -> SourceBlob | None:
        """Tell what an entry is: something to be sent, or to be kept, or neither."""
        directory = entry.name.rpartition("/")[0]
        if entry.name.endswith(_LAYER):
            diff_id = diff_id_of(directory, descriptions.pop(directory, b""), self._diff_ids)
            return self._opened(entry, diff_id, None)
        if entry.name.endswith(_DESCRIPTION) and entry.size <= SMALL:
            descriptions[directory] = self._content(entry)
            return None
        named = _DIGEST.fullmatch(entry.name)
        digest = f"sha256:{named[1] or named[2]}" if named else ""
        if digest in self._diff_ids:
            return self._opened(entry, digest, None)
        if entry.size <= SMALL:
            return self._kept_or_given(entry, digest)
        return self._opened(entry, None, Descriptor("", digest, entry.size)) if is_digest(digest) else None

    def _kept_or_given(self, entry: Entry, digest: str) -> SourceBlob | None:
        """Keep what may be a manifest or a configuration; layers, of which an image may have many, go on."""
        content = self._content(entry)
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if digest and found != digest:
            raise _nonsense(f"{entry.name} has the digest {found}")
        if found == self._image_id and _has_layers(content):
            self.config = content
            return in_memory("the image's configuration", DOCKER_CONFIG, content)
        if is_digest(digest):
            if not content.lstrip().startswith(b"{") or sum(map(len, self._kept.values())) + len(content) > KEPT:
                return in_memory(entry.name, "", content)
            self._kept[digest] = content
        return None

    def _opened(self, entry: Entry, diff_id: str | None, descriptor: Descriptor | None) -> SourceBlob:
        return SourceBlob(entry.name, entry.size, diff_id, descriptor, lambda: self)

    def _content(self, entry: Entry) -> bytes:
        self._left = 0
        content = self._read(entry.size)
        if len(content) < entry.size:
            raise _nonsense("it ends in the middle of an entry")
        return content

    def _read(self, size: int) -> bytes:
        """Read so many bytes, fewer only at the end."""
        buffer, filled = memoryview(bytearray(size)), 0
        while filled < size and (length := self._stream.readinto(buffer[filled:])):
            filled += length
        return bytes(buffer[:filled])

    def _skip(self, size: int) -> None:
        buffer = memoryview(bytearray(min(size, _SKIP)))
        while size:
            length = self._stream.readinto(buffer[:size])
            if not length:
                raise _nonsense("it ends in the middle of an entry")
            size -= length
        self._left = 0

    def _stored(self) -> Iterator[SourceBlob]:
        """Give what was kept of a containerd store, now that its manifests tell what each blob is."""
        manifests = self.manifests
        for manifest in manifests:
            named = manifest.config_descriptor
            content = self._kept.get(named.digest) if named else None
            if named and content is not None:
                yield in_memory(f"the configuration {named.digest}", named.media_type, content)
            for layer in manifest.layers:
                kept = self._kept.get(layer.digest)
                if kept is not None:
                    yield in_memory(f"{_BLOBS}{layer.digest[7:]}", layer.media_type, kept)

    def _found(self, digest: str, seen: set[str]) -> Iterator[Manifest]:
        """Find a manifest and those that it names, children first; each once, so that no circle is endless."""
        content = self._kept.get(digest)
        if content is None:
            raise _nonsense(f"the manifest {digest} is missing, maybe of a platform that the Engine does not have")
        seen.add(digest)
        manifest = Manifest.parse(_media_type(content), content)
        for child in manifest.manifests:
            if child.digest not in seen:
                yield from self._found(child.digest, seen)
        yield manifest


def _media_type(content: bytes) -> str:
    """Tell what a manifest is, as it says itself; one that does not say is an OCI one."""
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict):
        raise _nonsense("a manifest is not a JSON object")
    named = manifest.get("mediaType")
    if named in {DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST}:
        return str(named)
    return OCI_INDEX if "manifests" in manifest else OCI_MANIFEST


def _has_layers(content: bytes) -> bool:
    """Tell a configuration, whose digest is the image's ID with graphdrivers, from a containerd store's manifest."""
    try:
        return "rootfs" in json.loads(content)
    except (ValueError, RecursionError, TypeError):
        return False


def _nonsense(why: str) -> EngineSaveError:
    return EngineSaveError(
        f"Docker Engine streams the image in a form that the pipe cannot read: {why}.",
        fix="Set UPLOADER to engine, and let Docker Engine push it.",
    )
