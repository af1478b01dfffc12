"""Archives and layouts in every form, and which of their images is meant."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from unit.source.archives import (
    CONFIG,
    IMAGE_ID,
    LAYERS,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Files,
    as_json,
    digest,
    docker_archive,
    layout,
    opened,
    read,
    tar,
)

from pipe.errors import ArchiveError
from pipe.oci.reference import Reference


@pytest.mark.parametrize("whole", [False, True], ids=["tar", "gzipped-tar"])
@pytest.mark.parametrize("gzipped", [False, True], ids=["plain-layers", "gzipped-layers"])
def test_a_docker_archive(tmp_path: Path, gzipped: bool, whole: bool) -> None:
    data = tar(docker_archive(gzipped=gzipped))
    held = opened(tmp_path, gzip.compress(data) if whole else data)
    assert (held.manifests, held.config) == ((), as_json(CONFIG))
    assert [blob.diff_id for blob in held.blobs] == [digest(layer) for layer in LAYERS]
    assert [blob.descriptor is not None for blob in held.blobs] == [gzipped] * 2
    contents = [read(blob) for blob in held.blobs]
    assert [gzip.decompress(each) if gzipped else each for each in contents] == [*LAYERS]
    [image] = held.images
    assert image.id == IMAGE_ID
    assert [layer.instruction for layer in image.layers] == ["ADD base /", "COPY top /"]


def test_layers_may_be_links(tmp_path: Path) -> None:
    """`docker save` of older Engines links equal layers."""
    files = docker_archive(config=CONFIG | {"rootfs": {"diff_ids": [digest(LAYERS[0])] * 2}})
    files["a/layer.tar"], files["b/layer.tar"] = LAYERS[0], "../a/layer.tar"
    files["manifest.json"] = as_json([{"Config": "config.json", "Layers": ["a/layer.tar", "b/layer.tar"]}])
    assert [read(blob) for blob in opened(tmp_path, tar(files)).blobs] == [LAYERS[0]] * 2


@pytest.mark.parametrize("packed", [False, True], ids=["directory", "archive"])
@pytest.mark.parametrize("platforms", [("amd64",), ("amd64", "arm64")], ids=["manifest", "index"])
def test_a_layout_stays_byte_for_byte(tmp_path: Path, platforms: tuple[str, ...], packed: bool) -> None:
    files = layout(platforms)
    held = opened(tmp_path, tar(files) if packed else files)
    root = json.loads(files["index.json"])["manifests"][0]["digest"]
    assert held.manifests[-1].digest == root
    assert {manifest.digest for manifest in held.manifests} <= {f"sha256:{name[13:]}" for name in files}
    assert all(digest(read(blob)) == (blob.descriptor and blob.descriptor.digest) for blob in held.blobs)
    assert len(held.blobs) == len(platforms) + 2, "each blob once"
    assert [str(image.platform) for image in held.images] == [f"linux/{each}" for each in platforms]


def test_what_engines_write_is_a_docker_archive(tmp_path: Path) -> None:
    """Engines since 25 write an OCI layout, too, whose layers are plain."""
    plain = {f"blobs/sha256/{digest(layer)[7:]}": layer for layer in LAYERS}
    layers = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": each, "size": len(layer)}
        for each, layer in zip(map(digest, LAYERS), LAYERS, strict=True)
    ]
    config = {"mediaType": OCI_CONFIG, "digest": IMAGE_ID, "size": len(as_json(CONFIG))}
    body = as_json({"mediaType": OCI_MANIFEST, "config": config, "layers": layers})
    named = {f"blobs/sha256/{digest(data)[7:]}": data for data in (body, as_json(CONFIG))}
    files = docker_archive() | plain | named
    files["index.json"] = as_json({"manifests": [{"digest": digest(body), "size": len(body)}]})
    assert opened(tmp_path, tar(files)).config == as_json(CONFIG)


TAGS = ("app:1.0", "docker.io/library/other:latest", "localhost/podman:latest", "index.docker.io/library/kaniko:2")
SEVERAL: Files = docker_archive(
    manifest=[
        {"Config": f"{number}.json", "RepoTags": [tag], "Layers": ["base.tar", "top.tar"]}
        for number, tag in enumerate(TAGS)
    ]
) | {f"{number}.json": as_json(CONFIG | {"author": tag}) for number, tag in enumerate(TAGS)}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("app:1.0", TAGS[0], id="as-it-is"),
        pytest.param("docker.io/library/app:1.0", TAGS[0], id="in-full"),
        pytest.param("other", TAGS[1], id="latest"),
        pytest.param("podman", TAGS[2], id="as-podman-names-it"),
        pytest.param("kaniko:2", TAGS[3], id="as-kaniko-names-it"),
    ],
)
def test_the_image_of_a_docker_archive_that_is_meant(tmp_path: Path, name: str, meant: str) -> None:
    held = opened(tmp_path, tar(SEVERAL), Reference.parse(name))
    assert json.loads(held.config)["author"] == meant


def test_where_none_is_meant_all_are_listed(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as raised:
        opened(tmp_path, tar(SEVERAL), Reference("", "third"))
    ids = (digest(as_json(CONFIG | {"author": tag})) for tag in TAGS)
    listed = "".join(f"\n  - {tag} (linux/amd64, {each})" for tag, each in zip(TAGS, ids, strict=True))
    assert f"contains several images, and none of them is third:{listed}\nSet IMAGE_NAME" in str(raised.value)


def named(**images: dict[str, str]) -> Files:
    """Make a layout of several images, each with annotations."""
    files: Files = {}
    roots = []
    for architecture, annotations in images.items():
        made = layout((architecture,))
        [root] = json.loads(made["index.json"])["manifests"]
        roots.append(root | {"annotations": annotations})
        files |= made
    return files | {"index.json": as_json({"schemaVersion": 2, "manifests": roots})}


FULL, REF = "io.containerd.image.name", "org.opencontainers.image.ref.name"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({FULL: "docker.io/library/app:1.0"}, {FULL: "docker.io/library/other:1.0"}, id="containerd"),
        pytest.param(
            {FULL: "docker.io/library/app:1.0", REF: "1.0"},
            {FULL: "docker.io/library/other:1.0", REF: "1.0"},
            id="two-of-one-tag",
        ),
        pytest.param({REF: "app:1.0"}, {REF: "app:2.0"}, id="ref-name-in-full"),
        pytest.param({REF: "1.0"}, {REF: "2.0"}, id="ref-name-is-a-tag"),
        pytest.param({REF: "localhost/app:1.0"}, {REF: "1.0"}, id="in-full-before-a-tag"),
        pytest.param({REF: "app:1.0"}, {REF: "app"}, id="exactly"),
    ],
)
def test_the_image_of_a_layout_that_is_meant(tmp_path: Path, first: dict[str, str], second: dict[str, str]) -> None:
    held = opened(tmp_path, named(arm64=second, amd64=first))
    assert [str(image.platform) for image in held.images] == ["linux/amd64"]


@pytest.mark.parametrize("name", ["v1", "my-image"])
def test_an_image_is_selected_by_exactly_what_it_is_called(tmp_path: Path, name: str) -> None:
    """Other tools show this name, so people write it."""
    held = opened(tmp_path, named(arm64={REF: "v2"}, amd64={REF: name}), Reference.parse(name))
    assert [str(image.platform) for image in held.images] == ["linux/amd64"]


def test_where_no_image_of_a_layout_is_meant_all_are_listed(tmp_path: Path) -> None:
    files = named(arm64={REF: "2.0"}, amd64={})
    root = json.loads(files["index.json"])["manifests"][1]["digest"]
    with pytest.raises(ArchiveError) as raised:
        opened(tmp_path, files)
    first = json.loads(files["index.json"])["manifests"][0]["digest"]
    listed = f"\n  - app:2.0 (linux/arm64, {first})\n  - app@{root} (linux/amd64)\n"
    assert f"none of them is app:1.0:{listed}" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("docker.io/library/app:1.0", TAGS[0], id="in-full"),
        pytest.param("other", TAGS[1], id="latest"),
        pytest.param(digest(as_json(CONFIG | {"author": TAGS[2]})), TAGS[2], id="digest"),
    ],
)
def test_one_of_several_names_selects_its_image_of_a_docker_archive(tmp_path: Path, name: str, meant: str) -> None:
    reference = Reference("", "", digest=name) if name.startswith("sha256:") else Reference.parse(name)
    assert json.loads(opened(tmp_path, tar(SEVERAL), reference, strict=True).config)["author"] == meant


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(tar(SEVERAL), "contains several images, and none of them is app:2.0:\n", id="docker-archive"),
        pytest.param(tar(docker_archive()), "contains one image, which is not app:2.0:\n", id="one-docker-archive"),
        pytest.param(
            named(amd64={REF: "2.0"}), "contains one image, which is not app:2.0:\n", id="layout-with-only-its-tag"
        ),
        pytest.param(
            named(amd64={FULL: "docker.io/library/app:1.0"}),
            "contains one image, which is not app:2.0:\n  - docker.io/library/app:1.0 (",
            id="layout-with-another-name",
        ),
        pytest.param(
            {"manifest.json": as_json({"schemaVersion": 2, "layers": []}), "version": b"1"},
            "it has one image without a name.\nName only one image in IMAGE_NAME.",
            id="directory",
        ),
    ],
)
def test_one_of_several_names_must_be_that_of_an_image(tmp_path: Path, data: bytes | Files, words: str) -> None:
    """With a single name, the only image is taken whatever its name is."""
    with pytest.raises(ArchiveError) as raised:
        opened(tmp_path, data, Reference.parse("app:2.0"), strict=True)
    assert words in str(raised.value)


def test_one_of_several_names_selects_its_image_of_a_layout(tmp_path: Path) -> None:
    files = named(arm64={FULL: "docker.io/library/other:1.0"}, amd64={FULL: "docker.io/library/app:1.0"})
    held = opened(tmp_path, files, Reference.parse("app:1.0"), strict=True)
    assert [str(image.platform) for image in held.images] == ["linux/amd64"]


def test_an_image_is_picked_by_its_digest(tmp_path: Path) -> None:
    files = named(arm64={}, amd64={})
    root = json.loads(files["index.json"])["manifests"][1]["digest"]
    assert opened(tmp_path, files, Reference("", "", digest=root)).manifests[-1].digest == root


def test_attestations_go_along_and_are_no_platform(tmp_path: Path) -> None:
    """Also where the archive has a `manifest.json`, as of an Engine with a containerd store."""
    files = layout(("amd64",), attested=True)
    held = opened(tmp_path, tar(files | docker_archive()))
    assert [str(image.platform) for image in held.images] == ["linux/amd64"]
    assert len(held.manifests) == 3, "the image, its attestation, the index"
    assert {manifest.digest for manifest in held.manifests} <= {f"sha256:{name[13:]}" for name in files}


@pytest.mark.parametrize("kind", ["tar+zstd", "tar"])
def test_layers_of_a_layout_are_pushed_as_they_are(tmp_path: Path, kind: str) -> None:
    files = layout(layer_type=OCI_LAYER.removesuffix("tar+gzip") + kind)
    held = opened(tmp_path, files)
    assert {blob.descriptor and blob.descriptor.digest for blob in held.blobs} == {
        f"sha256:{name[13:]}" for name in files if name.startswith("blobs")
    } - {held.manifests[0].digest}


def linked(kind: bytes, target: str) -> bytes:
    """Make a docker archive whose upper layer links to another entry."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        files = docker_archive(manifest=[{"Config": "config.json", "Layers": ["base.tar", "a/layer.tar"]}])
        for name, data in files.items():
            member = tarfile.TarInfo(f"./b/{name}" if name == "top.tar" else f"./{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data if isinstance(data, bytes) else b""))
        member = tarfile.TarInfo("a/layer.tar")
        member.type, member.linkname = kind, target
        archive.addfile(member)
    return content.getvalue()


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        pytest.param(tarfile.SYMTYPE, "../b/top.tar", id="symbolic"),
        pytest.param(tarfile.LNKTYPE, "b/top.tar", id="hard"),
        pytest.param(tarfile.LNKTYPE, "./b/top.tar", id="hard-with-a-dot"),
    ],
)
def test_a_hard_link_is_named_from_the_archive_s_root(tmp_path: Path, kind: bytes, target: str) -> None:
    """GNU tar writes the second of two equal files as a hard link."""
    assert [read(blob) for blob in opened(tmp_path, linked(kind, target)).blobs] == [*LAYERS]
