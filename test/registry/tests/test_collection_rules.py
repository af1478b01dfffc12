"""What garbage collection takes away, and what it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from registry.tests.administrator import DEMO, OTHER, Administrator, administrator, layers, size, until
from registry.tests.images import image, image_list

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def admin(registry_image: None) -> Iterator[Administrator]:
    with administrator() as started:
        yield started


class TestCollection:
    def test_deleting_a_tag_frees_what_nothing_else_refers_to(self, admin: Administrator) -> None:
        repository = admin.created()
        admin.collect()
        before = admin.on_disk()
        shared, *rest = layers(5, 3)
        stays, goes = image([shared, rest[0]]), image([shared, rest[1]])
        repository.push(stays, "stays")
        repository.push(goes, "goes")
        assert admin.on_disk() - before == size(stays, goes)
        admin.ask("DELETE", f"packages/{repository.name}/tags/goes", 204)
        # Nobody asks for this collection: the deletion has started it.
        until(lambda: admin.on_disk() - before == size(stays), "the deleted tag's space is freed")
        assert repository.problems(stays, "stays") == []
        assert repository.manifest_status(goes.digest) == 404

    def test_pushing_a_tag_again_frees_what_it_referred_to(self, admin: Administrator) -> None:
        repository = admin.created()
        admin.collect()
        before = admin.on_disk()
        repository.push(image(layers(6)), "latest")
        newer = image(layers(7))
        repository.push(newer, "latest")
        until(lambda: admin.on_disk() - before == size(newer), "the replaced image's space is freed")
        assert repository.problems(newer, "latest") == []

    def test_deleting_an_image_frees_all_of_it(self, admin: Administrator) -> None:
        repository = admin.created()
        admin.collect()
        before = admin.on_disk()
        repository.push(image(layers(8)), "1.0")
        admin.ask("DELETE", f"packages/{repository.name}", 204)
        until(lambda: admin.on_disk() == before, "the deleted image's space is freed")

    def test_an_untagged_manifest_is_cleaned_up(self, admin: Administrator) -> None:
        repository, pushed = admin.created(), image(layers(9))
        admin.collect()
        repository.push(pushed)
        assert repository.problems(pushed) == []
        admin.collect()
        assert repository.manifest_status(pushed.digest) == 404
        assert not any(map(repository.has_blob, pushed.blobs))

    def test_an_upload_without_a_manifest_is_cleaned_up(self, admin: Administrator) -> None:
        repository, [blob] = admin.created(), layers(10, 1)
        repository.upload(blob)
        admin.collect()
        assert not repository.has_blob(blob)

    def test_members_of_a_tagged_list_stay_and_go_with_it(self, admin: Administrator) -> None:
        repository = admin.created()
        pushed = image_list(amd64=image(layers(11)), arm64=image(layers(12), "arm64"))
        outer = image_list(amd64=image(layers(13)))
        nested = image_list(amd64=outer)
        repository.push(pushed, "1.0")
        repository.push(outer)
        repository.push(nested, "nested")
        admin.collect()
        assert repository.problems(pushed, "1.0") == []
        assert repository.problems(nested, "nested") == []
        admin.ask("DELETE", f"packages/{repository.name}/tags/1.0", 204)
        admin.collect()
        for each in (pushed, *pushed.members):
            assert repository.manifest_status(each.digest) == 404
        assert repository.problems(nested, "nested") == []

    def test_a_blob_stays_as_long_as_another_package_or_workspace_refers_to_it(self, admin: Administrator) -> None:
        pushed = image(layers(14))
        admin.collect()
        before = admin.on_disk()
        repositories = [admin.created(), admin.created(), admin.repository(f"{OTHER}/my-container-app")]
        for repository in repositories:
            repository.push(pushed, "shared")
        while repositories:
            gone = repositories.pop(0)
            admin.ask("DELETE", f"packages/{gone.name}/tags/shared", 204)
            admin.collect()
            assert gone.manifest_status("shared") == 404
            for left in repositories:
                assert left.problems(pushed, "shared") == [], left.name
            assert admin.on_disk() - before == (size(pushed) if repositories else 0)

    @pytest.mark.usefixtures("registry_image")
    def test_what_a_push_was_told_of_is_there_until_the_push_has_ended(self) -> None:
        pushed = image(layers(15))
        with administrator(lease="1h") as admin:
            repository = admin.repository(f"{DEMO}/my-container-app")
            repository.push(pushed, "1.0")
            assert all(map(repository.has_blob, pushed.blobs))
            admin.ask("DELETE", f"packages/{repository.name}/tags/1.0", 204)
            collected = admin.ask("POST", "collections", 200)
            assert collected == {"manifests": 0, "blobs": 0, "size": 0, "protected": 4, "young": 0}
            repository.put_manifest(pushed, "2.0")
            assert repository.problems(pushed, "2.0") == []
