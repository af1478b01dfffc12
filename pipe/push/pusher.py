"""What every pusher has in common: it brings one image under one tag, and returns what it pushed."""

from typing import NamedTuple, Protocol

from pipe.errors import PipeError
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.source.image_source import ImageSource


class Pushed(NamedTuple):
    """What a pusher brought to the registry.

    Attributes:
        digest: The digest of the manifest under the tag.
        manifest: That manifest; None if an Engine made it.
    """

    digest: str
    manifest: Manifest | None = None


class Pusher(Protocol):
    """Brings an image to the registry."""

    def push(self, source: ImageSource, reference: Reference) -> Pushed:
        """Push an image under one tag.

        Raises:
            CannotPushError: This pusher cannot, but another one may.
            PipeError: The push failed.
        """


class CannotPushError(Exception):
    """A pusher cannot push this image, or only much more slowly than another one.

    Attributes:
        reason: Why the next pusher takes over, for the log.
        failure: The error of the push if there is no other pusher; None if the pusher gave way by choice.
    """

    def __init__(self, reason: str, failure: PipeError | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = failure
