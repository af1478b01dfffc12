"""Markers as tags: what they say, and when their run is dead."""

import pytest

from pipe.engine.marker import DEAD_AFTER, Marker, key_of

ID = "0123456789abcdef" * 4
KEY = key_of("1")


@pytest.mark.parametrize(
    ("tag", "marker"),
    [
        pytest.param(f"pipe-{KEY}-{ID}-0a1b2c3d-17", Marker(KEY, f"sha256:{ID}", "0a1b2c3d", 17), id="moved"),
        pytest.param(f"pipe-{KEY}-none-0a1b2c3d-17", Marker(KEY, "", "0a1b2c3d", 17), id="added"),
        pytest.param(f"pipe-{KEY}-none-0a1b2c3d", Marker(KEY, "", "0a1b2c3d", 0), id="of-an-old-release"),
        pytest.param(
            f"pipe-{KEY}-none-0a1b2c3d-17-leaving",
            Marker(KEY, "", "0a1b2c3d", 17, leaving=True),
            id="leaving",
        ),
        pytest.param("pipe-kept-0a1b2c3d", None, id="kept"),
        pytest.param(f"pipe-{KEY}-none-0a1b2c3d-x", None, id="no-time"),
        pytest.param("pipe-1.0", None, id="a-user's"),
        pytest.param("1.0", None, id="none"),
    ],
)
def test_a_marker_is_a_tag(tag: str, marker: Marker | None) -> None:
    assert Marker.parse(tag) == marker
    if marker:
        assert str(marker) == tag
        assert len(str(Marker(KEY, f"sha256:{ID}", "0a1b2c3d", 10**10, leaving=True))) <= 128


def test_a_marker_that_is_not_renewed_is_dead() -> None:
    marker = Marker(KEY, "", "0a1b2c3d", 1000)
    assert [marker.is_dead(now) for now in (900, 1000, 1000 + DEAD_AFTER, 1001 + DEAD_AFTER)] == [False] * 3 + [True]
