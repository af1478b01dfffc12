"""Limits of the registry that an upload breaks, or nearly."""

import pytest
from integration.images import MB, Images
from integration.registries import BY_ENGINE, StartRegistry, digest_in
from integration.running import ENGINE_BUSY, Run
from registry.client import LocalRegistry

TOO_LARGE = {
    "status": 413,
    "headers": {"Content-Type": "text/html"},
    "body": "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>nginx</body>\r\n</html>",
}


def test_layer_slower_than_the_limit_is_stopped(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(100 * MB)  # the buffers on the way hold up to 40 MB, which the Engine counts as sent
    registry.fault(method="PATCH", bytes_per_second=5 * MB)
    finished = run(registry, IMAGE_NAME=image.name, UPLOAD_TIMEOUT="4s", UPLOADER="engine")
    finished.expect(
        5,
        "Layer upload exceeds the registry's time limit: layer 1 (COPY … in /)",
        "of 100.0 MB sent in ",
        "MB/s; ",
        "the whole layer would take",
        "times out after 4.0 s (UPLOAD_TIMEOUT)",
        "Make the layer smaller",
        within=7 + ENGINE_BUSY,
    )
    assert registry.quiet(2), "what the buffers on the way hold must be all that follows"
    assert [(entry.state, entry.received < 100 * MB) for entry in registry.requests(method="PATCH")] == [("cut", True)]


@pytest.mark.parametrize("how", ["504", "cut"])
def test_upload_that_the_registrys_own_timer_ends_is_not_tried_again(
    start_registry: StartRegistry, images: Images, run: Run, how: str
) -> None:
    registry = start_registry(upload_timeout="4s", on_upload_timeout=how)
    image = images.build(4 * MB)
    registry.fault(method="PATCH", bytes_per_second=200_000)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine", UPLOAD_TIMEOUT="4s")
    finished.expect(
        5,
        "exceeds the registry's time limit: layer 1",
        "UPLOAD_TIMEOUT",
        "Make the layer smaller",
        within=7 + ENGINE_BUSY,
    )
    finished.expect_not("Attempt")
    assert registry.quiet(2), "the Engine must have stopped uploading"
    assert len(registry.requests(method="POST", user_agent=BY_ENGINE)) == 1


@pytest.mark.parametrize("how", ["504", "cut"])
def test_the_registrys_own_timer_ends_the_pipes_upload_for_good(
    start_registry: StartRegistry, images: Images, run: Run, how: str
) -> None:
    registry = start_registry(upload_timeout="4s", on_upload_timeout=how)
    image = images.build(12 * MB)
    registry.fault(method="PATCH", content_range="?????*", bytes_per_second=MB)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe", UPLOAD_TIMEOUT="4s")
    finished.expect(5, "exceeds the registry's time limit: layer 1", "UPLOAD_TIMEOUT", within=10)
    finished.expect_not("Attempt")


def test_slow_layer_is_warned_of_and_done_in_time(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(100 * MB)  # the buffers on the way hold up to 40 MB, which the Engine counts as sent
    registry.fault(method="PATCH", times=1, wait=18)
    finished = run(registry, IMAGE_NAME=image.name, UPLOAD_TIMEOUT="40s", UPLOADER="engine")
    finished.expect(
        0,
        "layer 1 (COPY … in /): at this rate the upload will take",
        "the registry times out after 40.0 s",
        "0 of 1 layers; layer 1 at 0:",
        "✔ Pushed ",
        within=40 + ENGINE_BUSY,
    )
    assert finished.log.count("at this rate") == 1, finished.shown("one warning a layer")
    assert finished.result["digest"] == digest_in(registry, "latest")


def test_413_with_html_is_a_limit(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    registry.fault(method="PATCH", answer=TOO_LARGE)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine")
    finished.expect(5, "A layer is too large for the registry", "413", "layer 1 (COPY … in /)", within=5 + ENGINE_BUSY)
    finished.expect_not("Attempt")
    assert [entry.status for entry in registry.requests(method="PATCH")] == [413]
