"""What is stored, what deleting takes away, and what it leaves, over the pages' JSON."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from registry.client import local_registry
from registry.tests.conftest import WORLD
from registry.tests.images import Image, PushError, Repository, digest_of, image, image_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests
    from registry.client import LocalRegistry

DEMO = "demo-workspace"
OTHER = "other-workspace"
LEASE = 0.2
"""Seconds until what a push named is no longer protected."""


@dataclass
class World:
    """A registry, and an administrator's way to its JSON."""

    registry: LocalRegistry
    session: requests.Session
    packages: int = 0

    def ask(self, method: str, path: str, status: int, **options: Any) -> Any:
        answer = self.session.request(method, f"{self.registry.url}/api/{path}", **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def repository(self, name: str) -> Repository:
        return Repository(self.session, self.registry.url, name)

    def created(self, name: str = "") -> Repository:
        """Create a package and return its repository."""
        self.packages += 1
        name = name or f"package-{self.packages}"
        fields = {"workspace": DEMO, "name": name, "repository": "demo-repository"}
        assert self.ask("POST", "packages", 201, json=fields) == fields
        return self.repository(f"{DEMO}/{name}")

    def used(self, workspace: str = DEMO) -> int:
        size: int = self.ask("GET", f"workspaces/{workspace}", 200)["storage_used"]
        return size

    def collected(self) -> dict[str, int]:
        """Collect until no push protects anything; return what that removed altogether."""
        total: dict[str, int] = {}
        while True:
            counts = self.ask("POST", "collections", 200)
            total = {name: total.get(name, 0) + count for name, count in counts.items()}
            if not counts["protected"]:
                return total
            time.sleep(LEASE / 2)


@pytest.fixture(scope="module")
def world(registry_image: None) -> Iterator[World]:  # noqa: ARG001 - has to be there
    with (
        local_registry(world=WORLD, lease=f"{LEASE}s") as registry,
        registry.session("admin") as session,
    ):
        yield World(registry, session)


def layers(seed: int, count: int = 2) -> list[bytes]:
    random = Random(seed)
    return [random.randbytes(1000) for _ in range(count)]


def size(*images: Image) -> int:
    """Return the bytes of images, each blob once."""
    parts = [part for each in images for part in (each, *each.members)]
    return sum(map(len, {content for part in parts for content in (part.manifest, *part.blobs)}))


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.05)


class TestDeletingATag:
    def test_it_can_no_longer_be_pulled(self, world: World) -> None:
        repository = world.created()
        repository.push(image(layers(1)), "1.0")
        world.ask("DELETE", f"packages/{repository.name}/tags/1.0", 204)
        answer = world.session.get(f"{world.registry.url}/v2/{repository.name}/manifests/1.0")
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"
        world.ask("GET", f"packages/{repository.name}/tags/1.0", 404)

    def test_other_tags_of_the_same_digest_stay(self, world: World) -> None:
        repository, pushed = world.created(), image(layers(2))
        repository.push(pushed, "1.0")
        repository.push(pushed, "latest")
        world.ask("DELETE", f"packages/{repository.name}/tags/1.0", 204)
        world.collected()
        assert repository.manifest_status("1.0") == 404
        assert repository.problems(pushed, "latest") == []
        assert repository.problems(pushed) == []

    def test_it_can_be_pushed_again(self, world: World) -> None:
        repository, pushed = world.created(), image(layers(3))
        for _ in range(2):
            repository.push(pushed, "1.0")
            assert repository.problems(pushed, "1.0") == []
            world.ask("DELETE", f"packages/{repository.name}/tags/1.0", 204)
            world.collected()

    def test_one_that_is_not_there_is_404(self, world: World) -> None:
        repository = world.created()
        world.ask("DELETE", f"packages/{repository.name}/tags/1.0", 404)


class TestDeletingAnImage:
    def test_it_goes_with_all_its_tags_and_has_to_be_created_again(self, world: World) -> None:
        repository, pushed = world.created("doomed"), image(layers(4))
        repository.push(pushed, "1.0")
        repository.push(pushed, "2.0")
        world.ask("DELETE", f"packages/{repository.name}", 204)
        world.ask("GET", f"packages/{repository.name}", 404)
        for tag in ("1.0", "2.0", pushed.digest):
            assert repository.manifest_status(tag) == 404
        with pytest.raises(PushError, match="NAME_UNKNOWN"):
            repository.push(pushed, "1.0")

        world.created("doomed")
        assert world.ask("GET", f"packages/{repository.name}", 200)["tags"] == []
        assert repository.manifest_status("1.0") == 404
        repository.push(pushed, "1.0")
        assert repository.problems(pushed, "1.0") == []


class TestCollection:
    def test_deleting_a_tag_frees_what_nothing_else_refers_to(self, world: World) -> None:
        repository = world.created()
        world.collected()
        before = world.used()
        shared, *rest = layers(5, 3)
        stays, goes = image([shared, rest[0]]), image([shared, rest[1]])
        repository.push(stays, "stays")
        repository.push(goes, "goes")
        assert world.used() - before == size(stays, goes)
        world.ask("DELETE", f"packages/{repository.name}/tags/goes", 204)
        # Nobody asks for this collection: the deletion has started it.
        until(lambda: world.used() - before == size(stays), "the deleted tag's space is freed")
        assert repository.problems(stays, "stays") == []
        assert repository.manifest_status(goes.digest) == 404

    def test_pushing_a_tag_again_frees_what_it_referred_to(self, world: World) -> None:
        repository = world.created()
        world.collected()
        before = world.used()
        repository.push(image(layers(6)), "latest")
        newer = image(layers(7))
        repository.push(newer, "latest")
        until(lambda: world.used() - before == size(newer), "the replaced image's space is freed")
        assert repository.problems(newer, "latest") == []

    def test_deleting_an_image_frees_all_of_it(self, world: World) -> None:
        repository = world.created()
        world.collected()
        before = world.used()
        repository.push(image(layers(8)), "1.0")
        world.ask("DELETE", f"packages/{repository.name}", 204)
        assert world.used() == before
        until(lambda: world.collected()["blobs"] == 0, "nothing is left to collect")

    def test_an_untagged_manifest_is_cleaned_up(self, world: World) -> None:
        repository, pushed = world.created(), image(layers(9))
        world.collected()
        repository.push(pushed)
        assert repository.problems(pushed) == []
        assert world.collected()["manifests"] == 1
        assert repository.manifest_status(pushed.digest) == 404
        assert not any(map(repository.has_blob, pushed.blobs))

    def test_an_upload_without_a_manifest_is_cleaned_up(self, world: World) -> None:
        repository, [blob] = world.created(), layers(10, 1)
        repository.upload(blob)
        assert world.collected()["blobs"] == 1
        assert not repository.has_blob(blob)

    def test_members_of_a_tagged_list_stay_and_go_with_it(self, world: World) -> None:
        repository = world.created()
        pushed = image_list(amd64=image(layers(11)), arm64=image(layers(12), "arm64"))
        outer = image_list(amd64=image(layers(13)))
        nested = image_list(amd64=outer)
        repository.push(pushed, "1.0")
        repository.push(outer)
        repository.push(nested, "nested")
        world.collected()
        assert repository.problems(pushed, "1.0") == []
        assert repository.problems(nested, "nested") == []
        world.ask("DELETE", f"packages/{repository.name}/tags/1.0", 204)
        world.collected()
        for each in (pushed, *pushed.members):
            assert repository.manifest_status(each.digest) == 404
        assert repository.problems(nested, "nested") == []

    def test_a_blob_stays_as_long_as_another_package_or_workspace_refers_to_it(self, world: World) -> None:
        pushed = image(layers(14))
        repositories = [world.created(), world.created(), world.repository(f"{OTHER}/my-container-app")]
        for repository in repositories:
            repository.push(pushed, "shared")
        while repositories:
            gone = repositories.pop(0)
            world.ask("DELETE", f"packages/{gone.name}/tags/shared", 204)
            world.collected()
            assert gone.manifest_status("shared") == 404
            for left in repositories:
                assert left.problems(pushed, "shared") == [], left.name
        assert world.used(OTHER) == 0

    def test_what_a_push_was_told_of_is_there_until_the_push_has_ended(self, registry_image: None) -> None:  # noqa: ARG002 - has to be there
        pushed = image(layers(15))
        with local_registry(world=WORLD, lease="1h") as registry, registry.session("admin") as session:
            world = World(registry, session)
            repository = world.repository(f"{DEMO}/my-container-app")
            repository.push(pushed, "1.0")
            assert all(map(repository.has_blob, pushed.blobs))
            world.ask("DELETE", f"packages/{repository.name}/tags/1.0", 204)
            collected = world.ask("POST", "collections", 200)
            assert collected == {"manifests": 0, "blobs": 0, "size": 0, "protected": 4}
            repository.put_manifest(pushed, "2.0")
            assert repository.problems(pushed, "2.0") == []


class TestUsage:
    def test_a_blob_counts_once_in_a_workspace(self, world: World) -> None:
        first, second, pushed = world.created(), world.created(), image(layers(16))
        world.collected()
        before = world.used()
        first.push(pushed, "1.0")
        second.push(pushed, "1.0")
        assert world.used() - before == size(pushed)

    def test_the_size_of_a_tag_counts_each_blob_once(self, world: World) -> None:
        repository, shared = world.created(), layers(17)
        pushed = image_list(amd64=image(shared), arm64=image(shared, "arm64"))
        repository.push(pushed, "1.0")
        tag = world.ask("GET", f"packages/{repository.name}/tags/1.0", 200)
        assert tag["size"] == size(pushed)
        assert tag["digest"] == pushed.digest
        assert [each["platform"] for each in tag["images"]] == ["linux/amd64", "linux/arm64"]
        assert [each["digest"] for each in tag["images"][0]["layers"]] == [*map(digest_of, shared)]


def free_port() -> int:
    """Return a port that a restarted container can have again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


class TestKeeping:
    def test_packages_and_images_outlive_a_restart(self, registry_image: None) -> None:  # noqa: ARG002 - has to be there
        pushed = image(layers(18))
        with local_registry(world=WORLD, port=free_port()) as registry, registry.session("admin") as session:
            world = World(registry, session)
            repository = world.created("kept")
            repository.push(pushed, "1.0")
            world.ask("DELETE", f"packages/{DEMO}/my-container-app", 204)
            registry.container.restart()
            registry.await_ready()
            assert repository.problems(pushed, "1.0") == []
            listed = world.ask("GET", f"packages/{DEMO}", 200)["packages"]
            assert [each["name"] for each in listed] == ["kept", "other-app", "second-app"]

    def test_a_push_shows_up_after_the_delay(self, registry_image: None) -> None:  # noqa: ARG002 - has to be there
        first, second = image(layers(19)), image(layers(20))
        with (
            local_registry(world=WORLD, visible_delay="3s") as registry,
            registry.session("admin") as session,
        ):
            world = World(registry, session)
            repository = world.repository(f"{DEMO}/my-container-app")

            def shown() -> list[str]:
                package = world.ask("GET", f"packages/{repository.name}", 200)
                return [tag["digest"] for tag in package["tags"]]

            repository.push(first, "latest")
            assert repository.problems(first, "latest") == []
            assert shown() == []
            until(lambda: shown() == [first.digest], "the tag shows up")
            repository.push(second, "latest")
            assert repository.problems(second, "latest") == []
            assert shown() == [first.digest]
            until(lambda: shown() == [second.digest], "the new image shows up")
