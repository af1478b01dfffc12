"""Blobs from a source to the registry: several at a time, read, compressed and sent at once."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Protocol

from pipe.errors import ContentMismatchError, PipeError, UploadForgottenError
from pipe.oci.descriptor import Descriptor
from pipe.oci.manifest import DOCKER_LAYER
from pipe.push.blob_upload import Blobs, BlobUpload, TransferEndedError
from pipe.push.reuse import Candidates, is_layer
from pipe.source.blob import SourceBlob, in_memory
from pipe.source.layer import Chunks

AT_A_TIME = 2
"""Uploads at a time: while one waits for the registry's answer, the next one is compressed."""
BEGINNINGS = 3
"""Times that a blob is sent from its first byte before the push is given up."""
STREAM_PIECE = 1024 * 1024
"""Bytes of a piece where the registry takes no chunks."""
TICK = 0.25
"""Seconds between looks at the clocks while nothing else happens."""


class Observer(Protocol):
    """Who follows a transfer, in the thread that runs it."""

    def look(self, blob_uploads: list[BlobUpload]) -> None:
        """Look at what is on its way, several times a second; raise what is to end the transfer."""

    def check(self, blob_upload: BlobUpload) -> None:
        """Look at a blob before more of it is sent, in its own thread; raise what is to end the transfer."""

    def arrived(self, blob_upload: BlobUpload) -> None:
        """Take note of a blob that the registry has now, or had before."""


class Transfer:
    """Brings the blobs of sources to the registry, and remembers what it has.

    Attributes:
        known: Descriptors of what the registry has, by diffID for what is compressed on its way, else
            by digest; what arrives is added, so that another attempt does not send it again.
        reusable: Descriptors by diffID of what the registry is said to have, None where nobody looked yet;
            it is asked before they count.
        trusting: Whether the registry is believed that it has a blob.
    """

    def __init__(self, blobs: Blobs, clock: Callable[[], float], timeout: float) -> None:
        """Prepare; nothing is sent yet.

        Args:
            blobs: The registry's.
            clock: Returns seconds that never go back.
            timeout: Seconds that the registry may take to put a blob in its place.
        """
        self.blobs = blobs
        self.clock = clock
        self.timeout = timeout
        self.known: dict[str, Descriptor] = {}
        self.reusable: Mapping[str, Descriptor] | None = None
        self.trusting = True
        self._chunk_size: int | None = None

    def forget(self) -> None:
        """Take nothing for present any more: what the registry said it had, it has not."""
        self.known.clear()
        self.reusable = {}
        self.trusting = False

    def run(self, source: Callable[[], Iterable[SourceBlob]], observer: Observer, *, one_by_one: bool) -> None:
        """Bring every blob of a source to the registry.

        Args:
            source: Opens the source, in another thread.
            observer: Follows it.
            one_by_one: Whether a blob has to be read before the next one is asked for.

        Raises:
            PipeError: A blob did not arrive; or whatever the observer raised.
        """
        workers = _Workers(self, observer, one_by_one=one_by_one)
        try:
            threading.Thread(target=workers.feed, args=(source,), name="source", daemon=True).start()
            if one_by_one:
                threading.Thread(target=workers.ask, name="candidates", daemon=True).start()
            if self._chunk_size is None:
                self._chunk_size = self.blobs.find_chunking(workers.blob_upload(_NOTHING)).size
            workers.begin(self._chunk_size)
            while (item := workers.next()) is not None:
                if item.descriptor is not None:
                    self.known[item.key or item.diff_id] = item.descriptor
                    observer.arrived(item)
                del item  # and with it its buffers, before the next one is waited for
        finally:
            workers.stop.set()


class _Workers:
    """The threads of one transfer: one asks the source for blobs, one a blob sends it."""

    def __init__(self, transfer: Transfer, observer: Observer, *, one_by_one: bool) -> None:
        self._transfer = transfer
        self._observer = observer
        self._one_by_one = one_by_one
        self._candidates = Candidates(transfer.blobs, transfer.reusable or {})
        self._chunk_size = 0
        self._may_begin = threading.Event()
        self._places = threading.Semaphore(AT_A_TIME)
        self._done: queue.SimpleQueue[BlobUpload | BaseException | None] = queue.SimpleQueue()
        self._live: list[BlobUpload] = []
        self.stop = threading.Event()

    def blob_upload(self, blob: SourceBlob) -> BlobUpload:
        """Wrap a blob."""
        return BlobUpload(blob, self._transfer.clock, self.stop)

    def begin(self, chunk_size: int) -> None:
        """Let uploads begin, now that it is known how."""
        self._chunk_size = chunk_size
        self._may_begin.set()

    def next(self) -> BlobUpload | None:
        """Wait for the next blob that is done, None where there is none left; raise what went wrong."""
        while True:
            self._observer.look(list(self._live))
            try:
                item = self._done.get(timeout=TICK)
            except queue.Empty:
                continue
            failure = item.failure if isinstance(item, BlobUpload) else item
            if isinstance(failure, BaseException):
                raise failure
            return item if isinstance(item, BlobUpload) else None

    def ask(self) -> None:
        """Ask for the layers that the registry is said to have, before the first one comes."""
        try:
            self._candidates.ask(self.blob_upload(_NOTHING).check)
        except (TransferEndedError, PipeError):
            return  # It is asked again when a layer's turn comes.
        except BaseException as error:  # noqa: BLE001
            self._done.put(error)

    def feed(self, source: Callable[[], Iterable[SourceBlob]]) -> None:
        """Ask the source for one blob after the other, and let each be sent."""
        try:
            seen: set[str] = set()
            for blob in source():
                blob_upload = self.blob_upload(blob)
                if blob_upload.key in seen:
                    continue
                seen.update({blob_upload.key} - {""})
                self._await(self._places.acquire)
                self._live.append(blob_upload)
                threading.Thread(target=self._send, args=(blob_upload,), name="upload", daemon=True).start()
                if self._one_by_one:
                    self._await(blob_upload.read.wait)
            for _ in range(AT_A_TIME):
                self._await(self._places.acquire)
        except TransferEndedError:
            return
        except BaseException as error:  # noqa: BLE001
            self._done.put(error)
        else:
            self._done.put(None)

    def _await(self, wait: Callable[..., bool]) -> None:
        while not wait(timeout=TICK):
            if self.stop.is_set():
                raise TransferEndedError

    def _send(self, blob_upload: BlobUpload) -> None:
        """Bring one blob to the registry, in a thread of its own."""
        try:
            self._await(self._may_begin.wait)
            blob_upload.descriptor = self._present(blob_upload) or self._uploaded(blob_upload)
        except TransferEndedError:
            return
        except BaseException as error:  # noqa: BLE001
            blob_upload.failure = error
        finally:
            blob_upload.read.set()
            self._live.remove(blob_upload)
            self._done.put(blob_upload)
            self._places.release()

    def _present(self, blob_upload: BlobUpload) -> Descriptor | None:
        """Find out whether the registry has the blob already."""
        transfer, key = self._transfer, blob_upload.key
        if key in transfer.known:
            return transfer.known[key]
        named = blob_upload.blob.descriptor
        if named is not None:
            return named if transfer.trusting and transfer.blobs.size(named.digest) is not None else None
        candidate = self._candidates.find(key)
        if candidate is None:
            return None
        try:
            return candidate.descriptor if is_layer(candidate, blob_upload.blob, blob_upload.check) else None
        except UploadForgottenError:
            # What has arrived is there all the same: only the manifests are wrong.
            transfer.reusable = {}
            self._candidates.clear()
            if self._one_by_one:
                # Its bytes have gone by, and come again with the next attempt only.
                raise
            return None

    def _uploaded(self, blob_upload: BlobUpload) -> Descriptor:
        """Send the blob, once more from its first byte where the registry forgot it and the source can."""
        for _ in range(0 if self._one_by_one else BEGINNINGS - 1):
            try:
                return self._upload(blob_upload)
            except UploadForgottenError:
                blob_upload.wait(1)
        return self._upload(blob_upload)

    def _upload(self, blob_upload: BlobUpload) -> Descriptor:
        size = self._chunk_size or STREAM_PIECE
        blob_upload.chunks = chunks = Chunks(blob_upload.blob, size, self.stop, blob_upload.read)
        try:
            return self._upload_chunks(blob_upload, chunks)
        finally:
            chunks.close()

    def _upload_chunks(self, blob_upload: BlobUpload, chunks: Chunks) -> Descriptor:
        pieces = self._checked(blob_upload, chunks)
        first = next(pieces, memoryview(b""))
        if chunks.digest:
            return self._upload_small(blob_upload, chunks, first)
        blob_upload.begin()
        upload = self._transfer.blobs.upload(blob_upload)
        rest = chain((first,), pieces)
        if self._chunk_size:
            for chunk in rest:
                upload.send(chunk)
        else:
            upload.stream(rest)
        _check(blob_upload, chunks)
        upload.finish(chunks.digest, self._transfer.timeout)
        return _described(blob_upload, chunks)

    def _checked(self, blob_upload: BlobUpload, chunks: Chunks) -> Iterator[memoryview]:
        for chunk in chunks:
            self._observer.check(blob_upload)
            yield chunk

    def _upload_small(self, blob_upload: BlobUpload, chunks: Chunks, whole: memoryview) -> Descriptor:
        """Send a blob that fits one chunk: its digest is known before, so the registry can be asked."""
        _check(blob_upload, chunks)
        asked = blob_upload.blob.descriptor is None and self._transfer.trusting
        if asked and self._transfer.blobs.size(chunks.digest) is not None:
            return _described(blob_upload, chunks)
        blob_upload.begin()
        upload = self._transfer.blobs.upload(blob_upload)
        upload.send(whole, whole=True)
        upload.finish(chunks.digest, self._transfer.timeout)
        return _described(blob_upload, chunks)


_NOTHING = in_memory("nothing", "", b"")


def _check(blob_upload: BlobUpload, chunks: Chunks) -> None:
    """Refuse bytes that are not those that the image names, before the registry is told that they are whole."""
    blob_upload.diff_id = chunks.diff_id
    blob = blob_upload.blob
    named, found = (
        (blob.descriptor.digest, chunks.digest) if blob.descriptor else (blob.diff_id or chunks.diff_id, chunks.diff_id)
    )
    if named != found:
        raise ContentMismatchError(
            f"{blob.name} has the digest {found}, but the image names {named}.",
            fix="The image was damaged on its way or where it is stored: build it again.",
        )


def _described(blob_upload: BlobUpload, chunks: Chunks) -> Descriptor:
    return blob_upload.blob.descriptor or Descriptor(DOCKER_LAYER, chunks.digest, chunks.made)
