"""Several images in one run: what they share, what fails, and what is reported of each."""

import gzip
import json
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from integration.engine_proxy import EngineProxy, Save
from integration.images import MB, Built, Images
from integration.registries import BY_PIPE, asked
from integration.running import Finished, Run, Start
from registry.client import LocalRegistry

PACKAGES = ("api", "worker", "web")
SPACE = "demo-workspace"


def build(images: Images, count: int = 3, base: int = 3 * MB) -> list[Built]:
    """Build images that share a base of random bytes."""
    shared = images.build(base)
    return [images.build(MB, base=shared.name, package=package) for package in PACKAGES[:count]]


def array(name: str, values: Sequence[str]) -> dict[str, str]:
    """Return the variables that Pipelines makes of an array."""
    return {f"{name}_COUNT": str(len(values))} | {f"{name}_{index}": value for index, value in enumerate(values)}


def names(built: Sequence[Built]) -> dict[str, str]:
    """Return IMAGE_NAME for several images; IMAGE_NAME itself is unset."""
    return array("IMAGE_NAME", [each.name for each in built])


def outcomes(finished: Finished) -> list[tuple[str, list[str], int]]:
    """Return package, statuses of the tags and exit code of each image in the result file."""
    result: Mapping[str, Any] = finished.result
    assert result["exit_code"] == finished.exit_code
    return [
        (each["image"].partition("/")[2].partition(":")[0], [tag["status"] for tag in each["tags"]], each["exit_code"])
        for each in result["images"]
    ]


@pytest.mark.parametrize("uploader", ["pipe", "engine", "auto"])
def test_a_shared_layer_is_uploaded_once(registry: LocalRegistry, images: Images, run: Run, uploader: str) -> None:
    finished = run(registry, **names(build(images)), TAGS="1.0 latest", UPLOADER=uploader)
    finished.expect(0, "Image 1 of 3: ", "Image 3 of 3: ")
    assert finished.log.splitlines()[-1].startswith("✔ Pushed: ")
    assert outcomes(finished) == [(package, ["pushed", "pushed"], 0) for package in PACKAGES]
    assert [each.partition(f"{SPACE}/")[2].partition("@")[0] for each in finished.references] == [
        f"{package}:{tag}" for package in PACKAGES for tag in ("1.0", "latest")
    ]
    result: Mapping[str, Any] = finished.result
    bases = [each["layers"][0] for each in result["images"]]
    assert [base["status"] for base in bases] == ["uploaded", "mounted", "mounted"]
    assert len({base["digest"] for base in bases}) == 1


def test_one_image_for_two_packages_is_uploaded_once(registry: LocalRegistry, images: Images, run: Run) -> None:
    name = images.build(MB).name
    finished = run(registry, **array("IMAGE_NAME", [name, name]), PACKAGE_NAME="api web", UPLOADER="pipe")
    finished.expect(0)
    result: Mapping[str, Any] = finished.result
    assert [each["layers"][0]["status"] for each in result["images"]] == ["uploaded", "mounted"]


def test_an_engine_exports_the_first_image_and_at_the_same_time_the_others(
    registry: LocalRegistry, images: Images, run: Run, proxy: EngineProxy
) -> None:
    built = build(images, base=20 * MB)
    proxy.save = Save()
    finished = run(registry, **names(built), DOCKER_HOST=proxy.docker_host)
    finished.expect(0, "✔ Pushed: ")
    assert outcomes(finished) == [(package, ["pushed"], 0) for package in PACKAGES]
    assert sorted(proxy.save.asked) == [1, 2]


@pytest.mark.parametrize("after", [pytest.param(0, id="at-once"), pytest.param(10 * MB, id="in-the-middle")])
@pytest.mark.parametrize("exported", [pytest.param(1, id="the-first"), pytest.param(2, id="that-of-the-others")])
def test_images_are_pushed_although_an_export_fails(
    registry: LocalRegistry, images: Images, run: Run, proxy: EngineProxy, exported: int, after: int
) -> None:
    built = build(images, base=20 * MB)
    proxy.save = Save(times=1, images=exported, after=after, cut=True)
    finished = run(registry, **names(built), DOCKER_HOST=proxy.docker_host)
    finished.expect(0, "✔ Pushed: ")
    assert outcomes(finished) == [(package, ["pushed"], 0) for package in PACKAGES]
    assert proxy.save.asked == [exported]


def test_one_token_and_one_connection_pool_serve_all_images(registry: LocalRegistry, images: Images, run: Run) -> None:
    finished = run(registry, **names(build(images)), UPLOADER="pipe")
    finished.expect(0)
    tokens = [entry for entry in asked(registry, BY_PIPE) if entry.path == "/token"]
    assert len(tokens) == 1, tokens


def test_images_that_are_all_there_take_few_lines_and_requests(
    registry: LocalRegistry, images: Images, run: Run
) -> None:
    variables = names(build(images))
    run(registry, **variables).expect(0)
    registry.clear()
    finished = run(registry, **variables)
    finished.expect(0, "✔ Up to date: ")
    assert outcomes(finished) == [(package, ["already there"], 0) for package in PACKAGES]
    # The version; three lines for each image; the last one.
    assert len(finished.log.splitlines()) <= 1 + 3 * 3 + 1, finished.log
    assert not registry.requests(method="PUT")


def test_one_image_that_fails_does_not_stop_the_others(registry: LocalRegistry, images: Images, run: Run) -> None:
    api, worker, _ = build(images)
    listed = array("IMAGE_NAME", [api.name, "integration/gone:1", worker.name])
    finished = run(registry, **listed, **array("PACKAGE_NAME", ["missing-package", "web", "worker"]), TAGS="1.0")
    finished.expect(4, "✖ The package does not exist", "✖ The image is not in Docker Engine")
    assert outcomes(finished) == [("api", ["failed"], 4), ("gone", ["failed"], 3), ("worker", ["pushed"], 0)]
    last = finished.log.splitlines()[-2:]
    assert last == [f"✔ Pushed: {worker.name}", f"✖ Failed: {api.name}, integration/gone:1"]
    assert [each.partition("@")[0] for each in finished.references] == [f"{registry.host}/{SPACE}/worker:1.0"]


def test_a_package_without_permission_does_not_stop_the_others(
    registry: LocalRegistry, images: Images, run: Run
) -> None:
    finished = run(
        registry, **names(build(images, 2)), **array("PACKAGE_NAME", ["other-app", "worker"]), UPLOADER="pipe"
    )
    finished.expect(4, "✖ Permission denied: cannot push to this package")
    assert [each[1:] for each in outcomes(finished)] == [(["failed"], 4), (["pushed"], 0)]


def test_credentials_that_are_rejected_are_not_sent_for_every_image(
    registry: LocalRegistry, images: Images, run: Run
) -> None:
    finished = run(registry, **names(build(images)), BITBUCKET_PACKAGES_TOKEN="wrong-token")
    finished.expect(4, "✖ The registry rejected the credentials", "✖ Not tried: ")
    assert [each[1:] for each in outcomes(finished)] == [(["failed"], 4), (["not tried"], 4), (["not tried"], 4)]
    # For all packages, then for the first one.
    assert len([entry for entry in asked(registry, BY_PIPE) if entry.path == "/token"]) == 2


def test_a_registry_that_cannot_be_reached_is_tried_for_one_image_only(
    registry: LocalRegistry, images: Images, run: Run
) -> None:
    finished = run(registry, **names(build(images, 2)), REGISTRY="127.0.0.1:1", UPLOADER="pipe", MAX_ATTEMPTS="1")
    finished.expect(6, "✖ The registry cannot be reached", "✖ Not tried: ")
    assert [each[1:] for each in outcomes(finished)] == [(["failed"], 6), (["not tried"], 6)]


def test_a_signal_leaves_the_result_of_every_image(registry: LocalRegistry, images: Images, start: Start) -> None:
    built = build(images)
    registry.fault(method="PUT", path=f"/v2/{SPACE}/worker/*", hang=True)
    running = start(registry, **names(built), UPLOADER="pipe")
    registry.wait_for(path=f"/v2/{SPACE}/worker/*", method="PUT", state="open")
    running.signal(signal.SIGTERM)
    finished = running.finish()
    finished.expect(143, "✖ The push was stopped by signal SIGTERM.", within=5)
    assert outcomes(finished) == [("api", ["pushed"], 0), ("worker", ["failed"], 143), ("web", ["not tried"], 143)]


def test_a_dry_run_of_several_images(registry: LocalRegistry, images: Images, run: Run) -> None:
    finished = run(registry, **names(build(images)), DRY_RUN="true")
    finished.expect(0, "✔ Would be pushed: ")
    assert outcomes(finished) == [(package, ["would push"], 0) for package in PACKAGES]
    assert not registry.requests(method="PUT")


def test_a_compose_file_names_the_images(registry: LocalRegistry, images: Images, run: Run, tmp_path: Path) -> None:
    api, worker = build(images, 2)
    services = {
        "api": {"build": "api", "image": api.name},
        "worker": {"build": "worker", "image": "${WORKER:-none}"},
        "db": {"image": "postgres"},
    }
    (tmp_path / "compose.yaml").write_text(json.dumps({"services": services}))
    finished = run(registry, COMPOSE_FILE="compose.yaml", WORKER=worker.name, TAGS="1.0", IMAGE_NAME="")
    finished.expect(0)
    assert outcomes(finished) == [("api", ["pushed"], 0), ("worker", ["pushed"], 0)]


@pytest.mark.parametrize("gzipped", [False, True], ids=["plain", "gzipped"])
def test_images_of_one_archive_are_pushed_without_an_engine(
    registry: LocalRegistry, images: Images, run: Run, tmp_path: Path, gzipped: bool
) -> None:
    api, worker = build(images, 2)
    saved = subprocess.run(["docker", "save", api.name, worker.name], stdout=subprocess.PIPE, check=True).stdout
    (tmp_path / "images.tar").write_bytes(gzip.compress(saved, 1) if gzipped else saved)
    listed = array("IMAGE_NAME", [api.name, "integration/gone:1", worker.name])
    packages = array("PACKAGE_NAME", ["api", "web", "worker"])
    finished = run(registry, **listed, **packages, IMAGE_ARCHIVE="images.tar", DOCKER_HOST="tcp://127.0.0.1:1")
    finished.expect(3, "images.tar contains several images, and none of them is integration/gone:1:")
    assert outcomes(finished) == [("api", ["pushed"], 0), ("gone", ["failed"], 3), ("worker", ["pushed"], 0)]
    result: Mapping[str, Any] = finished.result
    assert [each["layers"][0]["status"] for each in result["images"] if each["layers"]] == ["uploaded", "mounted"]
    assert finished.log.count("is compressed") <= 1


def test_the_steps_variables_name_all_images(registry: LocalRegistry, images: Images, run: Run, tmp_path: Path) -> None:
    variables = tmp_path / "variables"
    variables.touch()
    finished = run(registry, **names(build(images, 2)), BITBUCKET_PIPELINES_VARIABLES_PATH=str(variables))
    finished.expect(0)
    result: Mapping[str, Any] = finished.result
    digests = [each["digest"] for each in result["images"]]
    first, second = (
        f"{registry.host}/{SPACE}/{package}@{digest}" for package, digest in zip(PACKAGES, digests, strict=False)
    )
    assert variables.read_text().splitlines() == [
        f"IMAGE_REFERENCE={first}",
        f"IMAGE_DIGEST={digests[0]}",
        f"IMAGE_REFERENCES={first} {second}",
    ]
