"""Images that share a large layer, pushed to several packages by a call for each.

Another Engine than the usual one: only so many of its images are looked at, and other tests have some of their own.
"""

from typing import TYPE_CHECKING, Any

import pytest
from integration.images import MB, Built
from integration.registries import BY_PIPE
from integration.running import Finished
from integration.second_engine import RunSecond, Second

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGES = ("api", "worker", "web")
SHARED = 9 * MB
ADMIN = {"BITBUCKET_PACKAGES_USERNAME": "admin", "BITBUCKET_PACKAGES_TOKEN": "admin-token"}


def build(second: Second, *packages: str) -> list[Built]:
    """Build images on one new layer, each with the name of a package."""
    base = second.images.build(SHARED, package="base")
    return [second.images.build(MB, base=base.name, package=package) for package in packages]


def statuses(finished: Finished) -> list[str]:
    """Return the outcome for each layer."""
    result: Mapping[str, Any] = finished.result
    return [layer["status"] for layer in result["layers"]]


def received(second: Second) -> int:
    """Return the bytes that the registry has received, and forget them."""
    total = sum(entry.received for entry in second.registry.requests())
    second.registry.clear()
    return total


def mounted(second: Second) -> list[str]:
    """Return from where blobs were mounted."""
    entries = second.registry.requests(method="POST", status="201")
    return [entry.mounts.partition("@")[0] for entry in entries if entry.mounts]


@pytest.mark.parametrize("uploader", ["pipe", "auto"])
def test_the_shared_layer_is_received_once_and_mounted_twice(
    graphdriver: Second, run_second: RunSecond, uploader: str
) -> None:
    first, *others = build(graphdriver, *PACKAGES)
    run = run_second(graphdriver, IMAGE_NAME=first.name, TAGS="1.0", UPLOADER=uploader)
    run.expect(0)
    assert statuses(run) == ["uploaded", "uploaded"]
    assert received(graphdriver) >= SHARED
    for image in others:
        run = run_second(graphdriver, IMAGE_NAME=image.name, TAGS="1.0", UPLOADER=uploader)
        run.expect(0)
        run.expect_not("WARNING")
        assert statuses(run) == ["mounted", "uploaded"], run.log
        assert len(mounted(graphdriver)) == 1
        assert received(graphdriver) < SHARED


def test_a_containerd_store_has_blobs_that_are_mounted_too(containerd: Second, run_second: RunSecond) -> None:
    first, other = build(containerd, *PACKAGES[:2])
    run_second(containerd, IMAGE_NAME=first.name, UPLOADER="pipe").expect(0)
    received(containerd)
    run = run_second(containerd, IMAGE_NAME=other.name, UPLOADER="pipe")
    run.expect(0)
    # The layer is asked for ahead as well, and counts as there if that was faster.
    assert statuses(run) in (["mounted", "uploaded"], ["already there", "uploaded"]), run.log
    assert set(mounted(containerd)) == {"demo-workspace/api"}
    assert received(containerd) < SHARED


def test_a_package_that_the_user_may_not_read_changes_nothing(graphdriver: Second, run_second: RunSecond) -> None:
    first, other = build(graphdriver, "other-app", "api")
    run_second(graphdriver, IMAGE_NAME=first.name, UPLOADER="pipe", **ADMIN).expect(0)
    graphdriver.registry.clear()
    run = run_second(graphdriver, IMAGE_NAME=other.name, UPLOADER="pipe")
    run.expect(0)
    run.expect_not("WARNING", "other-app")
    assert statuses(run) == ["uploaded", "uploaded"], run.log
    asked = graphdriver.registry.requests(user_agent=BY_PIPE, path="/v2/demo-workspace/other-app/*")
    assert {(entry.method, entry.status) for entry in asked} == {("GET", 403)}
    tokens = graphdriver.registry.requests(user_agent=BY_PIPE, path="/token")
    assert len(tokens) == 2, "one for the push, one for the guess"
