"""Artifacts of a layout that refer to its image."""

from pathlib import Path

import pytest
from unit.source.archives import OCI_MANIFEST, Files, as_json, opened
from unit.source.forms import EMPTY, Blobs, named

from pipe.errors import ArchiveError
from pipe.source.referrers import READ

SIGNATURE, BILL = "application/vnd.example.signature", "application/spdx+json"


def artifact(blobs: Blobs, subject: object, kind: str = SIGNATURE, **more: object) -> dict[str, object]:
    """Add an artifact; return its descriptor."""
    empty = blobs.put(b"{}", EMPTY)
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind, "config": empty, "layers": [empty]}
    return blobs.put(as_json(body | {"subject": subject} | more), OCI_MANIFEST)


def found(folder: Path, files: Files) -> list[tuple[object, str, str]]:
    """Return digest, subject and type of each artifact."""
    return [(each.digest, each.subject, each.kind) for each in opened(folder, files).referrers]


def test_what_refers_to_the_image_or_a_platform_is_found(tmp_path: Path) -> None:
    blobs = Blobs()
    children = blobs.image("amd64"), blobs.image("arm64")
    index = blobs.index(*children)
    of_index, of_child = artifact(blobs, index), artifact(blobs, children[1], BILL)
    of_other = artifact(blobs, blobs.image("s390x"))
    files = blobs.layout(of_child, named(index, "1.0"), of_other, of_index)
    assert found(tmp_path, files) == [
        (of_child["digest"], children[1]["digest"], BILL),
        (of_index["digest"], index["digest"], SIGNATURE),
    ]


def test_what_refers_to_an_artifact_follows_it(tmp_path: Path) -> None:
    blobs = Blobs()
    image = blobs.image("amd64")
    bill = artifact(blobs, image, BILL)
    signature = artifact(blobs, bill)
    digests = [digest for digest, _, _ in found(tmp_path, blobs.layout(signature, bill, named(image, "1.0")))]
    assert digests == [bill["digest"], signature["digest"]]


def test_a_list_under_a_tag_of_the_layout_is_searched(tmp_path: Path) -> None:
    """Regclient lists artifacts in an index named `sha256-…`, as registries without referrers API have it."""
    blobs = Blobs()
    image = blobs.image("amd64")
    signature = artifact(blobs, image, annotations={"who": "me"})
    tag = f"sha256-{str(image['digest'])[7:]}"
    files = blobs.layout(named(image, "1.0"), named(blobs.index(signature | {"annotations": {"a": "b"}}), tag))
    [referrer] = opened(tmp_path, files).referrers
    assert (referrer.digest, referrer.annotations) == (signature["digest"], {"who": "me"})


def test_the_type_of_an_artifact_is_that_of_its_config_if_it_has_none(tmp_path: Path) -> None:
    blobs = Blobs()
    image = blobs.image("amd64")
    config = blobs.put(b"{}", "application/vnd.example.config")
    artifact(blobs, image, kind="", config=config)
    files = blobs.layout(named(image, "1.0"), artifact(blobs, image, kind="", config=config))
    assert [kind for _, _, kind in found(tmp_path, files)] == ["application/vnd.example.config"]


def test_children_of_the_image_are_part_of_it(tmp_path: Path) -> None:
    """BuildKit's attestations have a subject if they are OCI artifacts, and are in the image's index."""
    blobs = Blobs()
    image = blobs.image("amd64")
    statement = artifact(blobs, image) | {"platform": {"os": "unknown", "architecture": "unknown"}}
    held = opened(tmp_path, blobs.layout(named(blobs.index(image, statement), "1.0")))
    assert held.referrers == ()
    assert statement["digest"] in {manifest.digest for manifest in held.manifests}


@pytest.mark.parametrize("subject", [None, {}, "x", {"digest": "sha512:" + "0" * 128, "size": 1}])
def test_what_names_no_manifest_is_no_referrer(tmp_path: Path, subject: object) -> None:
    blobs = Blobs()
    image = blobs.image("amd64")
    assert found(tmp_path, blobs.layout(named(image, "1.0"), named(artifact(blobs, subject), "2.0"))) == []


def test_what_is_listed_several_times_is_found_once(tmp_path: Path) -> None:
    blobs = Blobs()
    image = blobs.image("amd64")
    signature = artifact(blobs, image)
    files = blobs.layout(named(image, "1.0"), signature, signature, named(blobs.index(signature), "list"))
    assert len(found(tmp_path, files)) == 1


@pytest.mark.parametrize("part", ["manifest", "blob", "child"])
def test_a_damaged_artifact_matters_only_if_it_is_read(tmp_path: Path, part: str) -> None:
    blobs = Blobs()
    image = blobs.image("amd64")
    own = blobs.put(b"own", "text/plain")
    child = artifact(blobs, image, layers=[own])
    root = child
    if part == "child":
        body = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "subject": image}
        kept = artifact(blobs, image, BILL)
        root = blobs.put(as_json(body | {"manifests": [kept, child]}), str(body["mediaType"]))
    files = blobs.layout(named(image, "1.0"), root)
    lost = own if part == "blob" else child
    files |= {f"blobs/sha256/{str(lost['digest'])[7:]}": b"damaged"} if part == "manifest" else {}
    if part != "manifest":
        del files[f"blobs/sha256/{str(lost['digest'])[7:]}"]
    held = opened(tmp_path, files)
    assert held.manifests[-1].digest == image["digest"]
    if part == "manifest":
        assert held.referrers == ()
        return
    [referrer] = [each for each in held.referrers if each.digest == root["digest"]]
    with pytest.raises(ArchiveError, match="is listed but missing"):
        referrer.read()


def test_the_search_is_bounded(tmp_path: Path) -> None:
    """A layout of many large manifests is not read to its end."""
    blobs = Blobs()
    image = blobs.image("amd64")
    size, count = 2 << 20, READ // (2 << 20)
    large = [artifact(blobs, image, annotations={"a": "x" * size, "n": str(n)}) for n in range(count + 5)]
    assert count // 2 < len(opened(tmp_path, blobs.layout(named(image, "1.0"), *large)).referrers) <= count
