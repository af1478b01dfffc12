"""Failures that pass while the Engine uploads."""

import pytest
from integration.images import MB, Images
from integration.registries import BY_ENGINE, BY_PIPE, REPOSITORY, StartRegistry, digest_in
from integration.running import ENGINE_BUSY, Finished, Run
from registry.client import LocalRegistry, Registry

UNAVAILABLE = {"status": 503, "body": '{"errors":[{"code":"UNAVAILABLE","message":"the registry is being mended"}]}'}
TOO_MANY = {
    "status": 429,
    "headers": {"Retry-After": "3"},
    "body": '{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}',
}


def expect_arrived(registry: Registry, finished: Finished) -> None:
    digest = digest_in(registry, "latest")
    assert digest is not None
    assert finished.references == [f"{registry.host}/{REPOSITORY}:latest@{digest}"]


def layers_sent(registry: Registry) -> list[int | None]:
    """List the statuses of the requests that carried a whole layer."""
    return [entry.status for entry in registry.requests(method="PATCH", received=MB)]


def test_503_on_a_layer_twice_is_left_to_the_engine(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    registry.fault(method="PATCH", user_agent=BY_ENGINE, times=2, answer=UNAVAILABLE)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine")
    finished.expect(
        0,
        "layer 1 (COPY … in /): the upload failed; Docker Engine retries in 5 s (retry 1 of 4)",
        "retries in 10 s (retry 2 of 4)",
        "✔ Pushed ",
        within=25 + ENGINE_BUSY,
    )
    finished.expect_not("Attempt")
    expect_arrived(registry, finished)
    assert [entry.status for entry in registry.requests(method="PATCH", status="503")] == [503, 503]
    assert layers_sent(registry) == [202]


def test_503_on_the_manifest_once_is_tried_again(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    registry.fault(method="PUT", path="*/manifests/*", user_agent=BY_ENGINE, times=1, answer=UNAVAILABLE)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine")
    finished.expect(
        0,
        "Attempt 1 of 3 failed",
        "503 Service Unavailable",
        "uploaded layers are kept",
        within=8 + ENGINE_BUSY,
    )
    expect_arrived(registry, finished)
    assert [entry.status for entry in registry.requests(method="PUT", path="*/manifests/*")] == [503, 201]
    assert layers_sent(registry) == [202], "the layer must not be sent again"


def test_500_on_the_pipes_own_check_for_ever(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    registry.fault(path="/v2/*", answer={"status": 500})
    finished = run(registry, IMAGE_NAME=image.name)
    finished.expect(
        6,
        "Attempt 1 of 3 failed",
        "Attempt 2 of 3 failed",
        f"The registry failed: {registry.host}: HTTP 500\n",
        within=12,
    )
    assert [entry.status for entry in registry.requests(path="/v2/*", user_agent=BY_PIPE)] == [500] * 3
    assert registry.requests(user_agent=BY_ENGINE) == []


def test_500_on_the_manifest_for_ever(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    registry.fault(method="PUT", path="*/manifests/*", answer={"status": 500})
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine")
    finished.expect(6, "Attempt 2 of 3 failed", "The registry failed", within=15 + ENGINE_BUSY)
    assert [entry.status for entry in registry.requests(method="PUT", path="*/manifests/*")] == [500] * 3
    assert layers_sent(registry) == [202]
    assert finished.references == []


def test_429_on_the_pipes_own_check_waits_as_long_as_asked(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    registry.fault(method="POST", user_agent=BY_PIPE, times=1, answer=TOO_MANY)
    finished = run(registry, IMAGE_NAME=image.name)
    finished.expect(0, "Attempt 1 of 3 failed", "too many requests", "Retrying in 3 s", within=8 + ENGINE_BUSY)
    assert finished.seconds > 3, finished.shown("the 3 s of Retry-After")
    expect_arrived(registry, finished)


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        pytest.param("POST", "*/uploads/", "Docker Engine retries in 5 s", id="layer"),
        pytest.param("PUT", "*/manifests/*", "Attempt 1 of 3 failed", id="manifest"),
    ],
)
def test_429_in_the_engines_push_is_tried_again(
    registry: LocalRegistry, images: Images, run: Run, method: str, path: str, words: str
) -> None:
    image = images.build(MB)
    registry.fault(method=method, path=path, user_agent=BY_ENGINE, times=1, answer=TOO_MANY)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine")
    finished.expect(0, words, "✔ Pushed ", within=10 + ENGINE_BUSY)
    expect_arrived(registry, finished)
    assert layers_sent(registry) == [202], "the layer must be sent once"


@pytest.mark.parametrize("way", ["reset", "close"])
def test_connection_cut_in_a_layer_once_is_left_to_the_engine(
    registry: LocalRegistry, images: Images, run: Run, way: str
) -> None:
    image = images.build(4 * MB)
    registry.fault(method="PATCH", user_agent=BY_ENGINE, times=1, cut=way, after=MB)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine")
    finished.expect(0, "Docker Engine retries in 5 s", "✔ Pushed ", within=15 + ENGINE_BUSY)
    expect_arrived(registry, finished)


def test_pipes_token_that_ran_out_before_reading_back_is_renewed(
    start_registry: StartRegistry, images: Images, run: Run
) -> None:
    registry = start_registry(token_lifetime="6s")
    image = images.build(MB)
    # The pipe waits for the manifest itself: an Engine that is busy would use its own token too late.
    registry.fault(method="PUT", path="*/manifests/*", hold=7)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe")
    finished.expect(0, "✔ Pushed ")
    finished.expect_not("Attempt")
    expect_arrived(registry, finished)
    assert len(registry.requests(path="/token", user_agent=BY_PIPE)) == 2


def test_engines_token_that_ran_out_in_the_middle_passes_at_the_second_attempt(
    start_registry: StartRegistry, images: Images, run: Run
) -> None:
    registry = start_registry(token_lifetime="6s")
    image = images.build(MB)
    registry.fault(method="PUT", path="*/manifests/*", user_agent=BY_ENGINE, times=1, wait=7)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine")
    finished.expect(0, "Attempt 1 of 3 failed", "✔ Pushed ", within=16 + ENGINE_BUSY)
    expect_arrived(registry, finished)
    assert [entry.status for entry in registry.requests(method="PUT", path="*/manifests/*")] == [401, 201]
    assert layers_sent(registry) == [202], "the layer must not be sent again"


def test_unauthorized_that_stays_is_not_tried_for_ever(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    words = '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
    registry.fault(method="PUT", path="*/manifests/*", user_agent=BY_ENGINE, answer={"status": 401, "body": words})
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine", MAX_ATTEMPTS="5")
    finished.expect(4, "Attempt 1 of 5 failed", "The registry rejected the credentials", within=10 + ENGINE_BUSY)
    finished.expect_not("Attempt 2")
    assert len(registry.requests(method="PUT", path="*/manifests/*", user_agent=BY_ENGINE)) == 2
