"""Images that are in the registry already: promoted byte for byte, from another package too."""

import json

import pytest
from unit.http import Reply, cut, error_reply, sha256
from unit.promotions import APP, BASE, OTHER, World, entry
from unit.runs import statuses

from pipe.errors import (
    ContentMismatchError,
    PackageNotFoundError,
    PipeError,
    SourceNotFoundError,
    SourceUnusableError,
    TagExistsError,
    TagRejectedError,
)
from pipe.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from pipe.push.result import LayerStatus
from pipe.source import registry_source


def made(world: World, kind: str, package: str) -> Manifest:
    """Store what is promoted."""
    if kind == "index":
        return world.four(package)
    if kind == "list":
        return world.index(package, {"linux/amd64": world.image(package, "amd64", DOCKER_MANIFEST)}, DOCKER_LIST)
    if kind == "nested":
        inner = world.four(package, tag="")
        return world.keep(package, OCI_INDEX, {"schemaVersion": 2, "manifests": [entry(inner)]}, "rc-17")
    if kind == "artifact":
        content = {
            "schemaVersion": 2,
            "config": {
                "mediaType": "application/vnd.cncf.helm.config.v1+json",
                "digest": world.server[package].keep(b'{"name": "chart"}'),
                "size": 17,
            },
            "layers": [],
        }
        return world.keep(package, OCI_MANIFEST, content, "rc-17")
    return world.image(package, "amd64", DOCKER_MANIFEST if kind == "docker" else OCI_MANIFEST, "rc-17")


every_kind = pytest.mark.parametrize("kind", ["docker", "oci", "list", "index", "nested", "artifact"])
both_packages = pytest.mark.parametrize("source", [APP, OTHER], ids=["same-package", "other-package"])


@both_packages
@every_kind
def test_every_byte_and_the_media_type_are_kept(kind: str, source: str) -> None:
    world = World()
    manifest = made(world, kind, source)
    result = world.run(source=source)
    assert world.stored() == (manifest.media_type, manifest.body)
    assert (statuses(result), result.digest, result.tags[0].verified) == (["pushed"], manifest.digest, True)


@both_packages
def test_a_digest_names_an_image_as_well(source: str) -> None:
    world = World()
    manifest = world.image(source, "amd64")
    assert world.run(manifest.digest, "1.4.2", "latest", source=source).digest == manifest.digest
    assert world.stored("1.4.2") == world.stored("latest") == (OCI_MANIFEST, manifest.body)


def test_in_one_package_nothing_is_uploaded() -> None:
    world = World()
    world.four(APP)
    result = world.run("rc-17", "1.4.2", "1.4", "latest")
    assert sorted(world.server.written()) == ["PUT 1.4", "PUT 1.4.2", "PUT latest"]
    assert (result.uploader, len(result.platforms), len(result.layers)) == (None, 4, 8)
    assert {layer.status for layer in result.layers} == {LayerStatus.ALREADY_THERE}
    assert [each.platform for each in result.platforms] == ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]


def test_an_index_of_four_platforms_takes_at_most_12_requests() -> None:
    world = World()
    world.four(APP)
    realm = "https://auth.example.com/token"

    def challenged(sent: object) -> Reply | None:
        authorized = getattr(sent, "authorization", "")
        headers = {"WWW-Authenticate": f'Bearer realm="{realm}",service="registry"'}
        return None if authorized.startswith("Bearer ") else Reply(401, headers=headers)

    world.server.on("*", "/v2/*", challenged)
    world.server.on("GET", "/token", Reply(200, b'{"token": "t0ken-t0ken"}'))
    world.run()
    assert len(world.server.sent) <= 12, [f"{each.method} {each.path}" for each in world.server.sent]


def test_an_image_is_described_by_its_config() -> None:
    world = World()
    world.image(APP, "amd64", tag="rc-17")
    result = world.run()
    assert [each.layer.instruction for each in result.layers] == ["ADD base /", "COPY . /app"]
    assert "2 layers" in world.told.of("INFO")[0]
    assert "built from revision c0ffee" in world.told.of("INFO")[0]


def test_a_tag_that_points_to_it_already_is_left_alone() -> None:
    world = World()
    manifest = world.four(APP)
    world.server[APP].tags["1.4.2"] = manifest.digest
    assert statuses(world.run()) == ["already there"]
    assert world.server.written() == []
    assert not world.server.matching("HEAD")


@pytest.mark.parametrize(
    ("policy", "outcome", "requests"),
    [
        pytest.param("overwrite", "pushed", ["PUT 1.4.2"], id="overwrite"),
        pytest.param("skip", "skipped", [], id="skip"),
        pytest.param("fail", "failed", [], id="fail"),
    ],
)
def test_if_tag_exists_applies(policy: str, outcome: str, requests: list[str]) -> None:
    world = World()
    world.four(APP)
    other = world.image(APP, "riscv64", tag="1.4.2")
    if outcome == "failed":
        error, result = world.fail(if_tag_exists=policy)
        assert isinstance(error, TagExistsError)
    else:
        result = world.run(if_tag_exists=policy)
    assert (statuses(result), result.tags[0].previous) == ([outcome], other.digest)
    assert world.server.written() == requests


def test_a_protected_tag_is_explained_and_the_others_are_put() -> None:
    world = World()
    manifest = world.four(APP)
    world.image(APP, "riscv64", tag="1.4.2")
    world.server.on("PUT", "*/manifests/1.4.2", error_reply(403, "DENIED", "tag 1.4.2 is protected"))
    error, result = world.fail("rc-17", "1.4.2", "1.4.3")
    assert isinstance(error, TagRejectedError)
    assert statuses(result) == ["failed", "pushed"]
    assert world.stored("1.4.3")[1] == manifest.body


@both_packages
def test_a_dry_run_changes_nothing(source: str) -> None:
    world = World()
    world.four(source)
    result = world.run(source=source, dry_run=True)
    assert statuses(result) == ["would push"]
    assert world.server.written() == []
    assert not [sent for sent in world.server.sent if "mount" in sent.query]
    said = "Layers would be mounted from acme/staging, or copied if the registry refuses that."
    assert (said in world.told.of("INFO")) == (source == OTHER)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param(APP, "crg.apkg.io/acme/app has no rc-18.", id="same-package"),
        pytest.param(OTHER, "crg.apkg.io/acme/staging has no rc-18, or these credentials", id="other-package"),
        pytest.param("acme/none", "crg.apkg.io/acme/none has no rc-18, or these credentials", id="no-such-package"),
    ],
)
def test_a_tag_that_does_not_exist(source: str, words: str) -> None:
    world = World()
    error, result = world.fail("rc-18", source=source)
    assert isinstance(error, SourceNotFoundError)
    assert (error.exit_code, statuses(result)) == (4, ["failed"])
    assert words in error.summary
    assert not world.server.matching("GET", "*/tags/list")


def test_a_package_that_must_not_be_read() -> None:
    world = World()
    world.server.on("GET", f"/v2/{OTHER}/*", error_reply(403, "DENIED", "no role"))
    error, _ = world.fail(source=OTHER)
    assert isinstance(error, SourceUnusableError)
    assert error.cause == "crg.apkg.io does not allow reading acme/staging: no role"
    assert "linked to the repository whose pipeline runs" in error.fix


def test_a_package_that_does_not_exist() -> None:
    world = World()
    del world.server.packages[APP]
    error, _ = world.fail()
    assert isinstance(error, PackageNotFoundError)


def break_layer(world: World, package: str, manifest: Manifest) -> None:
    """Lose the layer of one image."""
    lost = manifest if manifest.layers else world_manifest(world, package, manifest.images[1])
    del world.server[package].blobs[lost.layers[1].digest]


def world_manifest(world: World, package: str, digest: str) -> Manifest:
    """Return a stored manifest."""
    return Manifest.parse(*world.server[package].manifests[digest])


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        pytest.param(APP, "oci", id="image"),
        pytest.param(OTHER, "oci", id="image-of-another-package"),
        pytest.param(OTHER, "index", id="index-of-another-package"),
    ],
)
def test_nothing_is_tagged_if_a_layer_is_gone(source: str, kind: str) -> None:
    world = World()
    break_layer(world, source, made(world, kind, source))
    error, _ = world.fail(source=source)
    assert isinstance(error, SourceUnusableError)
    assert error.exit_code == 4
    assert "1.4.2" not in world.server[APP].tags
    assert not world.server.matching("PUT", "*/manifests/*")


def test_nothing_is_tagged_if_the_registry_finds_that_a_layer_is_gone() -> None:
    world = World()
    world.four(APP)
    world.server.on("PUT", "*/manifests/*", error_reply(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"))
    error, _ = world.fail("rc-17", "1.4.2", "1.4.3")
    assert isinstance(error, SourceUnusableError)
    assert len(world.server.matching("PUT")) == 3


@both_packages
def test_nothing_is_tagged_if_a_manifest_is_gone(source: str) -> None:
    world = World()
    index = world.four(source)
    del world.server[source].manifests[index.images[2]]
    error, _ = world.fail(source=source)
    assert isinstance(error, SourceUnusableError)
    assert index.images[2] in error.summary
    assert world.server.written() == []


@pytest.mark.parametrize("which", ["child", "named"])
def test_another_manifest_than_the_named_one_is_not_taken(which: str) -> None:
    world = World()
    index = world.four(APP)
    store = world.server[APP]
    wrong = index.images[0] if which == "child" else index.digest
    store.manifests[wrong] = store.manifests[index.images[1]]
    error, _ = world.fail(index.digest)
    assert isinstance(error, SourceUnusableError)
    assert f"returns {index.images[1]} as {wrong}" in error.summary


def test_indexes_nested_too_deep() -> None:
    world = World()
    inner = world.four(APP, tag="")
    for number in range(6):
        content = {"schemaVersion": 2, "manifests": [entry(inner)], "number": number}
        inner = world.keep(APP, OCI_INDEX, content, "rc-17")
    error, _ = world.fail()
    assert "nested more than 4 levels deep" in error.summary


def test_blobs_of_another_package_are_mounted_and_children_come_first() -> None:
    world = World()
    index = world.four(OTHER)
    result = world.run(source=OTHER)
    assert {layer.status for layer in result.layers} == {LayerStatus.MOUNTED}
    written = world.server.written()
    assert written[-1] == "PUT 1.4.2"
    assert sorted(written[:-1]) == sorted(f"PUT {child.digest}" for child in index.manifests)
    assert len([sent for sent in world.server.sent if "mount" in sent.query]) == 14


def test_blobs_that_the_package_has_are_not_mounted() -> None:
    world = World()
    world.image(OTHER, "amd64", tag="rc-17")
    world.server[APP].keep(BASE)
    result = world.run(source=OTHER)
    assert [layer.status for layer in result.layers] == [LayerStatus.ALREADY_THERE, LayerStatus.MOUNTED]


@pytest.mark.parametrize("refusal", [202, 404, 405, 503, "cut"])
def test_a_refused_mount_is_replaced_by_a_copy_in_pieces(refusal: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_source, "PIECE", 4000)
    world = World()
    index = world.four(OTHER)
    world.server.mounts = False
    if refusal != 202:
        outcome = cut() if refusal == "cut" else Reply(int(refusal))
        world.server.on("POST", "*", lambda sent: outcome if "mount" in sent.query else None)
    result = world.run(source=OTHER)
    assert world.stored() == (index.media_type, index.body)
    assert world.server[APP].blobs == world.server[OTHER].blobs | {sha256(b"{}"): b"{}"}
    assert {layer.status for layer in result.layers} == {LayerStatus.UPLOADED}
    pieces = [sent.headers["Range"] for sent in world.server.matching("GET", f"*/blobs/{sha256(BASE)}")]
    assert pieces == ["bytes=0-3999", "bytes=4000-7999", "bytes=8000-10999"]


def test_a_failure_while_a_blob_is_copied_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_source, "PIECE", 4000)
    world = World()
    manifest = world.image(OTHER, "amd64", tag="rc-17")
    world.server.mounts = False
    world.server.on("GET", f"*/blobs/{sha256(BASE)}", 503, skip=1, times=1)
    world.server.on("PUT", "*/blobs/uploads/*", 503, times=1)
    assert world.run(source=OTHER).digest == manifest.digest


@pytest.mark.parametrize(
    ("outcome", "kind", "words"),
    [
        pytest.param(404, SourceUnusableError, "nor returns a part", id="only-the-read-fails"),
        pytest.param(Reply(200, BASE), SourceUnusableError, "nor returns a part of it", id="no-parts"),
        pytest.param(Reply(206, bytes(4000)), ContentMismatchError, "but the image names", id="damaged"),
    ],
)
def test_a_blob_that_cannot_be_copied(
    outcome: Reply | int, kind: type[PipeError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_source, "PIECE", 4000)
    world = World()
    world.image(OTHER, "amd64", tag="rc-17")
    world.server.mounts = False
    world.server.on("GET", f"*/blobs/{sha256(BASE)}", outcome, times=1)
    error, _ = world.fail(source=OTHER)
    assert isinstance(error, kind)
    assert words in error.summary
    assert "1.4.2" not in world.server[APP].tags


def test_a_registry_that_ignores_ranges_copies_blobs_of_one_piece() -> None:
    world = World()
    manifest = world.image(OTHER, "amd64", tag="rc-17")
    world.server.mounts = False
    blobs = world.server[OTHER].blobs
    world.server.on("GET", f"/v2/{OTHER}/blobs/*", lambda sent: Reply(200, blobs[sent.path.rpartition("/")[2]]))
    assert world.run(source=OTHER).digest == manifest.digest


def spoiled(world: World, how: str, package: str) -> str:
    """Store what is no valid image under `rc-17`, and return what is wrong with it."""
    image = world.image(package, "amd64")
    content = json.loads(image.body)
    old = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    entries = [entry(image), entry(image) | {"size": "7"}]
    sha512 = content["layers"][0] | {"digest": "sha512:" + "a" * 128}
    media_type, made, words = {
        "no-config": (OCI_MANIFEST, {"layers": []}, "a descriptor must be an object"),
        "schema-1": (old, {"fsLayers": []}, f"is {old}, which is not an image"),
        "sha512": (OCI_MANIFEST, content | {"layers": [sha512]}, "SHA-512 digests are not supported"),
        "ambiguous": (OCI_MANIFEST, content | {"manifests": []}, "is ambiguous (manifest or index)"),
        "no-children": (OCI_INDEX, {"schemaVersion": 2}, "a descriptor must be an object"),
        "child-that-is-none": (OCI_INDEX, {"manifests": entries}, "size must be a number"),
        "no-json": (OCI_MANIFEST, {}, "is not a JSON object"),
    }[how]
    if how == "no-json":
        world.server[package].keep_manifest(b"<html>", media_type, "rc-17")
    else:
        world.keep(package, media_type, made, "rc-17")
    return words


@pytest.mark.parametrize("name", ["rc-17", ["rc-17"]], ids=["promoted", "joined"])
@both_packages
@pytest.mark.parametrize(
    "how", ["no-json", "no-config", "schema-1", "sha512", "ambiguous", "no-children", "child-that-is-none"]
)
def test_what_is_not_valid_is_neither_promoted_nor_joined(how: str, source: str, name: str | list[str]) -> None:
    world = World()
    words = spoiled(world, how, source)
    error, _ = world.fail(name, source=source)
    assert isinstance(error, SourceUnusableError)
    assert words in error.summary
    assert world.server.written() == []


@pytest.mark.parametrize("given", ["", "application/json", f"{OCI_INDEX}; charset=utf-8"])
def test_a_media_type_that_the_registry_does_not_return_is_that_in_the_manifest(given: str) -> None:
    world = World()
    content = json.loads(world.four(APP).body) | {"mediaType": OCI_INDEX}
    index = world.keep(APP, OCI_INDEX, content, "rc-17")
    world.server[APP].manifests[index.digest] = (given, index.body)
    world.run("rc-17", "1.4.2", "1.4")
    [first, second] = world.server.matching("PUT")
    assert first.headers["Content-Type"] == second.headers["Content-Type"] == OCI_INDEX
    assert world.run(["rc-17"], "2.0").digest


def test_an_image_that_an_index_lists_many_times_is_checked_once() -> None:
    world = World()
    image = world.image(OTHER, "amd64")
    world.keep(OTHER, OCI_INDEX, {"schemaVersion": 2, "manifests": [entry(image)] * 1000}, "rc-17")
    world.run(source=OTHER)
    assert len(world.server.sent) < 50


def test_an_index_of_too_many_images() -> None:
    world = World()
    entries = [{"mediaType": OCI_MANIFEST, "digest": f"sha256:{number:064x}", "size": 5} for number in range(10_000)]
    world.keep(APP, OCI_INDEX, {"schemaVersion": 2, "manifests": entries}, "rc-17")
    error, _ = world.fail()
    assert "more than 200 manifests" in error.summary
    assert len(world.server.sent) < 5
