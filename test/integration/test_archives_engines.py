"""Archives that newer Engines and buildx write, and images of several platforms in a containerd store."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from integration import archives
from integration.archives import NOWHERE, Workshop, by_buildah, by_buildx, config_of, digest_of, raw, run_oras
from integration.layouts import Layout
from integration.registries import REPOSITORY, digest_in
from integration.running import Finished, Run
from integration.second_engine import INSIDE, Second

pytestmark = [pytest.mark.root]


@pytest.mark.parametrize("kind", ["containerd", "graphdriver"])
def test_what_a_newer_engine_saves_is_pushed_without_it(
    request: pytest.FixtureRequest, run: Run, shop: Workshop, kind: str
) -> None:
    second: Second = request.getfixturevalue(kind)
    path = shop.docker(second.engine.docker_host)
    variables = {"IMAGE_NAME": shop.name, "PACKAGE_NAME": "my-container-app", "TAGS": kind, "IMAGE_ARCHIVE": str(path)}
    finished = run(second.registry, **NOWHERE, **variables)
    finished.expect(0, "✔ Pushed", "COPY … in /")
    manifest = json.loads(raw(shop, second.registry, kind))
    types = {layer["mediaType"].rpartition("tar")[2] for layer in manifest["layers"]}
    assert types <= {"+gzip", ".gzip"}, "compressed for the registry, whatever the Engine keeps"
    if kind == "containerd":
        assert finished.result["digest"] == digest_of(shop.skopeo("inspect", "--raw", f"oci-archive:{path}"))
    else:
        assert manifest["config"]["digest"] == digest_of(config_of(path))
    second.client.api.pull(
        f"{INSIDE}/{REPOSITORY}:{kind}", auth_config={"username": "reader", "password": "reader-token"}
    )
    pulled = second.client.images.get(f"{INSIDE}/{REPOSITORY}:{kind}")
    assert pulled.attrs["RootFS"]["Layers"] == json.loads(config_of(path))["rootfs"]["diff_ids"]
    second.client.images.remove(str(pulled.id), force=True)


def test_an_index_that_a_containerd_store_pushes_is_told_by_platforms(
    containerd: Second, run_second: Callable[..., Finished]
) -> None:
    platforms = {"linux/amd64": [1_000_000, 2_000], "linux/arm64": [3_000]}
    index = containerd.layouts.load(platforms, attested=True)
    table = ("INFO: linux/amd64\n", "INFO: linux/arm64\n", "COPY layer-2 /")
    for expected in (("✔ Pushed", *table), ("✔ Up to date",)):
        finished = run_second(containerd, IMAGE_NAME=index.name, TAGS="by-platform")
        finished.expect(0, *expected)
        told = finished.result["platforms"]
        assert isinstance(told, list)
        assert [(each["platform"], each["digest"], [layer["digest"] for layer in each["layers"]]) for each in told] == [
            (name, digest, index.layers_of(digest)) for name, digest in zip(platforms, index.manifests, strict=False)
        ]


@pytest.mark.parametrize(
    ("platforms", "output"),
    [
        pytest.param(["linux/amd64"], {"type": "oci"}, id="oci"),
        pytest.param(["linux/amd64"], {"type": "docker"}, id="docker"),
        pytest.param(["linux/amd64"], {"type": "oci", "compression": "zstd"}, id="zstd"),
        pytest.param(["linux/amd64"], {"type": "oci", "tar": "false"}, id="folder"),
        pytest.param(["linux/amd64", "linux/arm64"], {"type": "oci"}, id="two-platforms"),
    ],
)
def test_what_buildx_writes_keeps_its_digest(
    containerd: Second, run: Run, shop: Workshop, platforms: list[str], output: dict[str, str]
) -> None:
    """Of one platform, too, BuildKit makes an index: its other entry says how the image was built."""
    path = by_buildx(shop, containerd.engine.docker_host, *platforms, **output)
    transport = "oci" if path.is_dir() else "oci-archive"
    before = shop.skopeo("inspect", "--raw", f"{transport}:{path}")
    variables = {"IMAGE_NAME": shop.name, "PACKAGE_NAME": "my-container-app", "TAGS": "buildx"}
    finished = run(containerd.registry, **NOWHERE, **variables, IMAGE_ARCHIVE=str(path))
    finished.expect(0, "✔ Pushed")
    assert raw(shop, containerd.registry, "buildx") == before
    assert finished.result["digest"] == digest_of(before)
    children = [each["digest"] for each in json.loads(before).get("manifests", [])]
    assert [digest_in(containerd.registry, each) for each in children] == children
    told = finished.result["platforms"]
    assert isinstance(told, list)
    assert [each["platform"] for each in told] == platforms


def test_attestations_that_a_containerd_store_saves_go_along(containerd: Second, run: Run, tmp_path: Path) -> None:
    index = containerd.layouts.load({"linux/amd64": [1000], "linux/arm64": [1000]}, attested=True)
    path = saved(containerd, index, tmp_path)
    variables = {"IMAGE_NAME": index.name, "TAGS": "attested", "IMAGE_ARCHIVE": str(path)}
    finished = run(containerd.registry, **NOWHERE, **variables)
    finished.expect(0, "✔ Pushed")
    assert finished.result["digest"] == index.digest
    assert [digest_in(containerd.registry, each) for each in index.manifests] == index.manifests


def test_a_platform_that_was_not_saved_is_left_out(containerd: Second, run: Run, tmp_path: Path) -> None:
    """As with the Engine's own push, the tag refers to the manifest of the only platform that is there."""
    index = containerd.layouts.load({"linux/amd64": [1000], "linux/arm64": [1000]}, without=["linux/arm64"])
    path = saved(containerd, index, tmp_path)
    containerd.registry.clear()
    variables = {"IMAGE_NAME": index.name, "TAGS": "sparse", "IMAGE_ARCHIVE": str(path)}
    finished = run(containerd.registry, **NOWHERE, **variables)
    finished.expect(0, f"WARNING: {path} does not contain linux/arm64", "pushing only linux/amd64.", "✔ Pushed")
    assert digest_in(containerd.registry, "sparse") == index.manifests[0]


def test_the_platforms_that_were_saved_of_three_stay_an_index(containerd: Second, run: Run, tmp_path: Path) -> None:
    platforms = {"linux/amd64": [1000], "linux/arm64": [1000], "linux/s390x": [1000]}
    index = containerd.layouts.load(platforms, without=["linux/arm64"])
    path = saved(containerd, index, tmp_path)
    variables = {"IMAGE_NAME": index.name, "TAGS": "two-of-three", "IMAGE_ARCHIVE": str(path)}
    finished = run(containerd.registry, **NOWHERE, **variables)
    finished.expect(0, "does not contain linux/arm64", "INFO: linux/amd64\n", "INFO: linux/s390x\n", "✔ Pushed")
    assert [digest_in(containerd.registry, each) for each in index.manifests] == [
        index.manifests[0],
        None,
        index.manifests[2],
    ]
    assert digest_in(containerd.registry, "two-of-three") == finished.result["digest"] != index.digest


def test_plain_layers_of_a_containerd_store_are_uploaded_by_the_pipe(
    containerd: Second, run_second: Callable[..., Finished], shop: Workshop
) -> None:
    """`docker load` of a docker archive leaves them uncompressed, and the stored manifest names them so."""
    path = by_buildah("docker-archive")(shop)
    with path.open("rb") as archive:
        [image] = containerd.client.images.load(archive)
    try:
        image.tag(shop.name.partition(":")[0], "1.0")
        variables = {"IMAGE_NAME": shop.name, "PACKAGE_NAME": "my-container-app", "TAGS": "plain"}
        finished = run_second(containerd, **variables, UPLOADER="pipe")
        finished.expect(0, "✔ Pushed")
        finished.expect_not("Attempt 1 of 3 failed")
        assert finished.result["uploader"] == "pipe"
        layers = json.loads(raw(shop, containerd.registry, "plain"))["layers"]
        assert [layer["digest"] for layer in layers] == image.attrs["RootFS"]["Layers"]
    finally:
        containerd.client.images.remove(str(image.id), force=True)


@pytest.mark.parametrize("referrers", [False, True], ids=["children", "referrer"])
def test_what_oras_copies_beside_an_image_gives_way_to_it(
    containerd: Second, run: Run, shop: Workshop, referrers: bool
) -> None:
    source = shop.folder / "source"
    if referrers:
        shop.buildah("push", shop.build(), f"oci:{source}:v1")
        (shop.folder / "statement").write_text("it is good", "utf-8")
        run_oras(
            "attach", "--oci-layout", f"{source}:v1", "--artifact-type=text/plain", "statement", folder=shop.folder
        )
    else:
        shop.buildah("manifest", "push", "--all", shop.build("linux/amd64", "linux/arm64"), f"oci:{source}:v1")
    copied = shop.folder / "copied"
    options = ("--recursive",) if referrers else ()
    run_oras(
        "copy", *options, "--from-oci-layout", f"{source}:v1", "--to-oci-layout", f"{copied}:v1", folder=shop.folder
    )
    listed = json.loads((copied / "index.json").read_bytes())["manifests"]
    [image] = [each for each in listed if "v1" in each.get("annotations", {}).values()]
    assert len(listed) > 1, "what gives way is there"
    variables = {"IMAGE_NAME": shop.name, "PACKAGE_NAME": "my-container-app", "TAGS": "oras"}
    run(containerd.registry, **NOWHERE, **variables, IMAGE_ARCHIVE=str(copied)).expect(0, "✔ Pushed")
    assert digest_in(containerd.registry, "oras") == image["digest"]


def test_an_artifact_of_oras_alone_is_pushed(containerd: Second, run: Run, shop: Workshop) -> None:
    (shop.folder / "notes.txt").write_text("notes", "utf-8")
    layout = shop.folder / "artifact"
    run_oras("push", "--oci-layout", f"{layout}:v1", "notes.txt:text/plain", folder=shop.folder)
    variables = {"IMAGE_NAME": "artifact", "PACKAGE_NAME": "my-container-app", "TAGS": "artifact"}
    run(containerd.registry, **NOWHERE, **variables, IMAGE_ARCHIVE=str(layout)).expect(0, "✔ Pushed")
    [root] = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert digest_in(containerd.registry, "artifact") == root["digest"]


def saved(second: Second, index: Layout, folder: Path) -> Path:
    """Save an image with the docker command."""
    path = folder / "saved.tar"
    archives.run("docker", "--host", second.engine.docker_host, "save", "--output", path, index.name)
    return path
