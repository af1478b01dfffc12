"""Tags in an Engine: while a run has them, when a signal interrupts it, and after a run that was killed."""

import contextlib
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
import requests
from docker.errors import APIError, NotFound
from unit.engine.tags import NOW, OURS, TARGET, THEIRS, USERS, EngineTags

from pipe.engine import tagging
from pipe.engine.marker import DEAD_AFTER, Marker, key_of
from pipe.engine.tagging import CLOSING_TIMEOUT, Tag
from pipe.errors import StoppedError
from pipe.oci.image import Image
from pipe.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docker import APIClient

REPOSITORY = "crg.apkg.io/acme/app"
SIGTERM = 15


class Tags(EngineTags):
    """An Engine's tags; a signal comes in place of one of the requests, or the Engine fails."""

    def __init__(self, tags: "Mapping[str, str]") -> None:
        super().__init__(tags)
        self.stop_in = -1
        self.renewed = threading.Event()

    def request(self) -> None:
        """Stop the run if it is time."""
        if threading.current_thread() is threading.main_thread():
            self.stop_in -= 1
            if self.stop_in == 0:
                raise StoppedError(SIGTERM)

    def remove_image(self, name: str, *, noprune: bool) -> None:
        """Remove a tag."""
        super().remove_image(name, noprune=noprune)
        if threading.current_thread() is not threading.main_thread():
            self.renewed.set()


def tagged(
    engine: Tags, warnings: list[str], clock: "Callable[[], int]" = lambda: NOW
) -> contextlib.AbstractContextManager[None]:
    """Tag our image with the target."""
    tag = Tag(lambda: cast("APIClient", engine), Image(OURS, 0, ()), TARGET, warnings.append, clock)
    return tag.applied(contextlib.nullcontext)


def marker(original: str, at: int, *, tag: str = "1", leaving: bool = False) -> str:
    """Return the name that another run's marker makes."""
    return f"{REPOSITORY}:{Marker(key_of(tag), original, '0a1b2c3d', at, leaving)}"


BEFORE = [
    pytest.param({}, id="no-such-tag"),
    pytest.param({str(TARGET): USERS, "users:1": USERS}, id="another-image"),
]


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("at", range(1, 17))
def test_a_signal_while_tags_are_put_back_leaves_none(before: dict[str, str], at: int) -> None:
    engine = Tags({"app:1": OURS} | before)
    warnings: list[str] = []
    try:
        with tagged(engine, warnings):
            engine.stop_in = at
    except StoppedError:
        assert engine.timeout == CLOSING_TIMEOUT
    assert engine.tags == {"app:1": OURS} | before
    assert warnings == []


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("at", range(1, 8))
def test_a_signal_while_tags_are_set_leaves_none(before: dict[str, str], at: int) -> None:
    engine = Tags({"app:1": OURS} | before)
    engine.stop_in = at
    with contextlib.suppress(StoppedError), tagged(engine, []):
        assert engine.tags[str(TARGET)] == OURS
    assert engine.tags == {"app:1": OURS} | before


def test_a_tag_that_names_the_image_already_is_not_marked() -> None:
    before = {str(TARGET): OURS}
    engine = Tags(before)
    with tagged(engine, []):
        assert engine.tags == before
    assert engine.tags == before


def test_an_image_that_is_gone_has_no_tags_to_put_back() -> None:
    found = {"other:1": THEIRS, str(TARGET): THEIRS}
    engine = Tags(found)
    warnings: list[str] = []
    with pytest.raises(NotFound), tagged(engine, warnings):
        pass
    assert (engine.tags, warnings) == (found, [])


class Full(Tags):
    """An Engine whose disk is full, at some time."""

    is_full = False

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Fail if the disk is full."""
        if self.is_full:
            raise APIError("no space left on device", response=SERVER_ERROR)
        super().tag(image, repository, tag)


SERVER_ERROR = requests.Response()
SERVER_ERROR.status_code = 500


def test_an_engine_that_sets_no_more_tags_removes_those_of_the_run() -> None:
    engine = Full({"app:1": OURS})
    warnings: list[str] = []
    with tagged(engine, warnings):
        engine.is_full = True
    assert (engine.tags, warnings) == ({"app:1": OURS}, [])


def test_a_run_that_could_set_no_tag_warns_of_none() -> None:
    engine = Full({"app:1": OURS})
    engine.is_full = True
    warnings: list[str] = []
    with pytest.raises(APIError), tagged(engine, warnings):
        pass
    assert (engine.tags, warnings) == ({"app:1": OURS}, [])


def test_a_marker_is_renewed_while_the_run_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging, "BEAT", 0.001)
    engine = Tags({"app:1": OURS})
    times = iter(range(NOW, NOW + 10**6))
    with tagged(engine, [], lambda: next(times)):
        assert engine.renewed.wait(60)
    assert engine.tags == {"app:1": OURS}


@pytest.mark.parametrize("original", [pytest.param("", id="added"), pytest.param(USERS, id="moved")])
@pytest.mark.parametrize("tag", [pytest.param("1", id="same-tag"), pytest.param("0.9", id="another-tag")])
@pytest.mark.parametrize("image", [pytest.param(OURS, id="same-image"), pytest.param(THEIRS, id="another-image")])
@pytest.mark.parametrize(
    ("at", "leaving"),
    [
        pytest.param(NOW - DEAD_AFTER - 1, False, id="killed"),
        pytest.param(NOW - DEAD_AFTER - 1, True, id="killed-while-it-left"),
        pytest.param(0, False, id="killed-old-release"),
    ],
)
def test_a_run_undoes_what_a_killed_one_left(original: str, tag: str, image: str, at: int, leaving: bool) -> None:
    found = {"app:1": OURS, "other:1": THEIRS, "users:1": USERS}
    left = marker(original, at, tag=tag, leaving=leaving)
    engine = Tags(found | {f"{REPOSITORY}:{tag}": image, left: image})
    warnings: list[str] = []
    with tagged(engine, warnings):
        assert engine.tags[str(TARGET)] == OURS
    assert engine.tags == found | ({f"{REPOSITORY}:{tag}": original} if original else {})
    outcome = "moved back" if original else "removed"
    assert warnings == [f"A killed run left the tag {REPOSITORY}:{tag} in Docker Engine; it was {outcome}."]


def test_a_run_leaves_the_markers_of_live_runs_alone() -> None:
    found = {"app:1": OURS, "other:1": THEIRS, f"{REPOSITORY}:2": THEIRS, marker("", NOW - DEAD_AFTER, tag="2"): THEIRS}
    engine = Tags(found)
    with tagged(engine, []):
        pass
    assert engine.tags == found


def test_a_tag_of_a_killed_run_that_a_live_one_uses_stays() -> None:
    alive = f"{REPOSITORY}:{Marker(key_of('2'), USERS, '4e5f6a7b', NOW)}"
    found = {"app:1": OURS, "users:1": USERS, f"{REPOSITORY}:2": THEIRS, alive: THEIRS}
    engine = Tags(found | {marker(USERS, NOW - DEAD_AFTER - 1, tag="2"): THEIRS})
    warnings: list[str] = []
    with tagged(engine, warnings):
        pass
    assert engine.tags == found
    assert warnings == []


@pytest.mark.parametrize("last", [True, False], ids=["last-to-leave", "first-to-leave"])
@pytest.mark.parametrize("image", [pytest.param(OURS, id="same-image"), pytest.param(THEIRS, id="another-image")])
def test_the_last_of_two_runs_puts_the_users_tag_back(image: str, last: bool) -> None:
    found = {"app:1": OURS, "other:1": THEIRS, "users:1": USERS}
    theirs = {str(TARGET): image, marker(USERS, NOW): image}
    engine = Tags(found | theirs)
    with tagged(engine, []):
        assert engine.tags[str(TARGET)] == OURS
        if last:
            del engine.tags[marker(USERS, NOW)]
    shared = image == OURS and not last
    expected = {str(TARGET): OURS if shared else USERS} | ({} if last else {marker(USERS, NOW): image})
    assert engine.tags == found | expected


def test_a_dead_run_of_the_same_image_that_died_meanwhile_is_not_waited_for() -> None:
    engine = Tags({"app:1": OURS, "users:1": USERS, str(TARGET): OURS, marker(USERS, NOW): OURS})
    times = iter([NOW] * 2 + [NOW + DEAD_AFTER + 1] * 9)
    with tagged(engine, [], lambda: next(times)):
        pass
    assert engine.tags[str(TARGET)] == USERS


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        pytest.param({}, str(TARGET), id="the-target"),
        pytest.param({str(TARGET): USERS}, f"{REPOSITORY}:pipe-kept-", id="no-marker"),
    ],
)
def test_an_image_without_a_name_keeps_one_tag_that_is_no_marker(before: dict[str, str], kept: str) -> None:
    engine = Tags({"app:1": OURS} | before)
    del engine.tags["app:1"]
    warnings: list[str] = []
    with tagged(engine, warnings):
        pass
    [left] = [name for name, image in engine.tags.items() if image == OURS]
    assert left.startswith(kept)
    assert [image for name, image in engine.tags.items() if name != left] == list(before.values())
    assert len(warnings) == 1
    assert f"The image keeps the tag {left} in Docker Engine" in warnings[0]


class Listing(Tags):
    """An Engine that lists the names of Docker Hub in a form of its own."""

    def __init__(self, tags: "Mapping[str, str]", asked: str, listed: str) -> None:
        """Store the repository as requests name it, and as answers do."""
        super().__init__(tags)
        self._asked, self._listed = f"{asked}:", f"{listed}:"

    def inspect_image(self, name: str) -> dict[str, Any]:
        """Find an image."""
        return self._shown(super().inspect_image(name))

    def images(self, filters: "Mapping[str, list[str]]") -> list[dict[str, Any]]:
        """List images by the beginnings of a tag as it is listed."""
        patterns = [
            each.replace(self._listed, self._asked, 1) for each in filters["reference"] if each.startswith(self._listed)
        ]
        return [self._shown(each) for each in super().images({"reference": patterns})]

    def _shown(self, image: dict[str, Any]) -> dict[str, Any]:
        return image | {"RepoTags": [name.replace(self._asked, self._listed, 1) for name in image["RepoTags"]]}


@pytest.mark.parametrize(
    ("asked", "listed"),
    [
        pytest.param("index.docker.io/acme/app", "acme/app", id="hub"),
        pytest.param("docker.io/acme/app", "acme/app", id="hub-in-short"),
        pytest.param("docker.io/library/app", "app", id="hub-library"),
        pytest.param("index.docker.io/acme/app", "docker.io/acme/app", id="hub-of-podman"),
        pytest.param("docker.io/acme/app", "docker.io/acme/app", id="hub-of-podman-in-short"),
    ],
)
@pytest.mark.parametrize("original", [pytest.param("", id="added"), pytest.param(USERS, id="moved")])
def test_names_that_an_engine_lists_in_another_form_are_recognised(asked: str, listed: str, original: str) -> None:
    domain, _, path = asked.partition("/")
    target = Reference(domain, path, "1")
    found = {"other:1": THEIRS, "users:1": USERS, "mine:1": OURS} | ({str(target): original} if original else {})
    dead = f"{asked}:{Marker(key_of('1'), original, '0a1b2c3d', NOW - DEAD_AFTER - 1)}"
    engine = Listing(found | {str(target): THEIRS, dead: THEIRS}, asked, listed)
    api = cast("APIClient", engine)
    with Tag(lambda: api, Image(OURS, 0, ()), target, lambda _warning: None, lambda: NOW).applied(
        contextlib.nullcontext
    ):
        assert engine.tags[str(target)] == OURS
    assert engine.tags == found


class OfAnotherForm(Tags):
    """An Engine that lists names in a form that nobody knows."""

    def inspect_image(self, name: str) -> dict[str, Any]:
        """Find an image."""
        found = super().inspect_image(name)
        return found | {"RepoTags": [f"some/{tag}" for tag in found["RepoTags"]]}


def test_the_users_tag_is_put_back_however_the_engine_lists_it() -> None:
    engine = OfAnotherForm({"app:1": OURS, "users:1": USERS, str(TARGET): USERS})
    with tagged(engine, []):
        assert engine.tags[str(TARGET)] == OURS
    assert engine.tags[str(TARGET)] == USERS


class Failing(Tags):
    """An Engine that cannot list images."""

    def images(self, filters: "Mapping[str, list[str]]") -> list[dict[str, Any]]:
        """Fail."""
        raise APIError(str(filters))


def test_a_failure_to_clean_up_after_others_fails_no_push() -> None:
    engine = Failing({"app:1": OURS})
    with tagged(engine, []):
        assert engine.tags[str(TARGET)] == OURS
    assert engine.tags == {"app:1": OURS}
