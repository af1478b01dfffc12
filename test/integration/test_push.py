"""What a push is for: the image is in the registry, and it is the right one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import docker
import pytest
from integration.images import MB, Images
from integration.registries import BY_ENGINE, BY_PIPE, REPOSITORY, digest_in
from integration.running import ENGINE_BUSY, Run, environment_of
from registry.client import LocalRegistry

from pipe.push.reuse import MANIFESTS

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def test_fresh_push_needs_only_the_image_and_the_steps_own_variables(
    registry: LocalRegistry, images: Images, run: Run
) -> None:
    image = images.build(MB, MB)
    finished = run(registry, IMAGE_NAME=image.name.removesuffix(":latest"))
    digest = digest_in(registry, "latest")
    reference = f"{registry.host}/{REPOSITORY}:latest@{digest}"
    finished.expect(
        0,
        f"✔ Pushed latest: {registry.host}/{REPOSITORY}@{digest}",
        "Sent ",
        "2 layers",
        "COPY",
        "uploaded",
        within=20 + ENGINE_BUSY,
    )
    assert finished.references == [reference]


def test_result_file_says_all_there_is_to_know(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB, 2 * MB)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine", TAGS="result")
    finished.expect(0)
    digest = digest_in(registry, "result")
    result = finished.result
    layers, platforms = result.pop("layers"), result.pop("platforms")
    assert platforms == [{"platform": "linux/amd64", "digest": digest, "layers": layers}]
    assert result == {
        "image": image.name,
        "image_id": image.id,
        "digest": digest,
        "dry_run": False,
        "tags": [
            {
                "tag": "result",
                "reference": f"{registry.host}/{REPOSITORY}:result@{digest}",
                "digest": digest,
                "verified": True,
                "status": "pushed",
                "previous": None,
                "error": None,
            }
        ],
        "referrers": [],
        "split": None,
        "exit_code": 0,
        "uploader": "engine",
    }
    assert isinstance(layers, list)
    assert [layer["status"] for layer in layers] == ["uploaded", "uploaded"]
    assert [layer["unpacked_size"] for layer in layers] == [MB, 2 * MB]
    assert all(0.9 * MB < layer["size"] < 2.1 * MB for layer in layers), layers
    assert all(DIGEST.fullmatch(layer["digest"]) for layer in layers), layers
    assert all(layer["instruction"].startswith("COPY") and layer["seconds"] > 0 for layer in layers), layers


def test_what_was_pushed_can_be_pulled_by_its_digest(
    engine: docker.DockerClient, registry: LocalRegistry, images: Images, run: Run
) -> None:
    image = images.build(MB)
    finished = run(registry, IMAGE_NAME=image.name, TAGS="pulled")
    finished.expect(0)
    digest = str(finished.result["digest"])
    engine.images.remove(image.id, force=True)
    pulled = engine.images.pull(
        f"{registry.host}/{REPOSITORY}@{digest}", auth_config={"username": "reader", "password": "reader-token"}
    )
    assert pulled.id == image.id


def test_second_push_is_known_to_be_there_without_the_engine(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    run(registry, IMAGE_NAME=image.name, TAGS="twice").expect(0)
    registry.clear()
    again = run(registry, IMAGE_NAME=image.name, TAGS="twice")
    again.expect(0, "✔ Up to date: twice (", within=5)
    assert len(again.log.splitlines()) == 3, again.log
    assert registry.requests(user_agent=BY_ENGINE) == []
    assert again.references == [f"{registry.host}/{REPOSITORY}:twice@{digest_in(registry, 'twice')}"]


def test_an_image_that_is_there_loads_nothing_that_pushes(registry: LocalRegistry, images: Images, run: Run) -> None:
    """Imports take most of such a run; the image is of a size that the Engine may stage before the plan is made."""
    image = images.build(8 * MB)
    run(registry, IMAGE_NAME=image.name, TAGS="there").expect(0)
    again = run(registry, IMAGE_NAME=image.name, TAGS="there", PYTHONPROFILEIMPORTTIME="1")
    again.expect(0, "✔ Up to date: there (")
    loaded = set(re.findall(r"\| +([\w.]+)$", again.log, re.MULTILINE))
    assert {"pipe.main", "pipe.engine.client", "pipe.push.run"} <= loaded
    assert {name.partition(".")[0] for name in loaded} & {"deflate", "isal", "yaml"} == set()
    pushing = {"encoding", "engine.events", "engine.prefixes", "engine.stream", "push.engine_pusher", "push.promotion"}
    pushing |= {"push.takeover", "push.transfer", "source.daemon", "source.tar"}
    assert loaded & {f"pipe.{name}" for name in pushing} == set()


def test_changed_image_sends_only_what_is_new(registry: LocalRegistry, images: Images, run: Run) -> None:
    first = images.build(MB)
    run(registry, IMAGE_NAME=first.name, UPLOADER="engine", TAGS="changing").expect(0)
    registry.clear()
    second = images.build(2 * MB, base=first.name)
    finished = run(registry, IMAGE_NAME=second.name, UPLOADER="engine", TAGS="changing")
    finished.expect(0, "already there", "uploaded", "✔ Pushed ")
    assert digest_in(registry, "changing") == finished.result["digest"]
    assert [entry.received > MB for entry in registry.requests(method="PATCH")] == [True, False], "one layer, config"


@pytest.mark.parametrize(
    ("version", "tags"),
    [
        pytest.param("1.1", {"TAGS": "1.1 latest 0a1b2c3-1.1"}, id="spaces"),
        pytest.param("1.2", {"TAGS": "1.2,latest,\n0a1b2c3-1.2"}, id="commas"),
        pytest.param(
            "1.3",
            {"TAGS_COUNT": "3", "TAGS_0": "1.3", "TAGS_1": "latest", "TAGS_2": "0a1b2c3-1.3", "TAGS": ""},
            id="array",
        ),
    ],
)
def test_further_tags_are_set_by_one_request_each(
    registry: LocalRegistry, images: Images, run: Run, version: str, tags: dict[str, str]
) -> None:
    image = images.build(MB)
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="engine", **tags)
    finished.expect(0)
    digest = digest_in(registry, version)
    names = [version, "latest", f"0a1b2c3-{version}"]
    assert finished.references == [f"{registry.host}/{REPOSITORY}:{name}@{digest}" for name in names]
    puts = [
        (entry.path.rpartition("/")[2], entry.status) for entry in registry.requests(method="PUT", user_agent=BY_PIPE)
    ]
    assert puts == [(f"0a1b2c3-{version}", 201), ("latest", 201)], "latest is the last one"
    assert [digest_in(registry, name) for name in names] == [digest] * 3


@pytest.mark.parametrize("status", [400, 404, 405, 415])
def test_further_tags_go_through_the_engine_where_the_registry_takes_no_manifest(
    registry: LocalRegistry, images: Images, run: Run, status: int
) -> None:
    image = images.build(MB)
    registry.fault(method="PUT", path="*/manifests/*", user_agent=BY_PIPE, answer={"status": status})
    # Tags that no other test has pushed: a rejected one that exists would count as protected.
    names = [f"first-{status}", f"second-{status}"]
    finished = run(registry, IMAGE_NAME=image.name, TAGS=" ".join(names))
    finished.expect(0)
    by_engine = registry.requests(method="PUT", path="*/manifests/*", user_agent=BY_ENGINE)
    assert [entry.path.rpartition("/")[2] for entry in by_engine] == names
    assert [digest_in(registry, name) for name in names] == [finished.result["digest"]] * 2


def test_fully_qualified_name_says_package_and_tag(
    engine: docker.DockerClient, registry: LocalRegistry, images: Images, run: Run
) -> None:
    image = images.build(MB)
    name = f"{registry.host}/{REPOSITORY}:qualified"
    engine.api.tag(image.id, f"{registry.host}/{REPOSITORY}", "qualified")
    finished = run(registry, IMAGE_NAME=name)
    finished.expect(0)
    assert finished.references == [f"{name}@{digest_in(registry, 'qualified')}"]
    assert name in engine.images.get(image.id).tags, "the user's own tag has to stay"


def test_package_may_have_another_name_than_the_image(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB, package="web")
    finished = run(registry, IMAGE_NAME=image.name, TAGS="renamed", PACKAGE_NAME="my-container-app")
    finished.expect(0)
    assert finished.references == [f"{registry.host}/{REPOSITORY}:renamed@{digest_in(registry, 'renamed')}"]


def test_dry_run_checks_everything_and_uploads_nothing(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    finished = run(registry, IMAGE_NAME=image.name, TAGS="dry run", DRY_RUN="true")
    finished.expect(0, "would upload", "COPY", "✔ Dry run: dry, run would be pushed.", within=5)
    assert finished.references == []
    assert [entry.method for entry in registry.requests(path="*/blobs/uploads/*")] == ["POST"]
    assert registry.requests(method="P[AU]T*") == []
    assert finished.result["dry_run"] is True


def test_dry_run_ends_with_what_the_checks_found(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.build(MB)
    finished = run(registry, IMAGE_NAME=image.name, DRY_RUN="true", PACKAGE_NAME="never-created")
    finished.expect(4, "does not exist in this workspace", within=5)


def test_step_variables_hand_the_digest_to_later_commands(
    registry: LocalRegistry, images: Images, run: Run, tmp_path: Path
) -> None:
    image = images.build(MB)
    file = tmp_path / "variables"
    file.write_text("EARLIER=1\n", "utf-8")
    finished = run(registry, IMAGE_NAME=image.name, TAGS="a b", BITBUCKET_PIPELINES_VARIABLES_PATH=str(file))
    finished.expect(0, "Set the step variables: IMAGE_REFERENCE, IMAGE_DIGEST.")
    digest = digest_in(registry, "a")
    assert file.read_text("utf-8").splitlines() == [
        "EARLIER=1",
        f"IMAGE_REFERENCE={registry.host}/{REPOSITORY}@{digest}",
        f"IMAGE_DIGEST={digest}",
    ]


def test_result_file_that_is_a_device_or_a_link_stays_one(
    registry: LocalRegistry, images: Images, run: Run, tmp_path: Path
) -> None:
    image = images.build(MB)
    finished = run(registry, IMAGE_NAME=image.name, TAGS="device", RESULT_FILE="/dev/stdout")
    finished.expect(0)
    written, _, reference = finished.out.rstrip().rpartition("\n")
    assert json.loads(written)["tags"][0]["reference"] == reference
    (tmp_path / "link.json").symlink_to("real.json")
    run(registry, IMAGE_NAME=image.name, TAGS="device", RESULT_FILE=str(tmp_path / "link.json")).expect(0)
    assert json.loads((tmp_path / "real.json").read_text("utf-8"))["digest"] == digest_in(registry, "device")


@pytest.mark.parametrize("output", ["closed", "full"])
def test_output_that_nobody_takes_is_no_failure_of_the_push(
    registry: LocalRegistry, images: Images, tmp_path: Path, output: str
) -> None:
    image = images.build(MB)
    result = tmp_path / "result.json"
    environment = environment_of(
        REGISTRY=registry.host, IMAGE_NAME=image.name, TAGS=f"no-output {output}", RESULT_FILE=str(result)
    )
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe, Path("/dev/full").open("w", encoding="ascii") as full:
        process = subprocess.run(
            [sys.executable, "-m", "pipe"],
            cwd=tmp_path,
            env=environment,
            stdout=pipe if output == "closed" else full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    assert process.returncode == 0, process.stderr
    assert process.stderr.count("WARNING: Standard output could not be written: ") == 1, process.stderr
    assert f"✔ Pushed no-output, {output}: " in process.stderr, process.stderr
    assert json.loads(result.read_text("utf-8"))["digest"] == digest_in(registry, "no-output")


@pytest.mark.parametrize(
    ("known", "variables"),
    [
        pytest.param("known", {"REUSE_FROM": "known"}, id="that-the-user-names"),
        pytest.param("latest", {}, id="latest"),
    ],
)
def test_dry_run_knows_layers_that_the_registry_has_under_another_tag(
    registry: LocalRegistry, images: Images, run: Run, known: str, variables: dict[str, str]
) -> None:
    base = images.build(MB)
    run(registry, IMAGE_NAME=base.name, TAGS=known).expect(0)
    changed = images.build(2 * MB, base=base.name)
    registry.clear()
    finished = run(registry, IMAGE_NAME=changed.name, TAGS="unknown", DRY_RUN="true", **variables)
    finished.expect(0, "already there", "would upload", " unpacked", "✔ Dry run: unknown would be pushed.")
    assert registry.requests(method="HEAD", path="*/blobs/*") != []
    assert registry.requests(method="P[AU]T*") == []


def test_ten_tags_that_the_user_names_do_not_hide_latest(registry: LocalRegistry, images: Images, run: Run) -> None:
    base = images.build(MB)
    run(registry, IMAGE_NAME=base.name).expect(0)
    old = [f"old-{number}" for number in range(MANIFESTS)]
    for tag in old:
        run(registry, IMAGE_NAME=images.build(1000).name, TAGS=tag).expect(0)
    changed = images.build(1000, base=base.name)
    finished = run(registry, IMAGE_NAME=changed.name, TAGS="new", REUSE_FROM=" ".join(old), DRY_RUN="true")
    finished.expect(0, "already there", "would upload")


REQUEST = re.compile(r"(?:GET|HEAD|POST|PUT|PATCH) /[^\s?]* (?:[1-5][0-9]{2}|no answer) [0-9]+\.[0-9]{3} s")
ENGINE = re.compile(r"Docker Engine: version \S+, \w+ store, built with go\S+, [0-9]+ processors\.")


def test_debug_tells_the_engine_and_each_request_without_query_or_header(
    registry: LocalRegistry, images: Images, run: Run
) -> None:
    image = images.build(MB)
    finished = run(registry, IMAGE_NAME=image.name, TAGS="debug", DEBUG="true")
    finished.expect(0)
    told = [line.removeprefix("DEBUG: ") for line in finished.log.splitlines() if line.startswith("DEBUG: ")]
    assert [line for line in told if ENGINE.fullmatch(line)] != [], finished.shown("a line on the Engine")
    sent = {line.rpartition(" ")[0].rpartition(" ")[0] for line in told if REQUEST.fullmatch(line)}
    by_pipe = {f"{each.method} {each.path} {each.status}" for each in registry.requests(user_agent=BY_PIPE)}
    # The registry on this machine has no TLS, which is tried first.
    assert sent - {"GET /v2/ no answer"} == by_pipe


def test_no_line_is_longer_than_a_hundred_columns_but_those_with_references(
    registry: LocalRegistry, images: Images, run: Run
) -> None:
    image = images.build(MB, MB)
    finished = run(registry, IMAGE_NAME=image.name, TAGS="narrow")
    finished.expect(0, "Sent ", " in ")
    assert [line for line in finished.log.splitlines() if len(line) > 100 and registry.host not in line] == []
    assert finished.log.splitlines()[-1].startswith("✔ Pushed narrow: "), finished.shown("what was pushed, at the end")
