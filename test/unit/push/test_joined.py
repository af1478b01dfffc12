"""Images of several platforms, joined by an index."""

import json

import pytest
from unit.http import Reply, sha256
from unit.promotions import APP, OTHER, World, entry
from unit.runs import statuses

from pipe.errors import ConfigurationError, SourceNotFoundError, SourceUnusableError
from pipe.oci.config import CONFIG_SIZE
from pipe.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from pipe.push.result import LayerStatus

BOTH = ("1.4.2-amd64", "1.4.2-arm64")


def two(world: World, package: str = APP, media_type: str = OCI_MANIFEST) -> list[Manifest]:
    """Store an image for each of two platforms, under a tag for each."""
    return [world.image(package, tag.partition("-")[2], media_type, tag) for tag in BOTH]


def index_of(world: World, tag: str = "1.4.2") -> list[dict[str, object]]:
    """Return the entries of the index under a tag."""
    media_type, body = world.stored(tag)
    content = json.loads(body)
    assert media_type == content["mediaType"] == OCI_INDEX
    entries: list[dict[str, object]] = content["manifests"]
    return entries


def platform(architecture: str, **more: object) -> dict[str, object]:
    """Return an entry's platform."""
    return {"platform": {"architecture": architecture, "os": "linux", **more}}


@pytest.mark.parametrize("source", [APP, OTHER], ids=["same-package", "other-package"])
@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST], ids=["oci", "docker"])
def test_images_are_joined_in_the_order_of_the_user(media_type: str, source: str) -> None:
    world = World()
    amd64, arm64 = two(world, source, media_type)
    result = world.run(BOTH, source=source)
    assert index_of(world) == [entry(amd64) | platform("amd64"), entry(arm64) | platform("arm64")]
    assert (statuses(result), result.digest) == (["pushed"], sha256(world.stored()[1]))
    assert [each.platform for each in result.platforms] == ["linux/amd64", "linux/arm64"]
    assert [each.digest for each in result.platforms] == [amd64.digest, arm64.digest]
    assert [each.layer.instruction for each in result.platforms[1].layers] == ["ADD base /", "COPY . /app"]


def test_in_one_package_nothing_is_uploaded() -> None:
    world = World()
    two(world)
    result = world.run(BOTH, "1.4.2", "latest")
    assert sorted(world.server.written()) == ["PUT 1.4.2", "PUT latest"]
    assert {layer.status for layer in result.layers} == {LayerStatus.ALREADY_THERE}
    assert result.uploader is None


def test_the_same_images_make_the_same_bytes() -> None:
    world = World()
    two(world)
    first = world.run(BOTH)
    assert statuses(world.run(BOTH)) == ["already there"]
    assert world.run(BOTH, "again").digest == first.digest
    assert world.stored()[1] == world.stored("again")[1]


def test_indexes_are_flattened_and_attestations_kept() -> None:
    world = World()
    amd64 = world.image(APP, "amd64")
    of_amd64 = world.index(APP, {"linux/amd64": amd64}, tag=BOTH[0])
    inner = world.index(APP, {"linux/arm64": world.image(APP, "arm64")}, DOCKER_LIST, tag="")
    world.keep(APP, OCI_INDEX, {"schemaVersion": 2, "manifests": [entry(inner)]}, BOTH[1])
    result = world.run(BOTH)
    assert index_of(world) == [*json.loads(of_amd64.body)["manifests"], *json.loads(inner.body)["manifests"]]
    assert [each.platform for each in result.platforms] == ["linux/amd64", "linux/arm64"]


def test_all_of_an_index_comes_from_another_package() -> None:
    world = World()
    world.index(OTHER, {"linux/amd64": world.image(OTHER, "amd64")}, tag=BOTH[0])
    world.image(OTHER, "arm64", tag=BOTH[1])
    world.run(BOTH, source=OTHER)
    here, there = world.server[APP], world.server[OTHER]
    assert all(here.manifests[str(each["digest"])] == there.manifests[str(each["digest"])] for each in index_of(world))
    assert here.blobs == there.blobs


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({"architecture": "arm", "variant": "v6"}, platform("arm", variant="v6"), id="variant"),
        pytest.param(
            {"os": "windows", "os.version": "10.0.20348.1", "os.features": ["win32k"]},
            {
                "platform": {
                    "architecture": "amd64",
                    "os": "windows",
                    "os.version": "10.0.20348.1",
                    "os.features": ["win32k"],
                }
            },
            id="windows",
        ),
    ],
)
def test_the_platform_is_that_of_the_config(config: dict[str, object], expected: dict[str, object]) -> None:
    world = World()
    image = world.image(APP, str(config.pop("architecture", "amd64")), OCI_MANIFEST, "one", **config)
    world.run(["one"])
    assert index_of(world) == [entry(image) | expected]


def test_an_index_without_platforms_gets_those_of_the_configs() -> None:
    world = World()
    image = world.image(APP, "s390x")
    world.keep(APP, OCI_INDEX, {"schemaVersion": 2, "manifests": [entry(image)]}, "one")
    world.run(["one"])
    assert index_of(world) == [entry(image) | platform("s390x")]


def test_one_manifest_may_be_for_two_platforms() -> None:
    world = World()
    image = world.image(APP, "arm")
    world.index(APP, {"linux/arm/v6": image, "linux/arm/v7": image}, tag="arm")
    world.run(["arm"])
    assert [each["digest"] for each in index_of(world)][:2] == [image.digest, image.digest]


def problems(world: World, *tags: str) -> list[str]:
    """Join images in vain, and return the problems."""
    error, result = world.fail(tags)
    assert isinstance(error, ConfigurationError)
    assert (error.exit_code, statuses(result)) == (2, ["failed"])
    assert world.server.written() == []
    return error.problems


@pytest.mark.parametrize(
    ("variants", "name"),
    [
        pytest.param(("", ""), "linux/arm64", id="equal"),
        pytest.param(("", "v8"), "linux/arm64", id="with-the-usual-variant"),
    ],
)
def test_two_images_of_one_platform(variants: tuple[str, str], name: str) -> None:
    world = World()
    for tag, variant in zip("ab", variants, strict=True):
        world.image(APP, "arm64", OCI_MANIFEST, tag, variant=variant, created=f"2026-01-0{ord(tag) - 96}")
    assert problems(world, "a", "b") == [f"PLATFORM_TAGS: a and b are both for {name}."]


def test_every_problem_is_reported() -> None:
    world = World()
    world.image(APP, "amd64", tag="good")
    world.image(APP, "", tag="nowhere")
    world.image(APP, "unknown", tag="unknown")
    world.index(APP, {"linux/s390x": world.image(APP, "a"), "linux/s390x/": world.image(APP, "b")}, tag="twice")
    world.keep(APP, OCI_INDEX, {"schemaVersion": 2, "manifests": []}, "empty")
    chart = {
        "mediaType": "application/vnd.cncf.helm.config.v1+json",
        "digest": world.server[APP].keep(b"{}"),
        "size": 2,
    }
    world.keep(APP, OCI_MANIFEST, {"schemaVersion": 2, "config": chart, "layers": []}, "chart")
    found = problems(world, "good", "nowhere", "unknown", "twice", "empty", "chart")
    assert [each.partition(" (sha256:")[0] for each in found] == [
        "PLATFORM_TAGS: nowhere has no platform in its config",
        "PLATFORM_TAGS: unknown has no platform in its config",
        "PLATFORM_TAGS: twice has two images for linux/s390x.",
        "PLATFORM_TAGS: chart is not an image",
        "PLATFORM_TAGS: empty is an index without images.",
    ]


def test_every_missing_tag_is_named() -> None:
    world = World()
    world.image(APP, "amd64", tag=BOTH[0])
    error, _ = world.fail((*BOTH, "1.4.2-s390x"))
    assert isinstance(error, SourceNotFoundError)
    assert error.cause == "crg.apkg.io/acme/app has no 1.4.2-arm64, 1.4.2-s390x."
    assert error.exit_code == 4


def test_a_config_that_is_too_large_to_be_read() -> None:
    world = World()
    two(world)
    world.server.on("GET", "*/blobs/*", Reply(200, bytes(CONFIG_SIZE + 1)), times=1)
    error, _ = world.fail(BOTH)
    assert isinstance(error, SourceUnusableError)
    assert "cannot be read" in error.summary


@pytest.mark.parametrize("what", ["layer", "config"])
def test_nothing_is_tagged_if_a_blob_is_gone(what: str) -> None:
    world = World()
    _, arm64 = two(world)
    lost = arm64.layers[1].digest if what == "layer" else arm64.config
    del world.server[APP].blobs[str(lost)]
    error, _ = world.fail(BOTH)
    assert isinstance(error, SourceUnusableError)
    assert str(lost) in error.summary
    assert world.server.written() == []


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("linux/amd64", id="string"),
        pytest.param([], id="list"),
        pytest.param({"os": "linux"}, id="incomplete"),
        pytest.param({"os": 5, "architecture": "amd64"}, id="system-of-another-type"),
        pytest.param({"os": "linux", "architecture": "amd64", "variant": 7}, id="variant-of-another-type"),
        pytest.param({"os": "linux", "architecture": "amd64", "os.version": []}, id="version-of-another-type"),
        pytest.param({"os": "linux", "architecture": "amd64", "os.features": [1]}, id="features-of-another-type"),
    ],
)
@pytest.mark.parametrize("key", ["platform", "Platform"])
def test_a_platform_that_no_client_reads_is_replaced_by_that_of_the_config(key: str, given: object) -> None:
    world = World()
    image = world.image(APP, "amd64")
    world.keep(APP, OCI_INDEX, {"schemaVersion": 2, "manifests": [entry(image) | {key: given}]}, "rc-17")
    world.run(["rc-17"])
    assert index_of(world) == [entry(image) | platform("amd64")]


def test_indexes_that_multiply_are_read_once() -> None:
    world = World()
    listed = entry(world.image(APP, "amd64")) | platform("amd64")
    for number in range(4):
        content = {"schemaVersion": 2, "number": number, "manifests": [listed] * 200}
        listed = entry(world.keep(APP, OCI_INDEX, content, "rc-17"))
    error, _ = world.fail(["rc-17"])
    assert isinstance(error, ConfigurationError)
    assert error.problems == ["PLATFORM_TAGS: rc-17 has two images for linux/amd64."]
