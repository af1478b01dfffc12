"""How the bytes of parts are read: anywhere in a file, or in one pass over a stream."""

import tarfile
from collections.abc import Callable

import pytest
from nasty_layers import archive, record
from unit.splitting.streams import Pieces, opener, read

from pipe.errors import CannotSplitError
from pipe.splitting.cut import cut
from pipe.splitting.entries import scan
from pipe.splitting.parts import LayerPart, Splitter, repeated

LAYER = archive(
    record("d", tarfile.DIRTYPE, mode=0o700),
    record("d/a", content=b"a" * 9000),
    record("d/b", content=b"b" * 9000),
    record("d/e", tarfile.DIRTYPE),
    record("d/e/c", content=b"c" * 9000),
    record("h", tarfile.LNKTYPE, link="d/a"),
    record("d/e/f", content=b"f" * 9000),
)
PARTS = cut(scan(Pieces(LAYER)), 13_000).parts


def part(*bounds: int, number: int = 1) -> LayerPart:
    return LayerPart(number, 9, bounds)


def test_parts_can_be_read_in_any_order_and_any_number_of_times() -> None:
    readers = [each.read(opener(LAYER)) for each in (*PARTS, *PARTS)]
    written: list[list[bytes]] = [[] for _ in readers]
    buffer, more = memoryview(bytearray(100)), True
    while more:
        more = False
        for pieces, reader in zip(written, readers, strict=True):
            length = reader.readinto(buffer)
            pieces.append(bytes(buffer[:length]))
            more = more or length > 0
    expected = [read(each.read(opener(LAYER))) for each in PARTS]
    assert [b"".join(pieces) for pieces in written] == expected * 2


@pytest.mark.parametrize("most", [1, 511, 512, 7001, 10**6])
def test_one_pass_gives_the_same_bytes(most: int) -> None:
    expected = [read(each.read(opener(LAYER))) for each in PARTS]
    assert len(expected) == 4
    passed = [(each.number, read(reader, most)) for each, reader in Splitter(Pieces(LAYER, most=most), PARTS)]
    assert passed == list(enumerate(expected, start=1))


@pytest.mark.parametrize(
    ("parts", "ranges"),
    [
        pytest.param([part(0, 10, 20, 30), part(30, 40)], [], id="in-order"),
        pytest.param([part(0, 10), part(0, 5, 10, 20)], [(0, 5)], id="begin-again"),
        pytest.param([part(0, 10), part(5, 20)], [(5, 10)], id="overlap"),
        pytest.param([part(0, 10, 90, 99), part(10, 90)], [(10, 90)], id="read-ahead"),
        pytest.param([part(20, 30, 0, 10)], [(0, 10)], id="backwards-in-one-part"),
        pytest.param([part(0, 9), part(0, 3, 9, 12), part(0, 3, 12, 15)], [(0, 3), (0, 3)], id="again-and-again"),
    ],
)
def test_what_a_pass_keeps(parts: list[LayerPart], ranges: list[tuple[int, int]]) -> None:
    assert list(repeated(parts)) == ranges
    data = bytes(range(100))
    expected = [b"".join(data[begin:end] for begin, end in each.ranges()) + bytes(1024) for each in parts]
    assert [read(reader) for _, reader in Splitter(Pieces(data), parts)] == expected
    assert [read(each.read(opener(data))) for each in parts] == expected
    assert [each.size for each in parts] == [len(each) for each in expected]


def test_the_stream_is_read_no_further_than_necessary() -> None:
    stream = Pieces(bytes(5000), most=100)
    for _, reader in Splitter(stream, [part(0, 1000)]):
        read(reader)
    assert stream.count == 1000


def from_file(layer: bytes) -> None:
    for each in PARTS:
        read(each.read(opener(layer)))


def from_stream(layer: bytes) -> None:
    for _, reader in Splitter(Pieces(layer), PARTS):
        read(reader)


@pytest.mark.parametrize("way", [from_file, from_stream])
def test_an_original_that_became_shorter(way: Callable[[bytes], None]) -> None:
    way(LAYER)
    with pytest.raises(CannotSplitError, match="longer when it was examined"):
        way(LAYER[:20_000])
