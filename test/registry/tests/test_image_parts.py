"""What an image's configuration says of its layers and of its making, without a registry."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from registry.gateway.images import instructions, moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("COPY . /app # buildkit", "COPY . /app", id="BuildKit"),
        pytest.param("RUN /bin/sh -c make  all # buildkit", "RUN make all", id="RUN of BuildKit"),
        pytest.param("/bin/sh -c #(nop) COPY file:1 in /app ", "COPY file:1 in /app", id="the older builder"),
        pytest.param("/bin/sh -c apt-get update", "RUN apt-get update", id="RUN of the older builder"),
        pytest.param("a" * 400, "a" * 300 + "…", id="a long one"),
        pytest.param(None, "", id="none"),
        pytest.param(["RUN"], "", id="no text"),
    ],
)
def test_instructions(text: object, expected: str) -> None:
    assert instructions([{"created_by": text}]) == [expected]


def test_what_made_no_layer_is_left_out() -> None:
    history = [{"created_by": "ADD a"}, {"created_by": "ENV a=b", "empty_layer": True}, {"created_by": "ADD c"}]
    assert instructions(history) == ["ADD a", "ADD c"]


@pytest.mark.parametrize("history", [None, {}, "ADD a", [1, None]])
def test_what_is_no_history_has_none(history: object) -> None:
    assert instructions(history) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2024-05-06T07:08:09.123456789Z", datetime(2024, 5, 6, 7, 8, 9, 123456, UTC), id="Docker's"),
        pytest.param("2024-05-06T09:08:09+02:00", datetime(2024, 5, 6, 7, 8, 9, 0, UTC), id="another zone"),
        pytest.param("2024-05-06T07:08:09", datetime(2024, 5, 6, 7, 8, 9, 0, UTC), id="no zone"),
        pytest.param("0001-01-01T00:00:00Z", None, id="Go's zero time"),
        pytest.param("0001-01-01T00:00:00+23:00", None, id="before every year"),
        pytest.param("yesterday", None, id="no time"),
        pytest.param(None, None, id="none"),
        pytest.param(1, None, id="a number"),
    ],
)
def test_when_it_was_created(text: object, expected: datetime | None) -> None:
    assert moment(text) == expected
