"""The use case: check → upload → verify, for every tag, as often as it is worth it."""

from typing import Protocol

from pipe.config.settings import Settings
from pipe.errors import PipeError, RegistryUnreachableError, StatusLostError
from pipe.oci.image import Image, LayerStatus
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.push.layers import settled_layers
from pipe.push.platforms import platform_images
from pipe.push.progress import Progress
from pipe.push.report import Report, Timing
from pipe.push.result import Result, TagResult, TagStatus
from pipe.push.state import State
from pipe.push.verify import holds, proven
from pipe.push.watch import Watch
from pipe.retry import Attempts
from pipe.text import listed
from pipe.units import format_size


class Source(Protocol):
    """What a run pushes, and how that gets to the registry.

    Attributes:
        used: Who pushed last: "engine", "pipe", None before.
    """

    used: str | None

    @property
    def engine_may_push(self) -> bool:
        """Whether an Engine may push it, which may reach a registry that the pipe does not."""

    def image(self) -> Image:
        """Find the image."""

    def check(self, image: Image) -> None:
        """Refuse at once what cannot fit."""

    def forecast(self, image: Image) -> str:
        """Tell who would upload it."""

    def present(self, image: Image) -> frozenset[str]:
        """Tell which layers the registry has, by diffID."""

    def upload(self, target: Reference, image: Image, watch: Watch, *, reachable: bool) -> str:
        """Bring the image under one tag; return the digest of its manifest.

        Args:
            target: The tag.
            image: The image.
            watch: Keeps the clocks.
            reachable: Whether the pipe itself reaches the registry.
        """


class Registry(Protocol):
    """What a run needs of the registry."""

    def check_push(self) -> None:
        """Ask whether a push is allowed."""

    def digest(self, reference: str) -> str | None:
        """Ask what a tag or digest names."""

    def manifest(self, reference: str) -> Manifest | None:
        """Read a manifest."""

    def read_blob(self, digest: str, maximum: int) -> bytes | None:
        """Read a small blob, None where it is not to be had."""

    def put_manifest(self, tag: str, manifest: Manifest) -> bool:
        """Put a manifest under a tag."""


class Push:
    """One run: every tag of one image, to one repository."""

    def __init__(self, settings: Settings, source: Source, registry: Registry, report: Report, timing: Timing) -> None:
        """Prepare; nothing happens yet.

        Args:
            settings: What the user wants.
            source: Has the image.
            registry: Is to have it.
            report: Tells people what happens.
            timing: Time and randomness.
        """
        self._settings = settings
        self._source = source
        self._registry = registry
        self._report = report
        self._timing = timing
        self._attempts = Attempts(settings.max_attempts, timing.random)
        self._state = State({target.tag: TagResult(target) for target in settings.targets})
        self._began: float | None = None

    def run(self) -> None:
        """Push every tag.

        Raises:
            PipeError: A tag did not arrive; `result` says what became of each.
        """
        self._began = self._timing.clock()
        for target in self._settings.targets:
            if not self._state.tags[target.tag].arrived:
                # What a signal leaves behind.
                self._state.tags[target.tag] = TagResult(target, TagStatus.FAILED, error="The push was stopped.")
            try:
                self._state.tags[target.tag] = self._push(target)
            except PipeError as error:
                self._state.tags[target.tag] = TagResult(target, TagStatus.FAILED, error=error.summary)
                raise
        if self._settings.dry_run:
            self._forecast()

    def result(self, exit_code: int) -> Result:
        """Tell what became of the run, at any time.

        Args:
            exit_code: What the process ends with.

        Returns:
            The result so far.
        """
        state, tags = self._state, tuple(self._state.tags.values())
        layers = settled_layers(state.watch.progress if state.watch else None, state.single, tags)
        return Result(
            image=self._settings.image,
            image_id=state.image.id if state.image else None,
            dry_run=self._settings.dry_run,
            tags=tags,
            layers=layers,
            exit_code=exit_code,
            uploader=self._source.used,
            seconds=None if self._began is None else self._timing.clock() - self._began,
            platforms=state.platform_results(layers),
        )

    def _push(self, target: Reference) -> TagResult:
        """Bring one tag to the registry, trying again what may pass."""
        while True:
            try:
                return self._attempt(target, *self._checked_image())
            except PipeError as error:
                delay = self._attempts.next_delay(error)
                if delay is None:
                    raise
                self._report.warning(
                    f"Attempt {self._attempts.made} of {self._attempts.maximum} failed. {error.summary}"
                    f"\nNext attempt in {delay:.0f} s; layers that have arrived are not sent again."
                )
                self._timing.sleep(delay)

    def _checked_image(self) -> tuple[Image, Watch]:
        """Find the image once, and refuse at once what cannot fit."""
        state = self._state
        if state.image is None or state.watch is None:
            state.image = image = self._source.image()
            progress = Progress(image, engine=self._settings.image_archive is None)
            state.watch = Watch(progress, self._settings.upload_timeout, self._timing.clock, self._report)
            layers = f"{len(image.layers)} layer{'s'[: len(image.layers) != 1]}"
            kind = "unpacked" if all(layer.size is not None for layer in image.layers) else "stored"
            first = self._settings.targets[0]
            self._report.info(
                f"{self._settings.image}: {layers}, {format_size(image.size)} {kind} → {first.repository}:"
                f" {listed(self._settings.tags)}"
            )
            self._source.check(image)
        return state.image, state.watch

    def _attempt(self, target: Reference, image: Image, watch: Watch) -> TagResult:
        """Make one attempt for one tag."""
        state = self._state
        if not state.reachable:
            self._check_push()
        if state.reachable:
            self._survey(target, image)
            if state.tags[target.tag].arrived:
                return state.tags[target.tag]
        if self._settings.dry_run:
            return TagResult(target, TagStatus.WOULD_PUSH)
        digest = self._put(target)
        if digest is None:
            digest = self._upload(target, image, watch)
        state.uploaded.add(target.tag)
        return self._verified(target, image, digest)

    def _upload(self, target: Reference, image: Image, watch: Watch) -> str:
        """Have the image uploaded; where the Engine lost a refusal's status, the registry's own answer decides."""
        try:
            return self._source.upload(target, image, watch, reachable=self._state.reachable)
        except StatusLostError:
            if self._state.reachable:
                self._registry.check_push()
            raise

    def _check_push(self) -> None:
        """Ask whether a push is allowed; only a registry out of reach from here leaves it to the Engine."""
        try:
            self._registry.check_push()
        except RegistryUnreachableError as error:
            if self._settings.dry_run or not self._source.engine_may_push:
                raise
            self._report.warning(f"{error.summary}\nDocker Engine may still reach it, so the push goes on.")
            return
        self._state.reachable = self._attempts.allowed = True
        self._report.info("Push access confirmed.")

    def _survey(self, target: Reference, image: Image) -> None:
        """Look which tags hold this very image: all of them at first, since one spares the others an upload."""
        state = self._state
        for each in self._settings.targets:
            again = each == target and each.tag in state.uploaded
            if not state.tags[each.tag].arrived and (again or not state.surveyed):
                self._look(each, image)
        state.surveyed = True

    def _look(self, target: Reference, image: Image) -> None:
        """Find out whether nothing is to be done for a tag, since it holds this very image."""
        state, manifest = self._state, self._state.manifest
        if manifest is None:
            manifest = self._registry.manifest(target.tag)
            if manifest is None or not holds(manifest, image):
                return
            self._remember(manifest)
        elif self._registry.digest(target.tag) != manifest.digest:
            return
        pushed = target.tag in state.uploaded
        status = TagStatus.PUSHED if pushed else TagStatus.ALREADY_THERE
        state.tags[target.tag] = TagResult(target, status, manifest.digest, verified=True)
        if not pushed:
            self._report.info(f"{target} already points to this image.")

    def _put(self, target: Reference) -> str | None:
        """Set a further tag to the manifest that is in the registry, without sending anything else."""
        manifest = self._state.manifest
        if manifest is None or not self._state.reachable or not self._registry.put_manifest(target.tag, manifest):
            return None
        return manifest.digest

    def _verified(self, target: Reference, image: Image, digest: str) -> TagResult:
        """Read the tag back."""
        if not self._state.reachable:
            return TagResult(target, TagStatus.PUSHED, digest, verified=False)
        manifest = proven(self._registry, target, image, digest)
        if self._state.manifest is None:
            self._remember(manifest)
        return TagResult(target, TagStatus.PUSHED, manifest.digest, verified=True)

    def _remember(self, manifest: Manifest) -> None:
        self._state.manifest = self._state.single = manifest
        if len(manifest.images) == 1:
            try:
                self._state.single = self._registry.manifest(manifest.images[0])
            except PipeError as error:
                self._report.debug(f"The manifest {manifest.images[0]} could not be read. {error.summary}")
        elif manifest.images and self._state.image and not self._state.image.platforms:
            self._state.platforms = platform_images(self._registry, manifest, self._report.debug)

    def _forecast(self) -> None:
        """Tell what a push would do."""
        state = self._state
        if state.image is None or state.watch is None or all(tag.arrived for tag in state.tags.values()):
            return
        self._report.info(self._source.forecast(state.image))
        present = frozenset() if state.manifest is not None else self._source.present(state.image)
        for layer in state.watch.progress.image_layers:
            there = state.manifest is not None or layer.diff_id in present
            layer.status = LayerStatus.ALREADY_THERE if there else LayerStatus.WOULD_UPLOAD
