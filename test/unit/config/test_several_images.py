"""Several images in one run: their names, packages and tags, and what cannot be combined."""

from datetime import date
from pathlib import Path

import pytest

from pipe.config.reader import read_settings
from pipe.config.settings import PushRequest
from pipe.errors import ConfigurationError

STEP = {
    "BITBUCKET_WORKSPACE": "acme",
    "BITBUCKET_PACKAGES_USERNAME": "step",
    "BITBUCKET_PACKAGES_TOKEN": "s3cr3t-t0ken",
}
TODAY = date(2026, 3, 1)
ID = "0123456789abcdef" * 4


def array(name: str, *items: str) -> dict[str, str]:
    """Return the variables that Pipelines makes of an array."""
    return {f"{name}_COUNT": str(len(items))} | {f"{name}_{index}": item for index, item in enumerate(items)}


def requests(environment: dict[str, str]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return image, repository and tags of every request."""
    settings = read_settings(STEP | environment, TODAY)
    return [(each.image, each.repository, each.tags) for each in settings.requests]


def problems(environment: dict[str, str]) -> list[str]:
    """Return the problems of an environment that is invalid."""
    with pytest.raises(ConfigurationError) as raised:
        read_settings(STEP | environment, TODAY)
    return raised.value.problems


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param(
            array("IMAGE_NAME", "api", "worker:2") | {"TAGS": "1.0 latest"},
            [("api", "acme/api", ("1.0", "latest")), ("worker:2", "acme/worker", ("1.0", "latest"))],
            id="array",
        ),
        pytest.param(
            {"IMAGE_NAME": "api worker"},
            [("api", "acme/api", ("latest",)), ("worker", "acme/worker", ("latest",))],
            id="string-with-spaces",
        ),
        pytest.param(
            {"IMAGE_NAME": " api,\nworker\n"},
            [("api", "acme/api", ("latest",)), ("worker", "acme/worker", ("latest",))],
            id="string-with-other-separators",
        ),
        pytest.param(
            array("IMAGE_NAME", "api", "x/worker:2"),
            [("api", "acme/api", ("latest",)), ("x/worker:2", "acme/worker", ("2",))],
            id="each-with-its-own-tag",
        ),
        pytest.param(
            array("IMAGE_NAME", "api", ID) | array("PACKAGE_NAME", "team/api", "worker"),
            [("api", "acme/team/api", ("latest",)), (ID, "acme/worker", ("latest",))],
            id="packages",
        ),
        pytest.param(
            array("IMAGE_NAME", "api", "worker") | {"PACKAGE_NAME": "one two"},
            [("api", "acme/one", ("latest",)), ("worker", "acme/two", ("latest",))],
            id="packages-as-a-string",
        ),
        pytest.param(
            {"IMAGE_NAME": "api api", "PACKAGE_NAME": "one two"},
            [("api", "acme/one", ("latest",)), ("api", "acme/two", ("latest",))],
            id="one-image-to-two-packages",
        ),
        pytest.param({"IMAGE_NAME": "api api"}, [("api", "acme/api", ("latest",))], id="one-image-twice"),
        pytest.param(
            {"IMAGE_NAME": "app:1 app:2"},
            [("app:1", "acme/app", ("1",)), ("app:2", "acme/app", ("2",))],
            id="one-package-under-different-tags",
        ),
        pytest.param(
            array("IMAGE_NAME", "a", "b") | {"IMAGE_NAME": ""},
            [("a", "acme/a", ("latest",)), ("b", "acme/b", ("latest",))],
            id="array-beside-an-empty-string",
        ),
        pytest.param(
            {"IMAGE_NAME": "api worker", "IMAGE_ARCHIVE": "images.tar"},
            [("api", "acme/api", ("latest",)), ("worker", "acme/worker", ("latest",))],
            id="archive-of-several",
        ),
        pytest.param(array("IMAGE_NAME", "app"), [("app", "acme/app", ("latest",))], id="array-of-one"),
        pytest.param({"IMAGE_NAME": "app\n"}, [("app", "acme/app", ("latest",))], id="newline-at-the-end"),
        pytest.param(
            {"IMAGE_NAME": "app", "PACKAGE_NAME": ""}, [("app", "acme/app", ("latest",))], id="empty-package-is-unset"
        ),
    ],
)
def test_every_image_has_a_package_and_tags(
    environment: dict[str, str], expected: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    assert requests(environment) == expected


MISSING = "IMAGE_NAME is missing: set it to the name of the image that the step built."


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({"IMAGE_NAME": " "}, [MISSING], id="blank"),
        pytest.param({"IMAGE_NAME_COUNT": "0"}, [MISSING], id="array-without-elements"),
        pytest.param(
            array("IMAGE_NAME", "api", ""),
            ["The second entry of IMAGE_NAME is empty: remove it, or set its variable."],
            id="empty-element",
        ),
        pytest.param(
            array("IMAGE_NAME", "api", "worker") | array("PACKAGE_NAME", "", "worker"),
            ["The first entry of PACKAGE_NAME is empty: remove it, or set its variable."],
            id="empty-package",
        ),
        pytest.param(
            array("IMAGE_NAME", "api", "worker") | array("PACKAGE_NAME", "a", "b", "c"),
            [
                (
                    "PACKAGE_NAME names 3 packages, but IMAGE_NAME names 2 images: give each image its package, in the"
                    " same order."
                )
            ],
            id="different-length",
        ),
        pytest.param(
            {"IMAGE_NAME": "api x/api", "TAGS": "1.0 latest"},
            ["IMAGE_NAME: 'api' and 'x/api' would both be pushed to acme/api:1.0. Give each its own package."],
            id="one-package-twice",
        ),
        pytest.param(
            {"IMAGE_NAME": "a/x b/x c/x d/y", "TAGS": "1 2"},
            [
                "IMAGE_NAME: 'a/x' and 'b/x' would both be pushed to acme/x:1. Give each its own package.",
                "IMAGE_NAME: 'a/x' and 'c/x' would both be pushed to acme/x:1. Give each its own package.",
            ],
            id="one-package-three-times",
        ),
        pytest.param(
            {"IMAGE_NAME": "api worker", "TAGS": " "},
            ["TAGS is empty: leave it out to push `latest`."],
            id="no-tags",
        ),
        pytest.param(
            {"IMAGE_NAME": "app:1 app", "TAGS": " "},
            ["TAGS is empty: leave it out to push each image under the tag in its name."],
            id="no-tags-but-different-ones",
        ),
        pytest.param(
            {"IMAGE_NAME": f"api {ID}"},
            ["PACKAGE_NAME is missing: it is required if IMAGE_NAME is an ID."],
            id="id-without-package",
        ),
        pytest.param(
            array("IMAGE_NAME", "My-App", "-x", "api", "") | array("PACKAGE_NAME", "A", "b", "c", "d"),
            ["IMAGE_NAME", "IMAGE_NAME", "IMAGE_NAME", "PACKAGE_NAME", "PACKAGE_NAME"],
            id="all-at-once",
        ),
    ],
)
def test_what_is_wrong_with_several_images(environment: dict[str, str], expected: list[str]) -> None:
    found = problems(environment)
    if any(" " not in each for each in expected):
        names = ("IMAGE_NAME", "PACKAGE_NAME")
        assert sorted(min(names, key=lambda name: (name not in each, each.find(name))) for each in found) == expected
    else:
        assert found == expected


def test_a_package_name_that_is_too_long_is_reported_for_each_image() -> None:
    long = "/".join(["a" * 50] * 5)
    found = problems({"IMAGE_NAME": "api worker", "PACKAGE_NAME": f"{long} {long[:-1]}b"})
    assert [problem.partition(" must be ")[0] for problem in found] == ["PACKAGE_NAME", "PACKAGE_NAME"]


COMPOSE = """
name: shop
services:
  api:
    build: ./api
    image: team/api:${VERSION:-dev}
  worker:
    build: {context: .}
  db:
    image: postgres
"""


@pytest.fixture
def compose(tmp_path: Path) -> dict[str, str]:
    """Write a compose file into the clone directory."""
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    return {"BITBUCKET_CLONE_DIR": str(tmp_path), "COMPOSE_FILE": "compose.yaml"}


def test_a_compose_file_names_the_images(compose: dict[str, str]) -> None:
    assert requests(compose) == [
        ("team/api:dev", "acme/api", ("dev",)),
        ("shop-worker", "acme/shop-worker", ("latest",)),
    ]
    assert requests(compose | {"VERSION": "1.0", "TAGS": "2.0"}) == [
        ("team/api:1.0", "acme/api", ("2.0",)),
        ("shop-worker", "acme/shop-worker", ("2.0",)),
    ]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        pytest.param(
            {"IMAGE_NAME": "app"},
            ["COMPOSE_FILE cannot be combined with IMAGE_NAME: it names the images itself."],
            id="image",
        ),
        pytest.param(
            array("IMAGE_NAME", "app") | {"PACKAGE_NAME": "app"},
            ["COMPOSE_FILE cannot be combined with IMAGE_NAME, PACKAGE_NAME: it names the images itself."],
            id="image-and-package",
        ),
        pytest.param(
            {"IMAGE_ARCHIVE": "image.tar"},
            ["COMPOSE_FILE cannot be combined with IMAGE_ARCHIVE: it names images in Docker Engine."],
            id="archive",
        ),
        pytest.param(
            {"COMPOSE_FILE": "$FILE"},
            ["COMPOSE_FILE: $FILE was not expanded: the variable is unset, or the value is in single quotes."],
            id="not-expanded",
        ),
        pytest.param(
            {"VERSION": "feature/x"},
            ["COMPOSE_FILE: 'team/api:feature/x' is not the name of an image: the tag must be at most"],
            id="no-name-of-an-image",
        ),
    ],
)
def test_a_compose_file_and_other_variables(
    compose: dict[str, str], others: dict[str, str], expected: list[str]
) -> None:
    found = problems(compose | others)
    assert [each[: len(words)] for each, words in zip(found, expected, strict=True)] == expected


def test_the_mistakes_of_a_compose_file_are_reported_with_all_others(compose: dict[str, str]) -> None:
    found = problems(compose | {"COMPOSE_FILE": "gone.yaml", "TAGS": "!", "DEBUG": "maybe"})
    path = Path(compose["BITBUCKET_CLONE_DIR"], "gone.yaml")
    assert found[0] == f"COMPOSE_FILE {path}: it cannot be read: No such file or directory."
    assert [each.split(" ")[0] for each in found[1:]] == ["TAGS:", "DEBUG"]


def test_requests_know_where_to_push() -> None:
    request = PushRequest(
        "api", read_settings(STEP | {"IMAGE_NAME": "api"}, TODAY).requests[0].name, "h:1", "a/b", ("1",)
    )
    assert [str(target) for target in request.targets] == ["h:1/a/b:1"]
