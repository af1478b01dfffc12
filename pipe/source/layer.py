"""A blob on its way out of a source: read, compressed where it is plain, and hashed on both sides, all at once.

Reading, compressing and sending each have a thread, and hash what passes: the interpreter's lock is
free in all of it. Buffers are few and used again, so that memory does not depend on the image.
"""

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from isal import isal_zlib

from pipe.source.blob import Reader, SourceBlob

READ = 256 * 1024
"""Bytes read, hashed and compressed at a time. Four times as many are 7 % faster, and cost 30 MB: what is
allocated for their compressed form is then no longer used again."""
READ_BUFFERS = 8
CHUNK_BUFFERS = 3
"""One that is sent, one that shows whether it is the last, one that is filled."""
LEVEL = 1
"""Of ISA-L: 560 MB/s a core on real files, and 2 % larger than level 2; few steps have a faster link."""
MEMORY_LEVEL = 9
"""5 % faster than the default of 8."""
GZIP = isal_zlib.MAX_WBITS | 16
"""A window of 32 KiB in a gzip container without name and time: the same bytes get the same digest."""
_LOOK_UP = 0.2
"""Seconds after which a waiting thread looks whether all is to end."""


class _StoppedError(Exception):
    """Nobody wants the rest."""


class Chunks:
    """The bytes of one blob as a registry is to store them, in chunks.

    Attributes:
        taken: Bytes of the source's that are in the chunks made so far.
        made: Bytes of these chunks.
        diff_id: Digest of the plain bytes, "" until the last chunk and for a blob that is sent as it is.
        digest: Digest of the chunks' bytes, "" until the last chunk.
    """

    def __init__(self, blob: SourceBlob, size: int, stop: threading.Event, read: threading.Event) -> None:
        """Prepare; reading begins with the iteration.

        Args:
            blob: The blob; compressed on its way if it has no descriptor.
            size: Bytes of a chunk; all but the last have so many.
            stop: Set where nobody wants the rest.
            read: To be set once the source has given its last byte of this blob, or failed.
        """
        self._blob = blob
        # A layer smaller than a chunk needs no such buffer; what does not compress grows by less than 1 %.
        self._size = min(size, blob.size + blob.size // 100 + 1024)
        self._stop = stop
        self._read = read
        self._closed = threading.Event()
        self._plain: queue.Queue[tuple[bytearray, int] | BaseException | None] = queue.Queue()
        self._chunks: queue.Queue[memoryview | BaseException | None] = queue.Queue()
        self._free: queue.Queue[bytearray] = queue.Queue()
        self._returned: queue.Queue[bytearray] = queue.Queue()
        self._buffers = 0
        self.taken = 0
        self.made = 0
        self.diff_id = ""
        self.digest = ""

    def __iter__(self) -> Iterator[memoryview]:
        """Give the chunks; each is good until the next is asked for, and with the last the digests are known.

        Raises:
            PipeError: The source broke.
        """
        if self._blob.descriptor is None:
            self._start(self._read_plain, self._plain)
            self._start(self._compress, self._chunks)
        else:
            self._start(self._read_stored, self._chunks)
        digest = hashlib.sha256()
        chunk = self._next(self._chunks)
        while chunk is not None:
            digest.update(chunk)
            following = self._next(self._chunks)
            if following is None:
                self.digest = f"sha256:{digest.hexdigest()}"
            yield chunk
            self._free.put(chunk.obj)
            chunk = following
        self.digest = f"sha256:{digest.hexdigest()}"

    def close(self) -> None:
        """End the threads, and let go of their buffers, where the chunks were not all taken."""
        self._closed.set()

    def _start(self, work: Callable[[], None], outlet: "queue.Queue[Any]") -> None:
        """Run work in a thread; what goes wrong there reaches whoever takes what it makes."""

        def guarded() -> None:
            try:
                work()
            except _StoppedError:
                pass
            except BaseException as error:  # noqa: BLE001
                outlet.put(error)
            finally:
                if work != self._compress:
                    self._read.set()

        threading.Thread(target=guarded, name=work.__name__, daemon=True).start()

    def _read_plain(self) -> None:
        reader, digest = self._blob.open(), hashlib.sha256()
        free = [bytearray(min(READ, self._blob.size + 1)) for _ in range(READ_BUFFERS)]
        while length := _fill(reader, buffer := free.pop() if free else self._next(self._returned)):
            digest.update(memoryview(buffer)[:length])
            self._plain.put((buffer, length))
        self.diff_id = f"sha256:{digest.hexdigest()}"
        self._plain.put(None)

    def _compress(self) -> None:
        compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP, MEMORY_LEVEL)
        chunk, filled = self._buffer(), 0
        while True:
            plain = self._next(self._plain)
            packed = compressor.flush() if plain is None else compressor.compress(memoryview(plain[0])[: plain[1]])
            rest = memoryview(packed)
            while rest:
                if filled == len(chunk):
                    self._pass_on(chunk, filled)
                    chunk, filled = self._buffer(), 0
                length = min(len(rest), len(chunk) - filled)
                chunk[filled : filled + length] = rest[:length]
                filled, rest = filled + length, rest[length:]
            if plain is None:
                break
            self.taken += plain[1]
            self._returned.put(plain[0])
        self._pass_on(chunk, filled)
        self._chunks.put(None)

    def _read_stored(self) -> None:
        reader = self._blob.open()
        while length := _fill(reader, buffer := self._buffer()):
            self.taken += length
            self._pass_on(buffer, length)
        self._chunks.put(None)

    def _pass_on(self, buffer: bytearray, length: int) -> None:
        self.made += length
        self._chunks.put(memoryview(buffer)[:length])

    def _buffer(self) -> bytearray:
        """Return a new buffer for a chunk or, when all are made, one whose chunk was sent."""
        if self._buffers < CHUNK_BUFFERS:
            self._buffers += 1
            return bytearray(self._size)
        buffer: bytearray = self._next(self._free)
        return buffer

    def _next(self, source: "queue.Queue[Any]") -> Any:  # noqa: ANN401
        """Wait for what another thread made; raise what went wrong there."""
        while True:
            try:
                item = source.get(timeout=_LOOK_UP)
            except queue.Empty:
                if self._stop.is_set() or self._closed.is_set():
                    raise _StoppedError from None
                continue
            if isinstance(item, BaseException):
                raise item
            return item


def _fill(reader: Reader, buffer: bytearray) -> int:
    """Read until a buffer is full or nothing follows; return how much of it is filled."""
    view, filled = memoryview(buffer), 0
    while filled < len(buffer) and (length := reader.readinto(view[filled:])):
        filled += length
    return filled
