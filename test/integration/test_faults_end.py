"""A push that is stopped, whose Engine dies, or that ends with something else than what was pushed."""

import signal

import docker
import pytest
from integration.images import MB, Images
from integration.registries import BY_ENGINE, BY_PIPE, REPOSITORY, digest_in
from integration.running import ENGINE_BUSY, Run, Running, Start
from registry.client import LocalRegistry

OTHER = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
ANOTHER = {
    "status": 200,
    "headers": {"Content-Type": "application/vnd.docker.distribution.manifest.v2+json"},
    "body": "{}",
}
"""What the tag names, where it is not the image's manifest; and the digest of that."""
SLOW = 5 * MB
"""Bytes per second of a link."""
LARGE = 100 * MB
"""Bytes of a layer: more than the buffers on the way hold, up to 40 MB, with what passes until the Engine stops."""


def start_upload(registry: LocalRegistry, images: Images, start: Start, *inside: str, **variables: str) -> Running:
    """Start a push, and wait until the registry receives its layer."""
    image = images.build(LARGE)
    registry.fault(method="PATCH", bytes_per_second=SLOW)
    running = start(registry, *inside, IMAGE_NAME=image.name, UPLOADER="engine", **variables)
    registry.wait_for(method="PATCH", received=SLOW)
    return running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_signal_stops_the_push_in_the_engine_too(
    engine: docker.DockerClient, registry: LocalRegistry, images: Images, start: Start, number: signal.Signals
) -> None:
    running = start_upload(registry, images, start, TAGS="stopped another")
    running.signal(number)
    finished = running.finish()
    finished.expect(128 + number, f"The push was stopped by signal {number.name}", within=2)
    assert registry.quiet(2), "what the buffers on the way hold must be all that follows"
    assert registry.requests(state="open") == []
    assert [(entry.state, entry.received < LARGE) for entry in registry.requests(method="PATCH")] == [("cut", True)]
    assert registry.requests(method="PUT") == []
    assert engine.images.get(str(finished.result["image_id"])).tags == [finished.result["image"]]
    assert statuses(finished.result) == {"stopped": "failed", "another": "not tried"}


def statuses(result: dict[str, object]) -> dict[str, str]:
    tags = result["tags"]
    assert isinstance(tags, list)
    return {tag["tag"]: tag["status"] for tag in tags}


def test_signal_between_attempts_ends_the_wait(registry: LocalRegistry, images: Images, start: Start) -> None:
    image = images.build(MB)
    registry.fault(method="POST", user_agent=BY_PIPE, answer={"status": 503, "headers": {"Retry-After": "60"}})
    running = start(registry, IMAGE_NAME=image.name)
    registry.wait_for(method="POST", status="503")
    running.signal(signal.SIGTERM)
    running.finish().expect(143, "The push was stopped by signal SIGTERM", within=2)


def test_another_digest_on_reading_back_is_no_success(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    registry.fault(method="GET", path="*/manifests/latest", skip=1, answer=ANOTHER)
    registry.fault(method="GET", path="*/manifests/sha256:*", user_agent=BY_PIPE, answer={"status": 404})
    finished = run(registry, IMAGE_NAME=image.name)
    finished.expect(
        6, "The tag points to a different image", OTHER, "The registry does not have sha256:", within=5 + ENGINE_BUSY
    )
    finished.expect_not("✔")
    assert finished.references == []
    assert statuses(finished.result) == {"latest": "failed"}


def test_tag_that_another_push_moved_meanwhile_is_told(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    registry.fault(method="GET", path="*/manifests/latest", skip=1, answer=ANOTHER)
    finished = run(registry, IMAGE_NAME=image.name)
    ours = digest_in_log(registry)
    finished.expect(
        6,
        f"Pushed {ours}, but {registry.host}/{REPOSITORY}:latest points to {OTHER}.",
        f"The registry has {ours} as well. If another pipeline pushed the same tag at the same time",
        within=5 + ENGINE_BUSY,
    )
    assert finished.references == []


def digest_in_log(registry: LocalRegistry) -> str:
    """Find the digest that was pushed, by which the pipe asked for it."""
    asked = registry.requests(method="GET", path="*/manifests/sha256:*", user_agent=BY_PIPE)
    return asked[0].path.rpartition("/")[2]


def test_tag_that_is_missing_on_reading_back_is_pushed_again(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    registry.fault(method="GET", path="*/manifests/latest", user_agent=BY_PIPE, skip=1, times=1, answer={"status": 404})
    finished = run(registry, IMAGE_NAME=image.name)
    finished.expect(0, "Attempt 1 of 3 failed", "latest is not in the registry.", within=8 + ENGINE_BUSY)
    assert finished.result["digest"] == digest_in(registry, "latest")


@pytest.mark.parametrize("status", [401, 403])
def test_result_says_of_each_tag_whether_it_arrived(
    registry: LocalRegistry, images: Images, run: Run, status: int
) -> None:
    image = images.build(MB)
    words = '{"errors":[{"code":"DENIED","message":"this tag is protected"}]}'
    # Tags that no other test has pushed: an existing one would count as protected, and be pushed last.
    first, second, third = (f"{name}-{status}" for name in ("first", "second", "third"))
    registry.fault(method="PUT", path=f"*/manifests/{second}", answer={"status": status, "body": words})
    finished = run(registry, IMAGE_NAME=image.name, TAGS=f"{first} {second} {third}")
    finished.expect(
        4, f"✔ Pushed {first}, {third}", f"✖ Not pushed: {second}\n", "this tag is protected", within=5 + ENGINE_BUSY
    )
    assert statuses(finished.result) == {first: "pushed", second: "failed", third: "pushed"}
    assert [name.partition("@")[0].rpartition(":")[2] for name in finished.references] == [first, third]
    ours = finished.result["digest"]
    assert [digest_in(registry, tag) == ours for tag in (first, second, third)] == [True, False, True]
    assert registry.requests(method="PUT", path=f"*/manifests/{second}", user_agent=BY_ENGINE) == []
