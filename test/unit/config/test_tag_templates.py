"""Tags with placeholders: what fills them, what drops the tag, and what is a mistake."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.config.tag_templates import NAMES, Placeholders, template_problems
from pipe.oci.reference import is_tag

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TODAY = date(2026, 3, 1)


def tagged(tag: str) -> dict[str, str]:
    """Return what a pipeline for a Git tag has."""
    return {"BITBUCKET_TAG": tag, "BITBUCKET_COMMIT": COMMIT, "BITBUCKET_BUILD_NUMBER": "17"}


def on_branch(branch: str) -> dict[str, str]:
    """Return what a pipeline for a branch has."""
    return {"BITBUCKET_BRANCH": branch, "BITBUCKET_COMMIT": COMMIT, "BITBUCKET_BUILD_NUMBER": "17"}


def fill(template: str, environment: dict[str, str]) -> str:
    """Fill a template that is valid."""
    assert template_problems(template) == []
    return Placeholders(environment, TODAY).fill(template)


@pytest.mark.parametrize(
    ("template", "environment", "tag"),
    [
        pytest.param("{version}", tagged("v1.4.2"), "1.4.2", id="version"),
        pytest.param("{version}", tagged("1.4.2"), "1.4.2", id="version-without-v"),
        pytest.param("v{version}", tagged("v1.4.2"), "v1.4.2", id="version-with-v-again"),
        pytest.param("{version}", tagged("v1.4.2-rc.1"), "1.4.2-rc.1", id="pre-release"),
        pytest.param("{version}", tagged("v1.4.2-0a.x-y"), "1.4.2-0a.x-y", id="pre-release-with-letters"),
        pytest.param("{version}", tagged("v1.4.2+build.5"), "1.4.2-build.5", id="build-metadata"),
        pytest.param("{major}", tagged("v1.4.2+001-a"), "1", id="major-of-a-version-with-metadata"),
        pytest.param("{major}", tagged("v0.4.2"), "0", id="major-of-zero"),
        pytest.param("{major}", tagged("v12.4.2"), "12", id="major"),
        pytest.param("{major}.{minor}", tagged("v1.40.2"), "1.40", id="minor"),
        pytest.param("api-{major}.{minor}-slim", tagged("v1.4.2"), "api-1.4-slim", id="text-around"),
        pytest.param("{branch}", on_branch("main"), "main", id="branch"),
        pytest.param("{branch}", on_branch("feature/login"), "feature-login", id="branch-with-slash"),
        pytest.param("{branch}", on_branch("Feature/LOGIN_2.0"), "Feature-LOGIN_2.0", id="branch-keeps-its-case"),
        pytest.param("{branch}", on_branch("-.fix#1 & ü/x!"), "fix-1-x", id="branch-with-other-characters"),
        pytest.param("{branch}", on_branch("x" * 200), "x" * 128, id="long-branch"),
        pytest.param("{branch}-{commit:7}", on_branch("x" * 200), "x" * 120 + "-0123456", id="long-branch-and-commit"),
        pytest.param("{branch}-{branch}", on_branch("x" * 64), "x" * 63 + "-" + "x" * 63, id="two-long-branches"),
        pytest.param("{branch}-{branch}", on_branch("x" * 60), "x" * 60 + "-" + "x" * 60, id="two-branches"),
        pytest.param("{commit}", tagged(""), COMMIT, id="commit"),
        pytest.param("{commit:7}", tagged(""), "0123456", id="short-commit"),
        pytest.param("{commit:40}", tagged(""), COMMIT, id="longest-commit"),
        pytest.param("{commit:1}", tagged(""), "0", id="shortest-commit"),
        pytest.param("{version}-{commit:7}", tagged("v1.4.2"), "1.4.2-0123456", id="version-and-commit"),
        pytest.param("build-{build}", tagged(""), "build-17", id="build"),
        pytest.param("pr-{pr}", {"BITBUCKET_PR_ID": "42"}, "pr-42", id="pull-request"),
        pytest.param("nightly-{date}", {}, "nightly-20260301", id="date"),
        pytest.param("latest", {}, "latest", id="no-placeholder"),
    ],
)
def test_placeholders_are_filled(template: str, environment: dict[str, str], tag: str) -> None:
    assert fill(template, environment) == tag
    assert is_tag(tag)


NO_TAG = "$BITBUCKET_TAG has no value in this step (Pipelines sets it for tag pipelines only)"
NO_BRANCH = "$BITBUCKET_BRANCH has no value in this step (Pipelines sets it for branches only, not for tags)"
NO_PR = "$BITBUCKET_PR_ID has no value in this step (Pipelines sets it for pull requests only)"


@pytest.mark.parametrize(
    ("template", "environment", "reason"),
    [
        pytest.param("{version}", on_branch("main"), NO_TAG, id="version"),
        pytest.param("{major}.{minor}", on_branch("main"), NO_TAG, id="major-and-minor"),
        pytest.param("{branch}", tagged("v1.4.2"), NO_BRANCH, id="branch"),
        pytest.param("pr-{pr}", on_branch("main"), NO_PR, id="pull-request"),
        pytest.param("{commit:7}", {}, "$BITBUCKET_COMMIT has no value in this step", id="commit"),
        pytest.param("{build}", {}, "$BITBUCKET_BUILD_NUMBER has no value in this step", id="build"),
        pytest.param("{commit}-{branch}", tagged("v1.4.2"), NO_BRANCH, id="one-of-two"),
        pytest.param("{version}", {"BITBUCKET_TAG": "$BITBUCKET_TAG"}, NO_TAG, id="tag-not-expanded"),
        pytest.param("{version}", {"BITBUCKET_TAG": "${BITBUCKET_TAG}"}, NO_TAG, id="tag-not-expanded-in-braces"),
        pytest.param("{major}", tagged("v1.5.0-rc.1"), "1.5.0-rc.1 is a pre-release", id="major-of-a-pre-release"),
        pytest.param("x{minor}", tagged("1.5.0-1"), "1.5.0-1 is a pre-release", id="minor-of-a-pre-release"),
        pytest.param(
            "{branch}",
            on_branch("日本/語"),
            "the branch '日本/語' has no character that a tag can contain",
            id="japanese",
        ),
        *(
            pytest.param(
                "{version}",
                tagged(tag),
                f"the Git tag {tag!r} is not a semantic version such as 'v1.4.2'",
                id=f"not-semantic-{tag!r}",
            )
            for tag in (
                "release-7",
                "v1.4",
                "1.4.2.1",
                "V1.4.2",
                "v01.4.2",
                "v1.4.2-01",
                "v1.4.2-",
                "v1.4.2-a..b",
                "v1.4.2+",
                "api/v1.4.2",
                "v1.4.2\n",
                "v1.4.\u0662",
            )
        ),
    ],
)
def test_a_placeholder_without_a_value_drops_the_tag(template: str, environment: dict[str, str], reason: str) -> None:
    with pytest.raises(LookupError) as raised:
        fill(template, environment)
    assert str(raised.value) == reason


ALL = "{version}, {major}, {minor}, {branch}, {commit}, {build}, {pr}, {date}"


@pytest.mark.parametrize(
    ("template", "problems"),
    [
        pytest.param("{vresion}", ["'{vresion}' is not a placeholder. Did you mean {version}?"], id="typo"),
        pytest.param("{VERSION}", ["'{VERSION}' is not a placeholder. Did you mean {version}?"], id="capitals"),
        pytest.param("{Commit:8}", ["'{Commit:8}' is not a placeholder. Did you mean {commit:8}?"], id="capital"),
        pytest.param("{{version}}", ["'{{version}}' is not a placeholder. Did you mean {version}?"], id="two-braces"),
        pytest.param("{{commit:8}}", ["'{{commit:8}}' is not a placeholder. Did you mean {commit:8}?"], id="length"),
        pytest.param("{version", ["'{version' is not a placeholder. Did you mean {version}?"], id="not-closed"),
        pytest.param("{sha}", ["'{sha}' is not a placeholder. Did you mean {commit:7}?"], id="sha"),
        pytest.param("{tag}", ["'{tag}' is not a placeholder. Did you mean {version}?"], id="tag"),
        pytest.param(
            "{BITBUCKET_BUILD_NUMBER}",
            ["'{BITBUCKET_BUILD_NUMBER}' is not a placeholder. Did you mean {build}?"],
            id="variable",
        ),
        pytest.param("{branch:7}", ["'{branch:7}' is not a placeholder. Did you mean {branch}?"], id="branch-length"),
        pytest.param("{date:%Y}", ["'{date:%Y}' is not a placeholder. Did you mean {date}?"], id="date-format"),
        pytest.param("{flavour}", [f"'{{flavour}}' is not a placeholder. The placeholders are {ALL}."], id="unknown"),
        pytest.param("x{}", [f"'{{}}' is not a placeholder. The placeholders are {ALL}."], id="empty"),
        *(
            pytest.param(
                braces, [f"{braces!r} must have a length from 1 to 40, such as {{commit:7}}."], id=f"length-{braces}"
            )
            for braces in ("{commit:0}", "{commit:41}", "{commit:}", "{commit:x}", "{commit:-7}", "{commit:\u0667}")
        ),
        pytest.param(
            "{vresion}-{numbr}-{commit:0}",
            [
                "'{vresion}' is not a placeholder. Did you mean {version}?",
                "'{numbr}' is not a placeholder. Did you mean {build}?",
                "'{commit:0}' must have a length from 1 to 40, such as {commit:7}.",
            ],
            id="three",
        ),
        pytest.param(
            "release/{version}",
            ["'release/{version}' is not a valid tag: '/' is not allowed; try 'release-{version}'."],
            id="slash",
        ),
        pytest.param(
            ".{version}",
            ["'.{version}' is not a valid tag: it must begin with a letter, a digit or '_'; try '{version}'."],
            id="first-character",
        ),
        pytest.param(
            "a/{tag}",
            [
                "'{tag}' is not a placeholder. Did you mean {version}?",
                "'a/{tag}' is not a valid tag: '/' is not allowed; try 'a-{tag}'.",
            ],
            id="placeholder-and-text",
        ),
        pytest.param("{version}}", ["'{version}}' is not a placeholder. Did you mean {version}?"], id="closed-twice"),
    ],
)
def test_mistakes_in_a_template_are_reported_together(template: str, problems: list[str]) -> None:
    assert template_problems(template) == problems


@given(st.lists(st.sampled_from([*(f"{{{name}}}" for name in NAMES), "{commit:7}", "a", ".", "-"]), max_size=3))
def test_a_valid_template_makes_a_valid_tag(pieces: list[str]) -> None:
    """Whatever the placeholders, what they make is a tag if the text around them is that of a tag."""
    template = "x" + "".join(pieces)
    environment = tagged("v1.4.2") | on_branch("feature/" + "x" * 200) | {"BITBUCKET_PR_ID": "1"}
    assert is_tag(fill(template, environment))
