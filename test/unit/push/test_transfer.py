"""Blobs on their way to a registry that forgets, and whose manifests are wrong about what it has."""

import gzip
import hashlib
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from pipe.errors import UploadForgottenError
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image, Layer, LayerStatus
from pipe.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, OCI_CONFIG
from pipe.push.blob_upload import BlobUpload
from pipe.push.direct_push import DirectPush, _Observer
from pipe.push.progress import Progress
from pipe.push.transfer import Transfer
from pipe.push.watch import Watch
from pipe.registry.blobs import Chunking
from pipe.source.blob import SourceBlob, in_memory

NOISE = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(20_000))
"""640 kB that do not compress: several chunks of those here."""
CHUNK = 100_000


def digest(data: bytes) -> str:
    """Return a digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def plain(data: bytes, name: str = "layer", *, known: bool = True) -> SourceBlob:
    """Make a layer that is compressed on its way."""
    reader = in_memory(name, "", data).open
    return SourceBlob(name, len(data), digest(data) if known else None, None, reader)


class Upload:
    """An upload that is forgotten after its first chunk where that was asked for."""

    def __init__(self, blobs: "Blobs", forgotten: bool) -> None:
        self._blobs = blobs
        self._forgotten = forgotten
        self._data = b""

    def send(self, chunk: memoryview, *, whole: bool = False) -> None:
        """Take a chunk."""
        del whole
        if self._forgotten:
            raise UploadForgottenError("404")
        self._data += bytes(chunk)

    def stream(self, pieces: Iterable[memoryview]) -> None:
        """Take all."""
        for piece in pieces:
            self.send(piece)

    def finish(self, named: str, timeout: float) -> None:
        """Keep the blob."""
        del timeout
        assert digest(self._data) == named
        self._blobs.stored[named] = self._data


class Blobs:
    """A registry's blobs, in memory."""

    def __init__(self, forgets: int = 0) -> None:
        self.stored: dict[str, bytes] = {}
        self.forgets = forgets
        self.threads: list[int] = []
        self.end_read = threading.Event()

    def find_chunking(self, watch: BlobUpload) -> Chunking:
        """Take chunks."""
        del watch
        return Chunking(CHUNK)

    def upload(self, watch: BlobUpload) -> Upload:
        """Open an upload."""
        del watch
        self.threads.append(sum(thread.name.startswith(("_read", "_compress")) for thread in threading.enumerate()))
        self.forgets -= 1
        return Upload(self, self.forgets >= 0)

    def size(self, named: str) -> int | None:
        """Tell whether a blob is there."""
        return len(self.stored[named]) if named in self.stored else None

    def read_end(self, named: str, size: int, length: int) -> bytes | None:
        """Give the end of a blob."""
        del size
        self.end_read.set()
        return self.stored[named][-length:]


class Log:
    """Hears what people are told."""

    def info(self, text: str) -> None:
        """Hear nothing."""

    warning = debug = info


class Manifests:
    """Takes every manifest."""

    def push_manifest(self, reference: str, manifest: object) -> None:
        """Take one."""


def direct(blobs: Blobs, layers: Sequence[SourceBlob], clock: Callable[[], float] = time.monotonic) -> DirectPush:
    """Make a push of layers."""
    image = Image("", 0, tuple(Layer(number, blob.diff_id or "", blob.size) for number, blob in enumerate(layers, 1)))
    transfer = Transfer(blobs, time.monotonic, 60)
    watch = Watch(Progress(image), 60, clock, Log())
    return DirectPush(Manifests(), transfer, watch, 10**9)


def run(push: DirectPush, layers: Sequence[SourceBlob]) -> None:
    """Bring layers to the registry."""
    observer = _Observer(push, push.watch.progress.image_layers)
    push.transfer.run(lambda: layers, observer, one_by_one=False)


def test_a_wrong_mapping_does_not_make_it_forget_what_arrived() -> None:
    arrived, wrong = plain(NOISE[:50_000], "arrived"), plain(b"wrong" * 1000, "wrong")
    blobs = Blobs()
    liar = b"another blob" + struct.pack("<II", zlib.crc32(b"x"), wrong.size)
    blobs.stored[digest(liar)] = liar
    push = direct(blobs, [arrived, wrong])
    push.transfer.reusable = {str(wrong.diff_id): Descriptor(DOCKER_LAYER, digest(liar), len(liar))}
    run(push, [arrived])
    run(push, [wrong])
    assert sorted(push.transfer.known) == sorted([digest(NOISE[:50_000]), digest(b"wrong" * 1000)])
    assert digest(liar) not in {named.digest for named in push.transfer.known.values()}


def test_an_upload_that_was_forgotten_leaves_no_threads_and_buffers_behind() -> None:
    blobs = Blobs(forgets=2)
    layer = plain(NOISE)
    push = direct(blobs, [layer])
    run(push, [layer])
    assert len(blobs.threads) == 3
    assert blobs.threads[-1] <= blobs.threads[0], f"threads at each beginning: {blobs.threads}"


def test_a_layer_that_only_its_bytes_tell_stands_for_itself_until_it_arrived() -> None:
    layers = [plain(NOISE, "a/layer.tar", known=False), plain(NOISE[:-1], "b/layer.tar", known=False)]
    push = direct(Blobs(), [plain(NOISE), plain(NOISE[:-1])])
    observer = _Observer(push, push.watch.progress.image_layers)
    begun = [BlobUpload(layer, time.monotonic, threading.Event()) for layer in layers]
    for blob_upload in begun:
        blob_upload.begin()
    observer.look(begun)
    assert len(push.watch.progress.uploading) == 2
    for blob_upload, content in zip(begun, (NOISE, NOISE[:-1]), strict=True):
        blob_upload.diff_id = digest(content)
        observer.arrived(blob_upload)
    statuses = [layer.status for layer in push.watch.progress.layers.values()]
    assert statuses == [LayerStatus.UPLOADED] * 2


def test_the_line_of_progress_counts_layers_that_wait_for_their_turn() -> None:
    layers = [plain(NOISE, "a"), plain(NOISE[:-1], "b")]
    push = direct(Blobs(), layers)
    observer = _Observer(push, push.watch.progress.image_layers)
    begun = BlobUpload(layers[0], time.monotonic, threading.Event())
    begun.begin()
    observer.look([begun])
    assert push.watch.progress.line(begun.began or 0, 60) == (
        "0 B of at most 1.3 MB, 0 of 2 layers; layer 1 at 0:00 of 1:00"
    )


def test_the_first_line_of_another_attempt_names_no_rate_over_both() -> None:
    layers = [plain(NOISE, "a")]
    push = direct(Blobs(), layers, lambda: 0.0)
    progress = push.watch.progress
    observer = _Observer(push, progress.image_layers)
    begun = BlobUpload(layers[0], lambda: 0.0, threading.Event())
    begun.begin()
    begun.out = 100_000
    observer.look([begun])
    assert progress.line(10, 60) == "100.0 KB of at most 640.0 KB, 0 of 1 layers; layer 1 at 0:10 of 1:00"
    progress.restart()
    begun.out = 50_000
    observer.look([begun])
    assert progress.line(20, 60) == "50.0 KB of at most 640.0 KB, 0 of 1 layers; layer 1 at 0:20 of 1:00"


@pytest.mark.parametrize("seen", [True, False], ids=["seen-on-its-way", "too-fast-to-be-seen"])
def test_a_layer_that_was_uploaded_after_all_is_not_called_reused(seen: bool) -> None:
    layer = plain(NOISE)
    push = direct(Blobs(), [layer])
    push.transfer.reusable = {str(layer.diff_id): Descriptor(DOCKER_LAYER, digest(b""), 0)}
    observer = _Observer(push, push.watch.progress.image_layers)
    observer.arrived(BlobUpload(layer, time.monotonic, threading.Event()))
    [found] = push.watch.progress.image_layers
    assert found.reused
    blob_upload = BlobUpload(layer, time.monotonic, threading.Event())
    blob_upload.begin()
    if seen:
        observer.look([blob_upload])
    observer.arrived(blob_upload)
    assert (found.status, found.reused) == (LayerStatus.UPLOADED, False)


def test_a_configuration_is_no_layer_in_the_line_of_progress() -> None:
    layers = [plain(NOISE, "a")]
    push = direct(Blobs(), layers)
    observer = _Observer(push, push.watch.progress.image_layers)
    for media_type in (DOCKER_CONFIG, OCI_CONFIG):
        config = BlobUpload(in_memory("config", media_type, media_type.encode()), time.monotonic, threading.Event())
        config.begin()
        observer.look([config])
        observer.arrived(config)
    assert push.watch.progress.line(0, 60) == "waiting for Docker Engine (0 of 1 layers checked)"


def test_what_may_be_reused_is_asked_for_before_the_first_layer_comes() -> None:
    layer = plain(NOISE)
    blobs = Blobs()
    there = gzip.compress(NOISE)
    blobs.stored[digest(there)] = there
    push = direct(blobs, [layer])
    push.transfer.reusable = {str(layer.diff_id): Descriptor(DOCKER_LAYER, digest(there), len(there))}

    def staged() -> Iterator[SourceBlob]:
        assert blobs.end_read.wait(10), "nothing was asked for while the Engine staged"
        yield layer

    push.transfer.run(staged, _Observer(push, push.watch.progress.image_layers), one_by_one=True)
    assert push.transfer.known[digest(NOISE)].digest == digest(there)
    assert len(blobs.stored) == 1
