"""What is stored, what deleting takes away, and what it leaves, over the pages' JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from registry.tests.administrator import DEMO, Administrator, administrator, layers, size, until
from registry.tests.clients import free_port
from registry.tests.images import PushError, digest_of, image, image_list

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def admin(registry_image: None) -> Iterator[Administrator]:
    with administrator() as started:
        yield started


class TestDeletingATag:
    def test_it_can_no_longer_be_pulled(self, admin: Administrator) -> None:
        repository = admin.created()
        repository.push(image(layers(1)), "1.0")
        admin.ask("DELETE", f"packages/{repository.name}/tags/1.0", 204)
        answer = admin.session.get(f"{admin.registry.url}/v2/{repository.name}/manifests/1.0")
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"
        admin.ask("GET", f"packages/{repository.name}/tags/1.0", 404)

    def test_other_tags_of_the_same_digest_stay(self, admin: Administrator) -> None:
        repository, pushed = admin.created(), image(layers(2))
        repository.push(pushed, "1.0")
        repository.push(pushed, "latest")
        admin.ask("DELETE", f"packages/{repository.name}/tags/1.0", 204)
        admin.collect()
        assert repository.manifest_status("1.0") == 404
        assert repository.problems(pushed, "latest") == []
        assert repository.problems(pushed) == []

    def test_it_can_be_pushed_again(self, admin: Administrator) -> None:
        repository, pushed = admin.created(), image(layers(3))
        for _ in range(2):
            repository.push(pushed, "1.0")
            assert repository.problems(pushed, "1.0") == []
            admin.ask("DELETE", f"packages/{repository.name}/tags/1.0", 204)
            admin.collect()

    def test_one_that_is_not_there_is_404(self, admin: Administrator) -> None:
        repository = admin.created()
        admin.ask("DELETE", f"packages/{repository.name}/tags/1.0", 404)


class TestDeletingAnImage:
    def test_it_goes_with_all_its_tags_and_has_to_be_created_again(self, admin: Administrator) -> None:
        repository, pushed = admin.created("doomed"), image(layers(4))
        repository.push(pushed, "1.0")
        repository.push(pushed, "2.0")
        admin.ask("DELETE", f"packages/{repository.name}", 204)
        admin.ask("GET", f"packages/{repository.name}", 404)
        for tag in ("1.0", "2.0", pushed.digest):
            assert repository.manifest_status(tag) == 404
        with pytest.raises(PushError, match="NAME_UNKNOWN"):
            repository.push(pushed, "1.0")

        admin.created("doomed")
        assert admin.ask("GET", f"packages/{repository.name}", 200)["tags"] == []
        assert repository.manifest_status("1.0") == 404
        repository.push(pushed, "1.0")
        assert repository.problems(pushed, "1.0") == []


class TestUsage:
    def test_a_blob_counts_once_in_a_workspace(self, admin: Administrator) -> None:
        first, second, pushed = admin.created(), admin.created(), image(layers(16))
        admin.collect()
        before = admin.used()
        first.push(pushed, "1.0")
        second.push(pushed, "1.0")
        assert admin.used() - before == size(pushed)

    def test_the_size_of_a_tag_counts_each_blob_once(self, admin: Administrator) -> None:
        repository, shared = admin.created(), layers(17)
        pushed = image_list(amd64=image(shared), arm64=image(shared, "arm64"))
        repository.push(pushed, "1.0")
        tag = admin.ask("GET", f"packages/{repository.name}/tags/1.0", 200)
        assert tag["size"] == size(pushed)
        assert tag["digest"] == pushed.digest
        assert [each["platform"] for each in tag["images"]] == ["linux/amd64", "linux/arm64"]
        assert [each["digest"] for each in tag["images"][0]["layers"]] == [*map(digest_of, shared)]


class TestKeeping:
    @pytest.mark.usefixtures("registry_image")
    def test_packages_and_images_outlive_a_restart(self) -> None:
        pushed = image(layers(18))
        with administrator(port=free_port()) as admin:
            repository = admin.created("kept")
            repository.push(pushed, "1.0")
            admin.ask("DELETE", f"packages/{DEMO}/my-container-app", 204)
            admin.registry.container.restart()
            admin.registry.await_ready()
            assert repository.problems(pushed, "1.0") == []
            listed = admin.ask("GET", f"packages/{DEMO}", 200)["packages"]
            assert [each["name"] for each in listed] == ["kept", "other-app", "second-app"]

    @pytest.mark.usefixtures("registry_image")
    def test_a_push_shows_up_after_the_delay(self) -> None:
        first, second = image(layers(19)), image(layers(20))
        with administrator(visible_delay="2s", lease="1m") as admin:
            repository = admin.repository(f"{DEMO}/my-container-app")

            def shown() -> list[str]:
                package = admin.ask("GET", f"packages/{repository.name}", 200)
                return [tag["digest"] for tag in package["tags"]]

            repository.push(first, "latest")
            assert repository.problems(first, "latest") == []
            assert shown() == []
            until(lambda: shown() == [first.digest], "the tag shows up")
            repository.push(second, "latest")
            assert repository.problems(second, "latest") == []
            assert shown() == [first.digest]
            until(lambda: shown() == [second.digest], "the new image shows up")
