"""Every way in which a push can fail, each with its exit code (pure)."""

import signal
from typing import ClassVar


class PipeError(Exception):
    """A failure that was foreseen: what happened, why as far as known, what to do.

    Attributes:
        title: What happened, in the words that begin the message and that README explains.
        exit_code: What the process ends with.
        temporary: Whether the same push may succeed a little later.
        retry_after: The seconds that the registry asked to wait, None where it asked nothing.
        status: The HTTP status that the registry answered, 0 where it is another kind of failure.
        codes: The codes of the registry's errors, such as `BLOB_UPLOAD_UNKNOWN`.
    """

    title: ClassVar[str]
    exit_code: int
    temporary: bool = False
    status: int = 0
    codes: tuple[str, ...] = ()

    def __init__(
        self,
        cause: str = "",
        *,
        fix: str = "",
        temporary: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Describe one failure.

        Args:
            cause: Why it happened, as far as known.
            fix: What to do about it.
            temporary: Overrides what is usual for the kind.
            retry_after: The seconds that the registry asked to wait.
        """
        super().__init__(cause)
        self.cause = cause
        self.fix = fix
        self.retry_after = retry_after
        if temporary is not None:
            self.temporary = temporary

    @property
    def summary(self) -> str:
        """What happened and why, without what to do."""
        if not self.cause:
            return f"{self.title}."
        return f"{self.title}:{'' if self.cause.startswith(chr(10)) else ' '}{self.cause}"

    def __str__(self) -> str:
        """Return the whole message, what to do on a line of its own."""
        return f"{self.summary}\n{self.fix}" if self.fix else self.summary


class ConfigurationError(PipeError):
    """One or more variables are missing or wrong; all of them are named."""

    title = "The pipe's variables are not right"
    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        """List every problem at once.

        Args:
            problems: One sentence each, naming the variable.
        """
        super().__init__("".join(f"\n  - {problem}" for problem in problems))
        self.problems = problems


class EngineUnreachableError(PipeError):
    """No Docker Engine answers, or it went away in the middle."""

    title = "Docker Engine does not answer"
    exit_code = 3


class EngineError(PipeError):
    """Docker Engine answered with an error of its own."""

    title = "Docker Engine reports an error"
    exit_code = 3


class EngineSaveError(EngineError):
    """Docker Engine cannot stream the image, for which it needs room for one more copy; it may still push it."""


class ImageNotFoundError(PipeError):
    """The image is not in the step's Docker Engine."""

    title = "The image is not in Docker Engine"
    exit_code = 3


class ArchiveError(PipeError):
    """The file or folder that IMAGE_ARCHIVE names is no image, or a damaged one."""

    title = "The image archive cannot be used"
    exit_code = 3


class ContentMismatchError(PipeError):
    """The bytes of a layer, or of another blob, are not those that the image names."""

    title = "The image's content does not match its digest"
    exit_code = 3


class CredentialsRefusedError(PipeError):
    """The registry does not accept the user name and token."""

    title = "The registry refuses the credentials"
    exit_code = 4


class PushDeniedError(PipeError):
    """The credentials are right, but may not push to this package."""

    title = "The registry does not allow this push"
    exit_code = 4


class PackageNotFoundError(PipeError):
    """The package was never created in the workspace."""

    title = "The package does not exist"
    exit_code = 4


class ImageRefusedError(PipeError):
    """The registry refuses a request of the push for another reason than credentials."""

    title = "The registry refuses the image"
    exit_code = 4


class StatusLostError(ImageRefusedError):
    """Docker Engine says that the registry refuses, and not with which status: whether it may pass is to be asked."""


class UnsupportedError(ImageRefusedError):
    """The registry does not support a request of the protocol; Docker Engine's own push may still succeed."""


class UntrustedHostError(PipeError):
    """The registry names a host that must not receive the step's credentials."""

    title = "The credentials would go to a host that is not trusted"
    exit_code = 4


class LayerTooLargeError(PipeError):
    """A layer is larger than the registry takes."""

    title = "A layer is too large for the registry"
    exit_code = 5


class UploadTooSlowError(PipeError):
    """A layer's upload takes longer than the registry allows."""

    title = "A layer's upload takes too long for the registry"
    exit_code = 5


class RegistryUnreachableError(PipeError):
    """The registry's name does not resolve, or nothing accepts a connection there."""

    title = "The registry cannot be reached"
    exit_code = 6
    temporary = True


class RegistryFailedError(PipeError):
    """The registry answered with a failure of its own, too many requests, or broke off."""

    title = "The registry failed"
    exit_code = 6
    temporary = True


class UploadLostError(RegistryFailedError):
    """The registry lost an upload, or its offset is unknown: the blob must be sent again from its first byte."""


class BlobMissingError(RegistryFailedError):
    """The registry rejects a manifest because it lacks one of the blobs that the manifest names."""


class EngineGaveUpError(RegistryFailedError):
    """Docker Engine has tried a layer as often as it does."""

    temporary = False


class CertificateError(PipeError):
    """The TLS connection to the registry cannot be trusted."""

    title = "There is no trusted TLS connection to the registry"
    exit_code = 6


class PushInterruptedError(PipeError):
    """The Engine's push ended, or fell silent, without saying how it went."""

    title = "The push ended without a result"
    exit_code = 6
    temporary = True


class NotInRegistryError(PipeError):
    """The Engine called the push done, but the registry does not have the tag."""

    title = "The pushed tag is not in the registry"
    exit_code = 6
    temporary = True


class DigestMismatchError(PipeError):
    """The tag in the registry names another image than the one pushed."""

    title = "The registry holds another image than the one pushed"
    exit_code = 6


class StoppedError(BaseException):
    """A signal asked the process to end; as with `KeyboardInterrupt`, nothing on the way takes it for a failure."""

    title = "The push was stopped"

    def __init__(self, number: int) -> None:
        """Name the signal.

        Args:
            number: The signal's number; the exit code is 128 more, as shells have it.
        """
        super().__init__(f"{self.title} by signal {signal.Signals(number).name}.")
        self.exit_code = 128 + number
