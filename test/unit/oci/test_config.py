"""Configurations, with and without what is optional."""

import json

import pytest

from pipe.oci.config import REVISION, Origin, image_of
from pipe.oci.descriptor import Descriptor, Platform

DIFF_IDS = ["sha256:" + digit * 64 for digit in "ab"]
HISTORY = [{"created_by": "ADD a /"}, {"created_by": "ENV x=y", "empty_layer": True}, {"created_by": "COPY b /"}]


def config(**content: object) -> bytes:
    """Make a configuration."""
    return json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": DIFF_IDS}} | content).encode()


def test_layers_have_their_sizes_and_blobs() -> None:
    stored = Descriptor("", "sha256:" + "c" * 64, 7)
    image = image_of("id", config(history=HISTORY), [stored, None], [None, 5])
    assert [(layer.number, layer.diff_id, layer.size, layer.descriptor) for layer in image.layers] == [
        (1, DIFF_IDS[0], None, stored),
        (2, DIFF_IDS[1], 5, None),
    ]
    assert [layer.instruction for layer in image.layers] == ["ADD a /", "COPY b /"]
    assert (image.id, image.size, image.platform) == ("id", 7, Platform("linux", "amd64"))


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="empty"),
        pytest.param({}, id="object"),
        pytest.param(HISTORY[:2], id="too-few"),
        pytest.param([*HISTORY, None], id="null-entry-that-counts"),
        pytest.param([{"created_by": None}, {"created_by": 1}], id="other-types"),
    ],
)
def test_a_history_that_does_not_match(history: object) -> None:
    image = image_of("", config(history=history), [None, None])
    assert [layer.instruction for layer in image.layers] == [None, None]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"rootfs": {"diff_ids": None}}, id="null"),
        pytest.param({"rootfs": {"diff_ids": []}}, id="empty"),
        pytest.param({"rootfs": {}}, id="absent"),
        pytest.param({"rootfs": None}, id="no-rootfs"),
    ],
)
def test_an_image_without_layers(content: dict[str, object]) -> None:
    assert image_of("", config(**content), []).layers == ()


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param({"rootfs": {"diff_ids": DIFF_IDS[:1]}}, "has 1 diffIDs for 2 layers", id="too-few"),
        pytest.param({"rootfs": {"diff_ids": None}}, "has 0 diffIDs for 2 layers", id="none"),
        pytest.param({"rootfs": {"diff_ids": "sha256"}}, "has no list of diffIDs", id="string"),
        pytest.param({"rootfs": []}, "has no list of diffIDs", id="rootfs-is-a-list"),
        pytest.param({"rootfs": {"diff_ids": [None, 1]}}, "has a diffID that is not", id="other-types"),
        pytest.param({"rootfs": {"diff_ids": ["sha512:" + "0" * 128] * 2}}, "has SHA-512 diffIDs", id="sha512"),
    ],
)
def test_a_configuration_that_does_not_match_its_layers(content: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        image_of("", config(**content), [None, None])


@pytest.mark.parametrize(
    ("content", "revision"),
    [
        pytest.param({"config": {"Labels": {REVISION: "c0ffee", "other": "x"}}}, "c0ffee", id="label"),
        pytest.param({"Config": {"labels": {REVISION: "c0ffee"}}}, "c0ffee", id="capitals-of-go"),
        pytest.param({"config": {"Labels": {REVISION: " c0\x1b[31mffee\nx"}}}, "c0ffee", id="control-characters"),
        pytest.param({"config": {"Labels": {REVISION: "x" * 65}}}, "x" * 63 + "…", id="long"),
        pytest.param({"config": {"Labels": {REVISION: 7}}}, "", id="number"),
        pytest.param({"config": {"Labels": {}}}, "", id="other-labels"),
        pytest.param({"config": {"Labels": None}}, "", id="null"),
        pytest.param({"config": {"Labels": []}}, "", id="list"),
        pytest.param({"config": None}, "", id="no-config"),
        pytest.param({}, "", id="absent"),
    ],
)
def test_the_revision_is_that_of_the_label(content: dict[str, object], revision: str) -> None:
    assert image_of("", config(**content), [None, None]).revision == revision
    assert Origin.parse(config(**content)).revision == revision
