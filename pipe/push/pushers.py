"""The pushers of one run: planned from facts, made when their turn comes, kept over all attempts."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from pipe.engine.kind import GO_GZIP, EngineKind
from pipe.errors import LimitError
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.push.checks import check_unpacked
from pipe.push.clocks import Clocks
from pipe.push.context import Context
from pipe.push.early_staging import EarlyStaging
from pipe.push.hints import Hints, sent_by_pipe
from pipe.push.plan import (
    WORTH_SECONDS,
    Facts,
    Pending,
    bytes_to_send,
    may_stage,
    may_start,
    pending_layers,
    plan,
    reason_to_hand_over,
)
from pipe.push.progress import ProgressTracker, Snapshot
from pipe.push.pusher import CannotPushError, Pushed
from pipe.push.reuse import Place
from pipe.push.step import Kind, Step, after
from pipe.push.stored_layers import StoredLayers
from pipe.source.image_source import ImageSource
from pipe.threads import apart

if TYPE_CHECKING:
    from pipe.oci.descriptor import Descriptor
    from pipe.push.engine_pusher import EnginePusher, HandOver, PlannedEngine
    from pipe.push.registry_pusher import RegistryPusher
    from pipe.push.transfer import Encode

SPLIT_ALREADY = "Set SPLIT_LAYERS to a smaller size, or push from a machine with a faster link."
LIKELY = 12
"""Places that are read before it is known whether they are needed, beside the tags of the push: usually one."""


class Pushers:
    """Plans the pushers of one image, and makes them.

    Attributes:
        used: Who pushed last: "engine" or "pipe"; None before the first push.
        stored: Finds the layers that the registry stores.
    """

    def __init__(
        self,
        context: Context,
        places: Sequence[Place],
        encoder: Callable[[], "Encode"],
        engine: "PlannedEngine | None",
        hints: Hints | None = None,
    ) -> None:
        """Nothing happens before the first plan.

        Args:
            context: Of the run.
            places: Tags whose layers may be reused, the likeliest first.
            encoder: Returns what encodes layers; called before the first is uploaded.
            engine: It has the image; None if the image is in an archive.
            hints: Finds further places; None if none are needed.
        """
        self._context = context
        self._settings = context.settings
        self._repository = context.repository
        self._report = context.report
        self._places = places
        self.stored = StoredLayers(context, places, hints)
        self._shared = context.shared
        self._encoder = encoder
        self._may_split = self._settings.split_auto
        self._engine = engine
        self._clocks: Clocks | None = None
        self._steps: tuple[Step, ...] = ()
        self._kind: EngineKind | None = None
        self._registry_pusher: RegistryPusher | None = None
        self._known: dict[str, Descriptor] = {}
        self._trusting = True
        self.used: str | None = None

    @property
    def engine_may_push(self) -> bool:
        """Whether an Engine may push, which may reach a registry that the pipe does not, but pushes whole layers."""
        return self._engine is not None and self._settings.uploader != "pipe" and self._settings.split_size is None

    @property
    def likely(self) -> Sequence[Place]:
        """The places in the target's repository whose layers may be reused, which cost no further token."""
        if self._settings.uploader == "engine":
            return ()
        return [place for place in self._places if place.repository is self._repository][:LIKELY]

    def progress(self) -> Snapshot:
        """Return the progress of all layers that were named so far."""
        return self._clocks.tracker.snapshot() if self._clocks else {}

    def surveyed(self, read: Mapping[Place, Manifest | None]) -> None:
        """Keep the manifests of tags that were read already; None for a tag that does not exist."""
        self.stored.read = read

    def staged(self, source: ImageSource) -> AbstractContextManager[None]:
        """Let the Engine stage a small image that the pipe may push, while the registry is asked."""
        if self._settings.debug:
            self._engine_kind()
        if not self.engine_may_stage(source.image):
            return nullcontext()
        return source.staged()

    def engine_may_stage(self, image: Image) -> bool:
        """Return whether it may pay to have an image staged before the plan is made.

        If IF_TAG_EXISTS is `fail`, the registry's tags may rule out the push, and must be read first.
        """
        settings = self._settings
        ruled_out = settings.uploader == "engine" or settings.dry_run or settings.if_tag_exists == "fail"
        return self._engine is not None and not ruled_out and may_stage(image)

    def current(self, source: ImageSource, *, reachable: bool) -> Step:
        """Return the step of the plan whose turn it is."""
        if not reachable:
            return self._planned(source.image, reachable=False)[0]
        if not self._steps:
            self._steps = self._planned(source.image, reachable=True)
        return self._steps[0]

    def replan(self) -> None:
        """Make the plan anew when it is needed."""
        self._steps = ()

    def give_way(self, error: CannotPushError) -> Step | None:
        """Return the next step that can help, and log why; None if there is none."""
        steps = after(self._steps, limit=isinstance(error.failure, LimitError))
        if not steps:
            return None
        (self._report.info if error.failure is None else self._report.warning)(error.reason)
        self._steps = steps
        return steps[0]

    def replace_image(self, *, is_final: bool) -> None:
        """Go on with an image that was split, which no Engine has; `is_final` if its layers are not split again.

        What has arrived stays known.
        """
        self._may_split = self._may_split and not is_final
        if self._registry_pusher is not None:
            self._known |= self._registry_pusher.known
        self._engine = self._clocks = self._registry_pusher = None
        self.stored.forget()
        self._steps = ()

    def push(
        self, source: ImageSource, reference: Reference, step: Step, staging: EarlyStaging, sent: Callable[[], None]
    ) -> Pushed:
        """Push with one step of the plan; `sent` is called once all blobs are there, unless the Engine sends them.

        An Engine that hands over may have begun the `staging` for the next step.

        Raises:
            CannotPushError: It cannot push.
            PipeError: The push failed.
        """
        if step.reason and self.used is None:
            self._report.info(step.reason)
        self.used = step.kind.value
        try:
            if step.kind is Kind.ENGINE and self._engine is not None:
                return self._engine_pusher(self._engine, source, step, staging).push(source, reference)
            pusher = self.direct(source.image)
            pusher.send(source)
            sent()
            return pusher.push(source, reference)
        except LimitError as error:
            if not after(self._steps, limit=True):
                if self._settings.split_auto or self._settings.split_size is not None:
                    error.fix = SPLIT_ALREADY
                raise
            raise CannotPushError(error.summary, error) from error

    def direct(self, image: Image) -> "RegistryPusher":
        """Return the pipe's own pusher, which keeps what has arrived."""
        if self._registry_pusher is None:
            from pipe.push.registry_pusher import RegistryPusher  # noqa: PLC0415
            from pipe.push.transfer import Transfer  # noqa: PLC0415

            clocks = self._clocks = self._clocks or self._new_clocks(image)
            transfer = Transfer(self._context, image, clocks, self._encoder())
            self._registry_pusher = RegistryPusher(transfer, lambda: self.stored.all(image))
            if not self._trusting:
                self._registry_pusher.forget()
            transfer.known.update(self._known)
        return self._registry_pusher

    def forget(self) -> None:
        """Check everything again with the next push: the registry lacks a blob that it reported."""
        self._trusting = False
        self._known.clear()
        if self._registry_pusher is not None:
            self._registry_pusher.forget()

    def forecast(self, source: ImageSource) -> str:
        """Return who would push the image, as far as that can be known before."""
        promotion = self._context.request.promotion
        if promotion is not None:
            return f"Layers would be mounted from {promotion.repository}, or copied if the registry refuses that."
        step = self.current(source, reachable=True)
        reason = step.reason
        if step.hands_over:
            image = source.image
            pending = Pending(pending_layers(image, {}, frozenset()), bytes_to_send(image, frozenset()))
            reason = reason_to_hand_over(pending, image, self._engine_kind(), self._settings.upload_timeout) or ""
        if reason:
            return reason
        return "The pipe would push it directly." if step.kind is Kind.REGISTRY else "Docker Engine would push it."

    def present(self, image: Image) -> frozenset[str]:
        """Return the diffIDs of the layers that the registry has, and that a push would not send."""
        named = {diff_id: stored.descriptor for diff_id, stored in self.stored.named(image).items()}
        named |= {layer.diff_id: layer.descriptor for layer in image.layers if layer.descriptor is not None}
        sizes = self._repository.stat_all(each.digest for each in named.values())
        return frozenset(diff_id for diff_id, each in named.items() if sizes[each.digest] is not None)

    def _planned(self, image: Image, *, reachable: bool) -> tuple[Step, ...]:
        settings = self._settings
        trip = self._repository.round_trip
        may = reachable and self.engine_may_push and settings.uploader == "auto" and may_start(image, trip)
        known = frozenset(self.stored.named(image)) if may else frozenset()
        kind = self._engine_kind() if may else EngineKind()
        # Unless the pipe may begin, the Engine does in any case, and what is guessed then may end its push.
        may_guess = may and sent_by_pipe(image, kind, trip)
        guessed = frozenset(self.stored.all(image)) - known if may_guess else frozenset()
        return plan(
            Facts(
                image,
                settings.uploader,
                in_engine=self._engine is not None,
                reachable=reachable,
                max_layer_size=settings.max_layer_size,
                kind=kind,
                known=known | guessed,
                by_pipe=self._shared.by_pipe | guessed,
                splits=self._may_split,
                round_trip=trip,
            )
        )

    def _engine_pusher(
        self, engine: "PlannedEngine", source: ImageSource, step: Step, staging: EarlyStaging
    ) -> "EnginePusher":
        # Many runs push nothing, and each pusher is loaded when it is needed.
        from pipe.push.engine_pusher import EnginePusher  # noqa: PLC0415

        clocks = self._clocks = self._clocks or self._new_clocks(source.image)
        check_unpacked(source.image, self._settings.max_layer_size)
        hand_over = self._hand_over(source, clocks, staging) if step.hands_over else None
        return EnginePusher(self._context, engine, clocks, hand_over)

    def _new_clocks(self, image: Image) -> Clocks:
        idle = "waiting for Docker Engine" if self._engine is not None else "nothing sent yet"
        return Clocks(
            ProgressTracker(image, idle),
            self._settings.upload_timeout,
            self._context.timing.clock,
            self._report,
            foretells=self._may_split,
        )

    def _hand_over(self, source: ImageSource, clocks: Clocks, staging: EarlyStaging) -> "HandOver":
        """Return the decision whether the Engine's push is worth ending; none for an image that is soon pushed."""
        from pipe.push.takeover import Takeover  # noqa: PLC0415

        image, timeout = source.image, self._settings.upload_timeout
        if image.size / GO_GZIP < min(WORTH_SECONDS, timeout) or any(layer.size is None for layer in image.layers):
            return lambda _layers, _now: None
        # An Engine that compresses on every core takes half a second for this answer.
        kind = self._engine_kind()
        # The answers are there when the Engine sends its first layer.
        known = apart(lambda: frozenset(self.stored.all(image)))
        return Takeover(source, clocks, kind, known, staging).reason

    def _engine_kind(self) -> EngineKind:
        if self._kind is None:
            self._kind = self._engine.kind() if self._engine is not None else EngineKind()
            self._report.debug(f"Docker Engine: {self._kind}.")
        return self._kind
