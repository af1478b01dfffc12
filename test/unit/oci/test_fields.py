"""JSON as Go reads it."""

import pytest

from pipe.oci.fields import members, read_json, text, texts


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"Config": 1}, {"config": 1}, id="capital"),
        pytest.param({"layer\u017f": 1, "\u212a": 2}, {"layers": 1, "k": 2}, id="letters-that-go-folds"),
        pytest.param({"a": 1, "A": 2}, {"a": 2}, id="the-last-counts"),
        pytest.param({"a": None}, {}, id="null-is-absent"),
        pytest.param({"a": 1, "A": None}, {"a": 1}, id="null-replaces-nothing"),
        pytest.param({"a": {"B": None}}, {"a": {"B": None}}, id="only-the-object-itself"),
        pytest.param([], {}, id="list"),
        pytest.param(None, {}, id="null"),
    ],
)
def test_members(value: object, expected: dict[str, object]) -> None:
    assert members(value) == expected


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"[" * 100_000, b"\xff", b"1"], ids=repr)
def test_what_is_no_object(data: bytes) -> None:
    with pytest.raises(ValueError, match="is not a JSON object"):
        read_json(data[:20] if data[:1] != b"[" else data)


def test_strings() -> None:
    assert (text("a"), text(None), text(["a"])) == ("a", "", "")
    assert (texts(["a", 1, None, "b"]), texts("ab"), texts(None)) == (["a", "b"], [], [])
