"""What charliecloud, crane, mkosi and oras write, pushed without an Engine, read back, and run by one."""

import json
import tarfile
from collections.abc import Callable

import docker
import pytest
from integration.archive_tools import (
    HOST,
    by_charliecloud,
    by_charliecloud_as_files,
    by_crane,
    by_crane_append,
    by_mkosi,
)
from integration.archives import NOWHERE, SAYS, Workshop, by_buildah, config_of, digest_of, printed, raw
from integration.registries import REPOSITORY, asked, digest_in
from integration.running import Finished, Run
from integration.transfers import stored
from registry.client import LocalRegistry

Push = Callable[..., Finished]


@pytest.fixture
def push(run: Run, registry: LocalRegistry, shop: Workshop) -> Push:
    """Push an archive, with no Engine to be reached."""

    def push(path: object, tag: str, **variables: str) -> Finished:
        usual = {"IMAGE_NAME": shop.name, "PACKAGE_NAME": "my-container-app", "TAGS": tag, "IMAGE_ARCHIVE": str(path)}
        return run(registry, **(usual | NOWHERE | variables))

    return push


@pytest.mark.root
def test_a_layout_of_mkosi_arrives_byte_for_byte(
    registry: LocalRegistry, engine: docker.DockerClient, shop: Workshop, push: Push
) -> None:
    path = by_mkosi(shop)
    before = shop.skopeo("inspect", "--raw", f"oci:{path}")
    push(path, "mkosi").expect(0, "✔ Pushed")
    assert raw(shop, registry, "mkosi") == before
    assert SAYS in printed(engine, f"{registry.host}/{REPOSITORY}:mkosi", "/ldconfig", "--version")


def test_an_image_that_charliecloud_converts_is_pushed(
    registry: LocalRegistry, engine: docker.DockerClient, shop: Workshop, push: Push
) -> None:
    path = by_charliecloud(shop, HOST)
    push(path, "charliecloud").expect(0, "✔ Pushed")
    assert json.loads(raw(shop, registry, "charliecloud"))["config"]["digest"] == digest_of(config_of(path))
    assert SAYS in printed(engine, f"{registry.host}/{REPOSITORY}:charliecloud", "/ldconfig", "--version")


def test_the_files_that_charliecloud_archives_are_no_image(registry: LocalRegistry, shop: Workshop, push: Push) -> None:
    path = by_charliecloud_as_files(shop)
    push(path, "files").expect(3, "it contains the files of a container", "Save the image with `docker save`")
    assert asked(registry) == []


@pytest.mark.root
@pytest.mark.parametrize("kind", ["tarball", "legacy", "oci"])
def test_what_crane_pulls_is_pushed(
    registry: LocalRegistry, engine: docker.DockerClient, shop: Workshop, push: Push, kind: str
) -> None:
    push(by_buildah("oci")(shop), "to-crane").expect(0)
    path = by_crane(shop, registry, kind, "to-crane")
    name = f"{registry.host}/{REPOSITORY}:to-crane"
    push(path, f"crane-{kind}", IMAGE_NAME=name).expect(0, "✔ Pushed")
    before, after = (json.loads(raw(shop, registry, tag)) for tag in ("to-crane", f"crane-{kind}"))
    assert after["config"]["digest"] == before["config"]["digest"]
    layers = [[each["digest"] for each in manifest["layers"]] for manifest in (before, after)]
    assert (layers[0] == layers[1]) is (kind != "legacy"), "legacy archives have plain layers"
    if kind == "oci":
        assert digest_in(registry, "crane-oci") == digest_in(registry, "to-crane")
    assert SAYS in printed(engine, f"{registry.host}/{REPOSITORY}:crane-{kind}")


@pytest.mark.root
def test_crane_writes_what_two_images_share_twice(registry: LocalRegistry, shop: Workshop, push: Push) -> None:
    push(by_buildah("oci")(shop), "one").expect(0)
    push(shop.folder / "image", "two").expect(0)
    path = by_crane(shop, registry, "tarball", "one", "two")
    push(path, "twice", IMAGE_NAME=f"{registry.host}/{REPOSITORY}:two").expect(0, "✔ Pushed")
    configs = [json.loads(raw(shop, registry, tag))["config"]["digest"] for tag in ("one", "twice")]
    assert configs[0] == configs[1]
    with tarfile.open(path) as archive:
        assert len(archive.getnames()) > len({*archive.getnames()}), "what both have is there twice"


@pytest.mark.root
def test_what_crane_appends_is_pushed(
    registry: LocalRegistry, engine: docker.DockerClient, shop: Workshop, push: Push
) -> None:
    path = by_crane_append(shop)
    push(path, "appended").expect(0, "✔ Pushed")
    config = config_of(path)
    assert stored(registry, digest_of(config)) == config
    assert SAYS in printed(engine, f"{registry.host}/{REPOSITORY}:appended", "/ldconfig", "--version")
