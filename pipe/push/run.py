"""The use case: check → tag → push → verify, for every tag, as often as it is worth it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from pipe.config.settings import Credentials, Settings
from pipe.errors import (
    DigestMismatchError,
    NotInRegistryError,
    PipeError,
    PushInterruptedError,
    RegistryUnreachableError,
    StoppedError,
)
from pipe.oci.image import Image
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.push import limits
from pipe.push.engine_push import Report, Stream, Upload
from pipe.push.layers import layer_results
from pipe.push.progress import Progress
from pipe.push.result import Result, TagResult, TagStatus
from pipe.retry import Attempts
from pipe.units import format_duration, format_size


class Engine(Protocol):
    """What a push needs of the Docker Engine."""

    def image(self, name: str) -> Image:
        """Find an image."""

    def tagged(self, image: Image, target: Reference) -> AbstractContextManager[None]:
        """Give an image a name for a while."""

    def push(self, target: Reference, credentials: Credentials) -> Stream:
        """Begin a push."""

    def alive(self) -> bool:
        """Tell whether the Engine answers."""

    def gone(self, cause: str) -> PipeError:
        """Make the error for an Engine that does not."""


class Registry(Protocol):
    """What a push needs of the registry."""

    def check_push(self) -> None:
        """Ask whether a push is allowed."""

    def digest(self, reference: str) -> str | None:
        """Ask what a tag or digest names."""

    def manifest(self, reference: str) -> Manifest | None:
        """Read a manifest."""

    def put_manifest(self, tag: str, manifest: Manifest) -> bool:
        """Put a manifest under a tag."""


@dataclass(frozen=True, slots=True)
class Chance:
    """Time and randomness, which tests pass in.

    Attributes:
        clock: Returns seconds that never go back.
        sleep: Waits for seconds.
        random: Returns a number from 0 up to 1.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    random: Callable[[], float]


class Push:
    """One run: every tag of one image, to one repository."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        registry: Registry,
        report: Report,
        chance: Chance,
    ) -> None:
        """Prepare; nothing happens yet.

        Args:
            settings: What the user wants.
            engine: Has the image.
            registry: Is to have it.
            report: Tells people what happens.
            chance: Time and randomness.
        """
        self._settings = settings
        self._engine = engine
        self._registry = registry
        self._report = report
        self._chance = chance
        self._attempts = Attempts(settings.max_attempts, chance.random)
        self._image: Image | None = None
        self._progress: Progress | None = None
        self._manifest: Manifest | None = None
        self._images: Manifest | None = None
        self._reachable = False
        self._pushed: dict[str, str] = {}
        self._tags = {target.tag: TagResult(target) for target in settings.targets}

    def run(self) -> None:
        """Push every tag.

        Raises:
            PipeError: A tag did not arrive; `result` says what became of each.
        """
        for target in self._settings.targets:
            try:
                self._tags[target.tag] = self._settled(target)
            except PipeError as error:
                self._tags[target.tag] = TagResult(target, TagStatus.FAILED, error=error.summary)
                raise

    def result(self, exit_code: int) -> Result:
        """Tell what became of the run, at any time.

        Args:
            exit_code: What the process ends with.

        Returns:
            The result so far.
        """
        tags = tuple(self._tags.values())
        return Result(
            image=self._settings.image,
            image_id=self._image.id if self._image else None,
            dry_run=self._settings.dry_run,
            tags=tags,
            layers=layer_results(self._image, self._progress, self._images, tags),
            exit_code=exit_code,
        )

    def _settled(self, target: Reference) -> TagResult:
        """Bring one tag to the registry, trying again what may pass."""
        while True:
            try:
                return self._arrived(target, *self._checked_image())
            except PipeError as error:
                delay = self._attempts.next_delay(error)
                if delay is None:
                    raise
                self._report.warning(
                    f"Attempt {self._attempts.made} of {self._attempts.maximum} failed. {error.summary}"
                    f"\nThe next one begins in {delay:.0f} s; layers that arrived are not sent again."
                )
                self._chance.sleep(delay)

    def _checked_image(self) -> tuple[Image, Progress]:
        """Find the image once, and refuse at once what cannot fit."""
        if self._image is None or self._progress is None:
            self._image = self._engine.image(self._settings.image)
            self._progress = Progress(self._image)
            layers = len(self._image.layers)
            size = format_size(self._image.size)
            self._report.info(f"Image {self._settings.image}: {layers} layer{'s'[: layers != 1]}, {size}.")
            limits.check_layers(self._image, self._settings.max_layer_size)
        return self._image, self._progress

    def _arrived(self, target: Reference, image: Image, progress: Progress) -> TagResult:
        """Make one attempt for one tag."""
        if not self._reachable:
            self._check_push(target)
        there = self._there(target, image) if self._reachable else None
        if there is not None:
            return there
        if self._settings.dry_run:
            return TagResult(target, TagStatus.WOULD_PUSH)
        digest = self._put(target) or self._upload(target, image, progress)
        self._pushed[target.tag] = digest
        return self._verified(target, digest)

    def _check_push(self, target: Reference) -> None:
        """Ask whether a push is allowed; only a registry out of reach from here leaves it to the Engine."""
        try:
            self._registry.check_push()
        except RegistryUnreachableError as error:
            if self._settings.dry_run:
                raise
            self._report.warning(f"{error.summary}\nThe Engine may reach it nevertheless, and tries.")
            return
        self._reachable = self._attempts.allowed = True
        self._report.info(f"{target.domain} lets these credentials push to {target.path}.")

    def _there(self, target: Reference, image: Image) -> TagResult | None:
        """Find out whether nothing is to be done, since the tag holds this very image."""
        manifest = self._manifest
        if manifest is None:
            manifest = self._registry.manifest(target.tag)
            if manifest is None or not manifest.holds(image.id):
                return None
            self._remember(manifest)
        elif self._registry.digest(target.tag) != manifest.digest:
            return None
        if self._pushed.get(target.tag) == manifest.digest:
            return TagResult(target, TagStatus.PUSHED, manifest.digest, verified=True)
        self._report.info(f"{target} holds this very image already.")
        return TagResult(target, TagStatus.ALREADY_THERE, manifest.digest, verified=True)

    def _put(self, target: Reference) -> str | None:
        """Set a further tag to the manifest that is in the registry, without the Engine."""
        if self._manifest is None or not self._reachable or not self._registry.put_manifest(target.tag, self._manifest):
            return None
        return self._manifest.digest

    def _upload(self, target: Reference, image: Image, progress: Progress) -> str:
        """Let the Engine push one tag."""
        self._report.info(f"Pushing {target}.")
        progress.restart()
        limit = self._settings.max_layer_size
        undecided = image.size > limit and any(layer.size is None for layer in image.layers)
        upload = Upload(target, self._settings.upload_timeout, limit, undecided, self._chance.clock, self._report)
        began = self._chance.clock()
        with self._engine.tagged(image, target):
            stream = self._engine.push(target, self._settings.credentials)
            try:
                digest = upload.watch(stream, progress)
            except PushInterruptedError as error:
                if not self._engine.alive():
                    raise self._engine.gone(error.cause) from error
                raise
            finally:
                stream.close()
        self._report.debug(f"The Engine pushed {digest} in {format_duration(self._chance.clock() - began)}.")
        return digest

    def _verified(self, target: Reference, digest: str) -> TagResult:
        """Read the tag back."""
        if not self._reachable:
            return TagResult(target, TagStatus.PUSHED, digest, verified=False)
        found = self._registry.digest(target.tag)
        if found is None:
            raise NotInRegistryError(f"{target} does not exist, though the Engine pushed {digest}.", fix=_AGAIN)
        if found != digest:
            moved = self._registry.digest(digest) == digest
            why = (
                f"another push has moved the tag meanwhile; {digest} is in the registry, too."
                if moved
                else f"the registry does not have {digest}."
            )
            raise DigestMismatchError(
                f"{target} names {found}, and {digest} was pushed: {why}",
                fix="Let only one pipeline at a time push this tag, or use a tag of its own for each build.",
            )
        if self._manifest is None:
            self._learn(digest)
        return TagResult(target, TagStatus.PUSHED, digest, verified=True)

    def _learn(self, digest: str) -> None:
        """Read the manifest for further tags and for the result; the push is done without it."""
        manifest = self._read(digest)
        if manifest is not None and manifest.digest == digest:
            self._remember(manifest)

    def _remember(self, manifest: Manifest) -> None:
        self._manifest = self._images = manifest
        if len(manifest.images) == 1:
            self._images = self._read(manifest.images[0])

    def _read(self, digest: str) -> Manifest | None:
        try:
            return self._registry.manifest(digest)
        except StoppedError:
            raise
        except PipeError as error:
            self._report.debug(f"The manifest {digest} could not be read. {error.summary}")
            return None


_AGAIN = "Run the step again; if it lasts, look at Bitbucket's status page."
