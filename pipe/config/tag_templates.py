"""Placeholders in TAGS, such as `{version}`, which the variables of the pipeline fill.

The rules are those of docker/metadata-action, except that a placeholder without a value drops its tag.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date

from pipe.config.tags import FIRST_RULE, not_allowed
from pipe.config.values import is_variable, no_value, parse_count, shown
from pipe.oci.reference import TAG_MAXIMUM, tag_from

COMMIT_MAXIMUM = 40
"""Characters of a commit's SHA-1."""
NAMES = ("version", "major", "minor", "branch", "commit", "build", "pr", "date")
"""The placeholders, in the order of README."""

_BRACES = r"(\{+[^{}]*\}*)"
"""What is meant as a placeholder."""
_PLACEHOLDER = rf"\{{(?:{'|'.join(NAMES)}|commit:[0-9]+)\}}"
_LENGTH = r"\{commit:([^{}]*)\}"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRE_RELEASE = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_BUILD = r"[0-9A-Za-z-]+"
_VERSION = (
    rf"v?(?P<version>(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.{_NUMBER}"
    rf"(?P<pre>-{_PRE_RELEASE}(?:\.{_PRE_RELEASE})*)?(?:\+{_BUILD}(?:\.{_BUILD})*)?)"
)
"""Source: semver.org, version 2.0.0; numbers have no leading zeros."""
_SYNONYMS = {
    "buildid": "build",
    "buildnumber": "build",
    "commitsha": "commit",
    "gitcommit": "commit",
    "gittag": "version",
    "hash": "commit",
    "number": "build",
    "prid": "pr",
    "pullrequest": "pr",
    "pullrequestid": "pr",
    "ref": "branch",
    "revision": "commit",
    "semver": "version",
    "sha": "commit:7",
    "shortcommit": "commit:7",
    "shortsha": "commit:7",
    "tag": "version",
}
"""Names of other tools and of Pipelines, in the form of `_normalized`."""


def template_problems(template: str) -> list[str]:
    """Return sentences on all that makes a tag such as `{version}-{commit:7}` invalid, whatever the values are."""
    pieces = re.split(_BRACES, template)
    texts = pieces[::2]
    found = [problem for braces in pieces[1::2] if (problem := _placeholder_problem(braces))]
    wrong = not_allowed("".join(texts))
    if wrong or texts[0][:1] in (".", "-"):
        pieces[::2] = [re.sub(r"[^A-Za-z0-9_.-]+", "-", text) for text in texts]
        similar = "".join(pieces).lstrip(".-")
        found.append(f"{shown(template)} is not a valid tag: {wrong or FIRST_RULE}; try {shown(similar)}.")
    return found


class Placeholders:
    """The values of the placeholders in one run."""

    def __init__(self, environment: Mapping[str, str], today: date) -> None:
        """Read nothing yet; `today` is the date in UTC."""
        self._environment = environment
        self._values: dict[str, Callable[[], str]] = {
            "version": lambda: self._version()["version"].replace("+", "-"),
            "major": lambda: self._release()["major"],
            "minor": lambda: self._release()["minor"],
            "branch": self._branch,
            "commit": lambda: self._variable("BITBUCKET_COMMIT"),
            "build": lambda: self._variable("BITBUCKET_BUILD_NUMBER"),
            "pr": lambda: self._variable("BITBUCKET_PR_ID"),
            "date": lambda: today.strftime("%Y%m%d"),
        }

    def fill(self, template: str) -> str:
        """Return a tag with its placeholders replaced; a branch is cut if the tag would be too long.

        The template must be one without `template_problems`.

        Raises:
            LookupError: A placeholder has no value in this run; the message is a clause with the reason.
        """
        tag = self._filled(template, TAG_MAXIMUM)
        branches = template.count("{branch}")
        if len(tag) <= TAG_MAXIMUM or not branches:
            return tag
        room = TAG_MAXIMUM - len(self._filled(template, 0))
        return self._filled(template, max(room // branches, 1))

    def _filled(self, template: str, branch_maximum: int) -> str:
        def value(match: re.Match[str]) -> str:
            name, _, length = match[0].strip("{}").partition(":")
            maximum = branch_maximum if name == "branch" else int(length) if length else None
            return self._values[name]()[:maximum]

        return re.sub(_PLACEHOLDER, value, template)

    def _variable(self, name: str) -> str:
        text = self._environment.get(name, "")
        # Pipelines passes a reference to a variable that is unset as it stands.
        if not text or is_variable(text):
            raise LookupError(f"${name} {no_value(name)}")
        return text

    def _version(self) -> re.Match[str]:
        tag = self._variable("BITBUCKET_TAG")
        match = re.fullmatch(_VERSION, tag)
        if match is None:
            raise LookupError(f"the Git tag {shown(tag)} is not a semantic version such as 'v1.4.2'")
        return match

    def _release(self) -> re.Match[str]:
        match = self._version()
        if match["pre"]:
            raise LookupError(f"{match['version']} is a pre-release")
        return match

    def _branch(self) -> str:
        branch = self._variable("BITBUCKET_BRANCH")
        tag = tag_from(branch)
        if not tag:
            raise LookupError(f"the branch {shown(branch)} has no character that a tag can contain")
        return tag


def _placeholder_problem(braces: str) -> str:
    """Return a sentence, "" if the braces are a placeholder."""
    length = re.fullmatch(_LENGTH, braces)
    if length and not _is_length(length[1]):
        return f"{shown(braces)} must have a length from 1 to {COMMIT_MAXIMUM}, such as {{commit:7}}."
    if re.fullmatch(_PLACEHOLDER, braces):
        return ""
    right = _meant(braces)
    hint = (
        f"Did you mean {{{right}}}?" if right else f"The placeholders are {', '.join(f'{{{name}}}' for name in NAMES)}."
    )
    return f"{shown(braces)} is not a placeholder. {hint}"


def _is_length(text: str) -> bool:
    try:
        return parse_count(text) <= COMMIT_MAXIMUM
    except ValueError:
        return False


def _meant(braces: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 # needed only for a mistake

    inner = braces.strip("{}").lower()
    if re.fullmatch(_PLACEHOLDER, f"{{{inner}}}"):
        return inner
    text = _normalized(braces)
    name = next(iter(get_close_matches(text, (*NAMES, *_SYNONYMS), 1)), "")
    return _SYNONYMS.get(name, name)


def _normalized(braces: str) -> str:
    return re.sub(r"[^a-z]", "", braces.lower()).removeprefix("bitbucket")
