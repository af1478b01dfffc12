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
        usage: What it is for; README begins with these words, and says more.
        default: What applies where it is not set: a value, or words for what is worked out; None where nothing does.
        context: Whether it is usually taken from the step's own environment.
        secret: Whether its value must never be shown.
        required: Whether there is no push without it.
        array: Whether Pipelines may hand it over as an array: NAME_COUNT, NAME_0, NAME_1 …
    """

    name: str
    usage: str
    default: str | None = None
    context: bool = False
    secret: bool = False
    required: bool = False
    array: bool = False


VARIABLES = (
    Variable("IMAGE_NAME", "The image, by any name that Docker Engine knows it by", required=True),
    Variable("TAGS", "The tags to push", f"the tag of `IMAGE_NAME`, else `{DEFAULT_TAG}`", array=True),
    Variable(
        "PACKAGE_NAME",
        "The package to push to",
        "what follows `<REGISTRY>/<WORKSPACE>/` in `IMAGE_NAME`, else its last path component",
    ),
    Variable("WORKSPACE", "The workspace's slug", "$BITBUCKET_WORKSPACE", context=True),
    # Source: Atlassian, "Working with the container registry".
    Variable("REGISTRY", "The registry's host, with an optional port", "crg.apkg.io"),
    Variable(
        "BITBUCKET_PACKAGES_USERNAME", "The user name for the registry", "$BITBUCKET_PACKAGES_USERNAME", context=True
    ),
    Variable(
        "BITBUCKET_PACKAGES_TOKEN", "The token for the registry", "$BITBUCKET_PACKAGES_TOKEN", context=True, secret=True
    ),
    Variable("ATLASSIAN_ACCOUNT_EMAIL", "The e-mail address of an Atlassian account"),
    Variable("ATLASSIAN_API_TOKEN", "That account's API token", secret=True),
    # Of a layer as the registry stores it; source: the same page. Decimal, the smaller reading of what it says.
    Variable("MAX_LAYER_SIZE", "The largest layer to push", "32GB"),
    # Of one layer's upload; source: the same page. A registry has no notion of a whole push, only of a blob's upload.
    Variable("UPLOAD_TIMEOUT", "How long the upload of one layer may take", "7m"),
    # A hiccup of the registry does not fail a step, but a breakdown ends soon.
    Variable("MAX_ATTEMPTS", "How often the push is tried", "3"),
    Variable("UPLOADER", "Who uploads: `engine` (Docker Engine), `pipe` (the pipe itself), or `auto`", "auto"),
    Variable("REUSE_FROM", "Further tags of the package whose layers need not be sent again", array=True),
    Variable("IMAGE_ARCHIVE", "A file or directory to push instead of an image in Docker Engine"),
    Variable("DRY_RUN", "Check everything, upload nothing", "false"),
    Variable("RESULT_FILE", "A file to write the result to, as JSON"),
    Variable("DEBUG", "Turn on extra debug information", "false"),
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
