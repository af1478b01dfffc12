"""Names that are meant to be one of the pipe's variables, and are not (pure).

A variable with such a name would be ignored, and the push would quietly do something else than its user wants.
"""

import difflib
from collections.abc import Iterable

from pipe.config.variables import VARIABLES, base_name

_NAMES = tuple(variable.name for variable in VARIABLES)
_KNOWN = frozenset((*_NAMES, *(f"{variable.name}[]" for variable in VARIABLES if variable.array)))
_SYNONYMS = {
    "ATLASSIANEMAIL": "ATLASSIAN_ACCOUNT_EMAIL",
    "ATLASSIANTOKEN": "ATLASSIAN_API_TOKEN",
    "ATTEMPTS": "MAX_ATTEMPTS",
    "BITBUCKETPACKAGESUSER": "BITBUCKET_PACKAGES_USERNAME",
    "IMAGE": "IMAGE_NAME",
    "IMAGEFILE": "IMAGE_ARCHIVE",
    "IMAGETAG": "TAGS",
    "IMAGETAGS": "TAGS",
    "IMAGETAR": "IMAGE_ARCHIVE",
    "MAXRETRIES": "MAX_ATTEMPTS",
    "MAXSIZE": "MAX_LAYER_SIZE",
    "PACKAGE": "PACKAGE_NAME",
    "PACKAGESTOKEN": "BITBUCKET_PACKAGES_TOKEN",
    "PACKAGESUSERNAME": "BITBUCKET_PACKAGES_USERNAME",
    "REGISTRYHOST": "REGISTRY",
    "REGISTRYURL": "REGISTRY",
    "RETRIES": "MAX_ATTEMPTS",
    "REUSE": "REUSE_FROM",
    "TAG": "TAGS",
    "TAGNAME": "TAGS",
    "UPLOADTIME": "UPLOAD_TIMEOUT",
}
"""Other words for the same, as other pipes and tools have them, in the form of `_normalized`."""
_SIMILAR = 0.885
"""Share of letters in common from which a name is a typo; `npm_package_name`, which npm sets, stays below."""


def near_misses(names: Iterable[str]) -> list[tuple[str, str]]:
    """Find the names that are nearly those of the pipe's variables.

    Args:
        names: All names of the environment.

    Returns:
        Pairs of the wrong name and the right one, in the order of the alphabet. An array stands once, by its own
        name; where that is right, it is a variable that takes no array.
    """
    meant = {base_name(name): _meant(name) for name in sorted(names)}
    return [(name, right) for name, right in meant.items() if right]


def _meant(name: str) -> str | None:
    base = base_name(name)
    if name in _KNOWN or (base != name and f"{base}[]" in _KNOWN):
        return None
    text = _normalized(base)
    if text in _SYNONYMS:
        return _SYNONYMS[text]
    return next((right for right in _NAMES if _is_typo(text, _normalized(right))), None)


def _normalized(name: str) -> str:
    return name.upper().replace("_", "").replace("-", "")


def _is_typo(text: str, right: str) -> bool:
    if text[:1] == right[:1] and sorted(text) == sorted(right):
        return True
    matcher = difflib.SequenceMatcher(None, text, right, autojunk=False)
    # Upper bounds first, which cost less: a step's environment has a hundred names.
    return all(share() >= _SIMILAR for share in (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio))
