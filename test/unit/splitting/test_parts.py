"""How the bytes of parts are read."""

import tarfile

import pytest
from nasty_layers import archive, record
from unit.splitting.streams import Pieces, opener, read

from pipe.errors import CannotSplitError
from pipe.splitting.cut import cut
from pipe.splitting.entries import scan
from pipe.splitting.parts import LayerPart

LAYER = archive(
    record("d", tarfile.DIRTYPE, mode=0o700),
    record("d/a", content=b"a" * 9000),
    record("d/b", content=b"b" * 9000),
    record("d/e", tarfile.DIRTYPE),
    record("d/e/c", content=b"c" * 9000),
    record("h", tarfile.LNKTYPE, link="d/a"),
    record("d/e/f", content=b"f" * 9000),
)
PARTS = cut(scan(Pieces(LAYER)), 13_000)


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
@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        pytest.param([0, 10], bytes(range(10)), id="one-range"),
        pytest.param([0, 5, 10, 20], bytes([*range(5), *range(10, 20)]), id="gap"),
        pytest.param([20, 30, 0, 10], bytes([*range(20, 30), *range(10)]), id="backwards"),
        pytest.param([], b"", id="nothing"),
    ],
)
def test_bytes(bounds: list[int], expected: bytes, most: int) -> None:
    part = LayerPart(1, 1, bounds)
    assert read(part.read(opener(bytes(range(100)))), most) == expected + bytes(1024)
    assert part.size == len(expected) + 1024


def test_an_original_that_became_shorter() -> None:
    part = PARTS[-1]
    assert len(read(part.read(opener(LAYER)))) == part.size
    with pytest.raises(CannotSplitError, match="longer when it was examined"):
        read(part.read(opener(LAYER[:20_000])))
