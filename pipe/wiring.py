"""Puts the parts of a push together: the one place that knows all rooms, loaded after the log has begun."""

import contextlib
import random
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

from pipe.about import About
from pipe.config.settings import Settings
from pipe.engine.client import Engine
from pipe.engine.save import SaveStream
from pipe.oci.image import Image
from pipe.output.log import Output
from pipe.push.archive_uploader import ArchiveUploader
from pipe.push.report import Timing
from pipe.push.run import Push, Source
from pipe.push.uploader import EngineUploader
from pipe.registry.client import Registry
from pipe.registry.transport import Transport
from pipe.source.archive import open_image
from pipe.source.daemon import DaemonStream
from pipe.source.opening import located


class StreamingEngine(Engine):
    """An Engine whose images are read while it streams them."""

    def streamed(self, image: Image, *, ahead: bool = False) -> AbstractContextManager[DaemonStream]:
        """Stream an image, from now on or from the first read, and end the stream with the context."""
        saved = self.saved(image)
        if ahead:
            saved.begin()
        return _read(saved, image, self.kind().containerd)


@contextlib.contextmanager
def _read(saved: SaveStream, image: Image, containerd: bool) -> Iterator[DaemonStream]:  # noqa: FBT001
    with contextlib.closing(saved):
        yield DaemonStream(saved, image.id, [layer.diff_id for layer in image.layers], containerd=containerd)


def wired(settings: Settings, about: About, output: Output) -> Push:
    """Put a push together; nothing happens yet.

    Args:
        settings: What the user wants.
        about: What this program is.
        output: Tells people what happens.

    Returns:
        The push.
    """
    target = settings.targets[0]
    transport = Transport(target, f"{about.name}/{about.version}", output.debug)
    registry = Registry(target, settings.credentials, transport, output)
    timing = Timing(time.monotonic, time.sleep, random.random)
    archive = settings.image_archive
    source: Source = (
        EngineUploader(settings, StreamingEngine(settings.docker), registry, output, timing)
        if archive is None
        else ArchiveUploader(
            settings,
            lambda: open_image(located(archive, settings.clone_directory), settings.name, output),
            registry,
            output,
            timing,
        )
    )
    return Push(settings, source, registry, output, timing)
