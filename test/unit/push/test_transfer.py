"""Blobs on their way to a registry that loses uploads, is slow, and whose manifests are wrong about what it has."""

import gzip
import hashlib
import inspect
import io
import random
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from unit.fakes import REQUEST, SETTINGS, Clock, Messages
from unit.http import FakeRegistryServer, Outcome, Reply, Sent, cut, error_reply
from unit.runs import connected, encoder

from pipe.encoding.blob import EncodedBlob
from pipe.errors import (
    ContentMismatchError,
    EngineSaveError,
    LayerTooLargeError,
    PipeError,
    RegistryFailedError,
    RegistryTooSlowError,
    UploadLostError,
    UploadTooSlowError,
)
from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image, Layer
from pipe.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER
from pipe.push.ahead import UNASKED
from pipe.push.clocks import Clocks
from pipe.push.context import Context, Timing
from pipe.push.progress import ProgressTracker
from pipe.push.result import LayerStatus
from pipe.push.reuse import Candidates, Stored
from pipe.push.transfer import BEGINNINGS, WORKERS, Transfer
from pipe.registry.body import UploadWatch
from pipe.registry.run_clock import RUN_LIMIT
from pipe.registry.upload import CHUNK
from pipe.source.blob import SourceBlob, in_memory

NOISE = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(20_000))
"""640 kB that do not compress."""
GZIPPED = gzip.compress(NOISE)
CONFIG = b'{"architecture":"amd64"}'
LARGE = NOISE * 14
"""More than one chunk, which compress to little: sent as it is, it has two chunks."""


def digest(data: bytes) -> str:
    """Return a digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def plain(data: bytes, name: str = "layer", *, known: bool = True) -> SourceBlob:
    """Make a layer that is compressed for the push."""
    reader = in_memory(name, "", data).open
    return SourceBlob(name, len(data), digest(data) if known else None, None, reader)


def stored(data: bytes, name: str = "layer") -> SourceBlob:
    """Make a layer that is sent as it is."""
    return in_memory(name, DOCKER_LAYER, data)


class Transferring:
    """A transfer of layers to a registry in memory."""

    def __init__(
        self, layers: Sequence[SourceBlob], *, timeout: float = 60.0, limit: int = 10**9, run: float = RUN_LIMIT
    ) -> None:
        self.clock, self.told = Clock(), Messages()
        self.server = FakeRegistryServer(self.clock.pass_by)
        described = [
            Layer(n, blob.diff_id or digest(str(n).encode()), blob.size, None, blob.descriptor)
            for n, blob in enumerate(layers, 1)
        ]
        self.image = Image(digest(CONFIG), 0, tuple(described))
        self.tracker = ProgressTracker(self.image)
        settings = SETTINGS._replace(max_layer_size=limit, upload_timeout=timeout)
        self.repository = connected(self.clock, self.told, self.server, run).repository("acme/app")
        context = Context(
            settings,
            REQUEST,
            self.repository,
            self.told,
            Timing(self.clock, self.clock.sleep, float, self.clock.wait),
        )
        self.transfer = Transfer(context, self.image, Clocks(self.tracker, timeout, self.clock, self.told), encoder())
        self.layers = layers
        self.blobs: Callable[[], Iterable[SourceBlob]] = lambda: self.layers

    def run(self, *candidates: tuple[SourceBlob, bytes], replayable: bool = True) -> bool:
        """Bring the layers to the registry, some of which other manifests pair with blobs."""
        pairs = {
            str(blob.diff_id): Stored(Descriptor(DOCKER_LAYER, digest(data), len(data)), "acme/app")
            for blob, data in candidates
        }
        return self.transfer.run(self.blobs, Candidates(self.repository, pairs), replayable=replayable)

    @property
    def statuses(self) -> list[LayerStatus]:
        """The status of each layer."""
        return [self.tracker.of(layer.short_id).status for layer in self.image.layers]

    @property
    def contents(self) -> set[bytes]:
        """The uncompressed blobs in the registry."""
        return {gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data for data in self.server.blobs.values()}


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param([plain(NOISE)], id="compressed"),
        pytest.param([stored(gzip.compress(NOISE))], id="as-it-is"),
        pytest.param([stored(LARGE)], id="in-chunks"),
        pytest.param([plain(b"")], id="empty"),
        pytest.param([plain(bytes(3_000_000))], id="zeros"),
        pytest.param([plain(NOISE[: 1000 * n]) for n in range(1, 21)], id="twenty"),
        pytest.param([plain(NOISE), plain(NOISE)], id="twice-the-same"),
    ],
)
@pytest.mark.parametrize("replayable", [True, False], ids=["replayable", "once"])
def test_layers_arrive(layers: list[SourceBlob], replayable: bool) -> None:
    t = Transferring(layers)
    assert t.run(replayable=replayable)
    expected = {blob.descriptor.digest if blob.descriptor else str(blob.diff_id) for blob in layers}
    assert t.transfer.known.keys() == expected
    assert {named.digest for named in t.transfer.known.values()} <= t.server.blobs.keys()
    assert {digest(data) for data in t.contents} >= {str(blob.diff_id) for blob in layers if blob.diff_id}
    assert t.statuses == [LayerStatus.UPLOADED] * len(layers)


def test_a_blob_of_one_chunk_takes_two_requests() -> None:
    t = Transferring([stored(b"x" * 1000)])
    t.run()
    assert [(sent.method, len(sent.body)) for sent in t.server.sent if sent.path != "/v2/"] == [
        ("HEAD", 0),
        ("POST", 0),
        ("PUT", 1000),
    ]


SMALL, LARGER = plain(NOISE), plain(random.Random(1).randbytes(UNASKED))


@pytest.mark.parametrize(
    ("layer", "config", "asked"),
    [
        pytest.param(SMALL, 404, 1, id="the-image-is-new"),
        pytest.param(SMALL, 200, 2, id="the-image-was-pushed"),
        pytest.param(SMALL, 500, 2, id="nobody-knows"),
        pytest.param(LARGER, 404, 2, id="a-larger-layer"),
        pytest.param(stored(NOISE), 404, 1, id="a-layer-that-is-sent-as-it-is"),
    ],
)
def test_a_small_layer_of_a_new_image_is_not_asked_for(layer: SourceBlob, config: int, asked: int) -> None:
    t = Transferring([layer])
    t.server.on("HEAD", f"*/blobs/{t.image.id}", config, times=None)
    t.run()
    assert len({sent.path for sent in t.server.matching("HEAD", "*/blobs/*")}) == asked
    assert len(t.server.matching("PUT", "*/blobs/*")) == 1


def test_after_a_first_try_every_layer_is_asked_for() -> None:
    """One that failed may have sent a layer whose answer came too late."""
    t = Transferring([plain(NOISE)])
    t.run()
    t.transfer.known.clear()
    t.run()
    assert len(t.server.matching("PUT", "*/blobs/*")) == 1


@pytest.mark.parametrize("is_there", [True, False], ids=["there", "new"])
def test_layers_behind_the_config_do_not_wait_for_the_question_about_it(is_there: bool) -> None:
    config, layer = in_memory("config", DOCKER_CONFIG, CONFIG), plain(NOISE)
    t = Transferring([layer])
    sent, answered = threading.Event(), threading.Event()

    def layers() -> Iterator[SourceBlob]:
        yield config
        yield layer
        sent.set()

    def answer(_: Sent) -> Outcome:
        answered.set()
        assert sent.wait(60), "the layer waits for the answer"
        return 200 if is_there else 404

    t.server.on("HEAD", f"*/blobs/{t.image.id}", answer)
    t.blobs = layers
    t.run(replayable=False)
    assert answered.is_set()
    assert len(t.server.matching("HEAD", f"*/blobs/{t.image.id}")) == 1
    assert (digest(CONFIG) in t.server.blobs) is not is_there


def test_how_chunks_are_accepted_is_asked_for_the_first_blob_that_has_two() -> None:
    t = Transferring([stored(LARGE), stored(LARGE[:-1])])
    t.run()
    assert len(t.server.blobs) == 3
    assert sum(len(sent.body) == 1 for sent in t.server.matching("PATCH")) == 2, "the probe, once"


@pytest.mark.parametrize(
    ("layers", "method", "expected"),
    [
        pytest.param([plain(NOISE[: 1000 * n]) for n in range(1, 21)], "PUT", WORKERS, id="of-one-chunk"),
        pytest.param([stored(LARGE[:-n]) for n in range(1, 5)], "PATCH", WORKERS // 2, id="larger"),
    ],
)
def test_at_most_so_many_blobs_are_uploaded_at_once(layers: list[SourceBlob], method: str, expected: int) -> None:
    t = Transferring(layers)
    another, over = threading.Event(), threading.Event()
    full, end = threading.Barrier(expected), threading.Barrier(expected, over.set)
    held = threading.Semaphore(expected)

    def hold(sent: Sent) -> None:
        if len(sent.body) <= 1:
            return
        if held.acquire(blocking=False):
            full.wait(60)
            assert not another.wait(0.1), "another blob was sent while these were on their way"
            end.wait(60)
        elif not over.is_set():
            another.set()

    t.server.on(method, "*/blobs/uploads/*", hold)
    assert t.run()


@pytest.mark.parametrize("replayable", [True, False], ids=["replayable", "once"])
def test_a_wrong_pair_costs_another_pass_at_most(replayable: bool) -> None:
    arrived, wrong = plain(NOISE[:50_000], "arrived"), plain(b"wrong" * 1000, "wrong")
    liar = gzip.compress(b"rwong" * 1000)
    t = Transferring([arrived, wrong])
    t.server.keep(liar)
    complete = t.run((wrong, liar), replayable=replayable)
    assert complete is replayable
    assert t.transfer.known[digest(NOISE[:50_000])].digest in t.server.blobs
    if not complete:
        assert str(wrong.diff_id) not in t.transfer.known
        assert t.run(replayable=replayable)
    assert t.transfer.known[str(wrong.diff_id)].digest != digest(liar)
    assert b"wrong" * 1000 in t.contents


@pytest.mark.parametrize("replayable", [True, False], ids=["replayable", "once"])
def test_a_layer_that_another_tag_has_is_not_sent(replayable: bool) -> None:
    layer, there = plain(NOISE), gzip.compress(NOISE)
    t = Transferring([layer])
    t.server.keep(there)
    assert t.run((layer, there), replayable=replayable)
    assert t.transfer.known[str(layer.diff_id)].digest == digest(there)
    assert (t.statuses, t.tracker.of(t.image.layers[0].short_id).reused) == ([LayerStatus.ALREADY_THERE], True)
    assert t.server.matching("P*") == []


@pytest.mark.parametrize("layer", [plain(NOISE), stored(GZIPPED)], ids=["compressed", "stored"])
@pytest.mark.parametrize("has_it", [True, False], ids=["there", "gone"])
def test_a_layer_that_another_package_has_is_mounted(layer: SourceBlob, has_it: bool) -> None:
    t = Transferring([layer])
    if has_it:
        t.server.mountable["acme/base", digest(GZIPPED)] = GZIPPED
    key = str(layer.diff_id or digest(GZIPPED))
    known = {key: Stored(Descriptor(DOCKER_LAYER, digest(GZIPPED), len(GZIPPED)), "acme/base")}
    assert t.transfer.run(lambda: t.layers, Candidates(t.repository, known), replayable=True)
    assert t.statuses == [LayerStatus.MOUNTED if has_it else LayerStatus.UPLOADED]
    assert len(t.server.matching("PUT")) == (not has_it)
    assert t.contents == {NOISE}


def test_candidates_are_asked_for_before_the_first_layer_comes() -> None:
    layer, there = plain(NOISE), gzip.compress(NOISE)
    t = Transferring([layer])
    t.server.keep(there)
    asked = threading.Event()
    t.server.on("GET", "*/blobs/*", lambda _: asked.set())

    def staged() -> Iterator[SourceBlob]:
        assert asked.wait(60), "nothing was requested while the Engine staged"
        yield layer

    named = Stored(Descriptor(DOCKER_LAYER, digest(there), len(there)), "acme/app")
    candidates = Candidates(t.repository, {str(layer.diff_id): named})
    assert t.transfer.run(staged, candidates, replayable=False)
    assert t.server.blobs.keys() == {digest(there)}


@contextmanager
def ended() -> Iterator[None]:
    """Wait until the threads that this context starts have ended."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith(("blob", "registry", "compress")):  # pools keep theirs
            thread.join(60)
            assert not thread.is_alive(), thread.name


def lose_uploads(t: Transferring, times: int) -> None:
    """Let the registry lose uploads after their first chunk."""
    t.server.on("PATCH", "*", later_chunk(*[error_reply(404, "BLOB_UPLOAD_UNKNOWN")] * times))


def later_chunk(*outcomes: Outcome) -> Callable[[Sent], Outcome | None]:
    """Reply so to chunks that are not the first of their upload, one after the other."""
    left = list(outcomes)

    def reply(sent: Sent) -> Outcome | None:
        is_later = len(sent.body) > 1 and not sent.headers["Content-Range"].startswith("0-")
        return left.pop(0) if is_later and left else None

    return reply


def test_an_upload_that_was_lost_starts_again_and_leaves_no_threads_behind() -> None:
    t = Transferring([stored(LARGE)])
    lose_uploads(t, 2)
    with ended():
        assert t.run()
    assert len(t.server.matching("POST")) == 1 + BEGINNINGS, "the probe, and each beginning"
    assert digest(LARGE) in t.server.blobs
    assert t.transfer.known.keys() == {digest(LARGE)}


def test_an_upload_that_is_lost_each_time_fails() -> None:
    t = Transferring([stored(LARGE)])
    lose_uploads(t, 100)
    with ended(), pytest.raises(UploadLostError):
        t.run()


def test_no_iteration_is_left_for_the_collection_of_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end needs a lock that the collecting thread may hold."""
    begun: list[Generator[memoryview]] = []
    iterate = EncodedBlob.__iter__

    def remembered(blob: EncodedBlob) -> Generator[memoryview]:
        begun.append(iterate(blob))
        return begun[-1]

    monkeypatch.setattr(EncodedBlob, "__iter__", remembered)
    t = Transferring([stored(LARGE)])
    lose_uploads(t, 100)
    with pytest.raises(UploadLostError):
        t.run()
    assert [inspect.getgeneratorstate(each) for each in begun] == [inspect.GEN_CLOSED] * 3


def test_an_upload_of_a_stream_that_was_lost_is_for_the_next_attempt() -> None:
    t = Transferring([stored(LARGE)])
    t.server.on("PATCH", "*", error_reply(404, "BLOB_UPLOAD_UNKNOWN"), times=1, skip=3)
    with pytest.raises(UploadLostError) as raised:
        t.run(replayable=False)
    assert raised.value.temporary


def test_a_chunk_whose_answer_was_lost_is_never_stored_twice() -> None:
    t = Transferring([stored(LARGE)])
    t.server.ranges = t.server.offsets = False
    t.server.on("PATCH", "*", cut(), times=1, skip=2, lost=True)
    assert t.run()
    assert t.server.blobs[digest(LARGE)] == LARGE


def test_one_clock_for_all_beginnings_of_an_upload() -> None:
    t = Transferring([stored(LARGE)], timeout=60.0)
    t.server.on("PATCH", "*", Reply(delay=float("inf")), skip=2)
    began = t.clock.now
    with pytest.raises(PipeError) as raised:
        t.run()
    assert raised.value.exit_code in {5, 6}
    assert t.clock.now - began <= 61 + 10, "the registry's time, once"


def test_an_upload_that_starts_again_keeps_its_clock() -> None:
    t = Transferring([stored(LARGE)], timeout=60.0)
    t.server.on("PATCH", "*", later_chunk(*[error_reply(404, "BLOB_UPLOAD_UNKNOWN", delay=25.0)] * BEGINNINGS))
    began = t.clock.now
    with pytest.raises(UploadTooSlowError):
        t.run()
    assert t.clock.now - began <= 60.0


@pytest.mark.parametrize(
    ("minimum", "lost", "kind"),
    [
        pytest.param(
            0, error_reply(404, "BLOB_UPLOAD_UNKNOWN", delay=59.5), UploadLostError, id="the-registry-says-so"
        ),
        pytest.param(10**9, Reply(delay=float("inf")), UploadTooSlowError, id="no-answer-to-a-stream"),
    ],
)
def test_an_upload_without_time_does_not_start_again(minimum: int, lost: Reply, kind: type[PipeError]) -> None:
    t = Transferring([stored(LARGE)], timeout=60.0)
    t.server.minimum = minimum
    t.server.on("PATCH", "*", lost if minimum else later_chunk(lost))
    with pytest.raises(kind):
        t.run()
    assert len(t.server.matching("PATCH")) == (1 if minimum else 4)


def test_a_wait_that_does_not_fit_is_not_begun() -> None:
    t = Transferring([stored(LARGE)], timeout=20.0)
    t.server.on("PATCH", "*", Reply(429, headers={"Retry-After": "30"}), skip=2)
    began = t.clock.now
    with pytest.raises(RegistryFailedError, match="429") as raised:
        t.run()
    assert (raised.value.exit_code, raised.value.retry_after) == (6, 30)
    assert t.clock.now - began < 20


@pytest.mark.parametrize("size", [1000, len(LARGE)], ids=["whole", "in-chunks"])
def test_the_waits_before_an_upload_is_opened_fit_in_the_time_of_the_layer(size: int) -> None:
    t = Transferring([stored(LARGE[:size])], timeout=60.0)
    t.server.on("POST", "*", Reply(429, headers={"Retry-After": "40"}, delay=1.0))
    began = t.clock.now
    with pytest.raises(RegistryFailedError, match="429"):
        t.run()
    assert t.clock.now - began == 42, "one wait, between two requests"


def test_a_registry_that_opens_no_upload_uses_up_the_clock_of_the_layer() -> None:
    t = Transferring([stored(NOISE)], timeout=40.0)
    t.server.on("POST", "*", Reply(delay=float("inf")))
    began = t.clock.now
    with pytest.raises(RegistryFailedError, match=r"layer 1.* was not stored within 40\.0 s"):
        t.run()
    assert t.clock.now - began == 40


def test_what_a_layer_takes_does_not_count_for_the_run() -> None:
    t = Transferring([stored(NOISE)], run=30.0)
    t.server.on("P*", "*/blobs/uploads/*", lambda _: t.clock.pass_by(20))
    t.server.on("HEAD", "*", Reply(404, delay=7.0))
    t.run()
    assert t.repository.run_clock.left() == 30 - 7


def test_a_layer_that_another_package_has_is_read_in_the_time_of_the_layer() -> None:
    def read(buffer: memoryview) -> int:
        t.repository.read_part(digest(NOISE), 0, 10)
        return parts.readinto(buffer)

    layer, parts = stored(NOISE), io.BytesIO(NOISE)
    reader = SimpleNamespace(readinto=read)
    t = Transferring([layer._replace(repository="acme/base", open=lambda: reader)], run=30.0)
    t.server.on("GET", "*/blobs/*", Reply(206, delay=25.0))
    t.run()
    assert t.clock.now - 1000 >= 50
    assert t.repository.run_clock.left() == 30


def test_a_config_has_the_time_of_the_run() -> None:
    t = Transferring([in_memory("config", DOCKER_CONFIG, b"{}")], timeout=420.0, run=50.0)
    t.server.on("PUT", "*/blobs/uploads/*", Reply(delay=float("inf")))
    began = t.clock.now
    with pytest.raises(RegistryTooSlowError, match="the upload of the image's config"):
        t.run()
    assert t.clock.now - began == 50


def test_the_wait_before_an_upload_starts_again_is_logged() -> None:
    t = Transferring([stored(LARGE)])
    lose_uploads(t, 1)
    t.run()
    assert [line for line in t.told.of("DEBUG") if line.endswith(f"Sending {t.image.layers[0].short_id} again in 1 s.")]


@pytest.mark.parametrize(
    ("blob", "kind", "words"),
    [
        pytest.param(stored(b"x" * 1000), UploadTooSlowError, r"1\.0 KB of 1\.0 KB sent", id="layer"),
        pytest.param(
            in_memory("config", DOCKER_CONFIG, b"{}"),
            RegistryFailedError,
            r"the image's config, 2 B, was not stored within 20\.0 s",
            id="config",
        ),
    ],
)
def test_a_silent_registry_uses_up_the_clock(blob: SourceBlob, kind: type[PipeError], words: str) -> None:
    t = Transferring([blob], timeout=20.0)
    began = t.clock.now
    t.server.on("PUT", "*/blobs/uploads/*", Reply(delay=float("inf")))
    with pytest.raises(kind, match=words) as raised:
        t.run()
    assert not raised.value.temporary
    assert t.clock.now - began <= 20


def test_a_layer_that_grows_over_the_limit_is_stopped() -> None:
    t = Transferring([plain(NOISE)], limit=600_000)
    with ended(), pytest.raises(LayerTooLargeError, match="layer 1") as raised:
        t.run()
    assert raised.value.exit_code == 5
    assert t.server.matching("P*") == []


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(plain(NOISE)._replace(diff_id=digest(b"x")), id="another-diff-id"),
        pytest.param(
            stored(NOISE)._replace(descriptor=Descriptor(DOCKER_LAYER, digest(b"x"), len(NOISE))), id="another-digest"
        ),
    ],
)
def test_content_that_does_not_match_never_becomes_a_blob(layer: SourceBlob) -> None:
    t = Transferring([layer])
    with pytest.raises(ContentMismatchError, match=digest(b"x")):
        t.run()
    assert t.server.blobs == {}


def test_a_source_that_fails_ends_the_transfer() -> None:
    class Broken:
        def readinto(self, buffer: memoryview, /) -> int:
            raise RegistryFailedError("gone")

    t = Transferring([plain(NOISE)._replace(open=Broken)])
    with ended(), pytest.raises(RegistryFailedError, match="gone"):
        t.run()


def test_a_layer_that_only_its_bytes_identify_has_its_own_name_until_it_arrived() -> None:
    layers = [plain(NOISE), plain(NOISE[:-1])]
    t = Transferring(layers)
    t.layers = [blob._replace(name=f"{n}/layer.tar", diff_id=None) for n, blob in enumerate(layers)]
    assert t.run(replayable=False)
    assert t.statuses == [LayerStatus.UPLOADED] * 2
    assert len(t.tracker.snapshot()) == 2


def test_the_line_of_progress_counts_layers_that_wait_for_their_turn() -> None:
    t = Transferring([plain(NOISE), plain(NOISE[:-1])])
    lines = []
    t.server.on("PUT", "*/blobs/uploads/*", lambda _: lines.append(t.tracker.line(0, 60)))
    t.run(replayable=False)
    assert all(" of 2 layers" in line for line in lines)
    assert "of at most 1.3 MB" in lines[0]


def test_the_line_of_progress_counts_the_bytes_that_a_small_layer_is_stored_as(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer's size is that of its files, twelve bytes, say; stored as a compressed archive it is larger."""
    t = Transferring([plain(NOISE[:150])])
    image = t.image._replace(layers=(t.image.layers[0]._replace(size=12),))
    t.tracker = t.transfer.clocks.tracker = ProgressTracker(image)
    lines = list[str]()

    def put(chunks: Iterable[memoryview], watch: UploadWatch) -> None:
        watch.began(t.clock.now)
        lines.append(t.tracker.line(t.clock.now, 60))
        lines.append(str(sum(map(len, chunks))))

    monkeypatch.setattr(t.repository, "put_blob", put)
    t.run()
    assert lines[0].startswith(f"0 B of at most {lines[1]} B, ")


def test_the_time_of_a_layer_is_not_that_of_an_upload_that_waited_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of a push opens an upload; the registry's limit counts from there, but the layer comes later."""
    t = Transferring([plain(NOISE)])
    elapsed = list[float]()

    def put(chunks: Iterable[memoryview], watch: UploadWatch) -> None:
        t.clock.now += 2.0
        watch.began(t.clock.now - 30.0)
        [layer] = t.tracker.snapshot().values()
        elapsed.append(layer.elapsed(t.clock.now))
        for _ in chunks:
            t.clock.now += 1.0

    monkeypatch.setattr(t.repository, "put_blob", put)
    t.run()
    [layer] = t.tracker.snapshot().values()
    assert elapsed == [30.0]
    assert layer.seconds == 3.0


def test_a_config_is_no_layer_in_the_line_of_progress() -> None:
    layer = plain(NOISE)
    t = Transferring([layer])
    t.layers = [in_memory("config", DOCKER_CONFIG, b"{}")]
    t.run()
    assert t.tracker.line(0, 60) == "waiting for Docker Engine (0 of 1 layers checked)"
    assert digest(b"{}") in t.server.blobs


def test_what_arrived_is_not_sent_again_until_it_is_forgotten() -> None:
    t = Transferring([plain(NOISE)])
    t.run()
    puts = len(t.server.matching("PUT"))
    t.run()
    assert len(t.server.matching("PUT")) == puts
    t.server.blobs.clear()
    t.transfer.forget()
    t.run()
    assert len(t.server.matching("PUT")) == puts + 1
    assert len(t.server.blobs) == 1


def test_chunks_are_smaller_than_what_two_uploads_may_hold() -> None:
    assert len(LARGE) > CHUNK


def test_an_engine_that_stages_for_ever_is_not_waited_for() -> None:
    t = Transferring([plain(NOISE)], timeout=60.0)
    stopped = threading.Event()

    def silent() -> Iterator[SourceBlob]:
        while not stopped.wait(0.01):
            t.clock.now += 10
        yield from ()

    with pytest.raises(EngineSaveError, match="sent nothing of the image for ") as raised:
        t.transfer.run(silent, Candidates(t.repository, {}), replayable=False)
    stopped.set()
    assert raised.value.temporary
