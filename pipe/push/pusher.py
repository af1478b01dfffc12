"""What both pushers have in common: what they return, and the error with which one leaves the push to the next."""

from typing import NamedTuple

from pipe.errors import PipeError
from pipe.oci.manifest import Manifest


class Pushed(NamedTuple):
    """What a pusher brought to the registry.

    Attributes:
        digest: The digest of the manifest under the tag.
        manifest: That manifest; None if an Engine made it.
    """

    digest: str
    manifest: Manifest | None = None


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
