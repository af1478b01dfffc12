"""Archives that newer Engines and buildx write, and images of several platforms in a containerd store."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from integration import archives
from integration.archives import NOWHERE, Workshop, by_buildx, config_of, digest_of, raw
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
    for expected in ("✔ Pushed", "✔ Up to date"):
        finished = run_second(containerd, IMAGE_NAME=index.name, TAGS="by-platform")
        finished.expect(0, expected, "INFO: linux/amd64\n", "INFO: linux/arm64\n", "COPY layer-2 /")
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


def saved(second: Second, index: Layout, folder: Path) -> Path:
    """Save an image with the docker command."""
    path = folder / "saved.tar"
    archives.run("docker", "--host", second.engine.docker_host, "save", "--output", path, index.name)
    return path
