"""Puts the parts of a run together; loaded after the log has begun."""

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipe.config.settings import Settings
from pipe.config.variables import DEFAULT_TAG
from pipe.errors import EngineSaveError
from pipe.oci.image import Image
from pipe.output.log import Output
from pipe.push.context import Context, Timing
from pipe.push.hints import Hints
from pipe.push.pushers import Pushers
from pipe.push.release import Release
from pipe.push.reuse import Place
from pipe.push.run import Push
from pipe.push.shared_layers import SharedLayers
from pipe.registry.client import Client
from pipe.registry.glimpse import glimpse
from pipe.source.engine_source import EngineSource
from pipe.source.exports import Exports
from pipe.source.image_source import ImageSource

if TYPE_CHECKING:
    import threading

    from pipe.encoding.blob import EncodedBlob
    from pipe.engine.client import Engine
    from pipe.push.referrers import Referrers
    from pipe.push.splits import Splits
    from pipe.push.transfer import Encode
    from pipe.source.blob import SourceBlob
    from pipe.source.documents import Documents
    from pipe.threads import Cancel


def wired(settings: Settings, client: Client, output: Output) -> Release:
    """Put a run together; nothing happens yet, and only that is imported which any push from there needs."""
    requests, shared = settings.requests, SharedLayers()
    if len(requests) > 1:
        client.share_token(request.repository for request in requests)
    source = _source(settings, client, output)
    timing = Timing(time.monotonic, time.sleep, random.random)
    encoder = cache(partial(_encoder, settings, client))
    parts: list[Push] = []
    for request in requests:
        context = Context(settings, request, client.repository(request.repository), output, timing, shared)
        pushers = Pushers(
            context, _places(context, client), encoder, source.engine, _hints(context, client, source.engine)
        )
        referrers = _referrers(context, encoder)
        parts.append(Push(context, source.finder(context, referrers, len(parts)), pushers, referrers, _splits(context)))
    return Release(parts, shared, output)


def _source(settings: Settings, client: Client, output: Output) -> "_Archive | _Docker | _Registry":
    """Return what has the images; a run with a promotion has no other request."""
    if settings.requests[0].promotion is not None:
        return _Registry(client)
    return _Archive(settings, client, output) if settings.image_archive is not None else _Docker(settings, client)


def _referrers(context: Context, encoder: "Callable[[], Encode]") -> "Referrers | None":
    """Return what pushes the artifacts that refer to an image, which only archives have."""
    if context.request.promotion is not None or context.settings.image_archive is None:
        return None
    from pipe.push.referrers import Referrers  # noqa: PLC0415

    return Referrers(context, encoder)


def _places(context: Context, client: Client) -> tuple[Place, ...]:
    """Return the tags whose layers may be reused; a promotion needs none.

    Those that are read anyway come first, since the number of manifests is limited.
    """
    if context.request.promotion is not None:
        return ()
    own, tags = context.repository, (DEFAULT_TAG, *context.request.tags)
    others = context.settings.reuse_from
    return (
        *(Place(own, tag) for tag in tags),
        *(Place(client.repository(each.repository) if each.repository else own, each.tag) for each in others),
    )


def _hints(context: Context, client: Client, engine: "Engine | None") -> Hints | None:
    """Return what finds further places; a promotion needs none."""
    if context.request.promotion is not None:
        return None
    return Hints(context.request.targets, client.repository, partial(glimpse, client), engine, context.shared.untagged)


def _splits(context: Context) -> "Splits | None":
    if context.settings.split_size is None and not context.settings.split_auto:
        return None
    from pipe.push.splits import Splits  # noqa: PLC0415

    return Splits(context)


class _Archive:
    """Images in an archive or a layout."""

    engine = None

    def __init__(self, settings: Settings, client: Client, output: Output) -> None:
        self._settings = settings
        self._client = client
        self._output = output
        self._opened = cache(self._open)

    def _open(self) -> "Documents":
        from pipe.source.archive import opened  # noqa: PLC0415

        return opened(self._settings.image_archive or Path(), self._output)

    def finder(self, context: Context, referrers: "Referrers | None", _number: int) -> Callable[[], ImageSource]:
        """Return what finds the image of a request, and its artifacts."""
        from pipe.source.archive import image_in  # noqa: PLC0415
        from pipe.source.archive_source import ArchiveSource  # noqa: PLC0415
        from pipe.source.compressible import compressible  # noqa: PLC0415

        settings, output = self._settings, self._output
        several = len(settings.requests) > 1

        def find() -> ImageSource:
            stored = image_in(self._opened(), context.request.name, output, strict=several)
            stored = compressible(stored, output) if settings.compress_plain else stored
            if referrers is not None:
                referrers.found(stored.referrers)
            return ArchiveSource(stored)

        return find


class _Registry:
    """Images that are in the registry already."""

    engine = None

    def __init__(self, client: Client) -> None:
        self._client = client

    def finder(self, context: Context, _referrers: "Referrers | None", _number: int) -> Callable[[], ImageSource]:
        """Return what finds the image of a request, or joins its images."""
        from pipe.push.promotion import find  # noqa: PLC0415

        return partial(find, context, self._client.repository)


class _Docker:
    """Images in a Docker Engine, which all pushes share."""

    def __init__(self, settings: Settings, client: Client) -> None:
        from pipe.engine.client import Engine  # noqa: PLC0415
        from pipe.engine.staging import exported_together  # noqa: PLC0415

        self.engine = Engine(settings.docker)
        self._exports = Exports(self.engine, exported_together)
        self._client = client

    def finder(self, context: Context, _referrers: "Referrers | None", number: int) -> Callable[[], ImageSource]:
        """Return what finds the image of a request."""
        engine, exports = self.engine, self._exports

        def find() -> ImageSource:
            image = engine.image(context.request.image)
            exports.found(number, image)
            # A graphdriver store knows the sizes of the layers, so the Engine need not be asked what it is.
            stored = any(layer.size is None for layer in image.layers) and engine.kind().containerd
            return EngineSource(image, _Exporter(engine, exports, context), containerd=stored)

        return find


class _Exporter:
    """The exports of an Engine, for a source that knows neither registry nor log."""

    def __init__(self, engine: "Engine", exports: Exports, context: Context) -> None:
        self._engine = engine
        self._context = context
        self.saved, self.staged = engine.saved, exports.staged

    def prefixes(self, image: Image, known: frozenset[str]) -> AbstractContextManager[tuple[Image, ...]]:
        return self._engine.prefixes(image, self._context.report.warning, known)

    def check(self, error: EngineSaveError) -> None:
        from pipe.push.engine_pusher import await_engine  # noqa: PLC0415

        await_engine(self._engine, error, self._context.timing)

    def sweep(self) -> None:
        self._engine.sweep(self._context.request.targets[0], self._context.report.warning)


def _encoder(settings: Settings, client: Client) -> "Encode":
    """Return what encodes blobs; called once the client is connected."""
    from pipe.encoding.blob import EncodedBlob  # noqa: PLC0415
    from pipe.encoding.codecs import COMPRESSIONS  # noqa: PLC0415
    from pipe.encoding.pool import BlockPool  # noqa: PLC0415
    from pipe.registry.upload import CHUNK  # noqa: PLC0415

    compression = COMPRESSIONS[settings.compression]
    pool = BlockPool(compression.fastest_first() if client.is_near else compression)

    def encode(blob: "SourceBlob", cancel: "Cancel", read: "threading.Event") -> "EncodedBlob":
        return EncodedBlob(blob, CHUNK, cancel, pool, read)

    return encode
