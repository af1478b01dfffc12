"""Errors of an Engine that cannot be reached, and answers with nulls. The rest is tested with real Engines."""

from urllib.parse import urlencode

import pytest
from docker.errors import ImageNotFound

from pipe.engine.client import Engine
from pipe.engine.kind import EngineKind
from pipe.engine.prefixes import LABEL
from pipe.errors import EngineUnreachableError, ImageNotFoundError
from pipe.oci.image import Image
from pipe.oci.manifest import DOCKER_LIST, OCI_INDEX, OCI_MANIFEST
from pipe.oci.reference import Reference

FIX = "add `docker` to the step's `services`"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        pytest.param({"DOCKER_HOST": "nonsense://h"}, ["nonsense://h", FIX], id="unknown-scheme"),
        pytest.param({"DOCKER_HOST": "tcp://"}, ["tcp://: ", FIX], id="no-host"),
        pytest.param({"DOCKER_HOST": "tcp://h:port"}, ["tcp://h:port: ", FIX], id="no-port"),
        pytest.param({"DOCKER_HOST": "tcp://me:s3cr3t@:port"}, ["tcp://***@:port", FIX], id="password"),
        pytest.param(
            {"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/gone"},
            ["Check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."],
            id="no-certificates",
        ),
    ],
)
def test_an_address_that_leads_nowhere(environment: dict[str, str], words: list[str]) -> None:
    with pytest.raises(EngineUnreachableError) as raised:
        Engine(environment).image("app")
    message = str(raised.value)
    assert raised.value.exit_code == 3
    assert [word for word in words if word not in message] == [], message
    assert "s3cr3t" not in message


def test_an_engine_that_went_away_is_told_with_its_address() -> None:
    error = Engine({"DOCKER_HOST": "tcp://h:2375"}).gone("reset.")
    assert error.summary == "Docker Engine does not answer: tcp://h:2375: reset."
    assert "may have run out of memory" in error.fix
    assert "unix:///var/run/docker.sock: " in Engine({}).gone("x").cause


INDEX, HERE, AWAY, ATTESTATION = (f"sha256:{letter * 64}" for letter in "1234")


def named(digest: str, kind: str = "image", *, available: bool = True) -> dict[str, object]:
    """Say what the Engine says of a manifest that an index names."""
    return {"Descriptor": {"digest": digest}, "Kind": kind, "Available": available}


class Api:
    """An Engine that has an image, and tells of its manifests where it is asked for them."""

    base_url, api_version = "http+docker://localhost", "1.51"

    def __init__(self, media_type: str, manifests: list[dict[str, object]] | None, status: int = 200) -> None:
        self.media_type = media_type
        self._manifests = manifests
        self.status_code = status
        self.asked: list[str] = []

    def inspect_image(self, _name: str) -> dict[str, object]:
        """Tell of the image."""
        return {"Id": INDEX, "Descriptor": {"mediaType": self.media_type}} if self.media_type else {"Id": INDEX}

    def history(self, _name: str) -> list[dict[str, object]]:
        """Tell no history."""
        return []

    def get(self, url: str, params: dict[str, str], timeout: float) -> "Api":
        """Answer with itself."""
        self.asked.append(f"{url}?{urlencode(params)}")
        assert timeout
        return self

    def json(self) -> dict[str, object]:
        """Return the answer's body."""
        return {"Manifests": self._manifests}


@pytest.mark.parametrize(
    ("api", "pushed_alone"),
    [
        pytest.param(Api("", None), set(), id="a-store-without-indexes"),
        pytest.param(Api(OCI_MANIFEST, None), set(), id="one-platform"),
        pytest.param(Api(OCI_INDEX, [named(HERE), named(AWAY, available=False)]), {HERE}, id="a-part-of-an-index"),
        pytest.param(Api(DOCKER_LIST, [named(HERE), named(AWAY, available=False)]), {HERE}, id="a-part-of-a-list"),
        pytest.param(Api(OCI_INDEX, [named(HERE), named(AWAY)]), set(), id="all-of-an-index"),
        pytest.param(
            Api(OCI_INDEX, [named(HERE), named(ATTESTATION, "attestation", available=False)]),
            set(),
            id="all-but-the-attestation",
        ),
        pytest.param(Api(OCI_INDEX, None), set(), id="an-engine-that-does-not-say"),
        pytest.param(Api(OCI_INDEX, [named(HERE), named(AWAY, available=False)], 500), set(), id="it-fails"),
    ],
)
def test_what_an_engine_may_push_instead_of_an_index(api: Api, pushed_alone: set[str]) -> None:
    engine = Engine({})
    vars(engine)["_api"] = api
    assert engine.image("app").manifests == pushed_alone
    url = f"http+docker://localhost/v1.51/images/sha256%3A{'1' * 64}/json?manifests=1"
    assert api.asked == ([url] if api.media_type in {OCI_INDEX, DOCKER_LIST} else [])


class Nulls(Api):
    """An Engine that answers null wherever it may."""

    def history(self, _name: str) -> None:  # type: ignore[override]
        """Return no history."""

    def images(self) -> None:
        """List no images."""

    def info(self) -> None:
        """Return no information."""

    def json(self) -> None:  # type: ignore[override]
        """Return no manifests."""


class NullsOfNoImage(Nulls):
    """The same, without any image."""

    def inspect_image(self, name: str) -> dict[str, object]:
        """Find none."""
        raise ImageNotFound(name)


def test_null_is_no_crash() -> None:
    engine = Engine({})
    vars(engine).update(_api=Nulls(OCI_INDEX, None), _version={})
    assert engine.image("app") == Image(INDEX, 0, ())
    assert engine.kind() == EngineKind()
    vars(engine)["_api"] = NullsOfNoImage(OCI_INDEX, None)
    with pytest.raises(ImageNotFoundError, match="It has no images"):
        engine.image("app")


class OtherImages(NullsOfNoImage):
    """An Engine that has other images only."""

    def __init__(self, *tags: str) -> None:
        super().__init__("", None)
        self.tags = tags

    def images(self) -> list[dict[str, object]]:  # type: ignore[override]
        """List the images."""
        tags: list[object] = [[tag] for tag in (*self.tags, "<none>:<none>")]
        return [{"RepoTags": each} for each in (*tags, None)]


@pytest.mark.parametrize(
    ("name", "there", "words"),
    [
        pytest.param("my-contaner", ["my-container:latest", "redis:latest"], ": my-container:latest.", id="a-typo"),
        pytest.param(
            "app", ["redis:latest", "node:22", "base/y:latest"], "It has no image", id="only-the-tag-is-equal"
        ),
        pytest.param("app:2", ["redis:2", "app:1", "app:latest"], ": app:1, app:latest.", id="another-tag"),
        pytest.param("app:2", ["crg.apkg.io/acme/app:1"], ": crg.apkg.io/acme/app:1.", id="without-its-registry"),
        pytest.param("h:5000/acme/app", ["app:1"], ": app:1.", id="with-another-registry"),
        pytest.param("api", ["app:1", "api:1"], ": api:1, app:1.", id="the-closest-first"),
        pytest.param("app", [f"app:{n}" for n in range(9)], ": app:0, app:1, app:2, app:3, app:4.", id="many"),
        pytest.param("sha256:" + "0" * 64, ["app:1"], "It has no image with a similar name.", id="an-id"),
        pytest.param("app", [], "It has no images.", id="none"),
    ],
)
def test_an_image_that_is_not_there_gets_the_closest_names(name: str, there: list[str], words: str) -> None:
    engine = Engine({})
    vars(engine)["_api"] = OtherImages(*there)
    with pytest.raises(ImageNotFoundError) as raised:
        engine.image(name)
    assert words in raised.value.cause


class Swept:
    """An Engine's API that lists nothing, and remembers what was asked."""

    def __init__(self) -> None:
        self.filters: list[dict[str, str | list[str]]] = []

    def images(self, filters: dict[str, str | list[str]], *, all: bool = False) -> list[dict[str, object]]:  # noqa: A002
        """List no image."""
        assert all == ("label" in filters)
        self.filters.append(filters)
        return []


def test_what_killed_runs_left_is_looked_for_in_each_repository_and_temporary_images_once() -> None:
    api, engine = Swept(), Engine({})
    warnings: list[str] = []
    vars(engine).update(_api=api, _engine_clock=lambda: 0)
    for name in ("one", "two"):
        engine.sweep(Reference("crg.apkg.io", f"acme/{name}"), warnings.append)
    assert warnings == []
    assert api.filters == [
        {"reference": ["crg.apkg.io/acme/one:pipe-*"]},
        {"label": LABEL},
        {"reference": ["crg.apkg.io/acme/two:pipe-*"]},
    ]
