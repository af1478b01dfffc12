"""One export of several images: what each image is given, and what becomes of the export."""

import errno
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

import pytest
from unit.source.archives import CONFIG, DIFF_IDS, IMAGE_ID, LAYERS, as_json, digest, tar
from unit.source.test_daemon import Stream, new, old, taken, v1_directories

from pipe.errors import EngineSaveError, ImageIncompleteError, PipeError, SpoolError
from pipe.oci.image import Image, Layer
from pipe.source import spool
from pipe.source.daemon import DaemonStream
from pipe.source.engine_source import Export
from pipe.source.exports import Exports
from pipe.source.shared_export import SharedExport

LONG = 60.0
"""Seconds after which a test fails that waits for another thread."""
OTHER_LAYER = tar({"other": b"other" * 500})
OTHER_DIFF_IDS = (DIFF_IDS[0], digest(OTHER_LAYER))
OTHER_CONFIG = CONFIG | {"rootfs": {"type": "layers", "diff_ids": OTHER_DIFF_IDS}}
OTHER_ID = digest(as_json(OTHER_CONFIG))


def image_of(name: str, diff_ids: Sequence[str]) -> Image:
    """Return an image with these layers."""
    return Image(name, 2, tuple(Layer(number, diff_id, 1) for number, diff_id in enumerate(diff_ids, 1)))


IMAGE, OTHER = image_of(IMAGE_ID, DIFF_IDS), image_of(OTHER_ID, OTHER_DIFF_IDS)
DIRECTORIES = (
    old() | v1_directories(OTHER_DIFF_IDS, (LAYERS[0], OTHER_LAYER)) | {f"{OTHER_ID[7:]}.json": as_json(OTHER_CONFIG)}
)
LAYOUT = {f"blobs/sha256/{digest(data)[7:]}": data for data in (OTHER_LAYER, as_json(OTHER_CONFIG))} | new()
BOTH = [DIRECTORIES, LAYOUT]


@dataclass
class Whole:
    """An export of given bytes.

    Attributes:
        data: The bytes.
        failure: What a read raises once `after` bytes were read, and `fails` is set.
        go: Set once bytes may be read.
        begun: How often it was begun.
        closed: How often it was closed.
    """

    data: bytes = tar(LAYOUT)
    failure: BaseException | None = None
    after: int = 0
    go: threading.Event = field(default_factory=threading.Event)
    begun: int = 0
    closed: int = 0
    others: tuple[Image, ...] = ()

    def __post_init__(self) -> None:
        self.fails = threading.Event()
        self.fails.set()
        self._stream = Stream(self.data[: self.after] if self.failure else self.data)

    def begin(self, *, ahead: bool = False) -> None:
        """Count it."""
        assert ahead
        self.begun += 1

    def readinto(self, buffer: memoryview, /) -> int:
        """Wait, and read."""
        assert self.go.wait(LONG)
        length = self._stream.readinto(buffer)
        if not length and self.failure is not None:
            assert self.fails.wait(LONG)
            raise self.failure
        return length

    def close(self) -> None:
        """Count it."""
        self.closed += 1


class Alone:
    """Prepares exports of one image.

    Attributes:
        made: How many it has prepared.
    """

    def __init__(self) -> None:
        self.made: list[Whole] = []

    def __call__(self) -> Whole:
        """Prepare one."""
        whole = Whole()
        whole.go.set()
        self.made.append(whole)
        return whole


def content(export: Export) -> bytes:
    """Read all of an export."""
    buffer, read = memoryview(bytearray(999)), b""
    while length := export.readinto(buffer):
        read += bytes(buffer[:length])
    return read


def shared(whole: Whole, alone: Callable[[], Whole]) -> tuple[Export, Export]:
    """Return the export of each of two images."""
    export = SharedExport(whole, (IMAGE, OTHER))
    return export.reader(IMAGE, alone), export.reader(OTHER, alone)


@pytest.mark.parametrize("files", BOTH, ids=["directories", "layout"])
def test_each_image_gets_its_own_layers_and_those_that_it_shares(files: dict[str, bytes | str]) -> None:
    data = tar(files)
    for image, other, layers, config in (
        (IMAGE, OTHER, LAYERS, CONFIG),
        (OTHER, IMAGE, (LAYERS[0], OTHER_LAYER), OTHER_CONFIG),
    ):
        stream = DaemonStream(Stream(data), image.id, image.diff_ids, others=[other.diff_ids])
        blobs = [(blob.diff_id, taken(blob)) for blob in stream]
        assert sorted(found for found in blobs if found[0]) == sorted(zip(image.diff_ids, layers, strict=True))
        assert [found for diff_id, found in blobs if diff_id is None] == [as_json(config)]
        assert (stream.config, stream.manifests) == (as_json(config), ())


def test_a_layer_that_proves_nothing_is_left_out_of_a_shared_stream() -> None:
    files = DIRECTORIES | {f"{'0' * 64}/layer.tar": b"unknown"}
    stream = DaemonStream(Stream(tar(files)), IMAGE.id, DIFF_IDS, others=[OTHER_DIFF_IDS])
    assert {blob.diff_id for blob in stream if not blob.is_config} == {*DIFF_IDS}


def test_the_engine_exports_once_and_each_reader_gets_all_bytes() -> None:
    whole, alone = Whole(), Alone()
    first, second = shared(whole, alone)
    first.begin(ahead=True)
    second.begin(ahead=True)
    whole.go.set()
    assert (first.others, second.others) == ((OTHER,), (IMAGE,))
    assert content(first) == whole.data
    first.close()
    first.close()
    assert whole.closed == 0
    assert content(second) == whole.data
    second.close()
    assert (whole.begun, whole.closed, alone.made) == (1, 1, [])


@pytest.mark.parametrize(
    "failure", [EngineSaveError("no space"), ImageIncompleteError("lost")], ids=["engine", "another-image"]
)
def test_an_image_whose_shared_export_does_not_begin_gets_its_own(failure: PipeError) -> None:
    whole, alone = Whole(failure=failure), Alone()
    whole.go.set()
    readers = shared(whole, alone)
    for reader in readers:
        reader.begin()
        assert content(reader) == whole.data
        reader.close()
    assert [each.closed for each in alone.made] == [1, 1]


def test_an_image_gets_its_own_export_if_a_copy_does_not_fit_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_name: str, _size: int) -> None:
        raise SpoolError("no space")

    monkeypatch.setattr(spool, "check_space", full)
    whole, alone = Whole(), Alone()
    first, _ = shared(whole, alone)
    first.begin()
    assert content(first) == whole.data
    assert len(alone.made) == 1


def full(monkeypatch: pytest.MonkeyPatch, size: int, after: threading.Event) -> None:
    """Let the disk be full once so many bytes of a copy were written, and `after` is set."""
    make = tempfile.TemporaryFile

    def temporary_file() -> IO[bytes]:
        file = make()
        write = file.write

        def limited(piece: bytes) -> int:
            if file.tell() >= size:
                assert after.wait(LONG)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(piece)

        monkeypatch.setattr(file, "write", limited)
        return file

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary_file)


def test_a_push_is_repeated_without_a_copy_if_the_disk_becomes_full_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    full(monkeypatch, 1, begun)
    whole, alone = Whole(), Alone()
    whole.go.set()
    first, second = shared(whole, alone)
    first.begin()
    assert first.readinto(memoryview(bytearray(10))) == 10
    begun.set()
    with pytest.raises(EngineSaveError, match="cannot be written: No space left on device") as error:
        content(first)
    assert error.value.temporary
    assert alone.made == []
    assert content(second) == tar(LAYOUT)


@pytest.mark.parametrize("failure", ["engine", "disk"])
def test_an_export_that_failed_is_ended_before_its_images_are_exported_alone(
    monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    whole = Whole(failure=EngineSaveError("cut") if failure == "engine" else None)
    whole.go.set()
    at_once = threading.Event()
    at_once.set()
    full(monkeypatch, 0, at_once)
    closed: list[int] = []

    def alone() -> Whole:
        closed.append(whole.closed)
        return Alone()()

    export = SharedExport(whole, (IMAGE, OTHER))
    first = export.reader(IMAGE, alone)
    first.begin()
    content(first)
    export.reader(OTHER, alone)
    assert closed == [1, 1]


def test_an_image_that_comes_after_the_export_failed_can_be_staged_ahead_alone() -> None:
    whole, alone = Whole(failure=EngineSaveError("cut")), Alone()
    whole.go.set()
    export = SharedExport(whole, (IMAGE, OTHER))
    first = export.reader(IMAGE, alone)
    first.begin()
    content(first)
    export.reader(OTHER, alone).begin(ahead=True)
    assert [each.begun for each in alone.made] == [0, 1]


def test_an_export_that_is_prepared_while_the_reader_is_closed_is_ended() -> None:
    whole, alone = Whole(failure=EngineSaveError("no space")), Alone()
    whole.go.set()

    def closing() -> Whole:
        first.close()
        return alone()

    first, _ = shared(whole, closing)
    first.begin()
    with pytest.raises(EngineSaveError):
        content(first)
    assert [each.closed for each in alone.made] == [1]


def test_an_export_that_ends_early_fails_for_an_image_that_has_begun_to_read_it() -> None:
    whole, alone = Whole(failure=EngineSaveError("cut"), after=2000), Alone()
    whole.go.set()
    whole.fails.clear()
    first, second = shared(whole, alone)
    first.begin()
    assert first.readinto(memoryview(bytearray(10))) == 10
    whole.fails.set()
    with pytest.raises(EngineSaveError, match="cut"):
        content(first)
    assert alone.made == []
    assert content(second) == whole.data
    assert len(alone.made) == 1


def test_an_unexpected_error_is_raised_instead_of_a_wait_without_an_end() -> None:
    whole, alone = Whole(failure=LookupError("unexpected")), Alone()
    whole.go.set()
    first, _ = shared(whole, alone)
    first.begin()
    with pytest.raises(LookupError, match="unexpected"):
        content(first)


def test_an_image_that_comes_after_the_export_was_ended_gets_its_own() -> None:
    whole, alone = Whole(), Alone()
    export = SharedExport(whole, (IMAGE, OTHER))
    export.reader(IMAGE, alone).close()
    assert whole.closed == 1
    assert export.reader(OTHER, alone) is alone.made[0]


def test_closing_ends_a_read_that_waits() -> None:
    whole, alone = Whole(), Alone()
    first, _ = shared(whole, alone)
    first.begin()
    raised: list[BaseException] = []

    def read() -> None:
        with pytest.raises(EngineSaveError) as error:
            first.readinto(memoryview(bytearray(1)))
        raised.append(error.value)

    thread = threading.Thread(target=read)
    thread.start()
    first.close()
    thread.join(LONG)
    assert len(raised) == 1
    whole.go.set()


class Saver:
    """An Engine that notes what is exported."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def saved(self, image: Image, *others: Image) -> Export:
        """Note it."""
        self.asked.append((image.id, *(each.id for each in others)))
        return Whole()


THIRD = image_of("sha256:third", DIFF_IDS[:1])


@pytest.mark.parametrize(
    ("together", "exported", "asked"),
    [
        pytest.param(slice(0, 2), [IMAGE, OTHER, THIRD], [(IMAGE_ID, OTHER_ID), (THIRD.id,)], id="the-first-two"),
        pytest.param(slice(1, 3), [IMAGE, OTHER, THIRD], [(OTHER_ID, THIRD.id), (IMAGE_ID,)], id="all-but-the-first"),
        pytest.param(slice(1, 3), [OTHER, THIRD, IMAGE], [(OTHER_ID, THIRD.id), (IMAGE_ID,)], id="the-others-first"),
        pytest.param(slice(1, 1), [IMAGE, OTHER], [(IMAGE_ID,), (OTHER_ID,)], id="none"),
        pytest.param(slice(0, 1), [IMAGE, OTHER], [(IMAGE_ID,), (OTHER_ID,)], id="one-alone"),
        pytest.param(slice(0, 2), [OTHER, THIRD], [(OTHER_ID, THIRD.id)], id="without-one-that-is-up-to-date"),
        pytest.param(slice(0, 2), [THIRD, IMAGE], [(THIRD.id,), (IMAGE_ID,)], id="not-those-before"),
    ],
)
def test_the_first_image_decides_what_is_exported_at_once(
    together: slice, exported: list[Image], asked: list[tuple[str, ...]]
) -> None:
    engine = Saver()
    exports = Exports(engine, lambda _: together)
    for number, image in ((2, THIRD), (1, OTHER), (0, IMAGE)):
        exports.found(number, image)
    for image in exported:
        exports.staged(image)
    assert engine.asked == asked


def test_an_image_that_was_not_found_before_is_exported_alone() -> None:
    engine = Saver()
    exports = Exports(engine, lambda _: slice(0, None))
    exports.found(0, IMAGE)
    exports.staged(OTHER)
    assert engine.asked == [(OTHER_ID,)]


def test_one_image_that_is_pushed_twice_is_exported_once() -> None:
    engine = Saver()
    exports = Exports(engine, lambda _: slice(0, None))
    exports.found(0, IMAGE)
    exports.found(1, IMAGE)
    first, second = exports.staged(IMAGE), exports.staged(IMAGE)
    assert (first.others, second.others) == ((), ())
    assert engine.asked == [(IMAGE_ID,)]
