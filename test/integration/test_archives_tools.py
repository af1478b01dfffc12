"""What charliecloud, crane, mkosi and oras write, pushed without an Engine, read back, and run by one."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from integration.archive_tools import (
    HOST,
    by_charliecloud,
    by_charliecloud_as_files,
    by_crane,
    by_crane_append,
    by_docker_export,
    by_mkosi,
    by_oras_backup,
)
from integration.archives import (
    NOWHERE,
    SAYS,
    Workshop,
    by_buildah,
    config_of,
    digest_of,
    documented_outcomes,
    printed,
    raw,
    run_oras,
)
from integration.registries import REPOSITORY, asked, digest_in
from integration.running import Finished, Run, Start
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


OUTCOMES = {
    "mkosi": "byte for byte",
    "charliecloud": "makes the manifest",
    "charliecloud-files": "refuses: use `docker save`",
    "crane-tarball": "makes the manifest",
    "crane-legacy": "makes the manifest",
    "crane-oci": "byte for byte",
    "crane-append": "makes the manifest",
}
"""What docs/archives.md says, and the tests below show."""


def test_every_tool_has_a_row_in_the_documentation() -> None:
    rows = documented_outcomes()
    assert {name: rows[name] for name in OUTCOMES} == OUTCOMES


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


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda shop: by_docker_export(shop, HOST), id="docker-export"),
        pytest.param(by_charliecloud_as_files, id="charliecloud-files"),
    ],
)
def test_the_files_of_a_container_are_no_image(
    registry: LocalRegistry, shop: Workshop, push: Push, make: Callable[[Workshop], Path]
) -> None:
    path = make(shop)
    push(path, "files").expect(3, "it contains the files of a container", "Save the image with `docker save`")
    assert asked(registry) == []


def test_an_image_of_several_tags_is_chosen_by_any(registry: LocalRegistry, shop: Workshop, push: Push) -> None:
    """`podman save` lists one image with all its tags, beside another image."""
    first = shop.build()
    shop.podman("tag", first, "docker.io/library/second:2.0", "docker.io/library/third:3.0")
    (shop.context / "second").write_text("another", "utf-8")
    shop.buildah("build", "--isolation=chroot", "--tag=other:1.0", str(shop.context))
    path, names = shop.folder / "tags.tar", (first, "docker.io/library/second:2.0", "docker.io/library/third:3.0")
    shop.podman("save", "--multi-image-archive", f"--output={path}", "other:1.0", *names)
    image = f"sha256:{shop.podman('inspect', '--format={{.Id}}', first).decode().strip()}"
    for tag, name in (("short", "second:2.0"), ("full", "docker.io/library/third:3.0")):
        push(path, tag, IMAGE_NAME=name).expect(0, "✔ Pushed")
        assert json.loads(raw(shop, registry, tag))["config"]["digest"] == image


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


def discovered(folder: Path, name: str) -> list[str]:
    """Ask a registry with oras what refers to an image, and what refers to that; return the artifact types."""
    access = ("--plain-http", "--username=reader", "--password=reader-token")
    found = json.loads(run_oras("discover", *access, "--format=json", name, folder=folder))
    kinds, pending = [], [found]
    while pending:
        children = pending.pop().get("referrers", [])
        kinds += [each["artifactType"] for each in children]
        pending += children
    return sorted(kinds)


@pytest.mark.root
def test_clients_find_the_artifacts_that_were_pushed_with_an_image(
    registry: LocalRegistry, shop: Workshop, push: Push
) -> None:
    """Attached and copied by oras, pushed by the pipe, discovered by oras, and backed up by it for the next push."""
    layout, name = shop.folder / "layout", f"{registry.host}/{REPOSITORY}"
    shop.buildah("push", shop.build(), f"oci:{layout}:v1")
    (shop.folder / "statement").write_text("it is good", "utf-8")
    attach = ("attach", "--oci-layout", "--format=go-template={{.digest}}")
    bill = run_oras(*attach, "--artifact-type=x/bill", f"{layout}:v1", "statement", folder=shop.folder).decode()
    run_oras(*attach, "--artifact-type=x/signature", f"{layout}@{bill}", "statement", folder=shop.folder)

    push(layout, "alone").expect(0, "Leaving out these artifacts, which refer to the image: x/", "Set REFERRERS to")
    assert discovered(shop.folder, f"{name}:alone") == []

    finished = push(layout, "referrers", REFERRERS="true")
    subject = finished.result["digest"]
    finished.expect(0, f"Pushed x/bill ({bill}), which refers to {subject}.", "Listing under the tag sha256-")
    assert discovered(shop.folder, f"{name}:referrers") == ["x/bill", "x/signature"]
    referrers = finished.result["referrers"]
    assert isinstance(referrers, list)
    assert [(each["subject"], each["status"]) for each in referrers] == [(subject, "pushed"), (bill, "pushed")]

    path = by_oras_backup(shop, registry, "referrers", "--include-referrers")
    again = push(path, "again", REFERRERS="true")
    again.expect(0, f"Already there: x/bill ({bill}).")
    assert again.result["digest"] == subject


@pytest.mark.root
def test_two_pushes_at_once_list_the_artifacts_of_both(registry: LocalRegistry, shop: Workshop, start: Start) -> None:
    layouts = [shop.folder / each for each in ("one", "two")]
    shop.buildah("push", shop.build(), f"oci:{layouts[0]}:v1")
    shutil.copytree(layouts[0], layouts[1])
    (shop.folder / "statement").write_text("it is good", "utf-8")
    for layout in layouts:
        attach = ("attach", "--oci-layout", f"--artifact-type=x/{layout.name}", f"{layout}:v1", "statement")
        run_oras(*attach, folder=shop.folder)
    usual = {"IMAGE_NAME": shop.name, "PACKAGE_NAME": "my-container-app", "REFERRERS": "true", "RESULT_FILE": ""}
    usual |= NOWHERE
    running = [start(registry, **usual, IMAGE_ARCHIVE=str(each), TAGS=f"at-once-{each.name}") for each in layouts]
    for each in running:
        each.finish().expect(0, "✔")
    assert discovered(shop.folder, f"{registry.host}/{REPOSITORY}:at-once-one") == ["x/one", "x/two"]
