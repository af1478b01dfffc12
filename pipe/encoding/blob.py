"""A blob on its way out of a source: read, compressed if it is plain, hashed on both sides, and cut into chunks."""

import hashlib
import threading
from collections.abc import Generator

from pipe.encoding.codecs import BLOCK
from pipe.encoding.lane import ClosedError, Lane
from pipe.encoding.pool import BlockPool
from pipe.source.blob import Reader, SourceBlob
from pipe.threads import Cancel


class EncodedBlob:
    """The bytes of one blob as a registry stores them, in chunks.

    Attributes:
        taken: Bytes of the source that are in the chunks made so far.
        made: Bytes of these chunks.
        diff_id: Digest of the plain bytes; known with `digest`, "" for a blob that is sent as it is.
        digest: Digest of the chunks' bytes; "" until the last chunk is yielded.
        source_read: Set when the source has delivered its last byte of this blob, has failed, or is not needed.
    """

    def __init__(
        self,
        blob: SourceBlob,
        chunk_size: int,
        cancel: Cancel,
        pool: BlockPool,
        source_read: threading.Event | None = None,
    ) -> None:
        """Prepare; reading begins with the iteration.

        Args:
            blob: Compressed if it has no descriptor; otherwise sent as it is.
            chunk_size: Bytes of every chunk but the last.
            cancel: Ends the iteration.
            pool: Shared by all blobs of a run.
            source_read: The event to set; a new one if None.
        """
        self.taken = 0
        self.made = 0
        self.diff_id = ""
        self.digest = ""
        self.source_read = source_read or threading.Event()
        self._blob = blob
        # A layer smaller than a chunk needs no such buffer; what does not compress grows by less than 1 %.
        self._size = min(chunk_size, blob.size + blob.size // 100 + 1024)
        self._cancel = cancel
        self._lane = Lane(pool, cancel, compressed=blob.descriptor is None)
        self._reader: threading.Thread | None = None

    def __iter__(self) -> Generator[memoryview]:
        """Yield the chunks, at least one. Each is valid until the next is requested.

        Raises:
            PipeError: The source failed.
        """
        self._reader = threading.Thread(target=self._read, name="read", daemon=True)
        self._reader.start()
        try:
            yield from self._chunks()
        finally:
            self.close()

    def close(self) -> None:
        """End the reader and release all buffers, without waiting for either. Can be called at any time."""
        self._lane.close()
        if self._reader is None:
            self.source_read.set()

    def _chunks(self) -> Generator[memoryview]:
        """Fill one buffer from the blocks again and again, and yield it whenever it is full and at the end."""
        chunk, filled, taken = memoryview(bytearray(self._size)), 0, 0
        while block := self._lane.next():
            try:
                rest = block.packed or memoryview(b"")
                while rest:
                    if filled == self._size:
                        yield from self._send(chunk, taken)
                        filled = taken = 0
                    length = min(len(rest), self._size - filled)
                    chunk[filled : filled + length] = rest[:length]
                    filled, rest = filled + length, rest[length:]
                taken += block.plain
            finally:
                self._lane.release(block)
        self.digest = f"sha256:{self._lane.digest.hexdigest()}"
        yield from self._send(chunk[:filled], taken)

    def _send(self, chunk: memoryview, taken: int) -> Generator[memoryview]:
        self._cancel.check()
        self.taken += taken
        self.made += len(chunk)
        with self._lane.sending(len(chunk)):
            yield chunk

    def _read(self) -> None:
        """Read and hash the source, block by block."""
        plain = self._blob.descriptor is None
        digest = hashlib.sha256()
        try:
            reader = self._blob.open()
            first = plain
            while True:
                block = self._lane.take()
                try:
                    block.plain = _fill(reader, memoryview(block.buffer)[:BLOCK])
                except BaseException:
                    self._lane.release(block)
                    raise
                if not block.plain and not first:  # an empty layer is one empty block
                    self._lane.release(block)
                    break
                first = False
                if plain and not self._blob.is_verified:
                    digest.update(memoryview(block.buffer)[: block.plain])
                full = block.plain == BLOCK
                self._lane.put(block)
                if not full:
                    break
            if plain:
                found = f"sha256:{digest.hexdigest()}"
                self.diff_id = self._blob.diff_id or found if self._blob.is_verified else found
            self._lane.end()
        except ClosedError:
            pass
        except BaseException as error:  # noqa: BLE001 - the sender raises it
            self._lane.fail(error)
        finally:
            self.source_read.set()


def _fill(reader: Reader, buffer: memoryview) -> int:
    """Read until the buffer is full or the source ends; return the number of bytes."""
    filled = 0
    while filled < len(buffer) and (length := reader.readinto(buffer[filled:])):
        filled += length
    return filled
