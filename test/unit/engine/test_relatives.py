"""Other images of an Engine that share layers with an image, found with few requests."""

from collections.abc import Mapping, Sequence

import pytest
from docker.errors import DockerException, NotFound

from pipe.engine.client import HINT_TIMEOUT, Engine
from pipe.engine.relatives import RELATIVES, Relative
from pipe.oci.image import Image, Layer

IMAGE = Image("app", 1, (Layer(1, "a"), Layer(2, "app")))


class Listing:
    """An Engine that lists images, whose IDs say which layers they have."""

    def __init__(self, images: Sequence[Mapping[str, object]] | Exception | None, gone: str = "") -> None:
        self.listed = images
        self._gone = gone
        self.filters: list[object] = []
        self.inspected: list[str] = []

    def images(self, filters: dict[str, str] | None) -> Sequence[Mapping[str, object]] | None:
        """List the images, or fail."""
        self.filters.append(filters)
        if isinstance(self.listed, Exception):
            raise self.listed
        return self.listed

    def inspect_image(self, name: str) -> dict[str, object]:
        """Describe an image."""
        self.inspected.append(name)
        if name == self._gone:
            raise NotFound("No such image")
        return {"RootFS": {"Layers": name.split("+")} if name else None}

    def close(self) -> None:
        """Do nothing."""


def other(layers: str, created: object = 1, **fields: object) -> dict[str, object]:
    """Describe an image as a list does."""
    tags = [f"tag-of-{layers}"]
    return {"Id": layers, "Created": created, "RepoTags": tags, "RepoDigests": None, "Size": 5} | fields


def found(monkeypatch: pytest.MonkeyPatch, api: Listing, *, pattern: str | None = None) -> tuple[Relative, ...]:
    """Look for relatives that are no candidates by name if that is `no`."""
    engine, timeouts = Engine({}), list[int]()

    def connect(timeout: int) -> Listing:
        timeouts.append(timeout)
        return api

    monkeypatch.setattr(engine, "_client", connect)
    result = engine.relatives(IMAGE, lambda each: each.tags != ("no",), pattern)
    assert timeouts == [HINT_TIMEOUT], "a push does not wait long for it"
    return result


@pytest.mark.parametrize(
    ("others", "ids"),
    [
        pytest.param(None, [], id="null"),
        pytest.param([], [], id="none"),
        pytest.param([other("b")], [], id="without-a-common-layer"),
        pytest.param([other("a+c", 1), other("a+b", 2)], ["a+b", "a+c"], id="newest-first"),
        pytest.param([other("a+c", "odd"), other("a+b", 2)], ["a+b", "a+c"], id="an-odd-time"),
        pytest.param([other("app")], [], id="the-image-itself"),
        pytest.param([other("")], [], id="without-layers"),
        pytest.param(DockerException("busy"), [], id="an-engine-that-fails"),
        pytest.param([other("a+b", RepoTags=["no"])], [], id="no-candidate"),
        pytest.param(
            [other(f"a+{n}", n) for n in range(20)],
            [f"a+{n}" for n in range(19, 19 - RELATIVES, -1)],
            id="many",
        ),
        pytest.param(
            [other("a+old", 1), *(other(f"a+{n}", 2, RepoTags=["no"]) for n in range(20))], ["a+old"], id="many-others"
        ),
    ],
)
def test_the_images_that_share_a_layer(
    monkeypatch: pytest.MonkeyPatch, others: Sequence[Mapping[str, object]] | Exception | None, ids: list[str]
) -> None:
    api = Listing(others)
    assert [each.id for each in found(monkeypatch, api)] == ids
    assert len(api.inspected) <= RELATIVES


@pytest.mark.parametrize(
    ("pattern", "filters"),
    [pytest.param("h/acme/*", {"reference": "h/acme/*"}, id="some"), pytest.param(None, None, id="all")],
)
def test_which_images_are_listed(monkeypatch: pytest.MonkeyPatch, pattern: str | None, filters: object) -> None:
    api = Listing([])
    found(monkeypatch, api, pattern=pattern)
    assert api.filters == [filters]


@pytest.mark.parametrize(
    ("fields", "relative"),
    [
        pytest.param(
            {"RepoTags": ["x:1"], "RepoDigests": ["x@sha256:1"], "Size": 7},
            Relative("a+b", 7, ("x:1",), ("x@sha256:1",), frozenset("ab")),
            id="all",
        ),
        pytest.param(
            {"RepoTags": None, "RepoDigests": None, "Size": None},
            Relative("a+b", 0, (), (), frozenset("ab")),
            id="null",
        ),
    ],
)
def test_what_is_known_of_a_relative(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, object], relative: Relative
) -> None:
    assert found(monkeypatch, Listing([other("a+b", **fields)])) == (relative,)


def test_an_image_that_was_removed_since_is_no_relative(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Listing([other("a+b"), other("a+c")], gone="a+b")
    assert [each.id for each in found(monkeypatch, api)] == ["a+c"]


def test_each_list_and_each_image_is_requested_once_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    api, engine = Listing([other("a+b"), other("a+c")]), Engine({})
    monkeypatch.setattr(engine, "_client", lambda _: api)
    for pattern in (None, "h/acme/*", None, "h/acme/*"):
        assert [each.id for each in engine.relatives(IMAGE, lambda _: True, pattern)] == ["a+b", "a+c"]
    assert api.filters == [None, {"reference": "h/acme/*"}]
    assert api.inspected == ["a+b", "a+c"]


def test_a_list_that_failed_is_requested_again(monkeypatch: pytest.MonkeyPatch) -> None:
    api, engine = Listing(DockerException("busy")), Engine({})
    monkeypatch.setattr(engine, "_client", lambda _: api)
    assert engine.relatives(IMAGE, lambda _: True) == ()
    api.listed = [other("a+b")]
    assert [each.id for each in engine.relatives(IMAGE, lambda _: True)] == ["a+b"]
