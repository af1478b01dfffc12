"""The configuration of an image with split layers."""

import base64
import json

import pytest

from pipe.errors import CannotSplitError
from pipe.splitting.config import check_layers, split_config

A, B, C, D, E = (f"sha256:{letter * 64}" for letter in "abcde")


PARTS_OF_Y = [f"y (part {number} of 3)" for number in (1, 2, 3)]


def entry(name: str, **members: object) -> dict[str, object]:
    return {"created": "2026-01-01T00:00:00Z", "created_by": name, **members}


def split(content: object, parts: dict[int, list[str]]) -> dict[str, object]:
    made: dict[str, object] = json.loads(split_config(json.dumps(content).encode(), parts))
    return made


def test_everything_else_stays() -> None:
    content = {
        "unknown": {"b": [1, None, 1.5, "é<&>\ud800"], "a": {}},
        "created": "2026-01-01T00:00:00.123456789Z",
        "config": {"Labels": {"z": "1", "a": "2"}, "OnBuild": ["RUN x"], "Env": ["PATH=/"]},
        "rootfs": {"type": "layers", "diff_ids": [A, B], "more": 1},
        "history": [
            entry("FROM"),
            entry("ENV", empty_layer=True),
            entry("RUN x", comment="buildkit.dockerfile.v0"),
        ],
        "os": "linux",
        "architecture": "arm64",
        "variant": "v8",
    }
    written = split_config(json.dumps(content).encode(), {2: [C, D]})
    content["rootfs"] = {"type": "layers", "diff_ids": [A, C, D], "more": 1}
    content["history"] = [
        entry("FROM"),
        entry("ENV", empty_layer=True),
        entry("RUN x", comment="buildkit.dockerfile.v0 (part 1 of 2)"),
        entry("RUN x", comment="buildkit.dockerfile.v0 (part 2 of 2)"),
    ]
    assert json.loads(written) == content
    assert list(json.loads(written)) == list(content)
    assert split_config(written, {}) == written


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param([entry("x"), entry("y")], ["x ", *PARTS_OF_Y], id="each"),
        pytest.param(
            [entry("e", empty_layer=True), entry("x", empty_layer=False), entry("y", empty_layer=None)],
            ["e ", "x ", *PARTS_OF_Y],
            id="empty-layers",
        ),
        pytest.param([entry("x")], ["x "], id="too-few"),
        pytest.param([entry("x"), entry("y"), entry("z")], ["x ", "y ", "z "], id="too-many"),
        pytest.param([], [], id="empty"),
    ],
)
def test_history(history: list[object], expected: list[str]) -> None:
    made = split({"rootfs": {"diff_ids": [A, B]}, "history": history}, {2: [C, D, E]})
    listed = made["history"]
    assert isinstance(listed, list)
    assert [f"{each['created_by']} {each.get('comment', '')}" for each in listed] == expected


@pytest.mark.parametrize("history", [None, "x", {"a": 1}, [1, None]], ids=repr)
def test_odd_history_stays(history: object) -> None:
    assert split({"rootfs": {"diff_ids": [A]}, "history": history}, {1: [C, D]})["history"] == history


def test_no_history() -> None:
    assert split({"rootfs": {"diff_ids": [A]}}, {1: [C, D]}) == {"rootfs": {"diff_ids": [C, D]}}


def test_keys_in_any_case() -> None:
    content = {"RootFS": {"Diff_IDs": [A]}, "History": [{"Created_By": "x", "Comment": "c"}]}
    assert split(content, {1: [C, D]}) == {
        "RootFS": {"Diff_IDs": [C, D]},
        "History": [
            {"Created_By": "x", "Comment": "c (part 1 of 2)"},
            {"Created_By": "x", "Comment": "c (part 2 of 2)"},
        ],
    }


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"[]",
        b"{}",
        b'{"rootfs":[]}',
        b'{"rootfs":{}}',
        b'{"rootfs":{"diff_ids":null}}',
        b'{"rootfs":{"diff_ids":[]}}',
    ],
)
def test_no_layers(config: bytes) -> None:
    with pytest.raises(CannotSplitError, match="does not list its layers"):
        split_config(config, {1: [C, D]})


def test_a_config_of_too_many_layers() -> None:
    config = json.dumps({"rootfs": {"diff_ids": [A] * 100}}).encode()
    assert len(json.loads(split_config(config, {7: [B] * 26}))["rootfs"]["diff_ids"]) == 125
    with pytest.raises(CannotSplitError, match="would have 126 layers, and Docker accepts at most 125"):
        split_config(config, {7: [B] * 27})
    check_layers(125)


def cache(records: object) -> str:
    return base64.b64encode(json.dumps(records).encode()).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            cache([{"digest": A, "layers": [{"layer": 0, "x": "t"}, {"layer": 1}, {"layer": 2}]}, {"inputs": 1}]),
            cache([{"digest": A, "layers": [{"layer": 0, "x": "t"}, {"layer": 3}, {"layer": 4}]}, {"inputs": 1}]),
            id="layers",
        ),
        pytest.param(
            cache([{"chains": [{"layers": [2, 0, 1]}], "layers": None}]),
            cache([{"chains": [{"layers": [4, 0, 1, 2, 3]}], "layers": None}]),
            id="chains",
        ),
        pytest.param(cache([{"layers": [{"layer": 3}]}]), None, id="no-such-layer"),
        pytest.param(cache([{"layers": [{"layer": -1}]}]), None, id="negative"),
        pytest.param(cache([{"layers": [{}]}]), None, id="no-index"),
        pytest.param(cache([1]), None, id="no-records"),
        pytest.param(cache(1), None, id="no-list"),
        pytest.param("%", None, id="no-base64"),
        pytest.param(None, None, id="null"),
    ],
)
def test_inline_cache_of_buildkit(before: str | None, after: str | None) -> None:
    made = split({"rootfs": {"diff_ids": [A, B, C]}, "moby.buildkit.cache.v0": before}, {2: [C, D, E]})[
        "moby.buildkit.cache.v0"
    ]
    assert isinstance(made, str) == isinstance(after, str)
    if isinstance(made, str) and isinstance(after, str):
        assert json.loads(base64.b64decode(made)) == json.loads(base64.b64decode(after))
