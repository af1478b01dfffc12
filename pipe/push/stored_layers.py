"""The layers of one image that the registry already stores, as far as tags, names and guesses lead to them."""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipe.oci.image import Image
from pipe.push.context import Context
from pipe.push.hints import Hints
from pipe.push.reuse import Place, Stored, Wanted, known_layers, reusable

if TYPE_CHECKING:
    from pipe.oci.manifest import Manifest


class StoredLayers:
    """Finds, once, the layers that the registry stores.

    Attributes:
        read: Manifests of tags that were read already; None for a tag that does not exist.
    """

    def __init__(self, context: Context, places: Sequence[Place], hints: Hints | None) -> None:
        """Nothing is requested yet; `places` are tags whose layers may be reused, the likeliest first."""
        self._repository = context.repository
        self._report = context.report
        self._media_types = reusable(context.settings.compression)
        self._shared = context.shared
        self._places = places
        self._hints = hints
        self._finding = threading.Lock()
        self._named: dict[str, Stored] | None = None
        self._guessed: dict[str, Stored] | None = None
        self.read: Mapping[Place, Manifest | None] = {}

    def forget(self) -> None:
        """Find them again: another image is pushed."""
        self._named = self._guessed = None

    def named(self, image: Image) -> dict[str, Stored]:
        """Return the layers under other tags, or in packages that the image names.

        Returns:
            By diffID, or by digest if a layer is sent as it is; what other images bring is found with each call.
        """
        wanted = frozenset(layer.diff_id for layer in image.layers if layer.descriptor is None)
        blobs = frozenset(layer.descriptor.digest for layer in image.layers if layer.descriptor is not None)
        shared = self._shared.find(wanted | blobs)
        if self._named is None:
            wanted, blobs = wanted - shared.keys(), blobs - shared.keys()
            found = self._hints.named(image) if self._hints and wanted | blobs else ()
            places = [*self._places, *found]
            if not wanted:
                # The repository itself reports whether it has a blob.
                places = [place for place in places if place.repository.path != self._repository.path]
            of_use = Wanted(wanted, blobs, self._media_types)
            self._named = known_layers(places, of_use, self.read, self._report.debug)
        return self._named | shared

    def all(self, image: Image) -> dict[str, Stored]:
        """Return the layers, also those that are found by a guess; by any thread."""
        with self._finding:
            stored = self.named(image)
            if self._guessed is None:
                missing = frozenset(layer.diff_id for layer in image.layers if layer.descriptor is None) - stored.keys()
                places = self._hints.guessed(image, missing) if self._hints and missing else ()
                of_use = Wanted(missing, media_types=self._media_types)
                self._guessed = known_layers(places, of_use, {}, self._report.debug)
            return self._guessed | stored
