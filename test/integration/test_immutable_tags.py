"""Tags that point to another image: with every image store of an Engine, both uploaders, and an archive."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from integration.archives import NOWHERE
from integration.engine_proxy import EngineProxy, Save
from integration.existing_tags import Place, Way, errors, fresh, named, saved, statuses, with_digests
from integration.images import MB, Images
from integration.registries import BY_ENGINE, BY_PIPE, digest_in
from integration.running import Start
from integration.second_engine import INSIDE, Second
from registry.client import LocalRegistry

DEMO = "demo-workspace"
REVISION = "org.opencontainers.image.revision"
JSON = {"Content-Type": "application/json"}
CODES = ("DENIED", "TAG_INVALID", "MANIFEST_INVALID", "PRECONDITION")
BODIES: dict[str, dict[str, object]] = {
    **{code: {"headers": JSON, "body": f'{{"errors":[{{"code":"{code}","message":"no"}}]}}'} for code in CODES},
    "none": {},
    "html": {"headers": {"Content-Type": "text/html"}, "body": "<html><h1>Rejected</h1></html>"},
}
REJECTIONS = {
    f"{status}-{name}": {"status": status, **body}
    for status in (400, 403, 405, 409, 412)
    for name, body in BODIES.items()
}
"""How registries reject a change of an immutable tag."""
pytestmark = [pytest.mark.root]


@pytest.fixture(scope="module")
def places(
    engine: docker.DockerClient,
    shared_registry: LocalRegistry,
    running_containerd: Second,
    running_graphdriver: Second,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Place]]:
    """Two images in Docker Engine 20.10, in Docker Engine 26.1 with each image store, and in archives."""
    folder = tmp_path_factory.mktemp("places")
    clients = {"engine": engine, "containerd": running_containerd.client, "graphdriver": running_graphdriver.client}
    with contextlib.ExitStack() as cleaning:
        built = {}
        for kind, client in clients.items():
            images = Images(client)
            cleaning.callback(images.remove)
            old = images.build(MB // 10, labels={REVISION: "c0ffee"})
            built[kind] = {"old": old, "new": images.build(MB // 10, MB // 10)}
        found = {
            "engine": Place(shared_registry, shared_registry.host, (), {}, named(built["engine"])),
            "archive": Place(
                shared_registry, shared_registry.host, (), NOWHERE, saved(engine, built["engine"], folder)
            ),
        }
        for second in (running_containerd, running_graphdriver):
            variables = {"DOCKER_HOST": second.engine.docker_host}
            found[second.kind] = Place(
                second.registry, INSIDE, second.engine.inside, variables, named(built[second.kind])
            )
        yield {kind: with_digests(place, folder) for kind, place in found.items()}


KINDS = ("engine", "containerd", "graphdriver", "archive")
every_kind = pytest.mark.parametrize("kind", KINDS)
every_way = pytest.mark.parametrize(
    ("kind", "uploader"),
    [
        *(
            pytest.param(kind, uploader, id=f"{kind}-by-{uploader}")
            for kind in KINDS[:3]
            for uploader in ("engine", "pipe")
        ),
        pytest.param("archive", "auto", id="archive"),
    ],
)


@pytest.fixture
def kind() -> str:
    """Return where the images are."""
    return "engine"


@pytest.fixture
def uploader() -> str:
    """Return who pushes."""
    return "auto"


@pytest.fixture
def way(places: dict[str, Place], kind: str, uploader: str, start: Start) -> Way:
    """A way to push the new image to a registry without faults and with an empty log."""
    place = places[kind]
    place.registry.clear()
    return Way(place, uploader, start)


@every_way
def test_fail_ends_the_push_before_anything_is_uploaded(way: Way) -> None:
    new, old = fresh("new", "old")
    way.place.point("old", old)
    way.registry.clear()
    finished = way.push(f"{new} {old}", IF_TAG_EXISTS="fail")
    finished.expect(
        4,
        "✖ The tag already exists:",
        f"{way.named(old)} points to another image, {way.old}",
        "from revision c0ffee). Nothing was uploaded.",
        "Push a new tag, or set IF_TAG_EXISTS to skip or overwrite.",
    )
    assert statuses(finished) == {new: "not tried", old: "failed"}
    assert (finished.references, way.writes()) == ([], [])
    assert way.registry.requests(user_agent=BY_ENGINE) == []


@every_way
def test_skip_leaves_the_tag_alone_and_pushes_the_others(way: Way) -> None:
    new, old, same = fresh("new", "old", "same")
    way.place.point("old", old)
    way.place.point("new", same)
    finished = way.push(f"{old} {new} {same}", IF_TAG_EXISTS="skip")
    finished.expect(0, f"Left alone: {old} (points to another image, {way.place.digests['old']})")
    assert statuses(finished) == {old: "skipped", new: "pushed", same: "already there"}
    assert digest_in(way.registry, old) == way.place.digests["old"]
    assert digest_in(way.registry, new) == way.place.digests["new"]


@every_kind
def test_nothing_is_uploaded_if_all_tags_are_skipped(way: Way) -> None:
    old, other = fresh("old", "other")
    way.place.point("old", old, other)
    way.registry.clear()
    finished = way.push(f"{old} {other}", IF_TAG_EXISTS="skip")
    finished.expect(0, f"Left alone: {old}", f"Left alone: {other}")
    assert statuses(finished) == {old: "skipped", other: "skipped"}
    assert (finished.references, way.writes()) == ([], [])


@every_way
def test_new_tags_come_first_and_a_protected_one_does_not_stop_the_others(way: Way) -> None:
    new, kept, moving = fresh("new", "kept", "moving")
    way.place.point("old", kept, moving, "latest")
    way.registry.clear()
    rules = [{"name": "kept", "pattern": "^kept-"}]
    with way.registry.protected_tags(DEMO, "some", rules=rules):
        finished = way.push(f"latest {kept} {moving} {new}")
    finished.expect(
        4,
        "✖ The registry rejected moving the tag:",
        f"{way.named(kept)} exists and points to another image, {way.old}",
        "from revision c0ffee). The registry rejects moving it:",
        f"tag {kept} is protected and cannot be overwritten",
        "The tag is probably protected (Container settings of the workspace): push a new tag, or set"
        " IF_TAG_EXISTS: skip.",
    )
    assert statuses(finished) == {"latest": "pushed", kept: "failed", moving: "pushed", new: "pushed"}
    assert [reference.partition("@")[0] for reference in finished.references] == [
        way.named(tag) for tag in ("latest", moving, new)
    ]
    assert digest_in(way.registry, kept) == way.place.digests["old"]
    puts = [entry.path.rpartition("/")[2] for entry in way.registry.requests(method="PUT", path="*/manifests/*")]
    first, *between, last = [tag for tag in dict.fromkeys(puts) if "sha256:" not in tag]
    assert (first, set(between), last) == (new, {kept, moving}, "latest")


@every_way
def test_every_rejection_of_a_tag_that_exists_is_explained(way: Way) -> None:
    tags = dict(zip(REJECTIONS, fresh(*REJECTIONS), strict=True))
    way.place.point("old", *tags.values())
    for name, tag in tags.items():
        way.registry.fault(method="PUT", path=f"*/manifests/{tag}", answer=REJECTIONS[name])
    finished = way.push(" ".join(tags.values()), MAX_ATTEMPTS="1")
    finished.expect(4, "✖ The registry rejected moving the tag:", "WARNING: The registry rejected moving the tag:")
    assert statuses(finished) == dict.fromkeys(tags.values(), "failed")
    for tag, error in errors(finished).items():
        assert f"{way.named(tag)} exists and points to another image, {way.old}" in error
        assert "from revision c0ffee). The registry rejects moving it:" in error
    by = BY_ENGINE if way.uploader == "engine" else BY_PIPE
    assert len(way.registry.requests(method="PUT", path="*/manifests/*-*", user_agent=by)) >= len(tags)


@every_way
def test_a_403_for_a_new_tag_is_about_access(way: Way) -> None:
    [new] = fresh("new")
    way.registry.fault(method="PUT", path=f"*/manifests/{new}", answer=REJECTIONS["403-DENIED"])
    finished = way.push(new)
    finished.expect(4, "✖ Permission denied: cannot push to this package", "Pushing requires write access")
    finished.expect_not("exists", "IF_TAG_EXISTS")


@every_way
def test_a_tag_that_another_push_creates_first_decides(way: Way, kind: str) -> None:
    same, other = fresh("same", "other")
    way.registry.fault(method="GET", path="*/manifests/*-*", hold=60)
    with way.registry.protected_tags(DEMO, same_digest="rejected"), way.begin(f"{same} {other}") as running:
        way.registry.wait_for(count=2, method="GET", path="*/manifests/*-*", state="open")
        way.place.point("new", same)
        way.place.point("old", other)
        way.registry.clear_faults()
        finished = running.finish()
    finished.expect(4, f"{way.named(other)} exists and points to another image, {way.old}")
    # An Engine with a containerd store reads the tag again, and reports a push that it need not make.
    found = "pushed" if (kind, way.uploader) == ("containerd", "engine") else "already there"
    assert statuses(finished) == {same: found, other: "failed"}
    assert [way.named(same)] == [reference.partition("@")[0] for reference in finished.references]


@pytest.mark.parametrize(
    ("image", "exit_code", "status"),
    [pytest.param("new", 0, "already there", id="same-image"), pytest.param("old", 4, "failed", id="another-image")],
)
@pytest.mark.parametrize(("uploader", "other"), [("engine", "pipe"), ("pipe", "engine")])
def test_of_two_runs_that_create_an_immutable_tag_one_wins(
    way: Way, other: str, image: str, exit_code: int, status: str
) -> None:
    [tag] = fresh("tag")
    way.registry.fault(method="GET", path=f"*/manifests/{tag}", hold=60, times=1)
    with way.registry.protected_tags(DEMO, same_digest="rejected"), way.begin(tag) as slower:
        way.registry.wait_for(method="GET", path=f"*/manifests/{tag}", state="open")
        way.push(tag, image, UPLOADER=other, RESULT_FILE="").expect(0)
        way.registry.clear_faults()
        finished = slower.finish()
    finished.expect(exit_code)
    assert statuses(finished) == {tag: status}
    if exit_code:
        digest = digest_in(way.registry, tag)
        assert f"{way.named(tag)} exists and points to another image, {digest} (created 20" in finished.log


@every_kind
def test_a_dry_run_says_which_tags_exist_and_would_move(way: Way) -> None:
    new, old, same = fresh("new", "old", "same")
    way.place.point("old", old)
    way.place.point("new", same)
    way.registry.clear()
    finished = way.push(f"{new} {old} {same}", DRY_RUN="true")
    finished.expect(0, f"{old} points to another image ({way.place.digests['old']}) and would be moved.", "✔ Dry run:")
    finished.expect_not(f"{new} points to another", f"{same} points to another")
    assert statuses(finished) == {new: "would push", old: "would push", same: "already there"}
    assert way.writes() == []


@pytest.mark.parametrize("policy", ["overwrite", "fail"])
def test_the_engine_stages_nothing_before_the_tags_are_read(way: Way, images: Images, policy: str) -> None:
    [old] = fresh("old")
    way.place.point("old", old)
    image = images.build(6 * MB)
    with tempfile.TemporaryDirectory(prefix="proxy-") as folder:
        proxy = EngineProxy(Path(folder), os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
        proxy.save = Save()
        finished = way.push(old, IMAGE_NAME=image.name, DOCKER_HOST=proxy.docker_host, IF_TAG_EXISTS=policy)
        proxy.stop()
    finished.expect(4 if policy == "fail" else 0)
    assert proxy.save.seen.is_set() == (policy == "overwrite")
