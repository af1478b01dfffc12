"""Detection of misspelled variables.

Such a variable would be ignored, and the push would silently do something other than the user wants.
"""

from collections import Counter
from collections.abc import Iterable

from pipe.config.variables import VARIABLES, base_name

_KNOWN = frozenset(
    (*(variable.name for variable in VARIABLES), *(f"{variable.name}[]" for variable in VARIABLES if variable.array))
)
_SYNONYMS = {
    "ATLASSIANEMAIL": "ATLASSIAN_ACCOUNT_EMAIL",
    "ATLASSIANTOKEN": "ATLASSIAN_API_TOKEN",
    "ATTEMPTS": "MAX_ATTEMPTS",
    "BITBUCKETPACKAGESUSER": "BITBUCKET_PACKAGES_USERNAME",
    "COMPOSEPATH": "COMPOSE_FILE",
    "DOCKERCOMPOSEFILE": "COMPOSE_FILE",
    "IMAGE": "IMAGE_NAME",
    "IMAGEFILE": "IMAGE_ARCHIVE",
    "IMAGETAG": "TAGS",
    "IMAGETAGS": "TAGS",
    "IMAGES": "IMAGE_NAME",
    "IMAGETAR": "IMAGE_ARCHIVE",
    "MAXRETRIES": "MAX_ATTEMPTS",
    "MAXSIZE": "MAX_LAYER_SIZE",
    "PACKAGE": "PACKAGE_NAME",
    "PACKAGES": "PACKAGE_NAME",
    "PACKAGESTOKEN": "BITBUCKET_PACKAGES_TOKEN",
    "PACKAGESUSERNAME": "BITBUCKET_PACKAGES_USERNAME",
    "REGISTRYHOST": "REGISTRY",
    "REGISTRYURL": "REGISTRY",
    "RETRIES": "MAX_ATTEMPTS",
    "REUSE": "REUSE_FROM",
    "TAG": "TAGS",
    "TAGEXISTS": "IF_TAG_EXISTS",
    "TAGNAME": "TAGS",
    "UPLOADTIME": "UPLOAD_TIMEOUT",
}
"""Names that other pipes and tools use, in the form of `_normalized`."""


def _normalized(name: str) -> str:
    return name.upper().replace("_", "").replace("-", "")


_NORMALIZED = tuple((variable.name, _normalized(variable.name)) for variable in VARIABLES)
_SIMILAR = 0.885
"""Similarity from which a name is a typo; that of `npm_package_name`, which npm sets, is lower."""


def near_misses(names: Iterable[str]) -> list[tuple[str, str]]:
    """Find misspelled names of the pipe's variables among those of the environment.

    Returns:
        Pairs of the wrong and the right name, sorted. An array is listed once, by its base name; if both names are
        equal, the variable does not accept an array.
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
    return next((right for right, wanted in _NORMALIZED if _is_typo(text, wanted)), None)


def _is_typo(text: str, right: str) -> bool:
    if text[:1] == right[:1] and sorted(text) == sorted(right):
        return True
    # The cheap upper bounds first: a step's environment has a hundred names.
    half = _SIMILAR * (len(text) + len(right)) / 2
    if min(len(text), len(right)) < half or (Counter(text) & Counter(right)).total() < half:
        return False
    from difflib import SequenceMatcher  # noqa: PLC0415

    return SequenceMatcher(None, text, right, autojunk=False).ratio() >= _SIMILAR
