"""Images that no Engine holds: what programs write, pushed without an Engine, read back, and run by one."""

import hashlib
import json
import os
import secrets
import tarfile
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integration import archives
from integration.archives import (
    NOWHERE,
    SAYS,
    Silent,
    Workshop,
    as_documented,
    by_buildah,
    by_containerify,
    by_docker_squash,
    by_oras,
    by_podman,
    by_pyoci,
    by_skopeo,
    by_skopeo_all,
    by_umoci,
    config_of,
    digest_of,
    documented_outcomes,
    gzipped,
    printed,
    raw,
    unpacked,
)
from integration.certificates import make_certificate
from integration.images import Images, archive_of
from integration.registries import BY_ENGINE, REPOSITORY, StartRegistry, digest_in
from integration.running import Finished, Run
from integration.transfers import stored
from registry.client import LocalRegistry

from pipe.errors import ArchiveError
from pipe.oci.reference import Reference
from pipe.source.archive import open_image

Make = Callable[[Workshop], Path]


@pytest.fixture
def push(run: Run, registry: LocalRegistry, shop: Workshop) -> Callable[..., Finished]:
    """Push an archive, with no Engine to be reached."""

    def push(path: Path, tag: str, **variables: str) -> Finished:
        usual = {"IMAGE_NAME": shop.name, "PACKAGE_NAME": "my-container-app", "TAGS": tag}
        finished = run(registry, **(usual | NOWHERE | {"IMAGE_ARCHIVE": str(path)} | variables))
        assert registry.requests(user_agent=BY_ENGINE) == []
        return finished

    return push


def pulled(engine: docker.DockerClient, reference: str) -> list[str]:
    """Pull an image with an Engine; return its diffIDs."""
    engine.api.pull(reference, auth_config={"username": "reader", "password": "reader-token"})
    try:
        return list(engine.images.get(reference).attrs["RootFS"]["Layers"])
    finally:
        engine.images.remove(reference, force=True)


DOCKER_ARCHIVES: dict[str, Make] = {
    "podman": by_podman("docker-archive"),
    "buildah": by_buildah("docker-archive"),
    "skopeo": by_skopeo("docker-archive"),
    "podman-gzipped-as-a-whole": gzipped(by_podman("docker-archive")),
    # go-containerregistry, `pkg/v1/tarball/README.md`, which kaniko's --tar-path is written with.
    "kaniko": as_documented("sha256:{}", "{}.tar.gz"),
    # jib-core, `docker/json/DockerLoadManifestEntryTemplate`, and `image/ImageTarball`.
    "jib": as_documented("config.json", "{}.tar.gz"),
    # rules_oci, `oci/private/tarball.sh.tpl`.
    "bazel": as_documented("blobs/sha256/{}", "blobs/sha256/{}.tar.gz"),
}


@pytest.mark.parametrize("make", DOCKER_ARCHIVES.values(), ids=DOCKER_ARCHIVES.keys())
def test_a_docker_archive_arrives_as_the_image_that_it_holds(
    registry: LocalRegistry, engine: docker.DockerClient, shop: Workshop, push: Callable[..., Finished], make: Make
) -> None:
    path = make(shop)
    config = config_of(path)
    finished = push(path, "docker-archive")
    finished.expect(0, "✔ Pushed", "uploaded")
    manifest = json.loads(raw(shop, registry, "docker-archive"))
    assert manifest["config"]["digest"] == digest_of(config), finished.shown("the image's own ID")
    assert stored(registry, digest_of(config)) == config
    assert [layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]] == ["gzip"] * len(manifest["layers"])
    assert SAYS in printed(engine, f"{registry.host}/{REPOSITORY}:docker-archive")

    registry.clear()
    push(path, "docker-archive").expect(0, "✔ Up to date")
    assert registry.requests(method="P[AU]T*") == []


@pytest.mark.parametrize("name", ["kaniko", "jib", "bazel"])
def test_gzipped_layers_are_sent_as_they_are(
    registry: LocalRegistry, shop: Workshop, push: Callable[..., Finished], name: str
) -> None:
    path = DOCKER_ARCHIVES[name](shop)
    push(path, "as-it-is").expect(0)
    content = path.read_bytes()
    for layer in json.loads(raw(shop, registry, "as-it-is"))["layers"]:
        blob = stored(registry, layer["digest"])
        assert blob
        assert blob in content


LAYOUTS: dict[str, tuple[str, Make]] = {
    "podman-dir": ("dir", by_podman("docker-dir")),
    "skopeo-dir": ("dir", by_skopeo("dir")),
    "podman-archive": ("oci-archive", by_podman("oci-archive")),
    "podman-folder": ("oci", by_podman("oci-dir")),
    "buildah-archive": ("oci-archive", by_buildah("oci-archive")),
    "buildah-folder": ("oci", by_buildah("oci")),
    "skopeo-archive": ("oci-archive", by_skopeo("oci-archive")),
    "skopeo-folder": ("oci", by_skopeo("oci")),
    "umoci": ("oci", by_umoci),
}


@pytest.mark.parametrize(("transport", "make"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_layout_arrives_byte_for_byte(
    registry: LocalRegistry,
    engine: docker.DockerClient,
    shop: Workshop,
    push: Callable[..., Finished],
    transport: str,
    make: Make,
) -> None:
    path = make(shop)
    before = shop.skopeo("inspect", "--raw", f"{transport}:{path}")
    finished = push(path, "layout")
    finished.expect(0, "✔ Pushed")
    assert raw(shop, registry, "layout") == before
    assert finished.result["digest"] == digest_of(before)
    assert SAYS in printed(engine, f"{registry.host}/{REPOSITORY}:layout")


def test_every_tool_has_a_row_in_the_documentation() -> None:
    rows = documented_outcomes()
    assert {name: rows[name] for name in DOCKER_ARCHIVES} == dict.fromkeys(DOCKER_ARCHIVES, "makes the manifest")
    assert {name: rows[name] for name in LAYOUTS} == dict.fromkeys(LAYOUTS, "byte for byte")


def test_all_platforms_in_skopeo_s_own_form_arrive(
    registry: LocalRegistry, shop: Workshop, push: Callable[..., Finished]
) -> None:
    path = by_skopeo_all(shop)
    push(path, "all-platforms").expect(0, "✔ Pushed", "INFO: linux/amd64\n", "INFO: linux/arm64\n")
    assert raw(shop, registry, "all-platforms") == (path / "manifest.json").read_bytes()


@pytest.mark.parametrize("output", ["--toTar", "--toOciLayout"])
def test_containerify_s_archives_arrive(
    registry: LocalRegistry, engine: docker.DockerClient, shop: Workshop, push: Callable[..., Finished], output: str
) -> None:
    push(DOCKER_ARCHIVES["kaniko"](shop), "base").expect(0)
    path = by_containerify(shop, registry, "base", output)
    push(path, "containerify").expect(0, "✔ Pushed")
    base, made = (json.loads(raw(shop, registry, tag))["layers"] for tag in ("base", "containerify"))
    assert [layer["digest"] for layer in made[: len(base)]] == [layer["digest"] for layer in base]
    assert len(made) == len(base) + 1
    assert pulled(engine, f"{registry.host}/{REPOSITORY}:containerify")


REAL: dict[str, Make] = {
    "docker-archive": by_buildah("docker-archive"),
    "oci-archive": by_buildah("oci-archive"),
    "kaniko": DOCKER_ARCHIVES["kaniko"],
    "gzipped-as-a-whole": gzipped(by_buildah("oci-archive")),
}


@pytest.mark.parametrize("make", REAL.values(), ids=REAL.keys())
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_what_passes_of_a_damaged_archive_is_the_same_image(shop: Workshop, make: Make, damage: str) -> None:
    """What opens and has the digests that it names would be pushed; only filling and dates may have changed."""
    data, path = make(shop).read_bytes(), shop.folder / "damaged"
    path.write_bytes(data)
    whole = image_in(path)

    @given(st.integers(0, len(data) - 1) | st.sampled_from(documents_in(path)), st.integers(1, 255))
    @settings(max_examples=200, deadline=None)
    def attempt(position: int, change: int) -> None:
        flipped = bytes([data[position] ^ change]) + data[position + 1 :]
        path.write_bytes(data[:position] + (flipped if damage == "flipped" else b""))
        try:
            found = image_in(path)
        except ArchiveError:
            return
        assert found in {whole, None}

    assert whole
    attempt()


def documents_in(path: Path) -> list[int]:
    """List where the bytes of an archive are that are not a layer's: few of them, and they matter most."""
    with tarfile.open(path) as archive:
        if path.read_bytes()[:2] == b"\x1f\x8b":
            return [0]
        spans = [(member.offset, member.offset_data + member.size) for member in archive if member.size < 10_000]
    return [position for begin, end in spans for position in range(begin, end)]


def image_in(path: Path) -> str | None:
    """Open an archive; return the ID of its image, None where its content has not the digests that it names."""
    held = open_image(path, Reference("", "app"), Silent())
    for blob in held.blobs:
        digest, buffer, reader = hashlib.sha256(), memoryview(bytearray(2**16)), blob.open()
        while length := reader.readinto(buffer):
            digest.update(buffer[:length])
        if f"sha256:{digest.hexdigest()}" != (blob.descriptor.digest if blob.descriptor else blob.diff_id):
            return None
    return held.manifests[-1].digest if held.manifests else held.images[0].id


def test_a_gzipped_archive_is_unpacked_aside(
    registry: LocalRegistry, shop: Workshop, push: Callable[..., Finished], tmp_path: Path
) -> None:
    path = gzipped(by_buildah("oci-archive"))(shop)
    aside = tmp_path / "aside"
    aside.mkdir()
    push(path, "gzipped", TMPDIR=str(aside)).expect(0, f"Decompressing {path} to {aside}: it is gzipped as a whole.")
    assert [*aside.iterdir()] == []


def test_an_unpacked_archive_is_a_layout(
    registry: LocalRegistry, shop: Workshop, push: Callable[..., Finished]
) -> None:
    path = unpacked(by_buildah("oci-archive"))(shop)
    push(path, "unpacked").expect(0, "✔ Pushed")
    assert raw(shop, registry, "unpacked") == shop.skopeo("inspect", "--raw", f"oci:{path}")


def test_oras_pulls_a_layout_that_is_pushed_again(
    registry: LocalRegistry, shop: Workshop, push: Callable[..., Finished]
) -> None:
    push(by_buildah("oci")(shop), "first").expect(0)
    path = by_oras(shop, registry, "first")
    finished = push(path, "second")
    finished.expect(0, "✔ Pushed")
    assert finished.result["digest"] == digest_in(registry, "first") == digest_in(registry, "second")


def test_an_engine_of_layers_in_folders_saves_what_is_pushed(
    registry: LocalRegistry, engine: docker.DockerClient, shop: Workshop, push: Callable[..., Finished]
) -> None:
    """The Engine in use: on Debian 12 one of those that link equal layers, later ones also write a layout."""
    path = shop.docker(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    push(path, "saved").expect(0, "✔ Pushed", "COPY … in /")
    assert SAYS in printed(engine, f"{registry.host}/{REPOSITORY}:saved")


def test_what_docker_squash_writes_is_pushed(
    registry: LocalRegistry, engine: docker.DockerClient, shop: Workshop, push: Callable[..., Finished]
) -> None:
    path = by_docker_squash(shop, os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    push(path, "squashed").expect(0, "✔ Pushed")
    manifest = json.loads(raw(shop, registry, "squashed"))
    assert manifest["config"]["digest"] == digest_of(config_of(path))
    assert len(manifest["layers"]) == 1
    assert SAYS in printed(engine, f"{registry.host}/{REPOSITORY}:squashed")


def test_what_pyoci_writes_is_pushed(start_registry: StartRegistry, shop: Workshop, run: Run, tmp_path: Path) -> None:
    tls = make_certificate(tmp_path / "tls", "IP:127.0.0.1")
    registry = start_registry(tls)
    usual = {"IMAGE_NAME": shop.name, "PACKAGE_NAME": "my-container-app", "REQUESTS_CA_BUNDLE": str(tls.authority)}
    base = DOCKER_ARCHIVES["kaniko"](shop)
    run(registry, **usual, **NOWHERE, TAGS="base", IMAGE_ARCHIVE=str(base)).expect(0)
    path = by_pyoci(shop, registry, tls.authority, "base")
    before = shop.skopeo("inspect", "--raw", f"oci:{path}")
    finished = run(registry, **usual, **NOWHERE, TAGS="pyoci", IMAGE_ARCHIVE=str(path))
    finished.expect(0, "✔ Pushed")
    assert digest_in(registry, "pyoci") == digest_of(before)


def test_equal_layers_that_an_engine_links_are_sent_once(
    registry: LocalRegistry, images: Images, push: Callable[..., Finished], tmp_path: Path
) -> None:
    same, other = (archive_of({name: secrets.token_bytes(200_000)}) for name in ("same", "other"))
    image = images.load(same, other, same)
    path = tmp_path / "image.tar"
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    archives.run("docker", "--host", host, "save", "--output", path, image.name)
    push(path, "linked", IMAGE_NAME=image.name).expect(0, "✔ Pushed")
    uploads = [entry for entry in registry.requests(method="P[AU]T*", path="*/uploads/*") if entry.received > 200_000]
    assert len(uploads) == 2
    assert digest_of(config_of(path)) == image.id


def test_one_of_several_images_is_picked_by_its_name(
    registry: LocalRegistry, shop: Workshop, push: Callable[..., Finished]
) -> None:
    """Podman saves all of them into one docker archive, and puts `localhost/` before their names."""
    names = [shop.build(), shop.name.replace("archive", "another")]
    (shop.context / "second").write_text("another", "utf-8")
    shop.buildah("build", "--isolation=chroot", f"--tag={names[1]}", str(shop.context))
    path = shop.folder / "both.tar"
    shop.podman("save", "--multi-image-archive", f"--output={path}", *names)
    digests = []
    for tag, name in zip(("one", "another"), names, strict=True):
        finished = push(path, tag, IMAGE_NAME=name)
        finished.expect(0, "✔ Pushed")
        config = json.loads(raw(shop, registry, tag))["config"]["digest"]
        assert config.removeprefix("sha256:") in shop.podman("inspect", "--format={{.Id}}", name).decode()
        digests.append(config)
    assert len({*digests}) == 2
    neither = push(path, "neither", IMAGE_NAME="neither")
    listed = [f"\n  - localhost/{name} (linux/amd64, {each})" for name, each in zip(names, digests, strict=True)]
    neither.expect(3, f"none of them is neither:{''.join(listed)}\n")
    pasted = push(path, "pasted", IMAGE_NAME=f"localhost/{names[1]}")
    pasted.expect(0, "✔ Pushed")


def test_every_platform_of_an_index_arrives(
    registry: LocalRegistry, shop: Workshop, push: Callable[..., Finished]
) -> None:
    path = shop.folder / "index.tar"
    shop.buildah("manifest", "push", "--all", shop.build("linux/amd64", "linux/arm64"), f"oci-archive:{path}")
    before = shop.skopeo("inspect", "--raw", f"oci-archive:{path}")
    finished = push(path, "index")
    finished.expect(0, "✔ Pushed", "INFO: linux/amd64\n", "INFO: linux/arm64\n")
    assert raw(shop, registry, "index") == before
    children = [each["digest"] for each in json.loads(before)["manifests"]]
    assert [digest_in(registry, each) for each in children] == children
    puts = [entry.path.rpartition("/")[2] for entry in registry.requests(method="PUT", path="*/manifests/*")]
    assert (sorted(puts[:-1]), puts[-1]) == (sorted(children), "index"), "children before parents"
    platforms = finished.result["platforms"]
    assert isinstance(platforms, list)
    named = [(f"linux/{each['platform']['architecture']}", each["digest"]) for each in json.loads(before)["manifests"]]
    assert [(each["platform"], each["digest"]) for each in platforms] == named, "in the order of the index"
    for child, platform in zip(children, platforms, strict=True):
        layers = json.loads(raw(shop, registry, child))["layers"]
        told = [(layer["digest"], layer["size"], layer["status"]) for layer in platform["layers"]]
        assert told == [(layer["digest"], layer["size"], "uploaded") for layer in layers]
