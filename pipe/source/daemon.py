"""An image from an Engine's stream (`GET /images/{name}/get`), in the form and order in which it is sent.

Engines up to 24 send directories with `layer.tar`, later ones an OCI layout. A graphdriver Engine sends
uncompressed layers, named by their diffIDs; a containerd store sends every blob as it is stored, uncompressed
ones too. Manifests come last.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial

from pipe.errors import EngineSaveError
from pipe.oci.config import CONFIG_SIZE
from pipe.oci.descriptor import Descriptor, digest_of
from pipe.oci.fields import members, read_json
from pipe.oci.manifest import DOCKER_CONFIG, MEDIA_TYPES, Manifest, media_type_of
from pipe.oci.reference import is_digest
from pipe.source.blob import Reader, SourceBlob, in_memory, read_up_to
from pipe.source.chain import diff_id_of
from pipe.source.tar import Entry, TarError, entries, padding

SMALL = CONFIG_SIZE
"""Bytes of the largest blob that can be a manifest or a configuration; JSON is kept until that is known."""
KEPT = 32 * 1024 * 1024
"""Bytes that are kept at most; later blobs are sent as they arrive."""
_SKIP = 1024 * 1024
_BLOBS = "blobs/sha256/"
_DIGEST = re.compile(rf"{_BLOBS}([0-9a-f]{{64}})|([0-9a-f]{{64}})\.tar")
"""Names that contain a digest; podman's service, which implements Docker's API, names a layer DIFF_ID.tar."""
_LAYER, _DESCRIPTION = "/layer.tar", "/json"


class DaemonStream:
    """An image that an Engine streams.

    Attributes:
        config: The image's configuration; b"" before it arrives, and from a containerd store.
    """

    def __init__(
        self,
        stream: Reader,
        image_id: str,
        diff_ids: Sequence[str],
        *,
        others: Sequence[Sequence[str]] = (),
        containerd: bool = False,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            stream: The bytes.
            image_id: The digest of the configuration or, in a containerd store, of the manifest.
            diff_ids: From the base up.
            others: The same of other images in the stream, whose layers are skipped unless this image has them too.
            containerd: Whether blobs are sent as stored, even if their digest is a diffID.
        """
        self._stream = stream
        self._image_id = image_id
        self._diff_ids = () if containerd else diff_ids
        self._others = others
        self._foreign = frozenset(each for other in others for each in other) - frozenset(diff_ids)
        self._left = 0
        self._kept: dict[str, bytes] = {}
        self.config = b""

    def __iter__(self) -> Iterator[SourceBlob]:
        """Yield the layers, or all blobs of a containerd store; what is not read of one is skipped.

        Raises:
            EngineSaveError: It is not an image, or truncated.
        """
        descriptions: dict[str, bytes] = {}
        try:
            for entry in entries(partial(read_up_to, self._stream)):
                self._left = entry.size
                if entry.is_file:
                    blob = self._blob(entry, descriptions)
                    if blob is not None:
                        yield blob
                self._skip(self._left)
                self._skip(padding(entry.size))
        except TarError as error:
            raise _unsupported_stream(str(error)) from error
        # The rest is padding. The Engine ends the stream only after it has removed its copy of the image.
        if not self.config:
            yield from self._stored()

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """The manifests, children first; empty for a graphdriver Engine."""
        return () if self.config else tuple(self._found(self._image_id, set()))

    def readinto(self, buffer: memoryview, /) -> int:
        """Read from the current entry; return the number of bytes, 0 at the end."""
        length = self._stream.readinto(buffer[: self._left]) if self._left else 0
        if self._left and not length:
            raise _truncated()
        self._left -= length
        return length

    def _blob(self, entry: Entry, descriptions: dict[str, bytes]) -> SourceBlob | None:
        """Return an entry's blob if it can be sent now."""
        directory = entry.name.rpartition("/")[0]
        if entry.name.endswith(_LAYER):
            diff_id = self._diff_id(directory, descriptions.pop(directory, b""))
            is_own = not self._others or diff_id in self._diff_ids
            return self._opened(entry, diff_id, None) if is_own else None
        if entry.name.endswith(_DESCRIPTION) and entry.size <= SMALL:
            descriptions[directory] = self._content(entry)
            return None
        named = _DIGEST.fullmatch(entry.name)
        digest = f"sha256:{named[1] or named[2]}" if named else ""
        if digest in self._diff_ids:
            return self._opened(entry, digest, None)
        if digest in self._foreign:
            return None
        if entry.size <= SMALL:
            return self._kept_or_sent(entry, digest)
        return self._opened(entry, None, Descriptor("", digest, entry.size)) if is_digest(digest) else None

    def _diff_id(self, directory: str, description: bytes) -> str | None:
        """Return the diffID of a layer that a directory's name proves; that of another image may be this image's."""
        found = (diff_id_of(directory, description, tuple(each)) for each in (self._diff_ids, *self._others))
        return next(filter(None, found), None)

    def _kept_or_sent(self, entry: Entry, digest: str) -> SourceBlob | None:
        """Keep a possible document; return any other blob."""
        content = self._content(entry)
        found = digest_of(content)
        if digest and found != digest:
            raise _unsupported_stream(f"{entry.name} has the digest {found}")
        if found == self._image_id and _is_config(content):
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
        content = read_up_to(self._stream, entry.size)
        if len(content) < entry.size:
            raise _truncated()
        return content

    def _skip(self, size: int) -> None:
        buffer = memoryview(bytearray(min(size, _SKIP)))
        while size:
            length = self._stream.readinto(buffer[:size])
            if not length:
                raise _truncated()
            size -= length
        self._left = 0

    def _stored(self) -> Iterator[SourceBlob]:
        """Yield what was kept, now that the manifests describe it."""
        for manifest in self.manifests:
            named = manifest.config_descriptor
            content = self._kept.get(named.digest) if named else None
            if named and content is not None:
                yield in_memory(f"the configuration {named.digest}", named.media_type, content)
            for layer in manifest.layers:
                kept = self._kept.get(layer.digest)
                if kept is not None:
                    yield in_memory(f"{_BLOBS}{layer.digest[7:]}", layer.media_type, kept)

    def _found(self, digest: str, seen: set[str]) -> Iterator[Manifest]:
        """Yield a manifest after its children, each once."""
        content = self._kept.get(digest)
        if content is None:
            raise _unsupported_stream(f"the manifest {digest} is missing; its platform may not be in the Engine")
        seen.add(digest)
        manifest = Manifest.parse(_media_type(content), content)
        for child in manifest.manifests:
            if child.digest not in seen:
                yield from self._found(child.digest, seen)
        yield manifest


def _media_type(content: bytes) -> str:
    try:
        found = members(read_json(content))
        media_type = media_type_of(found)
    except ValueError as error:
        raise _unsupported_stream(f"a manifest {error}") from None
    return media_type if media_type in MEDIA_TYPES else media_type_of(found | {"mediatype": ""})


def _is_config(content: bytes) -> bool:
    """Return whether this is a configuration, and not a manifest."""
    try:
        return "rootfs" in members(read_json(content))
    except ValueError:
        return False


def _truncated() -> EngineSaveError:
    return _unsupported_stream("it ends in the middle of an entry")


def _unsupported_stream(why: str) -> EngineSaveError:
    return EngineSaveError(
        f"unsupported image stream from Docker Engine: {why}.", fix="Set UPLOADER to engine, to let Docker Engine push."
    )
