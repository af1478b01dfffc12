"""Puts the parts of a push together; loaded after the log has begun."""

import random
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pipe.config.settings import Settings
from pipe.errors import EngineSaveError
from pipe.oci.image import Image
from pipe.output.log import Output
from pipe.push.context import Context, Timing
from pipe.push.engine_pusher import await_engine
from pipe.push.pushers import Pushers
from pipe.push.reuse import Place, origins
from pipe.push.run import Push
from pipe.registry.client import Client
from pipe.source.engine_source import EngineSource
from pipe.source.image_source import ImageSource

if TYPE_CHECKING:
    import threading

    from pipe.encoding.blob import EncodedBlob
    from pipe.engine.client import Engine
    from pipe.push.transfer import Encode
    from pipe.source.blob import SourceBlob
    from pipe.threads import Cancel

DEFAULT_TAG = "latest"


def wired(settings: Settings, client: Client, output: Output) -> Push:
    """Put a push together; nothing happens yet, and only that is imported which any push from there needs."""
    timing = Timing(time.monotonic, time.sleep, random.random)
    request = settings.requests[0]
    repository = client.repository(request.repository)
    context = Context(settings, request, repository, output, timing)
    places = (
        *(Place(client.repository(each.repository), each.tag) for each in settings.reuse_from),
        *(Place(repository, tag) for tag in (*request.tags, DEFAULT_TAG)),
    )
    encoder = partial(_encoder, settings)
    target = request.targets[0]
    archive = settings.image_archive
    if archive is not None:
        from pipe.push.referrers import Referrers  # noqa: PLC0415
        from pipe.source.archive import open_image  # noqa: PLC0415
        from pipe.source.archive_source import ArchiveSource  # noqa: PLC0415
        from pipe.source.compressible import compressible  # noqa: PLC0415

        referrers = Referrers(context, encoder)

        def open_archive() -> ImageSource:
            stored = open_image(archive, request.name, output)
            stored = compressible(stored, output) if settings.compress_plain else stored
            referrers.found(stored.referrers)
            return ArchiveSource(stored)

        pushers = Pushers(context, places, encoder, None, lambda image: origins(image, target, client.repository))
        return Push(context, open_archive, pushers, referrers)

    from pipe.engine.client import Engine  # noqa: PLC0415

    engine = Engine(settings.docker)

    def find_image() -> ImageSource:
        image = engine.image(request.image)
        # A graphdriver store knows the sizes of the layers, so the Engine need not be asked what it is.
        stored = any(layer.size is None for layer in image.layers) and engine.kind().containerd
        return EngineSource(image, _Exporter(engine, context), containerd=stored)

    def find_origins(image: Image) -> list[Place]:
        relatives = engine.relatives(image, f"{target.domain}/{target.path.partition('/')[0]}/*")
        return origins(replace(image, origins=image.origins + relatives), target, client.repository)

    return Push(context, find_image, Pushers(context, places, encoder, engine, find_origins))


class _Exporter:
    """The exports of an Engine, for a source that knows neither registry nor log."""

    def __init__(self, engine: "Engine", context: Context) -> None:
        self._engine = engine
        self._context = context
        self.saved = engine.saved

    def prefixes(self, image: Image) -> AbstractContextManager[tuple[Image, ...]]:
        return self._engine.prefixes(image, self._context.report.warning)

    def check(self, error: EngineSaveError) -> None:
        await_engine(self._engine, error, self._context.timing)

    def sweep(self) -> None:
        self._engine.sweep(self._context.request.targets[0], self._context.report.warning)


def _encoder(settings: Settings) -> "Encode":
    from pipe.encoding.blob import EncodedBlob  # noqa: PLC0415
    from pipe.encoding.codecs import COMPRESSIONS  # noqa: PLC0415
    from pipe.encoding.pool import BlockPool  # noqa: PLC0415
    from pipe.registry.upload import CHUNK  # noqa: PLC0415

    pool = BlockPool(COMPRESSIONS[settings.compression])

    def encode(blob: "SourceBlob", cancel: "Cancel", read: "threading.Event") -> "EncodedBlob":
        return EncodedBlob(blob, CHUNK, cancel, pool, read)

    return encode
