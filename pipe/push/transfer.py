"""Blobs from a source to the registry: a fixed number of workers reads, encodes and sends them."""

import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from functools import partial

from pipe.encoding.blob import EncodedBlob
from pipe.encoding.codecs import COMPRESSIONS
from pipe.errors import LimitError, PipeError, RegistryFailedError, UploadLostError
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image, shorten
from pipe.push.admission import TICK, Link
from pipe.push.ahead import AHEAD, Novelty, answered, distinct
from pipe.push.blob_upload import BlobUpload, Delivery
from pipe.push.clocks import Clocks, check_staging
from pipe.push.context import Context
from pipe.push.result import LayerStatus
from pipe.push.reuse import Candidates
from pipe.registry.upload import CHUNK
from pipe.source.blob import SourceBlob
from pipe.source.trailer import is_made_from, may_be
from pipe.threads import Cancel, CancelledError, Pool

WORKERS = 4
"""Blobs that are uploaded at once if all fit one chunk; each larger one counts twice, for its buffers."""
LARGE = 2
"""Places that such a blob takes."""
BEGINNINGS = 3
"""How often an upload starts at the first byte before the push fails."""
AGAIN = 1.0
"""Seconds before that."""

Blobs = Callable[[], Iterable[SourceBlob]]
Encode = Callable[[SourceBlob, Cancel, threading.Event], EncodedBlob]
"""Starts to encode a blob; the event is set once its source was read to the end, or has failed."""


class Transfer:
    """Brings blobs to one repository, and remembers over all attempts what it has.

    Attributes:
        known: Blobs that the registry has, by digest if they are sent as they are, else by the layer's diffID.
        trusting: Whether the registry's word counts that it has a blob.
    """

    def __init__(self, context: Context, image: Image, clocks: Clocks, encode: Encode) -> None:
        """Nothing is sent before `run`."""
        self.known: dict[str, Descriptor] = {}
        self.trusting = True
        self.repository = context.repository
        self.clocks = clocks
        self.run_clock = context.repository.run_clock
        self.log = context.report.debug
        self.encode = encode
        self.wait = context.timing.wait
        compression = COMPRESSIONS[context.settings.compression]
        self.media_type = compression.docker_media_type or compression.oci_media_type
        self.max_layer_size = context.settings.max_layer_size
        self._names = {layer.diff_id: layer.short_id for layer in image.layers}
        self._names |= {layer.descriptor.digest: layer.short_id for layer in image.layers if layer.descriptor}
        self.image = image

    def forget(self) -> None:
        """Drop all cached existence information: the registry lacks a blob that it reported."""
        self.known.clear()
        self.trusting = False

    def name(self, blob: SourceBlob) -> str:
        """Return the name of a blob in the progress."""
        return self.layer_name(blob.key or blob.name)

    def layer_name(self, diff_id: str) -> str:
        """Return the name of a layer in the progress."""
        return self._names.get(diff_id) or shorten(diff_id)

    def run(self, blobs: Blobs, candidates: Candidates, *, replayable: bool, cancel: Cancel | None = None) -> bool:
        """Bring every blob to the registry.

        Args:
            blobs: Starts the iteration over the blobs, in another thread.
            candidates: What the registry may have, by diffID.
            replayable: Whether a blob can be read again, and after the next one was requested.
            cancel: Ends it from another thread; None if none does.

        Returns:
            Whether all arrived; if not, the source must be read once more for the others.

        Raises:
            CancelledError: It was cancelled.
            PipeError: A blob did not arrive.
        """
        for layer in self.image.layers:
            size = layer.descriptor.size if layer.descriptor else layer.size
            if size is not None:
                self.clocks.tracker.expect(layer.short_id, size)
        workers = _Workers(self, candidates, replayable=replayable)
        complete = True
        try:
            workers.start(blobs)
            while (delivery := workers.next(cancel or workers.cancel)) is not None:
                complete = complete and delivery.descriptor is not None
                self.known |= {delivery.key: delivery.descriptor} if delivery.descriptor is not None else {}
        finally:
            workers.end()
        return complete


class _Workers:
    """The threads of one transfer: one iterates over the source, the others deliver its blobs."""

    def __init__(self, transfer: Transfer, candidates: Candidates, *, replayable: bool) -> None:
        self._transfer = transfer
        self._candidates = candidates
        self._replayable = replayable
        # A config, which takes no place, never waits for a layer.
        self._threads = Pool(WORKERS + 1, "blob")
        self._places = threading.Semaphore(WORKERS)
        self._outcomes: queue.SimpleQueue[Delivery | BaseException | None] = queue.SimpleQueue()
        self._progress = (-1, transfer.clocks.now())
        self._link = Link(transfer.clocks, transfer.wait)
        self._novelty = Novelty(transfer.repository, transfer.image)
        self.cancel = Cancel()

    def start(self, blobs: Blobs) -> None:
        """Start to read the source."""
        threading.Thread(target=self._guarded, args=(partial(self._feed, blobs),), name="source", daemon=True).start()

    def end(self) -> None:
        """End every thread, since a run may have many transfers."""
        self.cancel.cancel()
        self._threads.close()

    def next(self, cancel: Cancel) -> Delivery | None:
        """Wait for the next delivery, None after the last one; raise what went wrong."""
        clocks = self._transfer.clocks
        while True:
            cancel.check()
            clocks.check(clocks.now())
            self._check_silence(clocks.now())
            try:
                outcome = self._outcomes.get(timeout=TICK)
            except queue.Empty:
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

    def _check_silence(self, now: float) -> None:
        """End the transfer if an Engine stages an image, or sends it, for longer than can be explained."""
        transfer, (changes, since) = self._transfer, self._progress
        if changes != transfer.clocks.tracker.changes:
            self._progress = transfer.clocks.tracker.changes, now
        elif not self._replayable:
            check_staging(now - since, transfer.image.size, transfer.clocks.timeout)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do the work of one thread; what goes wrong there is raised by `next`."""
        try:
            work()
        except CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001
            self._outcomes.put(error)

    def _feed(self, blobs: Blobs) -> None:
        if not self._replayable:
            threading.Thread(target=self._ask_all, name="candidates", daemon=True).start()
        delivered: list[Future[None]] = []
        pool, most = self._transfer.repository.pool, AHEAD if self._replayable else 1
        for blob, found in answered(pool, distinct(blobs()), self._question, self.cancel.check, most):
            if found is not None:
                self._outcomes.put(found)
                continue
            weight = 0 if blob.is_config else 1 if blob.size <= CHUNK else LARGE
            # No other thread takes places, so they can be taken one by one.
            for _ in range(weight):
                while not self._places.acquire(timeout=TICK):
                    self.cancel.check()
            if weight == LARGE:
                self._link.enter(self._transfer.name(blob), blob.size, self.cancel)
            read = threading.Event()
            delivered.append(self._threads.submit(partial(self._work, blob, weight, read)))
            if not self._replayable:
                while not read.wait(TICK):
                    self.cancel.check()
        while wait(delivered, TICK).not_done:
            self.cancel.check()
        self._outcomes.put(None)

    def _ask_all(self) -> None:
        """Ask for all candidates early; if that fails, each is asked for when its turn comes."""
        try:
            self._candidates.ask_all()
        except PipeError:
            return

    def _work(self, blob: SourceBlob, weight: int, read: threading.Event) -> None:
        self._guarded(lambda: self._outcomes.put(self._deliver(blob, read)))
        for _ in range(weight):
            self._places.release()
        self._link.leave(self._transfer.name(blob))
        # After the outcome, so that a failure precedes what the source makes of unread bytes.
        read.set()

    def _question(self, blob: SourceBlob) -> Callable[[], Delivery | None] | None:
        """Return what asks whether the registry has a blob; None if nothing is asked, or only once it is encoded."""
        known = self._transfer.known.get(blob.key)
        if known is not None:
            return lambda: Delivery(blob.key, known)
        if blob.descriptor is None or self._is_asked_for(blob):
            return None
        return partial(self._find, blob, blob.descriptor)

    def _is_asked_for(self, blob: SourceBlob) -> bool:
        """Return whether an answer about a blob is on its way, for which an Engine's next layer must not wait."""
        named = blob.descriptor
        return not self._replayable and named is not None and self._novelty.answers_for(named.digest)

    def _find(self, blob: SourceBlob, descriptor: Descriptor) -> Delivery | None:
        """Find a blob that is sent as it is in the registry, or mount it; None if it must be uploaded."""
        transfer = self._transfer
        if transfer.trusting and transfer.repository.stat(descriptor.digest) is not None:
            return self._there(blob, descriptor)
        if self._candidates.mounted(descriptor.digest, blob.repository):
            return self._there(blob, descriptor, LayerStatus.MOUNTED, reused=True)
        return None

    def _deliver(self, blob: SourceBlob, read: threading.Event) -> Delivery:
        """Bring one blob to the registry, unless it has a candidate for it."""
        key = blob.key
        if blob.descriptor is None:
            candidate = self._candidates.find(key)
            if candidate is not None and (candidate.trailer is None or may_be(blob, candidate.trailer)):
                if candidate.trailer is None or is_made_from(blob, candidate.trailer, self.cancel.check):
                    status = LayerStatus.MOUNTED if candidate.mounted else LayerStatus.ALREADY_THERE
                    return self._there(blob, candidate.descriptor, status, reused=True)
                self._candidates.clear()
                if not self._replayable:
                    return Delivery(key, None)
        return self._upload(blob, read)

    def _upload(self, blob: SourceBlob, read: threading.Event) -> Delivery:
        """Upload a blob, again from its first byte if the registry lost the upload and the source is replayable."""
        transfer = self._transfer
        with BlobUpload(blob, transfer, self.cancel) as upload:
            transfer.repository.open_ahead()
            if blob.repository:
                # Its bytes come from the registry, which counts as the time of the layer.
                upload.start(transfer.clocks.now())
            for _ in range(BEGINNINGS - 1 if self._replayable else 0):
                try:
                    return self._upload_once(upload, read)
                except UploadLostError as error:
                    transfer.log(f"{error.summary} Sending {upload.name} again in {AGAIN:.0f} s.")
                    upload.wait(AGAIN, error)
            return self._upload_once(upload, read)

    def _upload_once(self, upload: BlobUpload, read: threading.Event) -> Delivery:
        transfer, blob = self._transfer, upload.blob
        encoded = transfer.encode(blob, self.cancel, read)
        chunks = upload.chunks(encoded)
        try:
            digest = chunks.peek()
            is_open = transfer.trusting and (blob.descriptor is None or self._is_asked_for(blob))
            if digest and is_open and not self._novelty.is_new(digest, encoded.made, self.cancel.check):
                return self._there(blob, upload.descriptor(transfer.media_type), key=encoded.diff_id)
            upload.start(transfer.clocks.now())
            try:
                transfer.repository.put_blob(chunks, upload)
            except RegistryFailedError as error:
                raise upload.explained(error) from error
            except LimitError as error:
                error.layer = error.layer or blob.key
                raise
            return self._there(blob, upload.descriptor(transfer.media_type), LayerStatus.UPLOADED, key=encoded.diff_id)
        finally:
            chunks.close()

    def _there(
        self,
        blob: SourceBlob,
        descriptor: Descriptor,
        status: LayerStatus = LayerStatus.ALREADY_THERE,
        *,
        key: str = "",
        reused: bool = False,
    ) -> Delivery:
        """Record that the registry has a blob; `key` names a layer that only its bytes identified."""
        transfer = self._transfer
        if not blob.is_config:
            tracker, name = transfer.clocks.tracker, transfer.name(blob)
            if not blob.key and key:
                tracker.drop(name)
                name = transfer.layer_name(key)
            tracker.finish(name, status, transfer.clocks.now(), descriptor, reused=reused)
        return Delivery(blob.key or key or descriptor.digest, descriptor)
