"""Layers that several images of one run have in common: the first image brings them, the others find or mount them."""

import threading
from collections.abc import Iterable

from pipe.oci.manifest import DOCKER_LAYER
from pipe.push.result import ARRIVED, LayerStatus, Result
from pipe.push.reuse import GZIP, Stored


class SharedLayers:
    """The layers that the images of a run have brought to the registry so far.

    Attributes:
        by_pipe: DiffIDs of those that the pipe brought, so that Docker Engine does not know of them.
        untagged: Paths of the run's repositories that had none of the tags that were read.
    """

    def __init__(self) -> None:
        self._stored: dict[str, Stored] = {}
        self._claimed: set[str] = set()
        self._lock = threading.Lock()
        self.by_pipe: frozenset[str] = frozenset()
        self.untagged: set[str] = set()

    def add(self, result: Result) -> None:
        """Add the layers of an image that arrived, also if its push failed after that."""
        repository = result.tags[0].target.path
        by_engine = result.uploader == "engine"
        # Of a layer that the pipe mounted, the Engine may not know either.
        statuses = ARRIVED if by_engine else {LayerStatus.UPLOADED, LayerStatus.MOUNTED}
        brought = {each.layer.diff_id for each in result.shown_layers if each.status in statuses}
        self.by_pipe = self.by_pipe - brought if by_engine else self.by_pipe | brought
        for layer in result.shown_layers:
            blob = layer.descriptor
            if blob is None or layer.status not in ARRIVED or blob.urls:
                continue
            stored = Stored(blob, repository, proven=layer.status is LayerStatus.UPLOADED)
            self._stored.setdefault(blob.digest, stored)
            if blob.media_type in GZIP:
                # A layer that the push would compress: the manifest is the same whichever image brought it.
                stored = stored._replace(descriptor=blob._replace(media_type=DOCKER_LAYER))
            if stored.proven or blob.media_type in GZIP:
                self._stored.setdefault(layer.layer.diff_id, stored)

    def find(self, keys: Iterable[str]) -> dict[str, Stored]:
        """Return those of some layers that are known, by diffID, or by digest if they are sent as they are."""
        return {key: self._stored[key] for key in keys if key in self._stored}

    def claim(self, diff_ids: frozenset[str]) -> bool:
        """Claim layers that an image is about to bring; return False if another one has claimed one of them.

        A claim lasts: once the layers have arrived, and the turn of their image has come, `find` finds them.
        """
        with self._lock:
            is_free = self._claimed.isdisjoint(diff_ids)
            self._claimed.update(diff_ids if is_free else ())
        return is_free
