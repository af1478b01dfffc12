"""SPLIT_LAYERS=auto: only layers that exceed a limit are split, once, and alike in the next push."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.fakes import Line
from unit.http import Outcome, Sent, cut, error_reply
from unit.push.test_splits import Archive
from unit.runs import Bench, bench, statuses
from unit.source.archives import Files, digest, opened
from unit.split_images import FILE, LAYERS, docker, large, layer, oci, unpacked

from pipe.engine import events
from pipe.oci.image import Image
from pipe.oci.part_marks import marks_in
from pipe.push.part_size import rounded_down

AUTO: dict[str, Any] = {"split_size": None, "split_auto": True}
MB = 10**6
TALL = (LAYERS[0], layer(large(7, 2000)), LAYERS[2])
"""The second layer has 20 MB: three chunks."""
SPEED = MB
"""Bytes a second that the link carries."""


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def slow(archive: Archive) -> Callable[[Sent], Outcome | None]:
    """Let each request take as long as its body needs."""

    def answer(sent: Sent) -> Outcome | None:
        archive.clock.pass_by(len(sent.body) / SPEED)
        return None

    return answer


def parts_in(archive: Archive) -> list[int]:
    """Return the sizes of the blobs of the layers that the tag has."""
    return [each["size"] for each in archive.manifest["layers"]]


def test_a_layer_that_is_too_slow_is_split_in_the_same_run(archive: Archive) -> None:
    archive.server.on("P*", "*/blobs/uploads/*", slow(archive))
    files = docker(TALL)
    result = archive.push(files, **AUTO, upload_timeout=16.0)
    assert (statuses(result), result.exit_code) == (["pushed"], 0)
    sizes = parts_in(archive)[1:-1]
    assert len(sizes) > 4
    assert max(sizes) <= 8 * SPEED, "half of the time limit"
    assert unpacked(archive.layers(archive.manifest)) == unpacked(TALL)
    [why] = archive.told.of("WARNING")
    assert "Layer upload exceeds the registry's time limit: layer 2 (COPY 2 /): " in why
    content: Any = result.as_json()
    assert (content["split"]["layer"], content["split"]["parts"]) == (2, len(sizes))
    assert content["split"]["original_image_id"] == digest(bytes(files["config.json"]))  # type: ignore[arg-type]


def test_the_next_push_cuts_alike_without_waiting_for_the_limit(archive: Archive) -> None:
    archive.server.on("P*", "*/blobs/uploads/*", slow(archive))
    archive.push(docker(TALL), **AUTO, upload_timeout=16.0)
    manifest, sent = archive.manifest, archive.uploads
    again = archive.push(docker(TALL), **AUTO, upload_timeout=16.0)
    assert (statuses(again), archive.manifest, archive.uploads) == (["already there"], manifest, sent)
    other = (*TALL[:2], layer({"etc/last": b"other"}))
    result = archive.push(docker(other), **AUTO, upload_timeout=16.0)
    assert archive.uploads - sent == 2, "the top layer and the config"
    assert (statuses(result), archive.told.of("WARNING")) == (["pushed"], [])
    assert archive.manifest["layers"][:-1] == manifest["layers"][:-1]


def test_a_tag_with_the_whole_image_is_left_alone(archive: Archive) -> None:
    """The link was fast enough then."""
    archive.push(docker(TALL), **AUTO)
    archive.server.on("P*", "*/blobs/uploads/*", slow(archive))
    assert statuses(archive.push(docker(TALL), **AUTO, upload_timeout=16.0)) == ["already there"]


def test_parts_that_are_too_slow_again_are_not_split_again(archive: Archive) -> None:
    """The link stalls as soon as the parts are sent."""

    def answer(sent: Sent) -> Outcome | None:
        stalls = sent.body and any("Split layer 2" in line for line in archive.told.lines)
        archive.clock.pass_by(20 if stalls else len(sent.body) / SPEED)
        return cut() if stalls else None

    archive.server.on("P*", "*/blobs/uploads/*", answer)
    error, result = archive.fail(docker(TALL), **AUTO, upload_timeout=16.0)
    assert error.title == "Layer upload exceeds the registry's time limit"
    assert error.fix == "Set SPLIT_LAYERS to a smaller size, or push from a machine with a faster link."
    assert (statuses(result), sum("Split layer 2" in line for line in archive.told.of("INFO"))) == (["failed"], 1)


def test_a_stall_that_is_no_matter_of_size(archive: Archive) -> None:
    """Smaller parts would not help."""

    def answer(sent: Sent) -> Outcome | None:
        if sent.body.startswith(b"{"):
            return None  # The config does not stall.
        archive.clock.pass_by(20)
        return cut()

    archive.server.on("PUT", "*/blobs/uploads/*", answer)
    error, result = archive.fail(docker((LAYERS[0],)), **AUTO, upload_timeout=16.0)
    assert (error.title, result.split) == ("Layer upload exceeds the registry's time limit", None)


LIMITS: dict[str, tuple[Files, int]] = {
    "known-before": (docker(gzipped=(0, 1, 2)), 0),
    "known-before-of-a-layout": (oci(LAYERS), 0),
    "grown-while-it-is-compressed": (docker(), 1),
}


@pytest.mark.parametrize(("files", "warnings"), LIMITS.values(), ids=LIMITS.keys())
def test_a_layer_that_is_too_large(archive: Archive, files: Files, warnings: int) -> None:
    result = archive.push(files, **AUTO, max_layer_size=60_000)
    assert (statuses(result), len(archive.told.of("WARNING"))) == (["pushed"], warnings)
    assert len(parts_in(archive)) == 6
    assert max(parts_in(archive)) <= 50_000
    assert unpacked(archive.layers(archive.manifest)) == unpacked(LAYERS)


def test_a_layer_that_compresses_below_the_limit_is_not_split(archive: Archive) -> None:
    zeros = layer({f"zeros/{number}": bytes(FILE) for number in range(10)})
    result = archive.push(docker((zeros,)), **AUTO, max_layer_size=60_000)
    assert (result.split, len(parts_in(archive))) == (None, 1)


def test_a_layer_that_the_registry_rejects_as_too_large(archive: Archive) -> None:
    """Its own limit is lower than MAX_LAYER_SIZE, and not known."""

    def answer(sent: Sent) -> Outcome | None:
        return error_reply(413, "SIZE_INVALID", "layer too large") if len(sent.body) > 90_000 else None

    archive.server.on("P*", "*/blobs/uploads/*", answer)
    result = archive.push(docker(), **AUTO)
    assert (statuses(result), len(parts_in(archive))) == (["pushed"], 6)


def test_what_arrived_before_is_not_sent_again(archive: Archive) -> None:
    files = docker()
    archive.push(files, **AUTO, max_layer_size=60_000)
    sent = [each.query["digest"] for each in archive.server.matching("PUT", "*/blobs/uploads/*")]
    assert len(sent) == len(set(sent))


def test_without_split_layers_the_error_mentions_it(archive: Archive) -> None:
    error, _ = archive.fail(docker(), split_size=None, max_layer_size=60_000)
    assert "SPLIT_LAYERS" in error.fix
    assert "image's ID" in error.fix


ENGINE_IMAGE = "sha256:" + "e" * 64
TOP = digest(TALL[1])[7:19]


def engine_bench(tmp_path: Path, files: Files, *lines: Line) -> Bench:
    """Prepare a push by an Engine that has a layer of 20 GB, as it says; what a copy holds is smaller."""
    stored = opened(tmp_path, files)
    [image] = stored.images
    b = bench(lines, image=image, settings={"uploader": "auto", "split_auto": True, "max_attempts": 1})
    b.engine.copy = stored
    return b


def test_an_engine_that_will_be_too_slow_gives_way_and_the_pipe_splits(tmp_path: Path) -> None:
    """The Engine waits for the link: the pipe would not be faster with the whole layer."""
    size = len(TALL[1])
    lines: list[Line] = [(float(at), events.Uploading(TOP, at * size // 1000, size)) for at in range(1, 400, 5)]
    b = engine_bench(tmp_path, docker(TALL), *lines)
    result = b.run()
    assert (statuses(result), result.uploader) == (["pushed"], "pipe")
    assert len(b.engine.streams) == 1
    assert b.engine.streams[0].closed
    assert result.split is not None
    [why] = b.told.of("WARNING")
    assert "the whole layer would take 16m 31s." in why
    assert any("Copying the image" in line for line in b.told.of("INFO"))
    assert b.clock.now < 1000 + 200, "foretold, and not awaited"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param(32e9, 20 * 10**9, id="20"),
        pytest.param(4.2e9, 2 * 10**9, id="2"),
        pytest.param(5e9, 5 * 10**9, id="5"),
        pytest.param(1.9e9, 10**9, id="1"),
        pytest.param(999_999, 500_000, id="just-below"),
        pytest.param(0, 1000, id="nothing"),
    ],
)
def test_rounding(size: float, expected: int) -> None:
    assert rounded_down(size) == expected


def test_marks_of_what_is_no_config() -> None:
    assert [marks_in(each) for each in (b"", b"[]", b'{"history": 1}', b'{"history": [1, {"comment": 2}]}')] == [{}] * 4


def test_the_image_of_the_engine_is_used(tmp_path: Path) -> None:
    """The fake is honest: the Engine's image is that of the copy."""
    assert isinstance(engine_bench(tmp_path, docker(TALL)).engine.find().image, Image)
