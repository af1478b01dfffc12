"""Every form that a real tool writes, and the messages of those that are not pushed."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.source.archives import (
    IMAGE_ID,
    LAYERS,
    Files,
    Log,
    as_json,
    digest,
    docker_archive,
    layout,
    opened,
    read,
    tar,
)
from unit.source.forms import EMPTY, Blobs, Form, forms, named, partial

from pipe.errors import ArchiveError
from pipe.oci.reference import Reference
from pipe.source.blob import StoredImage

FORMS = forms()


def expect_whole(held: StoredImage) -> None:
    """Check that all that is to be pushed is there, and what it claims to be."""
    stored = {blob.descriptor.digest for blob in held.blobs if blob.descriptor}
    digests = {manifest.digest for manifest in held.manifests}
    for manifest in held.manifests:
        config = manifest.config_descriptor
        assert {each.digest for each in manifest.layers} | ({config.digest} if config else set()) <= stored
        assert {each.digest for each in manifest.manifests} <= digests
    for blob in held.blobs:
        content = read(blob)
        if blob.descriptor:
            assert digest(content) == blob.descriptor.digest
        else:
            assert digest(content) == blob.diff_id


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS.keys())
def test_a_form_is_pushed(tmp_path: Path, make: Callable[[], Form]) -> None:
    form, log = make(), Log()
    held = opened(tmp_path, form.data, log=log)
    assert [*([held.manifests[-1].digest] if held.manifests else [])] == ([form.tagged] if form.tagged else [])
    if form.image:
        assert held.images[0].id == form.image
        assert [layer.diff_id for layer in held.images[0].layers] == [digest(layer) for layer in LAYERS]
    for words in form.logged:
        assert words in "\n".join(log.lines)
    if not form.logged:
        assert not [line for line in log.lines if line.startswith("WARNING")]
    expect_whole(held)


def test_what_remains_of_an_index_is_an_index(tmp_path: Path) -> None:
    """Two of three platforms: their manifests stay as they are, with all that the index says of them."""
    log = Log()
    files = partial(("amd64", "arm64", "s390x"), ("arm64",), attested=True)
    [root] = json.loads(files["index.json"])["manifests"]
    before = json.loads(files[f"blobs/sha256/{root['digest'][7:]}"])
    held = opened(tmp_path, tar(files), log=log)
    after = json.loads(held.manifests[-1].body)
    assert after == before | {"manifests": [each for number, each in enumerate(before["manifests"]) if number != 1]}
    assert [str(image.platform) for image in held.images] == ["linux/amd64", "linux/s390x"]
    [line] = [line for line in log.lines if line.startswith("WARNING")]
    assert "does not contain linux/arm64, which its index lists: pushing only linux/amd64, linux/s390x." in line
    assert "docker save --platform" in line
    expect_whole(held)
    assert opened(tmp_path, tar(files)).manifests[-1].digest == held.manifests[-1].digest, "the same every time"


@pytest.mark.parametrize("blob", ["config", "layer"])
def test_a_platform_without_all_of_its_blobs_is_left_out(tmp_path: Path, blob: str) -> None:
    """A containerd store can hold the manifests of all platforms, and the blobs of one."""
    blobs = Blobs()
    images = blobs.image("amd64"), blobs.image("arm64", layers=[blobs.put(b"own", "layer.tar")])
    index = blobs.index(*images)
    manifest = json.loads(blobs.files[f"blobs/sha256/{str(images[1]['digest'])[7:]}"])
    blobs.drop(manifest["config"] if blob == "config" else manifest["layers"][0])
    log = Log()
    held = opened(tmp_path, blobs.layout(named(index, "1.0")), log=log)
    assert [manifest.digest for manifest in held.manifests] == [images[0]["digest"]]
    assert "does not contain linux/arm64" in log.lines[-1]


def test_an_attestation_that_is_not_there_is_not_missed(tmp_path: Path) -> None:
    """`ctr images export --platform` leaves it out."""
    blobs = Blobs()
    image = blobs.image("amd64")
    attestation = blobs.image("unknown") | {"platform": {"os": "unknown", "architecture": "unknown"}}
    files = blobs.layout(named(blobs.index(image, attestation), "1.0"))
    del files[f"blobs/sha256/{str(attestation['digest'])[7:]}"]
    log = Log()
    held = opened(tmp_path, files, log=log)
    assert [manifest.digest for manifest in held.manifests] == [image["digest"]]
    [line] = log.lines
    assert line.endswith("does not contain an attestation, which its index lists: pushing only linux/amd64.")


def test_an_index_in_an_index_is_reduced_too(tmp_path: Path) -> None:
    blobs = Blobs()
    images = [blobs.image(each) for each in ("amd64", "arm64", "s390x")]
    inner = blobs.index(*images[1:])
    outer = blobs.index(images[0], inner)
    blobs.drop(images[2])
    held = opened(tmp_path, blobs.layout(named(outer, "1.0")))
    listed = [each["digest"] for each in json.loads(held.manifests[-1].body)["manifests"]]
    assert listed == [images[0]["digest"], images[1]["digest"]]
    expect_whole(held)


def test_what_is_damaged_is_not_left_out(tmp_path: Path) -> None:
    blobs = Blobs()
    images = blobs.image("amd64"), blobs.image("arm64")
    index = blobs.index(*images)
    blobs.files[f"blobs/sha256/{str(images[1]['digest'])[7:]}"] = b"{}"
    with pytest.raises(ArchiveError, match="is damaged"):
        opened(tmp_path, blobs.layout(named(index, "1.0")))


REFUSED: dict[str, tuple[bytes | Files, str, str]] = {
    "docker-export": (
        tar({"etc/hostname": b"x\n", "etc/mtab": "/proc/mounts", "app": b"x"}),
        "it contains the files of a container, as `docker export` writes them",
        "Save the image with `docker save`",
    ),
    "docker-export-in-a-directory": (
        {"etc/hostname": b"x\n", "app": b"x"},
        "it contains the files of a container",
        "Save the image with `docker save`",
    ),
    "zstd-layer": (
        tar(docker_archive() | {"top.tar": b"\x28\xb5\x2f\xfd" + bytes(100)}),
        "the layer top.tar has unsupported compression zstd (expected none or gzip)",
        "crane pull --format=oci",
    ),
    "zstd-layer-of-pzstd": (
        tar(docker_archive() | {"top.tar": b"\x50\x2a\x4d\x18\x04\x00\x00\x00" + bytes(100)}),
        "the layer top.tar has unsupported compression zstd (expected none or gzip)",
        "crane pull --format=oci",
    ),
    "pzstd": (
        b"\x5f\x2a\x4d\x18\x04\x00\x00\x00" + bytes(100),
        "zstd compression is not supported for a whole archive (expected none or gzip)",
        "zstd -d image",
    ),
    "sif": (
        b"#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0" + bytes(600),
        "image is a Singularity image (SIF), which",
        "OCI or docker archive",
    ),
    "squashfs": (b"hsqs" + bytes(600), "image is a squashfs file system, which", "OCI or docker archive"),
    "qcow2": (b"QFI\xfb" + bytes(600), "image is a disk image (qcow2), which", "OCI or docker archive"),
    "zip": (b"PK\x03\x04" + bytes(600), "image is a zip archive, which", "OCI or docker archive"),
    "lz4": (b"\x04\x22\x4d\x18" + bytes(100), "lz4 compression is not supported for a whole archive", "lz4 -d image"),
    "config-over-the-limit": (
        docker_archive(config={"x": "x" * (8 << 20)}),
        "config.json is too large: it has 8388617 bytes, the limit is 8388608",
        "Re-create it",
    ),
    "schema-1-in-a-dir": (
        {"version": b"", "manifest.json": as_json({"schemaVersion": 1, "mediaType": "x.v1+prettyjws"})},
        "is x.v1+prettyjws, which is not an image",
        "Re-create it",
    ),
    "neither-form-is-whole": (
        tar(docker_archive() | {"index.json": b"{}", "top.tar": b"x", "base.tar": "nowhere"}),
        "the layer base.tar is listed but missing",
        "Re-create it",
    ),
    "one-root-of-sha512": (
        layout()
        | {
            "index.json": as_json(
                {
                    "manifests": [
                        json.loads(layout(name="other:1.0")["index.json"])["manifests"][0],
                        {"digest": "sha512:" + "0" * 128, "size": 1},
                    ]
                }
            )
        },
        "index.json: SHA-512 digests are not supported; use SHA-256",
        "Re-create it",
    ),
}


@pytest.mark.parametrize(("data", "words", "fix"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_pushed_says_what_to_do(tmp_path: Path, data: bytes | Files, words: str, fix: str) -> None:
    with pytest.raises(ArchiveError) as raised:
        opened(tmp_path, data)
    assert words in raised.value.summary
    assert raised.value.fix.startswith(fix) or fix in raised.value.fix


def test_the_other_description_is_used_in_both_directions(tmp_path: Path) -> None:
    """What an Engine with a graphdriver saves is read as a docker archive, unless only its layout is whole."""
    blobs = Blobs()
    config = blobs.put(
        as_json({"rootfs": {"diff_ids": [digest(LAYERS[0])]}}), "application/vnd.oci.image.config.v1+json"
    )
    layer = blobs.put(LAYERS[0], "application/vnd.oci.image.layer.v1.tar")
    root = blobs.put(as_json({"config": config, "layers": [layer]}), "application/vnd.oci.image.manifest.v1+json")
    files = blobs.layout(root) | {"manifest.json": as_json([{"Config": "gone", "Layers": []}])}
    assert opened(tmp_path, tar(files)).manifests[-1].digest == root["digest"]


def candidates() -> dict[str, bytes | Files]:
    """Make archives of several images that one name cannot tell apart."""
    blobs = Blobs()
    amd64, arm64 = blobs.image("amd64"), blobs.image("arm64")
    index = blobs.index(blobs.image("ppc64le"), blobs.image("s390x"))
    full = {"annotations": {"io.containerd.image.name": "docker.io/library/web:1.0"}}
    configs = [as_json({"os": "linux", "architecture": each, "rootfs": {}}) for each in ("amd64", "arm64", "riscv64")]

    def docker(*tags: list[str] | None) -> bytes:
        listed = [{"Config": f"c{n}.json", "RepoTags": each, "Layers": None} for n, each in enumerate(tags)]
        return tar({f"c{n}.json": each for n, each in enumerate(configs)} | {"manifest.json": as_json(listed)})

    return {
        "tags": blobs.layout(named(amd64, "v1"), named(arm64, "v2"), index),
        "one-tag": blobs.layout(named(amd64, "v1"), named(arm64, "v1"), named(index, "v1")),
        "one-full-name": blobs.layout(amd64 | full, arm64 | full),
        "names-that-are-no-references": blobs.layout(named(amd64, "My App"), named(arm64, "../x"), named(index, "")),
        "docker": docker(["a:1", "a:2"], ["b:1"], None),
        "docker-of-one-tag": docker(["a:1"], ["a:1"], ["a:1"]),
        "docker-without-tags": docker(None, [], None),
    }


CANDIDATES = candidates()


@pytest.mark.parametrize("name", ["app", "group/app:9", "crg.apkg.io/ws/app:9", "sha256:" + "0" * 64])
@pytest.mark.parametrize("data", CANDIDATES.values(), ids=CANDIDATES.keys())
def test_what_the_list_shows_can_be_pasted(tmp_path: Path, data: bytes | Files, name: str) -> None:
    """Each line is an IMAGE_NAME, its platform and its digest; the value chooses that image, and no other."""
    with pytest.raises(ArchiveError) as raised:
        opened(tmp_path, data, image_name(name))
    lines = [re.fullmatch(r"  - (\S+) \((.*)\)", line) for line in raised.value.cause.splitlines()[1:]]
    pasted = []
    for line in lines:
        assert line
        held = opened(tmp_path, data, image_name(line[1]))
        found = held.manifests[-1].digest if held.manifests else held.images[0].id
        assert found in line[0]
        platforms = {str(image.platform) for image in held.images}
        assert platforms == set(line[2].split(", ")) - {found}
        pasted.append(found)
    assert len(set(pasted)) == len(lines) >= 2


def image_name(text: str) -> Reference:
    """Read IMAGE_NAME as the settings do."""
    return Reference("", "", digest=text) if text.startswith("sha256:") else Reference.parse(text)


@pytest.mark.parametrize("form", ["tags", "docker"])
def test_a_digest_that_no_image_has_chooses_none(tmp_path: Path, form: str) -> None:
    with pytest.raises(ArchiveError, match="none of them is a:1@sha256:000"):
        opened(tmp_path, CANDIDATES[form], Reference.parse("a:1@sha256:" + "0" * 64))


def test_a_referrer_is_pushed_if_its_digest_is_named(tmp_path: Path) -> None:
    blobs = Blobs()
    image, empty = blobs.image("amd64"), blobs.put(b"{}", EMPTY)
    artifact = blobs.put(as_json({"config": empty, "layers": [empty], "subject": image}), "")
    files = blobs.layout(named(image, "v1"), artifact)
    held = opened(tmp_path, files, Reference.parse(f"app@{artifact['digest']}"))
    assert [manifest.digest for manifest in held.manifests] == [artifact["digest"]]


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="no-history"),
        pytest.param({"history": None}, id="null"),
        pytest.param({"history": [None, {"created_by": None}]}, id="null-entries"),
        pytest.param({"os": None, "architecture": None}, id="no-platform"),
        pytest.param({"Rootfs": {"DIFF_IDS": [digest(layer) for layer in LAYERS]}, "rootfs": None}, id="capitals"),
    ],
)
def test_a_config_without_what_is_optional(tmp_path: Path, config: dict[str, object]) -> None:
    rootfs = {"rootfs": {"diff_ids": [digest(layer) for layer in LAYERS]}}
    held = opened(tmp_path, tar(docker_archive(config=rootfs | config)))
    assert [layer.diff_id for layer in held.images[0].layers] == [digest(layer) for layer in LAYERS]


def test_a_gzipped_file_of_many_members_is_whole(tmp_path: Path) -> None:
    """As pigz's relatives and eStargz write them."""
    data = tar(docker_archive(gzipped=True))
    members = b"".join(gzip.compress(data[start : start + 700]) for start in range(0, len(data), 700))
    assert opened(tmp_path, members).images[0].id == IMAGE_ID
