"""Images that the registry has: promoted and joined without an Engine, then pulled by one."""

import json
from collections.abc import Sequence
from pathlib import Path

import docker
import pytest
import requests
from integration.archives import NOWHERE, digest_of
from integration.images import MB, Images
from integration.layouts import Layout, made
from integration.registries import BY_PIPE, MEDIA_TYPES, REPOSITORY, asked
from integration.running import Finished, Run, Start
from registry.client import LocalRegistry

DEMO = "demo-workspace"
STAGING = "my-container-app-staging"
FOUR = {"linux/amd64": [20_000], "linux/arm64": [20_000], "linux/arm/v7": [20_000], "linux/s390x": [20_000]}
PROMOTE = NOWHERE | {"PACKAGE_NAME": "my-container-app"}


def answered(registry: LocalRegistry, what: str, package: str = "my-container-app") -> requests.Response:
    """Return what the registry answers for a manifest or a blob."""
    headers = {"Accept": ", ".join(MEDIA_TYPES), **registry.bearer("reader", f"{DEMO}/{package}:pull")}
    with registry.session() as session:
        return session.get(f"{registry.url}/v2/{DEMO}/{package}/{what}", headers=headers, timeout=10)


def tagged(registry: LocalRegistry, tag: str, package: str = "my-container-app") -> tuple[str, bytes] | None:
    """Return media type and bytes of a tag, None if there is none."""
    answer = answered(registry, f"manifests/{tag}", package)
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    return answer.headers["Content-Type"], answer.content


@pytest.fixture
def store(run: Run, registry: LocalRegistry, tmp_path: Path) -> "Store":
    return Store(run, registry, tmp_path)


class Store:
    """Puts images of several platforms into the registry, with the pipe itself."""

    def __init__(self, run: Run, registry: LocalRegistry, folder: Path) -> None:
        self._run = run
        self._registry = registry
        self._folder = folder

    def __call__(
        self,
        tag: str,
        platforms: dict[str, list[int]] = FOUR,
        *,
        package: str = "my-container-app",
        attested: bool = False,
        docker_types: bool = False,
    ) -> Layout:
        """Put an image; the log of requests is empty afterwards."""
        layout, top = made(platforms, attested=attested, docker_types=docker_types, one=len(platforms) == 1)
        path = self._folder / "image.tar"
        path.write_bytes(layout.tar(top))
        variables = {"IMAGE_NAME": layout.name, "PACKAGE_NAME": package, "TAGS": tag, "IMAGE_ARCHIVE": str(path)}
        self._run(self._registry, **(NOWHERE | variables)).expect(0)
        self._registry.clear()
        return layout


def test_an_index_is_promoted_byte_for_byte_with_at_most_12_requests(
    registry: LocalRegistry, run: Run, store: Store
) -> None:
    layout = store("rc-17", attested=True)
    before = tagged(registry, "rc-17")
    registry.clear()
    promoted = run(registry, **PROMOTE, PROMOTE="rc-17", TAGS="1.4.2")
    promoted.expect(0, "Sent no layers", f"✔ Pushed 1.4.2: {registry.host}/{REPOSITORY}@{layout.digest}")
    assert promoted.references == [f"{registry.host}/{REPOSITORY}:1.4.2@{layout.digest}"]
    found = registry.requests(user_agent=BY_PIPE)
    assert len(found) <= 12, promoted.shown(f"at most 12 requests instead of {[f'{e.method} {e.path}' for e in found]}")
    assert tagged(registry, "1.4.2") == before
    assert [each["platform"] for each in _list(promoted.result["platforms"])] == list(FOUR)


@pytest.mark.parametrize("docker_types", [False, True], ids=["oci", "docker"])
@pytest.mark.parametrize("package", ["my-container-app", STAGING])
@pytest.mark.parametrize("platforms", [FOUR, {"linux/amd64": [30_000, 10]}], ids=["index", "image"])
def test_media_types_are_kept(
    registry: LocalRegistry, run: Run, store: Store, platforms: dict[str, list[int]], package: str, docker_types: bool
) -> None:
    layout = store("rc-18", platforms, package=package, docker_types=docker_types)
    run(registry, **PROMOTE, PROMOTE="rc-18", FROM_PACKAGE=package, TAGS="1.5.0 1.5").expect(0, "✔ Pushed 1.5.0, 1.5:")
    assert tagged(registry, "1.5.0") == tagged(registry, "1.5") == tagged(registry, "rc-18", package)
    again = run(registry, **PROMOTE, PROMOTE=layout.digest, FROM_PACKAGE=package, TAGS="1.5.0", IF_TAG_EXISTS="fail")
    again.expect(0, "✔ Up to date: 1.5.0")


REFUSED = [
    pytest.param({"mount": "ignored"}, id="202"),
    pytest.param({"answer": {"status": 404}}, id="404"),
    pytest.param({"answer": {"status": 405}}, id="405"),
]


def statuses(finished: Finished) -> set[object]:
    """Return the statuses of all layers."""
    return {layer["status"] for layer in _list(finished.result["layers"])}


def _list(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value


def test_blobs_are_mounted_from_another_package(registry: LocalRegistry, run: Run, store: Store) -> None:
    layout = store("rc-19", package=STAGING, attested=True)
    promoted = run(registry, **PROMOTE, PROMOTE="rc-19", FROM_PACKAGE=STAGING, TAGS="1.6.0")
    promoted.expect(0)
    assert statuses(promoted) == {"mounted"}
    assert registry.requests(method="P[AU]T*", path="*/blobs/uploads/*") == []
    for digest in layout.blobs.keys() - {layout.digest, *layout.manifests}:
        assert answered(registry, f"blobs/{digest}").content == layout.blobs[digest]


@pytest.mark.parametrize("fault", REFUSED)
def test_blobs_are_copied_if_a_mount_is_refused(
    registry: LocalRegistry, run: Run, store: Store, fault: dict[str, object]
) -> None:
    layout = store("rc-20", {"linux/amd64": [12 * MB, 10], "linux/arm64": [1000]}, package=STAGING)
    registry.fault(mounts="?*", **fault)
    promoted = run(registry, **PROMOTE, PROMOTE="rc-20", FROM_PACKAGE=STAGING, TAGS="1.7.0")
    promoted.expect(0)
    assert statuses(promoted) == {"uploaded"}
    for digest in layout.blobs.keys() - {layout.digest, *layout.manifests}:
        assert digest_of(answered(registry, f"blobs/{digest}").content) == digest


def test_failures_in_the_middle_are_retried(registry: LocalRegistry, run: Run, store: Store) -> None:
    store("rc-21", {"linux/amd64": [12 * MB], "linux/arm64": [1000]}, package=STAGING)
    registry.fault(mounts="?*", mount="ignored")
    registry.fault(method="GET", path=f"*/{STAGING}/blobs/*", skip=2, times=1, answer={"status": 503})
    registry.fault(method="GET", path=f"*/{STAGING}/blobs/*", times=1, after=1_000_000, cut="reset")
    registry.fault(method="PATCH", times=1, answer={"status": 503})
    registry.fault(method="PUT", path="*/manifests/sha256:*", times=1, answer={"status": 503})
    registry.fault(method="PUT", path="*/manifests/1.8.0", times=1, answer={"status": 503})
    promoted = run(registry, **PROMOTE, PROMOTE="rc-21", FROM_PACKAGE=STAGING, TAGS="1.8.0")
    promoted.expect(0, "Attempt 1 of 3 failed")
    assert tagged(registry, "1.8.0") == tagged(registry, "rc-21", STAGING)


@pytest.mark.parametrize("package", ["my-container-app", STAGING])
def test_nothing_is_tagged_if_a_layer_is_gone(registry: LocalRegistry, run: Run, store: Store, package: str) -> None:
    layout = store("rc-22", {"linux/amd64": [20_000]}, package=package)
    [lost] = layout.layers_of(layout.digest)
    registry.fault(path=f"*/{package}/blobs/{lost}", answer={"status": 404})
    registry.fault(mounts="?*", mount="ignored")
    promoted = run(registry, **PROMOTE, PROMOTE="rc-22", FROM_PACKAGE=package, TAGS="1.9.0")
    promoted.expect(4, "✖ The image in the registry cannot be used", lost, "No tag was changed.")
    assert tagged(registry, "1.9.0") is None


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param({}, "✖ The image is not in the registry: {host}/my-container-app has no rc-0.", id="no-tag"),
        pytest.param({"FROM_PACKAGE": STAGING}, "{host}/my-container-app-staging has no rc-0", id="not-in-staging"),
        pytest.param({"FROM_PACKAGE": "no-package"}, "{host}/no-package has no rc-0, or these", id="no-other-package"),
        pytest.param(
            {"FROM_PACKAGE": "other-app"}, "does not allow reading demo-workspace/other-app", id="another-repository"
        ),
        pytest.param({"PACKAGE_NAME": "no-package"}, "✖ The package does not exist", id="no-package"),
        pytest.param(
            {"BITBUCKET_PACKAGES_USERNAME": "reader", "BITBUCKET_PACKAGES_TOKEN": "reader-token"},
            "✖ Permission denied: cannot push to this package",
            id="reader",
        ),
    ],
)
def test_what_cannot_be_promoted(registry: LocalRegistry, run: Run, variables: dict[str, str], words: str) -> None:
    refused = run(registry, **(PROMOTE | {"PROMOTE": "rc-0", "TAGS": "none"} | variables))
    refused.expect(4, words.format(host=f"{registry.host}/{DEMO}"))
    assert registry.requests(path="*/tags/list") == []
    assert registry.requests(method="PUT") == []


def test_a_reader_cannot_promote_what_exists(registry: LocalRegistry, run: Run, store: Store) -> None:
    store("rc-23", {"linux/amd64": [1000]})
    account = {"BITBUCKET_PACKAGES_USERNAME": "reader", "BITBUCKET_PACKAGES_TOKEN": "reader-token"}
    run(registry, **(PROMOTE | account), PROMOTE="rc-23", TAGS="rc-23b").expect(4, "✖ Permission denied")


def test_a_protected_tag_stays_and_the_others_are_promoted(registry: LocalRegistry, run: Run, store: Store) -> None:
    store("kept-1", {"linux/amd64": [1000]})
    layout = store("rc-24")
    before = tagged(registry, "kept-1")
    with registry.protected_tags(DEMO, "some", rules=[{"name": "kept", "pattern": "^kept-"}]):
        promoted = run(registry, **PROMOTE, PROMOTE="rc-24", TAGS="kept-1 kept-2 moving")
        promoted.expect(4, "✖ The registry rejected moving the tag", "Not pushed: kept-1")
        skipped = run(registry, **PROMOTE, PROMOTE="rc-24", TAGS="kept-1 moving", IF_TAG_EXISTS="skip")
        skipped.expect(0, "Left alone: kept-1", "✔ Up to date: moving")
    assert tagged(registry, "kept-1") == before
    assert promoted.references == [
        f"{registry.host}/{REPOSITORY}:{tag}@{layout.digest}" for tag in ("kept-2", "moving")
    ]


def test_two_promotions_at_once_never_take_one_image_for_the_other(
    registry: LocalRegistry, start: Start, store: Store
) -> None:
    digests = {tag: store(tag, {"linux/amd64": [1000], "linux/arm64": [1000]}).digest for tag in ("rc-a", "rc-b")}
    pipes = {tag: start(registry, **PROMOTE, PROMOTE=tag, TAGS="shared-rc") for tag in digests}
    ended = {tag: pipe.finish() for tag, pipe in pipes.items()}
    for tag, finished in ended.items():
        assert finished.exit_code in {0, 6}, finished.shown("an end in order")
        assert finished.references in ([], [f"{registry.host}/{REPOSITORY}:shared-rc@{digests[tag]}"])
    found = tagged(registry, "shared-rc")
    assert found is not None
    assert digest_of(found[1]) in digests.values()


def test_a_dry_run_changes_nothing(registry: LocalRegistry, run: Run, store: Store) -> None:
    store("rc-25", package=STAGING)
    run(registry, **PROMOTE, PROMOTE="rc-25", FROM_PACKAGE=STAGING, TAGS="dry", DRY_RUN="true").expect(
        0, "✔ Dry run: dry would be pushed."
    )
    assert registry.requests(method="PUT") == registry.requests(mounts="?*") == []
    assert tagged(registry, "dry") is None


def pulled(engine: docker.DockerClient, reference: str, platform: str) -> str:
    """Pull an image for a platform with an Engine; return its ID."""
    engine.api.pull(reference, platform=platform, auth_config={"username": "reader", "password": "reader-token"})
    try:
        return str(engine.images.get(reference).id)
    finally:
        engine.images.remove(reference, force=True)


def test_images_of_separate_steps_are_joined_and_pulled_by_platform(
    registry: LocalRegistry, run: Run, store: Store, images: Images, engine: docker.DockerClient
) -> None:
    built = images.build(50_000, 1000)
    run(registry, IMAGE_NAME=built.name, TAGS="2.0.0-amd64").expect(0)
    other = store("2.0.0-arm64", {"linux/arm64": [30_000], "linux/arm/v7": [20_000]}, attested=True)
    joined = run(registry, **PROMOTE, PLATFORM_TAGS="2.0.0-amd64 2.0.0-arm64", TAGS="2.0.0")
    joined.expect(0, "Sent no layers", "✔ Pushed 2.0.0:")
    assert asked(registry, BY_PIPE)
    assert registry.requests(method="P[AU]T*", path="*/blobs/uploads/*", user_agent=BY_PIPE, status="201") == []
    [reference] = joined.references
    assert pulled(engine, reference, "linux/amd64") == built.id
    assert pulled(engine, reference, "linux/arm64") == other.config_of(other.manifests[0])
    assert pulled(engine, reference, "linux/arm/v7") == other.config_of(other.manifests[1])
    index = tagged(registry, "2.0.0")
    assert index is not None
    assert [entry["digest"] for entry in json.loads(index[1])["manifests"]][1:] == other.manifests
    again = run(registry, **PROMOTE, PLATFORM_TAGS="2.0.0-amd64 2.0.0-arm64", TAGS="2.0.0", IF_TAG_EXISTS="fail")
    again.expect(0, "✔ Up to date: 2.0.0")


@pytest.mark.parametrize(
    ("tags", "exit_code", "words"),
    [
        pytest.param("3-a 3-b", 2, ["PLATFORM_TAGS: 3-a and 3-b are both for linux/amd64."], id="one-platform"),
        pytest.param("3-a 3-c 3-d", 4, ["has no 3-c, 3-d."], id="missing"),
    ],
)
def test_images_that_cannot_be_joined(
    registry: LocalRegistry, run: Run, store: Store, tags: str, exit_code: int, words: Sequence[str]
) -> None:
    for tag in ("3-a", "3-b"):
        store(tag, {"linux/amd64": [1000]})
    run(registry, **PROMOTE, PLATFORM_TAGS=tags, TAGS="3").expect(exit_code, *words)
    assert tagged(registry, "3") is None
