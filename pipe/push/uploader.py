"""Who uploads an image that an Engine has: the Engine, the pipe, or one after the other; at most one takes over."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from pipe.config.settings import Settings
from pipe.engine.kind import GO_GZIP, EngineKind
from pipe.errors import ContentMismatchError, EngineGaveUpError, EngineSaveError, PipeError, UploadForgottenError
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import ARRIVED, Image, LayerStatus
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.push import engine_push, limits, reuse
from pipe.push.blob_upload import Blobs
from pipe.push.direct_push import DirectPush, Stream
from pipe.push.engine_progress import EngineProgress
from pipe.push.engine_push import EnginePush, TakeOver
from pipe.push.progress import Progress
from pipe.push.report import Report, Timing
from pipe.push.strategy import (
    WORTH_SECONDS,
    Outstanding,
    is_compressing,
    may_begin,
    reason_to_begin,
    reason_to_take_over,
)
from pipe.push.transfer import Transfer
from pipe.push.watch import Watch

ENGINE, PIPE, AUTO = "engine", "pipe", "auto"
_PROTOCOL = frozenset((400, 404, 405, 411, 415, 416, 501))
"""Statuses of a registry that does not know a request that the pipe makes and an Engine may not."""
_PROTOCOL_CODES = frozenset(("UNSUPPORTED", "BLOB_UPLOAD_INVALID"))
"""Codes that it may say with them; any other one is about the image, the package or the account."""


class Engine(engine_push.Engine, Protocol):
    """What uploading needs of the Docker Engine."""

    def image(self, name: str) -> Image:
        """Find an image."""

    def kind(self) -> EngineKind:
        """Tell what decides how fast it pushes."""

    def streamed(self, image: Image, *, ahead: bool = False) -> AbstractContextManager[Stream]:
        """Stream an image; `ahead` of its being read, the Engine begins to stage it."""


class Registry(reuse.Registry, Protocol):
    """What uploading needs of the registry."""

    @property
    def blobs(self) -> Blobs:
        """Its blobs."""

    def push_manifest(self, reference: str, manifest: Manifest) -> None:
        """Put a manifest."""


class EngineUploader:
    """Brings an image from an Engine to the registry.

    Attributes:
        used: Who pushed last: "engine", "pipe", None before.
        engine_may_push: Whether the user leaves it to the Engine, at least in part.
    """

    def __init__(self, settings: Settings, engine: Engine, registry: Registry, report: Report, timing: Timing) -> None:
        """Prepare; nothing happens yet.

        Args:
            settings: What the user wants.
            engine: Has the image.
            registry: Is to have it.
            report: Tells people what happens.
            timing: Time.
        """
        self._settings = settings
        self._engine = engine
        self._registry = registry
        self._report = report
        self._timing = timing
        self._engine_push = EnginePush(engine, settings.credentials, settings.max_layer_size, report, timing)
        self._transfer = Transfer(registry.blobs, timing.clock, settings.upload_timeout)
        self._took_over = settings.uploader == PIPE
        self._direct_push: DirectPush | None = None
        self._unable = False
        self._reusable: dict[str, Descriptor] | None = None
        self._kind: EngineKind | None = None
        self._ahead: AbstractContextManager[Stream] | None = None
        self.used: str | None = None
        self.engine_may_push = settings.uploader != PIPE

    def image(self) -> Image:
        """Find the image in the Engine."""
        image = self._engine.image(self._settings.image)
        if self._settings.debug:
            self._engine_kind()
        return image

    def check(self, image: Image) -> None:
        """Refuse at once what cannot fit, before a byte is sent.

        An image that the pipe may be going to upload is staged by the Engine from here on, while the
        registry is asked.

        Args:
            image: What is to be pushed.

        Raises:
            LayerTooLargeError: A layer cannot fit, whoever pushes it.
        """
        limit = self._settings.max_layer_size
        if self._settings.uploader == ENGINE:
            self._check_unpacked(image)
        if any(layer.size is None for layer in image.layers) and (image.size > limit or limit < limits.REGISTRY_LIMIT):
            self._check_stored(image, limit)
        if self._settings.uploader != ENGINE and not self._settings.dry_run and _is_small(image):
            self._ahead = self._engine.streamed(image, ahead=True)

    def _check_unpacked(self, image: Image) -> None:
        """Refuse a layer that may be too large where nobody can tell its compressed size before it is sent."""
        layer = limits.above(image, self._settings.max_layer_size)
        if layer is not None and layer.size is not None:
            raise limits.too_large(layer.label, layer.size, self._settings.max_layer_size, unpacked=True)

    def _check_stored(self, image: Image, limit: int) -> None:
        """Look at the stored size of every blob of every platform, which the Engine streams without staging."""
        try:
            with self._engine.streamed(image) as stream:
                for blob in stream:
                    if blob.size > limit:
                        raise limits.too_large(f"layer {blob.name}", blob.size, limit, unpacked=False)
        except EngineSaveError as error:
            self._report.warning(f"The stored sizes of the layers cannot be known before the push. {error.summary}")

    def forecast(self, image: Image) -> str:
        """Tell who would upload an image, as far as that can be known before."""
        reason = self._early_reason(image)
        if self._settings.uploader == PIPE:
            return "The pipe would upload it itself."
        if self._settings.uploader == ENGINE:
            return "Docker Engine would push it."
        if reason is None:
            layers = [Outstanding(layer.label, layer.size or 0) for layer in image.layers]
            reason = reason_to_take_over(layers, image.size, self._engine_kind(), self._settings.upload_timeout)
        return reason or "Docker Engine would push it."

    def upload(self, target: Reference, image: Image, watch: Watch, *, reachable: bool) -> str:
        """Bring an image under one tag.

        Args:
            target: Where to push.
            image: The image.
            watch: Keeps the clocks.
            reachable: Whether the pipe itself reaches the registry; else only the Engine can push.

        Returns:
            The digest of the manifest that was put there.

        Raises:
            PipeError: It did not arrive.
        """
        if self._settings.uploader == ENGINE or self._unable or not reachable:
            return self._by_engine(target, image, watch)
        if not self._took_over:
            reason = self._early_reason(image)
            try:
                if reason is None:
                    return self._by_engine(target, image, watch, decide=self._decide(image, watch))
            except TakeOver as ended:
                reason = ended.reason
            except EngineGaveUpError as error:
                reason = f"{error.cause} The pipe uploads the image itself."
            self._took_over = True
            self._report.info(reason or "")
        return self._by_pipe(target, image, watch)

    def _early_reason(self, image: Image) -> str | None:
        """Tell why the Engine need not even begin."""
        layer = limits.above(image, self._settings.max_layer_size)
        if layer is None:
            if not _is_small(image):
                return None
            known = self._known(image)
            missing = [Outstanding(each.label, each.size or 0) for each in image.layers if each.diff_id not in known]
            return reason_to_begin(missing, image.size, self._engine_kind())
        return (
            f"Only the pipe can tell whether {layer.label} fits once it is compressed, so it uploads the image itself."
        )

    def _by_engine(
        self,
        target: Reference,
        image: Image,
        watch: Watch,
        decide: Callable[[EngineProgress, float], str | None] = lambda _progress, _now: None,
    ) -> str:
        self.used = ENGINE
        if self._ahead is not None:
            with self._streamed(image):
                pass  # The Engine has better things to do.
        return self._engine_push.push(target, image, watch, decide)

    def _by_pipe(self, target: Reference, image: Image, watch: Watch) -> str:
        self.used = PIPE
        if self._transfer.reusable is None:
            self._transfer.reusable = self._known(image)
        if self._direct_push is None:
            self._direct_push = DirectPush(self._registry, self._transfer, watch, self._settings.max_layer_size)
        try:
            return self._direct_push.from_engine(target, image, self._streamed(image)).digest
        except PipeError as error:
            if isinstance(error, EngineSaveError):
                self._engine_push.await_engine(error)
            if not _is_own(error) or self._settings.uploader == PIPE:
                raise
            self._unable = True
            self._check_unpacked(image)
            self._report.warning(f"{error.summary}\nThe pipe cannot upload this image itself; Docker Engine pushes it.")
        return self._by_engine(target, image, watch)

    def _streamed(self, image: Image) -> AbstractContextManager[Stream]:
        """Stream the image, unless the Engine has begun with that already."""
        ahead, self._ahead = self._ahead, None
        return ahead or self._engine.streamed(image)

    def _known(self, image: Image) -> dict[str, Descriptor]:
        """Find out, once, which layers the registry has in other images."""
        if self._reusable is None:
            reuse_from = self._settings.reuse_from
            here = (each.tag for each in reuse_from if each.repository == self._settings.repository)
            tags = (*here, *self._settings.tags, "latest")
            wanted = frozenset(layer.diff_id for layer in image.layers)
            self._reusable = reuse.known_layers(self._registry, tags, wanted, self._report.debug)
        return self._reusable

    def present(self, image: Image) -> frozenset[str]:
        """Tell which layers the registry has in other images, and still has: by diffID."""
        found = self._known(image).items()
        return frozenset(diff_id for diff_id, named in found if self._registry.blobs.size(named.digest) is not None)

    def _engine_kind(self) -> EngineKind:
        if self._kind is None:
            self._kind = self._engine.kind()
            self._report.debug(f"Docker Engine: {self._kind}.")
        return self._kind

    def _decide(self, image: Image, watch: Watch) -> Callable[[EngineProgress, float], str | None]:
        """Prepare the decision, where there may be something to decide: small images are not worth a question."""
        timeout = self._settings.upload_timeout
        if image.size / GO_GZIP < min(WORTH_SECONDS, timeout) or any(layer.size is None for layer in image.layers):
            return lambda _progress, _now: None
        # An Engine that compresses on every core takes half a second for this answer.
        kind = self._engine_kind()

        def decide(_: EngineProgress, now: float) -> str | None:
            progress = watch.progress
            if not progress.uploading:
                return None
            # Asked for once, and only where the Engine sends something: it goes on meanwhile.
            known = self._known(image)
            slow = next((layer for layer in progress.uploading if watch.needed(layer, now) > timeout), None)
            if slow is not None and is_compressing(slow.sent, slow.elapsed(now), kind):
                return f"Docker Engine would not compress {slow.label} in time; the pipe uploads it itself."
            return reason_to_take_over(_outstanding(progress, known), image.size, kind, timeout)

        return decide


def _is_small(image: Image) -> bool:
    """Tell whether the pipe may upload an image without a look at how the Engine begins."""
    return may_begin(image.size) and all(layer.size is not None for layer in image.layers)


def _is_own(error: PipeError) -> bool:
    """Tell whether it is the pipe's own way that failed, so that the Engine's may lead there."""
    refused = error.status in _PROTOCOL and _PROTOCOL_CODES.issuperset(error.codes)
    return (refused and not isinstance(error, UploadForgottenError)) or isinstance(
        error, EngineSaveError | ContentMismatchError
    )


def _outstanding(progress: Progress, known: dict[str, Descriptor]) -> list[Outstanding]:
    """List what the Engine still has to send.

    Layers that the registry has and that wait for their turn count as present, unless the Engine is
    already sending such a layer: then it remembers nothing, and is going to send them all.
    """
    forgetful = any(layer.diff_id in known for layer in progress.uploading)
    return [
        Outstanding(layer.label, max(0, (layer.size or 0) - layer.sent), layer.diff_id in known)
        for layer in progress.image_layers
        if layer.status not in ARRIVED
        and (forgetful or layer.status is not LayerStatus.WAITING or layer.diff_id not in known)
    ]
