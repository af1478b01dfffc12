"""One blob on its way to the registry: how far it is, what ends it, and what the registry has to offer for it."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from pipe.oci.descriptor import Descriptor
from pipe.push.reuse import Stored
from pipe.source.blob import SourceBlob
from pipe.source.layer import Chunks


class TransferEndedError(Exception):
    """The transfer is over while one of its threads is still at work; nobody else sees this."""


@dataclass(slots=True)
class BlobUpload:
    """One blob on its way, and the watch over its upload.

    Attributes:
        blob: What is sent.
        clock: Returns seconds that never go back.
        stop: Set where the transfer is over.
        began: When its upload was opened; None where it was not.
        out: Bytes that went out since.
        chunks: What is made of it, None before that.
        descriptor: How a manifest names it; None until the registry has it.
        diff_id: Of its plain bytes, "" where they were not looked at.
        failure: Why it did not arrive.
        read: Set once the source may go on to its next blob.
    """

    blob: SourceBlob
    clock: Callable[[], float]
    stop: threading.Event
    began: float | None = None
    out: int = 0
    chunks: Chunks | None = None
    descriptor: Descriptor | None = None
    diff_id: str = ""
    failure: BaseException | None = None
    read: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """End where the transfer has ended.

        Raises:
            TransferEndedError: It has.
        """
        if self.stop.is_set():
            raise TransferEndedError

    def wait(self, seconds: float) -> None:
        """Wait, and end where the transfer ends meanwhile.

        Raises:
            TransferEndedError: It did.
        """
        if self.stop.wait(seconds):
            raise TransferEndedError

    def sent(self, total: int) -> None:
        """Take note of the bytes that went out."""
        self.out = total

    def begin(self) -> None:
        """Take note that the upload is opened now: the registry's clock runs from here."""
        self.began, self.out = self.clock(), 0

    @property
    def key(self) -> str:
        """What the blob is known by: its digest where it is sent as it is, else its diffID, "" where not known."""
        return self.blob.descriptor.digest if self.blob.descriptor else self.blob.diff_id or ""

    @property
    def stored(self) -> int:
        """Bytes that are ready for the registry."""
        return self.chunks.made if self.chunks else 0

    @property
    def expected(self) -> int:
        """Bytes that the registry will store, as far as the share of the blob that is compressed tells."""
        if self.chunks is None or not self.chunks.taken:
            return self.blob.size
        return max(self.chunks.made, self.blob.size * self.chunks.made // self.chunks.taken)


class Upload(Protocol):
    """An upload of one blob; see `pipe.registry.upload`."""

    def send(self, chunk: memoryview, *, whole: bool = False) -> None:
        """Send a chunk."""

    def stream(self, pieces: Iterable[memoryview]) -> None:
        """Send all of a blob in one request."""

    def finish(self, digest: str, timeout: float) -> None:
        """End the upload."""


class Chunking(Protocol):
    """How the registry takes a blob."""

    @property
    def size(self) -> int:
        """Bytes of a chunk; 0 where it takes no chunks, but one stream."""


class Blobs(Stored, Protocol):
    """The registry's blobs; see `pipe.registry.blobs`."""

    def find_chunking(self, watch: BlobUpload) -> Chunking:
        """Find out how the registry takes a blob."""

    def upload(self, watch: BlobUpload) -> Upload:
        """Open an upload."""
