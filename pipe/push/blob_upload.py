"""One blob on its way to the registry: its clock, its limit, its progress."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pipe.encoding.blob import EncodedBlob
from pipe.errors import ContentMismatchError, PipeError, RegistryFailedError
from pipe.oci.descriptor import Descriptor
from pipe.push import limits
from pipe.source.blob import SourceBlob
from pipe.threads import Cancel
from pipe.units import format_duration, format_size

if TYPE_CHECKING:
    from pipe.push.transfer import Transfer

_LEFT = 0.5
"""Seconds on a blob's clock in which no request can be sent."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome for one blob.

    Attributes:
        key: The digest of a blob that was sent as it is, else the diffID of the layer.
        descriptor: How a manifest names the blob; None if its bytes were read in vain, since a candidate for reuse
            was wrong: it must come once more.
    """

    key: str
    descriptor: Descriptor | None


class BlobUpload:
    """The watch over one blob's upload, in the thread that makes it; a context that ends with the upload.

    A layer has its own clock, on which all attempts of this upload and the waits between them count. A config has one
    too, but counts as the run's time as well.

    Attributes:
        started: When that clock began; None if it did not.
        is_open: Whether the registry has opened an upload.
    """

    def __init__(self, blob: SourceBlob, transfer: "Transfer", cancel: Cancel) -> None:
        self.blob = blob
        self.name = transfer.name(blob)
        self.started: float | None = None
        self._sending: float | None = None
        self.is_open = False
        self._clocks = transfer.clocks
        self._run_clock = transfer.run_clock
        self._under_way = ExitStack()
        self._wait = transfer.wait
        self._cancel = cancel
        self._max_layer_size = transfer.max_layer_size
        self._encoded: EncodedBlob | None = None

    def __enter__(self) -> Self:
        """Return this object; the clock begins with `start`."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the clock."""
        self._under_way.close()

    def chunks(self, encoded: EncodedBlob) -> "CheckedChunks":
        """Return the chunks of the encoded blob, checked as they pass."""
        self._encoded = encoded
        return CheckedChunks(encoded, self._check_chunk)

    def check(self) -> None:
        """Raise what ends the upload: it was cancelled, or has used up its time."""
        self._cancel.check()
        if self.remaining() <= 0:
            raise self._too_slow()

    def remaining(self) -> float:
        """Return the seconds that are left on the clock of this blob, which restarts do not reset."""
        left = self._clocks.timeout - (0.0 if self.started is None else self._clocks.now() - self.started)
        return min(left, self._run_clock.left()) if self.blob.is_config else left

    def wait(self, seconds: float, cause: PipeError) -> None:
        """Wait before a retry; if there is no time for that, raise the cause."""
        if seconds >= self.remaining():
            raise cause if cause.status else self._too_slow() from cause
        self._wait(self._cancel, seconds)

    def explained(self, error: PipeError) -> PipeError:
        """Return why an upload failed: a request that used up the clock of the blob is no failure of the registry."""
        return error if error.status or self.remaining() > _LEFT else self._too_slow()

    def start(self, at: float) -> float:
        """Start the clock before the first request, and return when it began."""
        if self.started is None:
            run_clock = self._run_clock
            self._under_way.enter_context(run_clock.waiting() if self.blob.is_config else run_clock.uploading())
            self._sending = at
        self.started = at if self.started is None else min(self.started, at)
        return self.started

    def began(self, at: float) -> None:
        """Record that an upload was opened, which may have been some time before the clock began."""
        started, self.is_open = self.start(at), True
        if not self.blob.is_config:
            self._clocks.tracker.begin(self.name, started, self._sending)
            self._clocks.tracker.advance(self.name, 0, self._expected())

    def sent(self, total: int) -> None:
        """Record the bytes that were sent."""
        if not self.blob.is_config:
            self._clocks.tracker.advance(self.name, total, self._expected())

    def descriptor(self, media_type: str) -> Descriptor:
        """Return how a manifest names the blob, once all of it was encoded; `media_type` is that of the encoding."""
        if self.blob.descriptor is not None:
            return self.blob.descriptor
        encoded = self._encoded
        return Descriptor(media_type, encoded.digest if encoded else "", encoded.made if encoded else 0)

    def _expected(self) -> int:
        """Estimate the bytes of the whole blob from the share that was encoded."""
        encoded = self._encoded
        if encoded is None or not encoded.taken or self.blob.descriptor is not None:
            return self.blob.size
        return max(encoded.made, self.blob.size * encoded.made // encoded.taken)

    def _check_chunk(self, encoded: EncodedBlob) -> None:
        """Check the size, and the digests before the last chunk is sent."""
        self.check()
        if encoded.made > self._max_layer_size:
            label = self._clocks.tracker.of(self.name).layer.label
            raise limits.grown_too_large(label, encoded.made, self._max_layer_size, sent=self.is_open)
        if encoded.digest:
            _check_digest(self.blob, encoded)

    def _too_slow(self) -> PipeError:
        if self.blob.is_config and self._run_clock.left() <= 0:
            return self._run_clock.error("the upload of the image's config")
        if self.blob.is_config or not self.is_open:
            what = "the image's config" if self.blob.is_config else self._clocks.tracker.of(self.name).layer.label
            return RegistryFailedError(
                f"{what}, {format_size(self.blob.size)}, was not stored within"
                f" {format_duration(self._clocks.timeout)}.",
                fix="Run the step again later. If it fails again, check Bitbucket's status page.",
                temporary=False,
            )
        return self._clocks.too_slow(self._clocks.tracker.of(self.name), self._clocks.now())


class CheckedChunks:
    """Chunks that are checked as they pass; the first one can be looked at before all are sent."""

    def __init__(self, encoded: EncodedBlob, check: Callable[[EncodedBlob], None]) -> None:
        self._encoded = encoded
        self._check = check
        self._chunks: Generator[memoryview] = encoded.__iter__()
        self._first: memoryview | None = None

    @property
    def digest(self) -> str:
        """The digest of all chunks, "" until the last one was yielded."""
        return self._encoded.digest

    def close(self) -> None:
        """Stop encoding and release the buffers.

        An iteration that is merely dropped ends in whichever thread collects garbage, possibly one that holds the lock
        which the end of the iteration needs.
        """
        self._chunks.close()
        self._encoded.close()

    def peek(self) -> str:
        """Encode the first chunk, and return the digest if it is the only one, else ""."""
        self._first = next(self._chunks, memoryview(b""))
        self._check(self._encoded)
        return self._encoded.digest

    def __iter__(self) -> Iterator[memoryview]:
        """Yield the chunks."""
        if self._first is not None:
            yield self._first
        for chunk in self._chunks:
            self._check(self._encoded)
            yield chunk


def _check_digest(blob: SourceBlob, encoded: EncodedBlob) -> None:
    if blob.descriptor is not None:
        named, found = blob.descriptor.digest, encoded.digest
    else:
        named, found = blob.diff_id or encoded.diff_id, encoded.diff_id
    if named != found:
        raise ContentMismatchError(
            f"{blob.name} has the digest {found}, but the image names {named}.",
            fix="The image was damaged in transit or in its store: build it again.",
        )
