"""The variables that users set, with their defaults: the one list that code, `--help` and README share (pure)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_TAG = "latest"
"""The tag that is pushed where nobody names one, as with `docker push`."""
CREDENTIALS = (
    ("BITBUCKET_PACKAGES_USERNAME", "BITBUCKET_PACKAGES_TOKEN"),
    ("ATLASSIAN_ACCOUNT_EMAIL", "ATLASSIAN_API_TOKEN"),
)
"""Pairs of variables, of which an earlier one takes precedence; source: Atlassian's page, and `resolve_auth` of
bitbucket-pipes-toolkit for the names outside Pipelines."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that users set.

    Attributes:
        name: Its name in the environment.
        default: What applies where it is not set: a value, or words for what is worked out; None where nothing does.
        context: Whether it is usually taken from the step's own environment.
        secret: Whether its value must never be shown.
        required: Whether there is no push without it.
        array: Whether Pipelines may hand it over as an array: NAME_COUNT, NAME_0, NAME_1 …
    """

    name: str
    default: str | None = None
    context: bool = False
    secret: bool = False
    required: bool = False
    array: bool = False


VARIABLES = (
    Variable("IMAGE_NAME", required=True),
    Variable("TAGS", f"the tag of `IMAGE_NAME`, else `{DEFAULT_TAG}`", array=True),
    Variable("PACKAGE_NAME", "what follows `<REGISTRY>/<WORKSPACE>/` in `IMAGE_NAME`, else its last path component"),
    Variable("WORKSPACE", "$BITBUCKET_WORKSPACE", context=True),
    # Source: Atlassian, "Working with the container registry".
    Variable("REGISTRY", "crg.apkg.io"),
    Variable("BITBUCKET_PACKAGES_USERNAME", "$BITBUCKET_PACKAGES_USERNAME", context=True),
    Variable("BITBUCKET_PACKAGES_TOKEN", "$BITBUCKET_PACKAGES_TOKEN", context=True, secret=True),
    Variable("ATLASSIAN_ACCOUNT_EMAIL"),
    Variable("ATLASSIAN_API_TOKEN", secret=True),
    # Of a layer as the registry stores it; source: the same page. Decimal, the smaller reading of what it says.
    Variable("MAX_LAYER_SIZE", "32GB"),
    # Of one layer's upload; source: the same page. A registry has no notion of a whole push, only of a blob's upload.
    Variable("UPLOAD_TIMEOUT", "7m"),
    # A hiccup of the registry does not fail a step, but a breakdown ends soon.
    Variable("MAX_ATTEMPTS", "3"),
    Variable("UPLOADER", "auto"),
    Variable("REUSE_FROM", array=True),
    Variable("IMAGE_ARCHIVE"),
    Variable("DRY_RUN", "false"),
    Variable("RESULT_FILE"),
    Variable("DEBUG", "false"),
)
"""Every variable that users may set, in the order of README."""

_DEFAULTS = {variable.name: variable.default for variable in VARIABLES}
_ARRAY_ITEM = re.compile(r"(.+)_(?:COUNT|[0-9]{1,9})", re.IGNORECASE)


def default(name: str) -> str:
    """Return the value that applies where a variable is not set, "" where none does."""
    return _DEFAULTS[name] or ""


def base_name(name: str) -> str:
    """Return the array's name where a name is that of its length or of one of its items, else the name itself."""
    match = _ARRAY_ITEM.fullmatch(name)
    return match[1] if match else name


def secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Find what must never be shown, also where the rest of the environment is not valid.

    Args:
        environment: Such as `os.environ`.

    Returns:
        The values of secret variables, as given and without surrounding white space.
    """
    values = [environment.get(variable.name, "") for variable in VARIABLES if variable.secret]
    return tuple(dict.fromkeys(text for value in values for text in (value, value.strip()) if text))
