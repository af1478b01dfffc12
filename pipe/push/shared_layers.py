"""Layers that several images of one run have in common: the first image brings them, the others find or mount them."""

import threading
from collections.abc import Callable, Iterable

from pipe.oci.manifest import DOCKER_LAYER
from pipe.push.admission import TICK
from pipe.push.result import ARRIVED, LayerStatus, Result
from pipe.push.reuse import GZIP, Stored


class SharedLayers:
    """The layers that the images of a run have brought to the registry so far.

    Attributes:
        by_pipe: DiffIDs of those that the pipe brought, so that Docker Engine does not know of them.
        coming: DiffIDs of those that the current image is bringing: all have been read, and not all have arrived.
        untagged: Paths of the run's repositories that had none of the tags that were read.
    """

    def __init__(self) -> None:
        self._stored: dict[str, Stored] = {}
        self._claimed: set[str] = set()
        self._ended: set[str] = set()
        self._changed = threading.Condition()
        self.by_pipe: frozenset[str] = frozenset()
        self.coming: frozenset[str] = frozenset()
        self.untagged: set[str] = set()

    def expect(self, result: Result) -> None:
        """Note which layers of the current image are on their way, until `add` follows, or unless it has."""
        layers = [each.layer for each in result.shown_layers if each.status not in ARRIVED]
        with self._changed:
            if result.tags[0].target.path not in self._ended:
                self.coming = frozenset(layer.diff_id for layer in layers if layer.descriptor is None)

    def wait(self, diff_id: str, check: Callable[[], None]) -> Stored | None:
        """Wait for a layer that is coming; None if it did not arrive. `check` raises to end the wait."""
        with self._changed:
            while diff_id in self.coming:
                self._changed.wait(TICK)
                check()
        return self._stored.get(diff_id)

    def add(self, result: Result) -> None:
        """Add the layers of an image that arrived, also if its push failed after that; no other is coming."""
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
        with self._changed:
            self._ended.add(repository)
            self.coming = frozenset()
            self._changed.notify_all()

    def find(self, keys: Iterable[str]) -> dict[str, Stored]:
        """Return those of some layers that are known, by diffID, or by digest if they are sent as they are."""
        return {key: self._stored[key] for key in keys if key in self._stored}

    def claim(self, diff_ids: frozenset[str]) -> bool:
        """Claim layers that an image is about to bring; return False if another one has claimed one of them.

        A claim lasts: once the layers have arrived, and the turn of their image has come, `find` finds them.
        """
        with self._changed:
            is_free = self._claimed.isdisjoint(diff_ids)
            self._claimed.update(diff_ids if is_free else ())
        return is_free
