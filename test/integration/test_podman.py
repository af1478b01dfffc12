"""podman's service as the Engine: it speaks Docker's API, and is not Docker."""

import pytest
from integration.images import MB
from integration.registries import BY_PIPE, REPOSITORY, asked, digest_in
from integration.second_engine import INSIDE, RunSecond, Second
from integration.transfers import config_of, diff_ids, unpacked

pytestmark = [pytest.mark.root]


def test_image_built_with_podman_is_pushed_and_known_again(podman: Second, run_second: RunSecond) -> None:
    image = podman.images.build(MB, MB)
    before = podman.client.images.get(image.name).tags
    finished = run_second(podman, IMAGE_NAME=image.name, TAGS="podman another")
    finished.expect(0, "✔ Pushed")
    digest = digest_in(podman.registry, "podman")
    assert finished.references == [f"{INSIDE}/{REPOSITORY}:{tag}@{digest}" for tag in ("podman", "another")]
    assert podman.client.images.get(image.name).tags == before, "the user's names have to stay, and no other"

    podman.registry.clear()
    again = run_second(podman, IMAGE_NAME=image.name, TAGS="podman another")
    again.expect(0, "✔ Up to date: ")
    assert podman.registry.requests(method="P[AU]T*") == []


def test_the_pipe_uploads_what_podman_streams(podman: Second, run_second: RunSecond) -> None:
    image = podman.images.build(20 * MB, MB)
    finished = run_second(podman, IMAGE_NAME=image.name, UPLOADER="pipe", TAGS="streamed")
    finished.expect(0, "✔ Pushed")
    assert finished.result["uploader"] == "pipe"
    assert finished.result["image_id"] == config_of(podman.registry, "streamed")
    assert unpacked(podman.registry, "streamed") == diff_ids(podman.registry, "streamed")


def test_refusal_and_missing_image_are_told(podman: Second, run_second: RunSecond) -> None:
    image = podman.images.build(MB)
    refused = run_second(podman, IMAGE_NAME=image.name, BITBUCKET_PACKAGES_TOKEN="wrong-token")
    refused.expect(4, "incorrect user name or token")
    podman.registry.clear()
    missing = run_second(podman, IMAGE_NAME=image.name.replace("container", "contaner"))
    missing.expect(3, image.name)
    assert asked(podman.registry, user_agent=BY_PIPE) == []
