"""Every expected failure of a push, each with its exit code."""

import signal
from typing import ClassVar


class PipeError(Exception):
    """An expected failure: what happened, why if known, what to do.

    Attributes:
        title: What happened; the message begins with it, and docs/troubleshooting.md has a row for it.
        exit_code: The exit code of the process.
        temporary: Whether a retry can succeed.
        retry_after: Seconds of the registry's `Retry-After`, None if it sent none.
        status: The HTTP status of the registry's response, 0 if the failure is of another kind.
        codes: The registry's error codes, such as `BLOB_UPLOAD_UNKNOWN`.
    """

    title: ClassVar[str]
    exit_code: int
    temporary: bool = False
    status: int = 0
    codes: tuple[str, ...] = ()

    def __init__(
        self, cause: str = "", *, fix: str = "", temporary: bool | None = None, retry_after: float | None = None
    ) -> None:
        """Initialize the error: why it happened, and what the user can do; `temporary` overrides the class."""
        super().__init__(cause)
        self.cause = cause
        self.fix = fix
        self.retry_after = retry_after
        if temporary is not None:
            self.temporary = temporary

    @property
    def summary(self) -> str:
        """The title and the cause, without the fix."""
        space = "" if self.cause.startswith("\n") else " "
        return f"{self.title}:{space}{self.cause}" if self.cause else f"{self.title}."

    def __str__(self) -> str:
        """Return the whole message, the fix on a separate line."""
        return f"{self.summary}\n{self.fix}" if self.fix else self.summary


class ConfigurationError(PipeError):
    """One or more variables are missing or invalid; the message lists all of them."""

    title = "Invalid configuration"
    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        """Initialize the error with all problems, one sentence each."""
        super().__init__("".join(f"\n  - {problem}" for problem in problems))
        self.problems = problems


class EngineUnreachableError(PipeError):
    """No Docker Engine responds, or it stopped during the push."""

    title = "Docker Engine does not answer"
    exit_code = 3


class EngineError(PipeError):
    """Docker Engine returned an error."""

    title = "Docker Engine reports an error"
    exit_code = 3


class EngineSaveError(EngineError):
    """Docker Engine cannot export the image, often for lack of disk space; it may still be able to push it."""


class SpoolError(PipeError):
    """A copy that is needed to split a layer does not fit on the disk."""

    title = "Not enough disk space to split a layer"
    exit_code = 3


class ImageIncompleteError(PipeError):
    """The Engine knows the image, but its containerd store lacks some of the blobs."""

    title = "Docker Engine's store lacks parts of this image"
    exit_code = 3


class ImageNotFoundError(PipeError):
    """The image is not in the step's Docker Engine."""

    title = "The image is not in Docker Engine"
    exit_code = 3


class ArchiveError(PipeError):
    """The file or directory in IMAGE_ARCHIVE is not an image, or is damaged."""

    title = "The image archive cannot be used"
    exit_code = 3


class ContentMismatchError(PipeError):
    """The bytes of a layer or another blob do not match the digest in the image."""

    title = "The image's content does not match its digest"
    exit_code = 3


class CredentialsRefusedError(PipeError):
    """The registry does not accept the user name and token."""

    title = "The registry rejected the credentials"
    exit_code = 4


class PushDeniedError(PipeError):
    """The credentials are valid, but do not allow a push to this package."""

    title = "Permission denied: cannot push to this package"
    exit_code = 4


class PackageNotFoundError(PipeError):
    """The package does not exist in the workspace."""

    title = "The package does not exist"
    exit_code = 4


class SourceNotFoundError(PipeError):
    """The registry does not have the tag or digest of an image to promote or to join."""

    title = "The image is not in the registry"
    exit_code = 4


class SourceUnusableError(PipeError):
    """An image to promote or to join is incomplete or damaged in the registry, or is none."""

    title = "The image in the registry cannot be used"
    exit_code = 4


class ImageRefusedError(PipeError):
    """The registry rejected a request of the push for a reason other than the credentials."""

    title = "The registry rejected the image"
    exit_code = 4


class StatusLostError(ImageRefusedError):
    """Docker Engine reported a rejection without its status, so the registry must be asked whether it is temporary."""


class TagExistsError(PipeError):
    """A tag points to another image already, and IF_TAG_EXISTS is `fail`."""

    title = "The tag already exists"
    exit_code = 4


class TagRejectedError(PipeError):
    """The registry rejects moving a tag that points to another image: the tag is probably protected."""

    title = "The registry rejected moving the tag"
    exit_code = 4


class UnsupportedError(ImageRefusedError):
    """The registry does not support a request of the protocol; Docker Engine's own push may still succeed."""


class UntrustedHostError(PipeError):
    """The registry refers to a host that must not receive the credentials or the layers."""

    title = "Refusing to send credentials or layers to an untrusted host"
    exit_code = 4


class LimitError(PipeError):
    """A layer exceeds a limit of the registry.

    Attributes:
        layer: The diffID of the layer, or the Engine's short name for it; "" if unknown.
    """

    title = "A layer exceeds a limit of the registry"
    exit_code = 5
    layer: str = ""


class LayerTooLargeError(LimitError):
    """A layer exceeds the registry's size limit."""

    title = "A layer is too large for the registry"


class CannotSplitError(PipeError):
    """A layer cannot be split into parts that are small enough."""

    title = "The layer cannot be split"
    exit_code = 5


class UploadTooSlowError(LimitError):
    """The upload of a layer exceeds the registry's time limit."""

    title = "Layer upload exceeds the registry's time limit"


class RegistryUnreachableError(PipeError):
    """The registry's host name does not resolve, or the host refuses connections."""

    title = "The registry cannot be reached"
    exit_code = 6
    temporary = True


class RegistryFailedError(PipeError):
    """The registry returned a server error or 429, or closed the connection."""

    title = "The registry failed"
    exit_code = 6
    temporary = True


class RegistryTooSlowError(PipeError):
    """The registry answers, but so slowly that the run has used up its time for everything but layers."""

    title = "The registry answers too slowly"
    exit_code = 6


class UploadLostError(RegistryFailedError):
    """The registry lost an upload, or its offset is unknown: the blob must be sent again from its first byte."""


class BlobMissingError(PipeError):
    """A blob of the image is missing from the registry, or has another size there."""

    title = "The registry lacks part of the pushed image"
    exit_code = 6
    temporary = True


class EngineGaveUpError(RegistryFailedError):
    """Docker Engine has used up its own retries for a layer."""

    temporary = False


class CertificateError(PipeError):
    """The registry's TLS certificate cannot be verified."""

    title = "The registry's TLS certificate is not trusted"
    exit_code = 6


class PushInterruptedError(PipeError):
    """The Engine's push ended or stalled without a result."""

    title = "Docker Engine did not report a result for the push"
    exit_code = 6
    temporary = True


class NotInRegistryError(PipeError):
    """The push was reported as done, but the registry does not have the tag."""

    title = "The pushed tag is not in the registry"
    exit_code = 6
    temporary = True


class DigestMismatchError(PipeError):
    """After the push, the tag in the registry points to another image."""

    title = "The tag points to a different image than the one pushed"
    exit_code = 6


class ReferrersError(PipeError):
    """Clients that look for the artifacts of the image would not find them."""

    title = "The artifacts of the image are not listed"
    exit_code = 6


class StoppedError(BaseException):
    """A signal requested the process to end. Not an `Exception`, so that no handler of failures catches it."""

    title = "The push was stopped"

    def __init__(self, number: int) -> None:
        """Initialize the error; the exit code is 128 plus the signal's number, as in shells."""
        super().__init__(f"{self.title} by signal {signal.Signals(number).name}.")
        self.number, self.exit_code = number, 128 + number
