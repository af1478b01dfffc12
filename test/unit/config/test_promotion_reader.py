"""The variables that name images of the registry, and what they cannot be combined with."""

from datetime import date

import pytest

from pipe.config.reader import read_settings
from pipe.config.settings import Promotion, PushRequest
from pipe.errors import ConfigurationError

STEP = {
    "BITBUCKET_WORKSPACE": "acme",
    "BITBUCKET_PACKAGES_USERNAME": "step",
    "BITBUCKET_PACKAGES_TOKEN": "s3cr3t-t0ken",
}
PROMOTE = {"PROMOTE": "rc-17", "PACKAGE_NAME": "app", "TAGS": "1.4.2"}
JOIN = {"PLATFORM_TAGS": "1.4.2-amd64 1.4.2-arm64", "PACKAGE_NAME": "app", "TAGS": "1.4.2"}
NOT_A_NAME = "PROMOTE must be a tag or a digest, without the package's name (FROM_PACKAGE names another package)"
DIGEST = "sha256:" + "a" * 64


def read(variables: dict[str, str]) -> PushRequest:
    """Read the request of a run."""
    [request] = read_settings(STEP | variables, date(2026, 3, 1)).requests
    return request


def problems(variables: dict[str, str]) -> list[str]:
    """Read an environment that is not right."""
    with pytest.raises(ConfigurationError) as raised:
        read(variables)
    return raised.value.problems


@pytest.mark.parametrize(
    ("variables", "promotion", "shown"),
    [
        pytest.param(PROMOTE, Promotion("acme/app", ("rc-17",), is_joined=False), "app:rc-17", id="tag"),
        pytest.param(
            PROMOTE | {"PROMOTE": DIGEST},
            Promotion("acme/app", (DIGEST,), is_joined=False),
            f"app@{DIGEST}",
            id="digest",
        ),
        pytest.param(
            PROMOTE | {"FROM_PACKAGE": "staging"},
            Promotion("acme/staging", ("rc-17",), is_joined=False),
            "staging:rc-17",
            id="from-package",
        ),
        pytest.param(
            PROMOTE | {"PROMOTE": "{commit:7}-rc", "BITBUCKET_COMMIT": "c0ffee5" * 5},
            Promotion("acme/app", ("c0ffee5-rc",), is_joined=False),
            "app:c0ffee5-rc",
            id="placeholder",
        ),
        pytest.param(
            JOIN,
            Promotion("acme/app", ("1.4.2-amd64", "1.4.2-arm64"), is_joined=True),
            "app:1.4.2-amd64, app:1.4.2-arm64",
            id="platforms",
        ),
        pytest.param(
            JOIN
            | {
                "PLATFORM_TAGS_COUNT": "2",
                "PLATFORM_TAGS_0": "{version}-a",
                "PLATFORM_TAGS_1": DIGEST,
                "BITBUCKET_TAG": "v2.0.0",
                "FROM_PACKAGE": "staging",
            }
            | {"PLATFORM_TAGS": ""},
            Promotion("acme/staging", ("2.0.0-a", DIGEST), is_joined=True),
            f"staging:2.0.0-a, staging@{DIGEST}",
            id="array-of-platforms",
        ),
    ],
)
def test_what_is_promoted(variables: dict[str, str], promotion: Promotion, shown: str) -> None:
    variables = {name: value for name, value in variables.items() if value}
    request = read(variables)
    assert (request.promotion, request.image) == (promotion, shown)
    assert (request.repository, request.tags) == ("acme/app", ("1.4.2",))


@pytest.mark.parametrize(
    ("variables", "repository", "tags"),
    [
        pytest.param({"PACKAGE_NAME": "app", "IMAGE_NAME": "acme/other"}, "acme/app", ("1",), id="package-name-first"),
        pytest.param({"IMAGE_NAME": "build/my-app"}, "acme/my-app", ("1",), id="last-component"),
        pytest.param({"IMAGE_NAME_COUNT": "1", "IMAGE_NAME_0": "api"}, "acme/api", ("1",), id="array-of-one-image"),
        pytest.param({"IMAGE_NAME": "crg.apkg.io/acme/my-app"}, "acme/my-app", ("1",), id="whole-name"),
        pytest.param({"IMAGE_NAME": "my-app:2.0", "TAGS": ""}, "acme/my-app", ("2.0",), id="tag-of-the-image-name"),
        pytest.param({"IMAGE_NAME": "my-app:2.0"}, "acme/my-app", ("1",), id="tags-first"),
        pytest.param(
            {"PACKAGE_NAME": "app", "TAGS": "{build} x", "BITBUCKET_BUILD_NUMBER": "5"},
            "acme/app",
            ("5", "x"),
            id="placeholder",
        ),
    ],
)
def test_where_it_goes(variables: dict[str, str], repository: str, tags: tuple[str, ...]) -> None:
    variables = {"PROMOTE": "rc-17", "TAGS": "1"} | variables
    request = read({name: value for name, value in variables.items() if value})
    assert (request.repository, request.tags) == (repository, tags)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param(
            PROMOTE
            | {"IMAGE_ARCHIVE": "image.tar", "UPLOADER": "pipe", "COMPRESSION": "zstd", "REUSE_FROM_COUNT": "1"},
            [
                (
                    "PROMOTE cannot be combined with IMAGE_ARCHIVE, UPLOADER, COMPRESSION, REUSE_FROM: the image is in"
                    " the registry already."
                )
            ],
            id="upload-variables",
        ),
        pytest.param(
            {"PROMOTE_COUNT": "2", "PROMOTE_0": "a", "PROMOTE_1": "b", "PACKAGE_NAME": "app", "TAGS": "1"},
            ["PROMOTE must be a string, not an array."],
            id="array",
        ),
        pytest.param(
            PROMOTE | {"PROMOTE": "  "}, ["PROMOTE is empty: leave it out to push an image."], id="white-space"
        ),
        pytest.param(
            {"PROMOTE": "rc", "IMAGE_NAME": "crg.apkg.io/other/app", "TAGS": "1"},
            [
                (
                    "IMAGE_NAME's workspace 'other' does not match WORKSPACE 'acme' (IMAGE_NAME is"
                    " 'crg.apkg.io/other/app', which names the registry)."
                )
            ],
            id="another-workspace",
        ),
        pytest.param(
            PROMOTE | {"PLATFORM_TAGS": "a b"},
            ["PROMOTE cannot be combined with PLATFORM_TAGS: use the pipe once for each."],
            id="both",
        ),
        pytest.param(
            {"IMAGE_NAME": "app", "FROM_PACKAGE": "staging"},
            ["FROM_PACKAGE requires PROMOTE or PLATFORM_TAGS, which name an image of that package."],
            id="only-from-package",
        ),
        pytest.param(
            {"PROMOTE": "rc-17"},
            [
                "PACKAGE_NAME is missing: PROMOTE needs the package for the tags.",
                "TAGS is missing: PROMOTE needs the tags to push.",
            ],
            id="nothing-else",
        ),
        pytest.param(
            {"PLATFORM_TAGS": "a b", "IMAGE_NAME": DIGEST, "TAGS": "1"},
            ["PACKAGE_NAME is missing: PLATFORM_TAGS needs the package for the tags."],
            id="an-id-names-no-package",
        ),
        pytest.param(
            PROMOTE | {"PROMOTE": "app:rc-17"},
            [f"{NOT_A_NAME}, got 'app:rc-17'."],
            id="reference",
        ),
        pytest.param(
            PROMOTE | {"PROMOTE": "sha256:abc"},
            [f"{NOT_A_NAME}, got 'sha256:abc'."],
            id="short-digest",
        ),
        pytest.param(
            PROMOTE | {"PROMOTE": "-rc"},
            ["PROMOTE: '-rc' is not a valid tag: it must begin with a letter, a digit or '_'; try 'rc'."],
            id="no-tag",
        ),
        pytest.param(
            PROMOTE | {"PROMOTE": "$RC", "BITBUCKET_BUILD_NUMBER": "1"},
            ["PROMOTE: $RC has no value in this step."],
            id="unset-variable",
        ),
        pytest.param(
            PROMOTE | {"PROMOTE": "{verison}"},
            ["PROMOTE: '{verison}' is not a placeholder. Did you mean {version}?"],
            id="no-placeholder",
        ),
        pytest.param(
            PROMOTE | {"PROMOTE": "{version}-rc"},
            [
                (
                    "PROMOTE: {version}-rc cannot be filled: $BITBUCKET_TAG has no value in this step (Pipelines sets"
                    " it for tag pipelines only)."
                )
            ],
            id="placeholder-without-a-value",
        ),
        pytest.param(
            PROMOTE | {"PROMOTE_COUNT": "1", "PROMOTE_0": "a"},
            ["PROMOTE must be a string, not an array."],
            id="array",
        ),
        pytest.param(
            JOIN | {"PLATFORM_TAGS": " "},
            ["PLATFORM_TAGS is empty: leave it out to push an image."],
            id="no-platforms",
        ),
        pytest.param(
            PROMOTE | {"FROM_PACKAGE": "Staging"},
            [
                (
                    "FROM_PACKAGE must be a package's name (lower-case letters and digits, separated by '.', '_', '__'"
                    " or hyphens), got 'Staging'."
                )
            ],
            id="from-no-package",
        ),
        pytest.param(
            PROMOTE | {"PACKAGE_NAME": "app worker"},
            ["PROMOTE is about one package, not app, worker: use the pipe once for each."],
            id="two-packages",
        ),
        pytest.param(
            {"PROMOTE": "rc-17", "TAGS": "1", "IMAGE_NAME_COUNT": "2", "IMAGE_NAME_0": "api", "IMAGE_NAME_1": "web"},
            ["PROMOTE is about one package, not api, web: use the pipe once for each."],
            id="two-images",
        ),
        pytest.param(
            PROMOTE | {"COMPOSE_FILE": "compose.yaml"},
            ["PROMOTE cannot be combined with COMPOSE_FILE: the image is in the registry already."],
            id="compose-file",
        ),
        pytest.param(
            {"PROMOTE": "rc-17", "IMAGE_NAME": "App", "TAGS": "1"},
            [
                (
                    "IMAGE_NAME: 'App' is not the name of an image: each component of an image's name must be"
                    " lower-case letters and digits, separated by '.', '_', '__' or hyphens."
                )
            ],
            id="no-image-name",
        ),
        pytest.param(
            PROMOTE | {"TAGS": "{branch}"},
            [
                (
                    "TAGS has no tag for this step. Not pushing {branch}: $BITBUCKET_BRANCH has no value in this step"
                    " (Pipelines sets it for branches only, not for tags)."
                )
            ],
            id="no-tag-left",
        ),
    ],
)
def test_all_problems_are_reported(variables: dict[str, str], expected: list[str]) -> None:
    assert problems(variables) == expected


@pytest.mark.parametrize("value", ["auto", "Auto", ""])
def test_a_default_that_is_set_is_no_problem(value: str) -> None:
    assert read(PROMOTE | {"UPLOADER": value, "COMPRESSION": value}).promotion is not None
