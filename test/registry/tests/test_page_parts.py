"""What pages say of tags, sizes and times, without a registry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from registry.gateway.render import age_text, size_text
from registry.gateway.storage import Tag
from registry.gateway.tag_views import tag_view

from pipe.units import format_size

TAGS = [
    Tag(f"build-{number}", f"sha256:{number:064}", datetime(2024, 1, 1, tzinfo=UTC)) for number in range(120, 0, -1)
]


@pytest.mark.parametrize(
    ("query", "first", "last", "page"),
    [
        pytest.param({}, "build-120", "build-71", 1, id="the newest"),
        pytest.param({"page": "3"}, "build-20", "build-1", 3, id="the last page"),
        pytest.param({"page": "99"}, "build-20", "build-1", 3, id="a page too far"),
        pytest.param({"page": "-1"}, "build-120", "build-71", 1, id="no page"),
        pytest.param({"page": "\u0663"}, "build-120", "build-71", 1, id="no such digits"),
        pytest.param({"sort": "pushed"}, "build-1", "build-50", 1, id="the oldest"),
        pytest.param({"sort": "name", "page": "2"}, "build-51", "build-100", 2, id="by name"),
        pytest.param({"sort": "-name"}, "build-120", "build-71", 1, id="by name, downwards"),
        pytest.param({"sort": "color"}, "build-120", "build-71", 1, id="by what is not there"),
        pytest.param({"q": "D-11"}, "build-119", "build-11", 1, id="found"),
    ],
)
def test_pages_of_tags(query: dict[str, str], first: str, last: str, page: int) -> None:
    view = tag_view(TAGS, query)
    assert (view.tags[0].name, view.tags[-1].name, view.page) == (first, last, page)


@pytest.mark.parametrize(
    ("names", "offered", "newest"),
    [
        pytest.param(["1.1", "1.0"], "1.1", True, id="the tag that was pushed last"),
        pytest.param(["1.1", "latest", "1.0"], "latest", False, id="latest, although it is older"),
        pytest.param(["latest", "1.0"], "latest", True, id="latest, which is the newest"),
        pytest.param([f"sha256-{'ab' * 32}.sig", "1.0"], "1.0", True, id="no signature"),
    ],
)
def test_the_tag_to_pull(names: list[str], offered: str, newest: bool) -> None:
    view = tag_view([Tag(name, f"sha256:{name}", datetime(2024, 1, 1, tzinfo=UTC)) for name in names], {})
    assert view.offered is not None
    assert (view.offered.name, view.newest) == (offered, newest)


def test_latest_is_the_newest_if_it_has_the_digest_that_was_pushed_last() -> None:
    tags = [Tag(name, "sha256:same", datetime(2024, 1, 1, tzinfo=UTC)) for name in ("1.1", "latest")]
    view = tag_view(tags, {})
    assert (view.offered, view.newest) == (tags[1], True)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (126_342, "126.3 KB"),
        (3_000_000, "3.0 MB"),
        (32 * 10**9, "32.0 GB"),
        (10**13, "10.0 TB"),
    ],
)
def test_sizes_are_written_as_the_log_writes_them(size: int, expected: str) -> None:
    assert size_text(size) == expected == format_size(size)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (7199, "1 hour ago"),
        (7200, "2 hours ago"),
        (3 * 86400, "3 days ago"),
    ],
)
def test_ages_are_in_their_largest_unit(seconds: int, expected: str) -> None:
    now = datetime(2024, 5, 6, tzinfo=UTC)
    assert age_text(now - timedelta(seconds=seconds), now) == expected
