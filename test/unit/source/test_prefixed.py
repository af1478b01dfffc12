"""Several streams of one image, read as one."""

import pytest
from unit.source.archives import CONFIG, DIFF_IDS, IMAGE_ID, LAYERS, as_json, digest, tar
from unit.source.test_daemon import Stream, new, old, taken

from pipe.errors import EngineSaveError
from pipe.source.daemon import DaemonStream
from pipe.source.prefixed import PrefixedStream

PREFIX_CONFIG = {"rootfs": {"type": "layers", "diff_ids": DIFF_IDS[:1]}}
PREFIX_ID = digest(as_json(PREFIX_CONFIG))


def prefix() -> dict[str, bytes | str]:
    """Make the stream of an image of the first layer."""
    files: dict[str, bytes | str] = {
        f"blobs/sha256/{digest(data)[7:]}": data for data in (LAYERS[0], as_json(PREFIX_CONFIG))
    }
    return files | {"index.json": b"{}", "manifest.json": b"[]", "oci-layout": b"{}"}


def prefixed(first: bytes, whole: bytes) -> PrefixedStream:
    """Read both as one."""

    def of_all() -> DaemonStream:
        return DaemonStream(Stream(whole), IMAGE_ID, DIFF_IDS)

    return PrefixedStream([DaemonStream(Stream(first), PREFIX_ID, DIFF_IDS[:1])], of_all(), of_all)


@pytest.mark.parametrize("files", [old(), new()], ids=["directories", "layout"])
@pytest.mark.parametrize(
    "first",
    [
        pytest.param(tar(prefix()), id="prefix"),
        pytest.param(tar(prefix())[:400], id="cut-before-the-layer"),
        pytest.param(b"", id="empty"),
        pytest.param(tar({f"{'0' * 64}/layer.tar": LAYERS[0]}), id="layer-without-a-proof"),
    ],
)
def test_every_layer_comes_once_and_the_configuration_is_the_images(
    files: dict[str, bytes | str], first: bytes
) -> None:
    stream = prefixed(first, tar(files))
    blobs = [(blob.diff_id, blob.is_config, taken(blob)) for blob in stream]
    assert sorted(content for _, _, content in blobs) == sorted([*LAYERS, as_json(CONFIG)])
    assert [content for _, is_config, content in blobs if is_config] == [as_json(CONFIG)]
    assert {diff_id for diff_id, _, _ in blobs} == {*DIFF_IDS, None}
    assert (stream.config, stream.manifests) == (as_json(CONFIG), ())


def test_layers_of_a_prefix_come_before_the_whole_image_is_read() -> None:
    stream = prefixed(tar(prefix()), b"not staged yet")
    assert taken(next(iter(stream))) == LAYERS[0]


def test_a_stream_that_breaks_off_in_a_layer_fails() -> None:
    data = tar({f"blobs/sha256/{DIFF_IDS[0][7:]}": LAYERS[0]})
    stream = prefixed(data[: 512 + len(LAYERS[0]) - 1], tar(new()))
    with pytest.raises(EngineSaveError, match="ends in the middle"):
        taken(next(iter(stream)))


def test_a_whole_image_that_breaks_off_fails() -> None:
    stream = prefixed(tar(prefix()), tar(new())[:700])
    with pytest.raises(EngineSaveError):
        _ = [taken(blob) for blob in stream]


def test_an_image_without_space_to_be_staged_is_requested_again_after_the_prefixes() -> None:
    requested = []

    def again() -> DaemonStream:
        """Return the image's stream, now that there is space."""
        requested.append(IMAGE_ID)
        return DaemonStream(Stream(tar(new())), IMAGE_ID, DIFF_IDS)

    first = [DaemonStream(Stream(tar(prefix())), PREFIX_ID, DIFF_IDS[:1])]
    stream = PrefixedStream(first, DaemonStream(Stream(b""), IMAGE_ID, DIFF_IDS), again)
    assert sorted(taken(blob) for blob in stream) == sorted([*LAYERS, as_json(CONFIG)])
    assert stream.config == as_json(CONFIG)
    assert requested == [IMAGE_ID]


def test_an_image_that_breaks_off_after_a_layer_is_not_requested_again() -> None:
    cut = tar(dict(reversed(new().items())))[:-2000]
    stream = PrefixedStream(
        [DaemonStream(Stream(tar(prefix())), PREFIX_ID, DIFF_IDS[:1])],
        DaemonStream(Stream(cut[: len(cut) // 2 + 512]), IMAGE_ID, DIFF_IDS),
        lambda: pytest.fail("requested again"),
    )
    with pytest.raises(EngineSaveError):
        _ = [taken(blob) for blob in stream]
