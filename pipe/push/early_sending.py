"""The blobs of a release's next images, which are sent while the manifest of the one before is put and read back."""

from contextlib import suppress
from typing import TYPE_CHECKING

from pipe.errors import PipeError
from pipe.push.context import Context
from pipe.push.pusher import CannotPushError
from pipe.push.pushers import Pushers
from pipe.push.step import Kind
from pipe.source.image_source import ImageSource
from pipe.threads import Cancel, apart, wait

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from pipe.oci.image import Image
    from pipe.oci.manifest import Manifest
    from pipe.push.reuse import Place

SMALL = 8_000_000
"""Unpacked bytes to send of an image that is sent beside another one: two large ones would exceed the memory of a push,
and the link has enough to do with one."""


class EarlySending:
    """Sends the blobs of one image ahead; its push does again what failed.

    Attributes:
        since: When that began; None if it did not.
    """

    def __init__(self, context: Context, pushers: Pushers) -> None:
        """Nothing is sent before `begin`."""
        self._settings = context.settings
        self._clock = context.timing.clock
        self._shared = context.shared
        self._pushers = pushers
        self._under_way: Future[None] | None = None
        self.since: float | None = None

    def begin(
        self, source: ImageSource, read: "Mapping[Place, Manifest | None]", cancel: Cancel, *, is_next: bool
    ) -> "Future[None] | None":
        """Begin to send the blobs in another thread.

        Only small images are sent ahead, which the Engine has staged by then: a large one would take the link from the
        image whose turn it is while that one's time limit runs.

        Args:
            source: The image, which the registry lacks.
            read: Manifests of tags that were read already; None for a tag that does not exist.
            cancel: Ends it.
            is_next: Whether its turn is the next one; a further image is sent only if it is tiny.

        Returns:
            The end of that. None if the blobs must wait for the push itself: the pipe would not push the image as it
            is, its tags may rule out the push, an image before it brings one of its layers, which can be mounted then,
            or two images at once would be too large.

        Raises:
            PipeError: The registry does not answer.
        """
        image, settings, pushers = source.image, self._settings, self._pushers
        is_split = settings.split_auto or settings.split_size is not None
        if not pushers.engine_may_stage(image) or is_split or settings.if_tag_exists != "overwrite":
            return None
        pushers.surveyed(read)
        kind = pushers.current(source, reachable=True).kind
        missing = frozenset(layer.diff_id for layer in image.layers) - pushers.stored.named(image).keys()
        size = sum(layer.size or 0 for layer in image.layers if layer.diff_id in missing)
        if kind is not Kind.REGISTRY or not (is_next or size <= SMALL) or not self._shared.claim(missing):
            # Until its turn, others may bring its layers.
            pushers.replan()
            return None
        pusher = pushers.direct(image)
        pusher.clocks.mute()
        self.since = self._clock()

        def send() -> None:
            # A run that has ended by now waits for no transfer, which could leave a temporary image in the Engine.
            cancel.check()
            with suppress(PipeError, CannotPushError):
                pusher.send(source, cancel)

        self._under_way = apart(send)
        return self._under_way

    def wait(self, image: "Image") -> None:
        """Wait for the end, now that it is this push's turn; in the main thread, a signal interrupts."""
        if self._under_way is not None:
            self._pushers.direct(image).clocks.unmute()
            wait(self._under_way)
